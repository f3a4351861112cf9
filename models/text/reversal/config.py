"""Every setting of string reversal, with its default (no TensorFlow here)."""

from pydantic import PositiveInt

from penstock.models.config import TaskConfig
from penstock.pipelines.config import Config as Section


class Prepare(Section):
    """Which text, and how many of its characters are read."""

    text_feature: str = "text"
    max_characters: PositiveInt = 16


class Model(Section):
    """A GRU encoder and a GRU decoder."""

    embedding_dim: PositiveInt = 32
    units: PositiveInt = 64


class Config(TaskConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    model: Model = Model()
