"""The label's part of a classifier's preparation: base class of its `data.Data`.

Comes in: a class id, int64 [batch]. Goes out: targets int64 [batch]; with class weights, float32
[batch].
"""

from difflib import get_close_matches

import tensorflow as tf

from penstock.models.preparation import Preparation, feature_of_kind
from penstock.pipelines.features import Features, Label
from penstock.pipelines.transform.analyzers import ValueCounts


class Labels(Preparation):
    """Label, class names and class weights; `self.prepare` is a `config.LabelPrepare`.

    A task's `Data` adds `input_features` and `prepare_inputs`; where it has analyzers of its own, it
    adds them to `super().analyzers(source)`.
    """

    def target_features(self, source: Features) -> Features:
        name = self.prepare.label_feature
        label = feature_of_kind(source, name, Label, "prepare.label_feature")
        if label.optional:
            raise ValueError(_missing_labels(name, label.names))
        if isinstance(self.prepare.class_weights, dict):
            _check_known(self.prepare.class_weights, label.names)
        return {name: label}

    def analyzers(self, source: Features) -> dict:
        del source
        if self.prepare.class_weights != "balanced":
            return {}
        name = self.prepare.label_feature
        return {"label_counts": ValueCounts(lambda features: features[name])}

    def prepare_targets(self, features, state):
        """int64 [batch] -> the same, and each example's weight, float32 [batch], or None."""
        labels = features[self.prepare.label_feature]
        if self.prepare.class_weights is None:
            return labels, None
        return labels, tf.gather(tf.constant(self.class_weights(state), tf.float32), labels)

    def class_names(self, state) -> tuple[str, ...]:
        """The classes' names; a class's id is its position."""
        return state.features[self.prepare.label_feature].names

    def class_weights(self, state) -> list[float]:
        """The weight of each class, by id.

        Balanced: n / (k * count) over the k classes that occur in the training split (King and Zeng
        2001, as scikit-learn's `compute_class_weight`); a class that does not occur there has 1.
        """
        names, weights = self.class_names(state), self.prepare.class_weights
        if isinstance(weights, dict):
            return [float(weights.get(name, 1.0)) for name in names]
        counts = [state["label_counts"].get(str(label), 0) for label in range(len(names))]
        balanced = sum(counts) / sum(count > 0 for count in counts)
        return [balanced / count if count else 1.0 for count in counts]


def _missing_labels(name: str, names: tuple[str, ...]) -> str:
    """The label of an example that has none is -1, which is no class: the loss would take it."""
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return (
        f"`prepare.label_feature` must name a label that every example has. Received: `{name}`, which "
        "some examples lack. Fill in the missing ones, or tell the source its classes with "
        f"`data.source.features={{{name}: {{kind: label, names: [{shown}]}}}}`: rows without one are "
        "then bad records, which go to the quarantine."
    )


def _check_known(weights: dict[str, float], names: tuple[str, ...]) -> None:
    """All faults at once: every weighted class must exist."""
    unknown = sorted(set(weights) - set(names))
    if unknown:
        near = {hit for name in unknown for hit in get_close_matches(name, names, n=2)}
        raise ValueError(
            f"`prepare.class_weights` names classes that the source does not have. "
            f"Received: {', '.join(unknown)}. Nearest: {', '.join(sorted(near) or names[:10])}."
        )
