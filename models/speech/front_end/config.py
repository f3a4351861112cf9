"""The settings that all networks on recordings have, with their defaults (no TensorFlow here)."""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from penstock.models.classification.config import Fraction
from penstock.pipelines.config import Config as Section
from penstock.pipelines.media.audio_containers import MAX_RATE_HZ, MIN_RATE_HZ


class Recording(Section):
    """From a WAV file to a waveform of one rate: part of a task's section `prepare`."""

    audio_feature: str = "audio"
    sample_rate_hz: Annotated[int, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] = 16_000
    max_seconds: Annotated[float, Field(gt=0.0, le=60.0)] = 1.0

    @property
    def max_samples(self) -> int:
        """Length of the longest prepared waveform."""
        return max(1, round(self.max_seconds * self.sample_rate_hz))


class Spectrogram(Section):
    """Power in `mel_bands` triangular bands from `min_hz` to `max_hz` (null: half the rate), in dB.

    A window of `window_ms` every `hop_ms`, each in the middle of its frame.
    """

    window_ms: PositiveFloat = 32.0
    hop_ms: PositiveFloat = 16.0
    mel_bands: PositiveInt = 40
    min_hz: NonNegativeFloat = 20.0
    max_hz: PositiveFloat | None = None

    def window(self, rate_hz: int) -> int:
        """Samples of a window."""
        return max(1, round(self.window_ms * rate_hz / 1000))

    def hop(self, rate_hz: int) -> int:
        """Samples from one window to the next."""
        return max(1, round(self.hop_ms * rate_hz / 1000))

    def fft_length(self, rate_hz: int) -> int:
        """The power of two that holds a window, at least 2."""
        return max(2, 1 << (self.window(rate_hz) - 1).bit_length())

    def highest_hz(self, rate_hz: int) -> float:
        """Upper edge of the highest band."""
        return rate_hz / 2 if self.max_hz is None else self.max_hz

    def empty_bands(self, rate_hz: int) -> int:
        """How many bands lie between two frequencies of the Fourier transform, and so see nothing."""
        low, high = mel(self.min_hz), mel(self.highest_hz(rate_hz))
        step = (high - low) / (self.mel_bands + 1)
        fft = self.fft_length(rate_hz)
        places = [(mel(k * rate_hz / fft) - low) / step for k in range(1, fft // 2 + 1)]
        # Band b is a triangle from place b to b + 2.
        seen = {b for p in places for b in range(math.floor(p) - 1, math.ceil(p))}
        return len(set(range(self.mel_bands)) - seen)


def mel(hz: float) -> float:
    """Pitch of a frequency (O'Shaughnessy 1987; HTK Book, section 5.4)."""
    return 2595.0 * math.log10(1.0 + hz / 700.0)


class Noise(Section):
    """Background noise, added with `probability`, as loud as a ratio drawn from `snr_db` says.

    The ratio is that of the waveform's mean power, its silence included, to the noise's. White has
    equal power at all frequencies, pink an equal one in each octave.
    """

    colour: Literal["white", "pink", "either"] = "either"
    probability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    snr_db: tuple[float, float] = (5.0, 30.0)

    @model_validator(mode="after")
    def _ascends(self):
        if self.snr_db[0] > self.snr_db[1]:
            raise ValueError(f"`snr_db` must ascend. Received: {list(self.snr_db)}. Swap the two.")
        return self


class SpecAugment(Section):
    """Masks over the normalised spectrogram (Park et al., arXiv:1904.08779), without time warping.

    Each mask is up to `time_share` of the recording or up to `bands` wide, drawn uniformly; what it
    covers becomes 0, the mean of the band.
    """

    time_masks: Annotated[int, Field(ge=0)] = 2
    time_share: Fraction = 0.2
    frequency_masks: Annotated[int, Field(ge=0)] = 2
    bands: Annotated[int, Field(ge=0)] = 8


class Augment(Section):
    """Random changes in training, in this order; all are off by default.

    A waveform is played faster or slower by up to the fraction `speed` (Ko et al., Interspeech 2015),
    which changes its length as far as its batch has room, shifted by up to `shift_ms` either way, made
    louder or softer by up to `gain_db`, each drawn uniformly, and gets `noise`. `spec_augment` is a
    layer of the model.
    """

    speed: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    shift_ms: NonNegativeFloat = 0.0
    gain_db: NonNegativeFloat = 0.0
    noise: Noise | None = None
    spec_augment: SpecAugment | None = None


def spectrogram_faults(rate: int, spectrogram: Spectrogram) -> list[str]:
    """What a spectrogram of recordings of this rate cannot be, one sentence each."""
    faults = []
    high = spectrogram.highest_hz(rate)
    if not spectrogram.min_hz < high <= rate / 2:
        faults.append(
            f"`spectrogram.min_hz` and `max_hz` must ascend, up to half of `prepare.sample_rate_hz` "
            f"({rate / 2:g}). Received: {spectrogram.min_hz:g}, {high:g}."
        )
    elif spectrogram.empty_bands(rate):
        faults.append(
            f"`spectrogram.mel_bands` are too many for the window: {spectrogram.empty_bands(rate)} "
            f"would be empty. Received: mel_bands={spectrogram.mel_bands}, "
            f"window_ms={spectrogram.window_ms:g}. Lower the former, or raise the latter."
        )
    return faults
