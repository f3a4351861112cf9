"""Layers for recordings of different lengths in one batch: what lies behind an end counts nowhere.

An example's frames are those whose middle lies in the recording; `mask`, bool [batch, frames], says
which these are. `keras.ops` only.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="penstock")
class FrameMask(layers.Layer):
    """Which frames are of the recording.

    Args:
        samples_per_frame: from one frame to the next.

    Call arguments:
        x: [batch, frames, ...].
        lengths: int32 [batch], in samples.

    Returns:
        bool [batch, frames].
    """

    def __init__(self, samples_per_frame, **kwargs):
        super().__init__(**kwargs)
        self.samples_per_frame = samples_per_frame

    def call(self, x, lengths):
        places = ops.arange(ops.shape(x)[1], dtype="int32") * self.samples_per_frame
        return places[None, :] < lengths[:, None]

    def get_config(self):
        return {**super().get_config(), "samples_per_frame": self.samples_per_frame}


@keras.saving.register_keras_serializable(package="penstock")
class FrameNormalization(layers.BatchNormalization):
    """Batch normalisation by the frames of the mask alone; 0 in all others.

    Call arguments:
        x: float [batch, frames, units] or [batch, frames, bands, filters].
        mask: bool [batch, frames].

    Returns:
        float, as `x`.
    """

    def call(self, x, mask, training=None):
        if len(x.shape) == 4:
            mask = mask[:, :, None]
        x = super().call(x, training=training, mask=mask)
        return ops.where(mask[..., None], x, ops.zeros_like(x))
