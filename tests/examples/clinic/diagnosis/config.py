"""The task's sections of a config, with their defaults (no TensorFlow here)."""

from typing import Annotated

from pydantic import Field, PositiveInt

from penstock.models.config import TaskConfig
from penstock.pipelines.config import Config as Section


class Prepare(Section):
    """Which features are read."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    label: str = "label"


class Model(Section):
    """Dense layers."""

    hidden_units: tuple[PositiveInt, ...] = (32, 16)
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Config(TaskConfig):
    """All sections of the task."""

    prepare: Prepare
    model: Model = Model()
