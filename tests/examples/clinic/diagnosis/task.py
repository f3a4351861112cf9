"""A label for each row of numbers: loss, answers, metrics."""

import keras
import numpy as np
import tensorflow as tf

from clinic.diagnosis import networks
from clinic.diagnosis.data import Data
from penstock.models import task


class Task(task.Task, Data):
    """`self.config` is a `config.Config`."""

    proportions = ("accuracy",)

    def build(self, state):
        columns, classes = len(self.prepare.columns), len(self._names(state))
        return networks.build(self.config.model, columns, classes)

    def compile(self, model, optimizer, **options):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"], **options)

    def decode(self, model, inputs, state):
        """What the served model answers: label, string [batch]; probability, float32 [batch]."""
        probabilities = tf.nn.softmax(model(inputs, training=False))
        likeliest = tf.argmax(probabilities, axis=1)
        return {
            "label": tf.gather(tf.constant(self._names(state)), likeliest),
            "probability": tf.reduce_max(probabilities, axis=1),
        }

    def evaluate_batch(self, decoded, targets, features, state):
        """A column of each: the label, what was answered."""
        names = np.array(self._names(state))
        return {
            self.prepare.label: names[targets],
            "predicted": np.array([label.decode() for label in decoded["label"]]),
        }

    def summarise(self, columns, state):
        """accuracy, and recall/<label> of each label that the rows have."""
        labels = columns[self.prepare.label]
        right = columns["predicted"] == labels
        recalls = {f"recall/{n}": right[labels == n] for n in self._names(state)}
        metrics = {"accuracy": right, **recalls}
        return {name: float(rows.mean()) for name, rows in metrics.items() if len(rows)}

    def _names(self, state) -> tuple[str, ...]:
        return state.features[self.prepare.label].names
