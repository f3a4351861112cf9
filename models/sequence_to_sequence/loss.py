"""Cross-entropy over the tokens of a batch, with label smoothing."""

import keras
from keras import ops

from penstock.pipelines.transform.subwords import PADDING


@keras.saving.register_keras_serializable(package="penstock")
class TokenCrossEntropy(keras.losses.Loss):
    """Mean over all tokens of a batch of -sum over v of q(v) log p(v); padding does not count.

    q is 1 - `label_smoothing` for the token, and `label_smoothing` spread evenly over all tokens, this
    one included (Szegedy et al., arXiv:1512.00567, section 7), as
    `keras.losses.CategoricalCrossentropy` has it, without a one-hot tensor of [batch, length, tokens].

    Args:
        label_smoothing: 0...1.

    Call arguments:
        y_true: int [batch, length], 0 is padding.
        y_pred: float [batch, length, tokens], logits.
    """

    def __init__(self, label_smoothing=0.0, name="cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        counts = ops.cast(ops.not_equal(y_true, PADDING), y_pred.dtype)
        size = ops.logsumexp(y_pred, axis=-1)
        losses = size - ops.take_along_axis(y_pred, y_true[..., None], axis=-1)[..., 0]
        if self.label_smoothing:
            even = size - ops.mean(y_pred, axis=-1)
            losses = losses + self.label_smoothing * (even - losses)
        # The mean that follows divides by all places.
        return losses * counts * (ops.cast(ops.size(counts), y_pred.dtype) / ops.sum(counts))

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="penstock")
class TokenAccuracy(keras.metrics.Mean):
    """Share of tokens that have the largest logit; padding does not count."""

    def __init__(self, name="token_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """`y_true`: int [batch, length]; `y_pred`: logits [batch, length, tokens]."""
        del sample_weight
        likeliest = ops.argmax(y_pred, axis=-1)
        correct = ops.equal(ops.cast(y_true, likeliest.dtype), likeliest)
        counts = ops.cast(ops.not_equal(y_true, PADDING), self.dtype)
        return super().update_state(ops.cast(correct, self.dtype), counts)
