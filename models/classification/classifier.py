"""One label for each example: all of the task but its inputs and its network.

A concrete task is `class Task(Classifier, Data)`, where `Data` derives from `labels.Labels`; it
defines `build`, and `augment` where it has augmentation. Its network ends in float32 logits
[batch, classes]. The answer names the likeliest class and gives all probabilities.
"""

import tensorflow as tf

from penstock.models import task
from penstock.models.classification import evaluation
from penstock.models.classification.loss import Accuracy, CrossEntropy


class Classifier(task.Task):
    """Loss, metrics, answer and evaluation; `self.config` is a `config.ClassifierConfig`."""

    summary_columns = ("label_id", "predicted_id", "log_loss", "label_rank")

    def compile(self, model, optimizer, **options):
        """Cross-entropy and accuracy.

        Raises:
            ValueError: `metrics.top_k` is more than the number of classes.
        """
        metrics, top_k = [Accuracy()], self.config.metrics.top_k
        if top_k is not None:
            _check_top_k(top_k, model.output_shape[-1])
            metrics.append(Accuracy(top_k, name=self._top_k_name()))
        loss = CrossEntropy(self.config.loss.label_smoothing)
        model.compile(optimizer, loss, metrics=metrics, **options)

    def decode(self, model, inputs, state):
        """The likeliest class and all probabilities.

        Returns:
            label_id: int64 [batch]; label: string [batch]; probability: float32 [batch];
            probabilities: float32 [batch, classes].
        """
        logits = tf.cast(model(inputs, training=False), tf.float32)
        probabilities = tf.nn.softmax(logits)
        label_id = tf.argmax(probabilities, axis=-1, output_type=tf.int64)
        return {
            "label_id": label_id,
            "label": tf.gather(tf.constant(self.class_names(state)), label_id),
            "probability": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    def evaluate_batch(self, decoded, targets, features, state):
        """See `evaluation.example_columns`."""
        del features
        return evaluation.example_columns(
            targets, decoded["probabilities"], self.class_names(state)
        )

    @property
    def proportions(self):
        top_k = self.config.metrics.top_k
        return ("accuracy",) if top_k is None else ("accuracy", self._top_k_name())

    def summarise(self, columns, state):
        """See `evaluation.summarise`."""
        return evaluation.summarise(columns, self.class_names(state), self.config.metrics.top_k)

    def details(self, columns, state):
        """The confusion matrix: a row for each label, a column for each prediction."""
        names = self.class_names(state)
        counts = evaluation.confusion_matrix(columns, len(names))
        return {"confusion_matrix": {"classes": list(names), "counts": counts.tolist()}}

    def _top_k_name(self) -> str:
        return f"top_{self.config.metrics.top_k}_accuracy"


def _check_top_k(top_k: int, classes: int) -> None:
    if top_k > classes:
        raise ValueError(
            f"`metrics.top_k` must be at most the number of classes ({classes}). "
            f"Received: {top_k}. Lower it, or leave it out."
        )
