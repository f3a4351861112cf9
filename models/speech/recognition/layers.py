"""Layers of the recognition networks that Keras does not have. `keras.ops` only."""

import keras
from keras import layers, ops

NEVER = -1e4
"""The logit of what cannot be: its probability is 0 in float32. No network's logit comes near it."""


@keras.saving.register_keras_serializable(package="penstock")
class BlankBehindEnd(layers.Layer):
    """Behind the end of a recording there is a blank for certain, which changes no text.

    So neither the loss nor a decoder needs to know how long the recordings are.

    Call arguments:
        logits: float [batch, frames, tokens + 1], the blank first.
        mask: bool [batch, frames].

    Returns:
        float, as `logits`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, logits, previous_mask=None):
        """None: the loss counts whole texts, not frames."""
        del logits, previous_mask

    def call(self, logits, mask):
        is_blank = ops.arange(logits.shape[-1]) == 0
        certain = ops.cast(ops.where(is_blank, 0.0, NEVER), logits.dtype)
        return ops.where(mask[:, :, None], logits, certain)

    def compute_output_shape(self, logits_shape):
        return logits_shape


@keras.saving.register_keras_serializable(package="penstock")
class ClearFrames(layers.Layer):
    """0 behind the end of a recording, so that a convolution over time sees nothing there.

    Call arguments:
        x: float [batch, frames, units].
        mask: bool [batch, frames].
    """

    def call(self, x, mask):
        return ops.where(mask[:, :, None], x, ops.zeros_like(x))

    def compute_output_shape(self, x_shape):
        return x_shape


@keras.saving.register_keras_serializable(package="penstock")
class AttentionMask(layers.Layer):
    """bool [batch, frames] -> [batch, 1, frames]: every frame may look at those of the recording."""

    def call(self, mask):
        return mask[:, None, :]
