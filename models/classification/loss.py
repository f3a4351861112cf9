"""Cross-entropy and accuracy for targets that are class ids or distributions.

Targets are class ids [batch] as prepared, and distributions [batch, classes] where CutMix or MixUp
mixed the batch (training only: validation batches keep their ids). This is the one place that knows
both forms. `keras.ops` only.
"""

import keras
from keras import ops


def distributions(targets, num_classes: int):
    """Class ids [batch], or distributions [batch, classes] -> float32 [batch, classes]."""
    if len(targets.shape) == 2:
        return ops.cast(targets, "float32")
    # A Keras loss receives its targets as floats; ids below 2**24 are exact in float32.
    return ops.one_hot(ops.cast(targets, "int32"), num_classes, dtype="float32")


def ids(targets):
    """Class ids [batch], or distributions [batch, classes] -> int32 [batch], the likeliest."""
    if len(targets.shape) == 2:
        targets = ops.argmax(targets, axis=-1)
    return ops.cast(targets, "int32")


@keras.saving.register_keras_serializable(package="penstock")
class CrossEntropy(keras.losses.Loss):
    """Mean of -sum(q log softmax(logits)), q = (1 - label_smoothing) target + label_smoothing / k.

    Label smoothing: Szegedy et al., arXiv:1512.00567, section 7.

    Args:
        label_smoothing: share of the target that all k classes divide.
    """

    def __init__(self, label_smoothing=0.0, name="cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Loss of each example, [batch]."""
        return keras.losses.categorical_crossentropy(
            distributions(y_true, y_pred.shape[-1]),
            y_pred,
            from_logits=True,
            label_smoothing=self.label_smoothing,
        )

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="penstock")
class Accuracy(keras.metrics.Mean):
    """Share of examples whose label is among the `k` largest logits."""

    def __init__(self, k=1, name="accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.k = k

    def update_state(self, y_true, y_pred, sample_weight=None):
        """`y_true`: ids or distributions; `y_pred`: logits [batch, classes]."""
        # Not `in_top_k`: it counts every tied class as right, so equal logits would score 100 %.
        _, likeliest = ops.top_k(ops.cast(y_pred, "float32"), k=self.k)
        correct = ops.any(likeliest == ids(y_true)[:, None], axis=-1)
        return super().update_state(ops.cast(correct, self.dtype), sample_weight)

    def get_config(self):
        return {**super().get_config(), "k": self.k}
