"""SpecAugment: a Keras layer that hides parts of a spectrogram in training."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="penstock")
class SpecAugment(layers.Layer):
    """Masks over time and over frequency; does nothing but in training.

    Park et al., arXiv:1904.08779, section 2, without time warping: a mask is f wide, f drawn uniformly
    from 0..widest, and begins uniformly at any place where it fits. What it covers becomes 0,
    which must be the mean (normalise before). As lengths differ much, the widest mask over time is a
    share of the recording (Park et al., arXiv:1912.05533).

    Args:
        time_masks: how many, for each example.
        time_share: the widest, as a share of the frames of the recording.
        frequency_masks: how many.
        frequency_width: the widest, in bands.

    Call arguments:
        spectrograms: float [batch, frames, bands].
        mask: bool [batch, frames], which frames are of the recording.

    Returns:
        float [batch, frames, bands].
    """

    def __init__(
        self,
        time_masks,
        time_share,
        frequency_masks,
        frequency_width,
        name="spec_augment",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.time_masks = time_masks
        self.time_share = time_share
        self.frequency_masks = frequency_masks
        self.frequency_width = frequency_width
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, spectrograms, mask, training=False):
        if not training:
            return spectrograms
        # As floats, which hold any number of frames exactly.
        frames = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
        bands = ops.full_like(frames, spectrograms.shape[2])
        size = ops.shape(spectrograms)[1]
        for _ in range(self.time_masks):
            hidden = self._hidden(size, frames, ops.floor(self.time_share * frames))
            spectrograms = ops.where(hidden[:, :, None], 0.0, spectrograms)
        for _ in range(self.frequency_masks):
            widest = ops.minimum(bands, self.frequency_width)
            hidden = self._hidden(spectrograms.shape[2], bands, widest)
            spectrograms = ops.where(hidden[:, None, :], 0.0, spectrograms)
        return spectrograms

    def _hidden(self, size, there, widest):
        """bool [batch, size]: a stretch of up to `widest` of the first `there`, float32 [batch, 1]."""
        drawn = [
            keras.random.uniform(ops.shape(there), dtype="float32", seed=self.seed_generator)
            for _ in range(2)
        ]
        width = ops.floor(drawn[0] * (widest + 1))
        begin = ops.floor(drawn[1] * (there - width + 1))
        places = ops.arange(size, dtype="float32")[None, :]
        return ops.logical_and(begin <= places, places < begin + width)

    def compute_output_shape(self, spectrograms_shape):
        return spectrograms_shape

    def get_config(self):
        return {
            **super().get_config(),
            "time_masks": self.time_masks,
            "time_share": self.time_share,
            "frequency_masks": self.frequency_masks,
            "frequency_width": self.frequency_width,
        }
