"""From named numbers to a row with mean 0 and variance 1, and from a label to its id."""

from operator import itemgetter

import tensorflow as tf

from penstock.models.preparation import Preparation
from penstock.pipelines.features import Features, Label, Number
from penstock.pipelines.transform.analyzers import Moments


class Data(Preparation):
    """`self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        return {name: _feature(source, name, Number) for name in self.prepare.columns}

    def target_features(self, source: Features) -> Features:
        return {self.prepare.label: _feature(source, self.prepare.label, Label)}

    def analyzers(self, source: Features) -> dict:
        del source
        return {name: Moments(itemgetter(name)) for name in self.prepare.columns}

    def prepare_inputs(self, features, state):
        """float32 [batch] for each column -> float32 [batch, columns]."""
        row = [_normalised(features[name], state[name]) for name in self.prepare.columns]
        return tf.stack(row, axis=1)

    def prepare_targets(self, features, state):
        """int64 [batch] -> int64 [batch], no weights."""
        return features[self.prepare.label], None


def _feature(source: Features, name: str, kind: type):
    if not isinstance(source.get(name), kind):
        raise ValueError(
            f"`prepare` must name a feature of kind {kind.__name__} of the source. "
            f"Received: {name!r}. The source has: {', '.join(source)}."
        )
    return source[name]


def _normalised(values, moments: dict):
    return (values - moments["mean"]) / max(moments["variance"], 1e-12) ** 0.5
