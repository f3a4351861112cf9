"""SpecAugment: a Keras layer that hides parts of a spectrogram in training."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="penstock")
class SpecAugment(layers.Layer):
    """Masks over time and over frequency; does nothing but in training.

    Park et al., arXiv:1904.08779, section 2, without time warping: a mask is f wide, f drawn uniformly
    from 0..width, and begins uniformly at any place where it fits. What it covers becomes 0,
    which must be the mean (normalise before).

    Args:
        time_masks: how many, for each example.
        time_width: the widest, in frames.
        frequency_masks: how many.
        frequency_width: the widest, in bands.

    Shapes: [batch, frames, bands] in and out.
    """

    def __init__(
        self,
        time_masks,
        time_width,
        frequency_masks,
        frequency_width,
        name="spec_augment",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.time_masks = time_masks
        self.time_width = time_width
        self.frequency_masks = frequency_masks
        self.frequency_width = frequency_width
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, spectrograms, training=False):
        if not training:
            return spectrograms
        _, frames, bands = spectrograms.shape
        batch = ops.shape(spectrograms)[0]
        for _ in range(self.time_masks):
            hidden = self._mask(batch, frames, self.time_width)[:, :, None]
            spectrograms = ops.where(hidden, ops.zeros_like(spectrograms), spectrograms)
        for _ in range(self.frequency_masks):
            hidden = self._mask(batch, bands, self.frequency_width)[:, None, :]
            spectrograms = ops.where(hidden, ops.zeros_like(spectrograms), spectrograms)
        return spectrograms

    def _mask(self, batch, size: int, widest: int):
        """bool [batch, size]: what is hidden."""
        drawn = [
            keras.random.uniform((batch, 1), dtype="float32", seed=self.seed_generator)
            for _ in range(2)
        ]
        width = ops.floor(drawn[0] * (min(widest, size) + 1))
        begin = ops.floor(drawn[1] * (size - width + 1))
        places = ops.arange(size, dtype="float32")[None, :]
        return ops.logical_and(begin <= places, places < begin + width)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "time_masks": self.time_masks,
            "time_width": self.time_width,
            "frequency_masks": self.frequency_masks,
            "frequency_width": self.frequency_width,
        }
