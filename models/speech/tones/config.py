"""Every setting of tone classification, with its default (no TensorFlow here)."""

from pydantic import PositiveFloat, PositiveInt

from penstock.models.config import TaskConfig
from penstock.pipelines.config import Config as Section


class Prepare(Section):
    """Which recording and label; longer recordings are cut, shorter ones end in silence."""

    audio_feature: str = "audio"
    label_feature: str = "label"
    seconds: PositiveFloat = 0.5
    sample_rate_hz: PositiveInt = 8000


class Model(Section):
    """The spectrogram's window and bands, and the network's width."""

    window_ms: PositiveFloat = 32.0
    hop_ms: PositiveFloat = 16.0
    mel_bands: PositiveInt = 40
    filters: PositiveInt = 32


class Config(TaskConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    model: Model = Model()
