"""Every setting of speech recognition, with its default and its limits (no TensorFlow here)."""

import math
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from penstock.models.classification.config import Fraction
from penstock.models.config import LEAST_SECONDS, TaskConfig
from penstock.models.speech.front_end.config import (
    Augment,
    Recording,
    Spectrogram,
    spectrogram_faults,
)
from penstock.pipelines.config import Config as Section
from penstock.pipelines.transform.subwords import LEAST_SUBWORDS

Pair = tuple[PositiveInt, PositiveInt]
"""Frames, mel bands."""


class Prepare(Recording):
    """From a WAV file to a waveform of one rate, and from a text to the ids of its tokens.

    A recording longer than `max_seconds` cannot be trained on or tested with: what is cut off would be
    missing of its transcript, so Transform stops and says so (`data.source.max_seconds` sends such
    recordings to the quarantine). A served model hears their beginning, and says that it does.

    `tokens` are the characters of the training split's texts, the `vocabulary_size` most frequent of
    those that occur `minimum_count` times, or subwords (byte-level BPE) of `vocabulary_size`. A
    character that is none of them cannot be written: it is left out of what is learnt, and remains in
    what is expected, where it counts as an error. `lowercase` and `punctuation` say how texts are made
    alike before they are learnt and compared: `remove` takes out all marks and symbols but apostrophes
    and hyphens inside of words. Blanks are single ones between words, always.
    """

    max_seconds: Annotated[float, Field(gt=0.0, le=60.0)] = 10.0
    text_feature: str = "text"
    tokens: Literal["characters", "subwords"] = "characters"
    lowercase: bool = True
    punctuation: Literal["keep", "remove"] = "remove"
    vocabulary_size: PositiveInt = 1000
    minimum_count: PositiveInt = 1

    @model_validator(mode="after")
    def _is_large_enough(self):
        if self.tokens == "subwords" and self.vocabulary_size < LEAST_SUBWORDS:
            raise ValueError(
                f"`vocabulary_size` of subwords must be at least {LEAST_SUBWORDS}, since each of the "
                f"256 bytes is one. Received: {self.vocabulary_size}. 500 to 5,000 are usual."
            )
        return self


class Network(Section):
    """What all networks share.

    `normalization_momentum` is how slowly the moving statistics of batch normalisation follow, that of
    the spectrogram's bands included; Keras's default of 0.99 needs some 500 steps.
    """

    dropout: Fraction = 0.1
    normalization_momentum: Fraction = 0.9


class DeepSpeech(Network):
    """Convolutions, then recurrent layers: Amodei et al. 2016, "Deep Speech 2" (arXiv:1512.02595).

    For each number of `filters` a convolution over time and bands, with stride 2 in the bands and, the
    first, `time_stride` in time; then `recurrent_layers` of `units` each way. Batch normalisation
    stands between all of them (sequence-wise, section 3.2 there), `dropout` before the last layer and
    between recurrent ones. The paper has kernels of 11 frames by 41 and 21 frequencies, ReLU cells and
    no dropout.
    """

    type: Literal["deep_speech"] = "deep_speech"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (16, 32)
    kernel: Pair = (7, 7)
    time_stride: PositiveInt = 2
    cells: Literal["gru", "lstm"] = "gru"
    units: PositiveInt = 128
    recurrent_layers: PositiveInt = 2

    @property
    def frames_divisor(self) -> int:
        """Frames of the spectrogram for one of the network's answer."""
        return self.time_stride


class Conformer(Network):
    """Attention and convolutions by turns: Gulati et al. 2020, "Conformer" (arXiv:2005.08100).

    Two convolutions with `strides` in time and 2 in the bands, a projection to `dim`, then `blocks` of
    half a feed-forward layer, self-attention with `num_heads`, a convolution over `kernel` frames,
    another half and layer normalisation. Positions are absolute sinusoids (Vaswani et al. 2017), added
    once in front of the blocks, and not the paper's relative ones (Dai et al. 2019): Keras's attention
    has no place for those. The decoder is CTC's projection instead of the paper's transducer.
    """

    type: Literal["conformer"]
    filters: PositiveInt = 32
    strides: Pair = (2, 2)
    dim: PositiveInt = 96
    num_heads: PositiveInt = 4
    blocks: PositiveInt = 4
    kernel: PositiveInt = 15
    feed_forward_factor: PositiveInt = 4

    @property
    def frames_divisor(self) -> int:
        """As `DeepSpeech.frames_divisor`."""
        return math.prod(self.strides)

    @model_validator(mode="after")
    def _heads_divide_it(self):
        if self.dim % self.num_heads or self.dim % 2:
            raise ValueError(
                "`dim` must be even and a multiple of `num_heads`. Received: "
                f"dim={self.dim}, num_heads={self.num_heads}."
            )
        return self


class Greedy(Section):
    """The likeliest token of each frame (best path decoding, Graves et al. 2006, section 3.2)."""

    type: Literal["greedy"] = "greedy"


class Beam(Section):
    """The likeliest text of those that a beam search finds, summed over their alignments.

    `beam_size` beginnings are followed at a time (Graves and Jaitly 2014, without a language model).
    Recordings that have not begun `max_seconds` after the network has answered get the greedy answer,
    which says that it is not complete; the search of one recording is not interrupted.
    """

    type: Literal["beam"]
    beam_size: Annotated[int, Field(ge=1, le=1000)] = 16
    max_seconds: Annotated[float, Field(ge=LEAST_SECONDS)] = 60.0


class Config(TaskConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    spectrogram: Spectrogram = Spectrogram()
    model: Annotated[DeepSpeech | Conformer, Field(discriminator="type")] = DeepSpeech()
    augment: Augment = Augment()
    decode: Annotated[Greedy | Beam, Field(discriminator="type")] = Greedy()

    @model_validator(mode="after")
    def _fits(self):
        faults = spectrogram_faults(self.prepare.sample_rate_hz, self.spectrogram)
        if self.augment.shift_ms:
            faults.append(
                "`augment.shift_ms` must be 0: a shift cuts off words, which their text still has. "
                f"Received: {self.augment.shift_ms:g}. Leave it out."
            )
        if faults:
            raise ValueError(" ".join(faults))
        return self

    @property
    def samples_per_frame(self) -> int:
        """From one frame of the network's answer to the next."""
        hop = self.spectrogram.hop(self.prepare.sample_rate_hz)
        return hop * self.model.frames_divisor

    @property
    def max_frames(self) -> int:
        """Of the answer to the longest recording."""
        return -(-self.prepare.max_samples // self.samples_per_frame)

    def input_padding(self) -> dict[str, int | float | str]:
        """Silence; and what the loss takes for no token."""
        return {"inputs/waveforms": 0, "targets": 0}

    def metric_names(self):
        """See `evaluation.summarise`."""
        return ("wer", "cer", "exact_match")

    def libraries(self) -> tuple[str, ...]:
        """They count errors; KerasHub has the sinusoids."""
        return ("jiwer", "rapidfuzz", *(("keras-hub",) if self.model.type == "conformer" else ()))

    def preparation_libraries(self) -> tuple[str, ...]:
        return ()
