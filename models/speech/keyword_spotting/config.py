"""Every setting of keyword spotting, with its default and its limits (no TensorFlow here)."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from penstock.models.classification.config import ClassifierConfig, Fraction, LabelPrepare
from penstock.models.speech.front_end.config import (
    Augment,
    Recording,
    Spectrogram,
    spectrogram_faults,
)
from penstock.pipelines.config import Config as Section

Pair = tuple[PositiveInt, PositiveInt]
"""Frames, mel bands."""


class Prepare(LabelPrepare, Recording):
    """From a WAV file to a waveform of one rate.

    Any rate from 4 to 192 kHz becomes `sample_rate_hz`, several channels become their mean. The middle
    `max_seconds` of a longer recording are kept. Set `train.buckets`, so that short recordings are not
    padded to as much.
    """


class Network(Section):
    """What all networks share. `dropout` comes before each dense layer.

    `normalization_momentum` is how slowly the moving statistics of batch normalisation follow, that of
    the spectrogram's bands included; Keras's default of 0.99 needs some 500 steps.
    """

    dropout: Fraction = 0.0
    normalization_momentum: Fraction = 0.9


class CNN(Network):
    """Two convolutions, a linear bottleneck, a dense layer: Sainath and Parada (Interspeech 2015).

    As `cnn-trad-fpool3` there, with half the filters, and pooling in time too, for a tenth of the
    products. The first convolution is pooled. The bottleneck takes the average over time, as
    recordings differ in length.
    """

    type: Literal["cnn"]
    filters: Pair = (32, 32)
    first_kernel: Pair = (20, 8)
    second_kernel: Pair = (10, 4)
    pooling: Pair = (2, 3)
    bottleneck_units: PositiveInt = 32
    dense_units: PositiveInt = 128

    @property
    def frames_divisor(self) -> int:
        """Frames of the spectrogram for one of the last convolution."""
        return self.pooling[0]


class DSCNN(Network):
    """Depthwise-separable convolutions: Zhang et al., "Hello Edge" (arXiv:1711.07128), DS-CNN (S).

    A convolution of `first_kernel` by `first_strides`, then `blocks` times depthwise and pointwise,
    each with batch normalisation and ReLU, then the average over time and bands.
    """

    type: Literal["ds_cnn"]
    filters: PositiveInt = 64
    first_kernel: Pair = (10, 4)
    first_strides: Pair = (2, 2)
    blocks: PositiveInt = 4
    kernel: Pair = (3, 3)

    @property
    def frames_divisor(self) -> int:
        """As `CNN.frames_divisor`."""
        return self.first_strides[0]


class CRNN(Network):
    """Convolutions, then gated recurrent units over time: after Arik et al. (arXiv:1703.05390).

    For each number of `filters` a convolution, batch normalisation, ReLU and max pooling by `pooling`;
    then `recurrent_layers` of `units` each way, and the average over time or the last state. The paper
    has one convolution with strides, and the last state.
    """

    type: Literal["crnn"] = "crnn"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64)
    kernel: Pair = (3, 3)
    pooling: Pair = (2, 2)
    units: PositiveInt = 64
    recurrent_layers: PositiveInt = 1
    bidirectional: bool = True
    recurrent_pooling: Literal["last", "average"] = "average"

    @property
    def frames_divisor(self) -> int:
        """As `CNN.frames_divisor`."""
        return self.pooling[0] ** len(self.filters)


class Config(ClassifierConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    spectrogram: Spectrogram = Spectrogram()
    model: Annotated[CNN | DSCNN | CRNN, Field(discriminator="type")] = CRNN()
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _fits(self):
        faults = spectrogram_faults(self.prepare.sample_rate_hz, self.spectrogram)
        faults += _pooling_faults(self.model, self.spectrogram.mel_bands)
        if faults:
            raise ValueError(" ".join(faults))
        return self

    def input_padding(self) -> dict[str, int | float | str]:
        """Silence."""
        return {"inputs/waveforms": 0}


def _pooling_faults(model: CNN | DSCNN | CRNN, bands: int) -> list[str]:
    """The last pooling must still find a whole window; of frames as many as it needs are added."""
    if isinstance(model, DSCNN):
        return []
    needed = model.pooling[1] ** (len(model.filters) if isinstance(model, CRNN) else 1)
    if needed <= bands:
        return []
    return [
        f"`model.pooling` needs at least {needed} mel bands. Received: {bands}. Lower `model.pooling`, "
        "give `model.filters` fewer numbers or raise `spectrogram.mel_bands`."
    ]
