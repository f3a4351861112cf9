"""Image classification: one label for each image.

Joins preparation (`data.py`), augmentation, networks, loss and evaluation. A request carries one
encoded image for each example; the answer names the likeliest class and gives all probabilities.
"""

import tensorflow as tf

from penstock.models import task
from penstock.models.vision.classification import evaluation, networks
from penstock.models.vision.classification.augmentation import Augmentation
from penstock.models.vision.classification.data import Data
from penstock.models.vision.classification.loss import Accuracy, CrossEntropy


class Task(task.Task, Data):
    """Image classification; `self.config` is a `config.Config`."""

    summary_columns = ("label_id", "predicted_id", "log_loss", "label_rank")

    def __init__(self, config):
        super().__init__(config)
        self._augmentation = Augmentation(config.augment)

    # Training -------------------------------------------------------------------------------

    def augment(self, inputs, targets, seed, state):
        """uint8 images, int64 [batch] -> uint8 images, ids or (mixed) float32 [batch, classes]."""
        return self._augmentation(inputs, targets, seed, len(self.class_names(state)))

    def build(self, state):
        """uint8 [batch, height, width, channels] -> float32 logits [batch, classes]."""
        top_k, names = self.config.metrics.top_k, self.class_names(state)
        if top_k is not None and top_k > len(names):
            raise ValueError(
                f"`metrics.top_k` must be at most the number of classes ({len(names)}). "
                f"Received: {top_k}. Lower it, or leave it out."
            )
        return networks.build(self.config.model, self.image_shape(state), len(names))

    def compile(self, model, optimizer, **options):
        metrics = [Accuracy()]
        if self.config.metrics.top_k is not None:
            metrics.append(Accuracy(self.config.metrics.top_k, name=self._top_k_name()))
        model.compile(
            optimizer, CrossEntropy(self.config.loss.label_smoothing), metrics=metrics, **options
        )

    # Serving and evaluation -----------------------------------------------------------------

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
