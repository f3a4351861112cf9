"""Labels and class weights of a classifier: against scikit-learn."""

import json

import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from penstock.models.classification.config import LabelPrepare
from penstock.models.classification.labels import Labels
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State

NAMES = ("cat", "dog", "emu", "fox")
SOURCE = {"text": Text(), "label": Label(names=NAMES)}


def preparation(results=None, **prepare):
    labels = Labels(LabelPrepare.model_validate_json(json.dumps(prepare)))
    return labels, State(SOURCE, results)


def test_balanced_weights_are_scikit_learns():
    labels = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    counts = {str(label): int((labels == label).sum()) for label in range(4)}
    data, state = preparation({"label_counts": counts}, class_weights="balanced")
    targets, weight = data.prepare_targets({"label": tf.constant(labels, tf.int64)}, state)
    reference = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(weight, reference[labels], rtol=1e-6)
    np.testing.assert_array_equal(targets, labels)
    assert weight.dtype == tf.float32


def test_balanced_weight_of_a_class_without_examples_is_one():
    """Three classes occur, 2 + 4 + 6 = 12 examples: 12 / (3 * count) = 2, 1, 2/3."""
    counts = {"0": 2, "1": 4, "3": 6}
    data, state = preparation({"label_counts": counts}, class_weights="balanced")
    assert data.class_weights(state) == pytest.approx([2, 1, 1, 2 / 3])


def test_balanced_weights_count_the_labels():
    data, state = preparation(class_weights="balanced")
    [(name, analyzer)] = data.analyzers(state.features).items()
    assert (name, type(analyzer).__name__) == ("label_counts", "ValueCounts")
    assert analyzer.values({"label": "values", "text": "others"}) == "values"
    assert preparation(class_weights={"cat": 2.0})[0].analyzers(state.features) == {}


def test_weights_by_name():
    data, state = preparation(class_weights={"emu": 2.5, "cat": 0.0})
    _, weight = data.prepare_targets({"label": tf.constant([0, 1, 2, 3], tf.int64)}, state)
    assert weight.numpy().tolist() == [0.0, 1.0, 2.5, 1.0]


def test_no_weights_by_default():
    data, state = preparation()
    assert data.prepare_targets({"label": tf.constant([1], tf.int64)}, state)[1] is None


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ({"label_feature": "text"}, "`prepare.label_feature` must .* kind label .* `text` of kind"),
        ({"label_feature": "labels"}, "no feature `labels`. Features of that kind: label."),
        (
            {"class_weights": {"dogg": 2.0, "cat": 1.0, "emo": 1.0}},
            "Received: dogg, emo. Nearest: dog, emu",
        ),
    ],
    ids=["wrong_kind", "missing", "unknown_class"],
)
def test_faults_name_what_there_is(prepare, message):
    with pytest.raises(ValueError, match=message):
        preparation(**prepare)[0].target_features(SOURCE)


def test_a_label_that_examples_lack_is_refused():
    source = {"label": Label(names=("cat", "dog"), optional=True)}
    message = (
        "Received: `label`, which some examples lack. .*"
        r"`data.source.features={label: {kind: label, names: \[cat, dog\]}}`"
    )
    with pytest.raises(ValueError, match=message):
        preparation()[0].target_features(source)


def test_the_label_is_a_target_feature():
    assert preparation()[0].target_features(SOURCE) == {"label": Label(names=NAMES)}
