"""What every network on recordings begins with: waveforms -> normalised log-mel spectrogram, masks.

Comes in: int16 [batch, samples] of any length, padded with zeros, and the lengths, int32 [batch].
Goes out: float [batch, frames, bands], normalised in each band by the statistics of the training
batches (moving ones when serving), masked at random in training where `augment.spec_augment` says
so; and which frames are of the recording, at any stride.
"""

import keras

from penstock.models.speech.front_end.config import Recording, Spectrogram
from penstock.models.speech.front_end.config import SpecAugment as Masks
from penstock.models.speech.front_end.layers import FrameMask, FrameNormalization
from penstock.models.speech.front_end.spec_augment import SpecAugment
from penstock.models.speech.front_end.spectrogram import LogMel


class NetworkInput:
    """The inputs of a network, and the layers in front of it.

    Args:
        prepare: of the recordings.
        settings: of the spectrogram.
        masks: of the spectrogram in training; None for none.
        momentum: of the moving statistics of the bands.
        frames_divisor: the number of frames is a multiple of this, which later layers divide it by.

    Attributes:
        inputs: `waveforms` and `lengths`.
        spectrogram: float [batch, frames, bands].
    """

    def __init__(
        self,
        prepare: Recording,
        settings: Spectrogram,
        masks: Masks | None,
        momentum: float,
        frames_divisor: int,
    ):
        self.inputs = {
            "waveforms": keras.Input((None,), dtype="int16", name="waveforms"),
            "lengths": keras.Input((), dtype="int32", name="lengths"),
        }
        self._hop = settings.hop(prepare.sample_rate_hz)
        self._masks = {}
        x = _log_mel(prepare.sample_rate_hz, settings, frames_divisor)(self.inputs["waveforms"])
        mask = self.mask_of(x)
        # Without scale and offset of its own, so that 0 is the mean, which masks put in.
        x = FrameNormalization(
            momentum=momentum, center=False, scale=False, name="log_mel_normalization"
        )(x, mask)
        if masks:
            x = SpecAugment(
                time_masks=masks.time_masks,
                time_share=masks.time_share,
                frequency_masks=masks.frequency_masks,
                frequency_width=masks.bands,
            )(x, mask)
        self.spectrogram = x

    def mask_of(self, x, divisor: int = 1):
        """bool [batch, frames], of the frames of `x`: `divisor` of the spectrogram are one of them."""
        if divisor not in self._masks:
            layer = FrameMask(divisor * self._hop, name=f"mask_{divisor}")
            self._masks[divisor] = layer(x, self.inputs["lengths"])
        return self._masks[divisor]


def _log_mel(rate, settings, multiple):
    return LogMel(
        rate_hz=rate,
        window=settings.window(rate),
        hop=settings.hop(rate),
        fft_length=settings.fft_length(rate),
        bands=settings.mel_bands,
        min_hz=settings.min_hz,
        max_hz=settings.highest_hz(rate),
        multiple=multiple,
    )
