"""The loss of speech recognition: connectionist temporal classification.

Comes in: ids of tokens, int [batch, tokens], 0 behind the last; logits [batch, frames, tokens + 1].
"""

import keras
from keras import ops

from penstock.models.speech.recognition.layers import NEVER

BLANK = 0
"""The id of CTC's blank; `transcripts.BLANK`, which imports TensorFlow."""


@keras.saving.register_keras_serializable(package="penstock")
class CTC(keras.losses.CTC):
    """-ln of the probability of the text (Graves et al. 2006, equation 8), summed over alignments.

    `keras.losses.CTC`, which counts all frames of the batch: those behind the end of a recording are
    blanks for certain (`layers.BlankBehindEnd`) and so change nothing. An example whose text has no
    alignment, as the recording has fewer frames than tokens (and a blank between equal ones), has an
    infinite loss: it teaches nothing and does not count in the mean over the batch, and the metric
    `unalignable` says how many there are.

    Args:
        sparse: whether TensorFlow's operation for sparse labels computes it: only on TensorFlow and
            without XLA; the task takes it where there is no GPU. On CPU it takes a twentieth of the
            time that Keras's loss does with TensorFlow (32 recordings of 110 frames, texts of 30
            tokens: 22 ms instead of 455).
    """

    def __init__(self, sparse=False, **kwargs):
        super().__init__(**kwargs)
        self.sparse = sparse

    def call(self, y_true, y_pred):
        fits = ops.logical_not(unalignable(y_true, y_pred))
        # Not only afterwards: the gradient of an infinite loss would be no number.
        y_true = ops.where(fits[:, None], y_true, ops.zeros_like(y_true))
        loss = _of_sparse(y_true, y_pred) if self.sparse else super().call(y_true, y_pred)
        counts = ops.cast(fits, loss.dtype)
        share = ops.cast(ops.size(counts), loss.dtype) / ops.maximum(ops.sum(counts), 1.0)
        # The mean that follows divides by all examples.
        return ops.where(fits, loss * share, ops.zeros_like(loss))

    def get_config(self):
        return {**super().get_config(), "sparse": self.sparse}


def _of_sparse(y_true, y_pred):
    import tensorflow as tf

    labels = tf.cast(y_true, tf.int32)
    # The operation refuses a text without tokens, whose only alignment is all blanks.
    is_empty = tf.reduce_all(labels == BLANK, axis=1)
    stand_in = tf.where(is_empty[:, None] & (tf.range(tf.shape(labels)[1]) == 0), 1, labels)
    frames = tf.fill([tf.shape(y_pred)[0]], tf.shape(y_pred)[1])
    loss = tf.nn.ctc_loss(
        tf.sparse.from_dense(stand_in),
        y_pred,
        None,
        frames,
        logits_time_major=False,
        blank_index=BLANK,
    )
    blanks = -tf.reduce_sum(tf.nn.log_softmax(y_pred)[:, :, BLANK], axis=1)
    return tf.where(is_empty, blanks, loss)


def unalignable(y_true, y_pred):
    """bool [batch]: whether a text needs more frames than its recording has."""
    is_token = ops.not_equal(y_true, 0)
    repeats = ops.logical_and(is_token[:, 1:], ops.equal(y_true[:, 1:], y_true[:, :-1]))
    needed = ops.sum(ops.cast(is_token, "int32"), axis=1)
    needed += ops.sum(ops.cast(repeats, "int32"), axis=1)
    is_frame = ops.max(y_pred[:, :, 1:], axis=-1) > NEVER
    return needed > ops.sum(ops.cast(is_frame, "int32"), axis=1)


@keras.saving.register_keras_serializable(package="penstock")
class Unalignable(keras.metrics.MeanMetricWrapper):
    """The share of examples that teach nothing, see `CTC`."""

    def __init__(self, name="unalignable", dtype=None):
        super().__init__(unalignable, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}
