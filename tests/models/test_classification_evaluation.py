"""Metrics of a classifier: against sklearn.metrics."""

import time

import numpy as np
import pytest
from sklearn import metrics as reference

from penstock.models.classification.evaluation import (
    confusion_matrix,
    example_columns,
    summarise,
)

NAMES = ("ant", "bee", "cow", "dog", "eel")


def example(examples=200, classes=(0, 1, 2, 3, 4), seed=3):
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, examples)
    logits = generator.normal(size=(examples, 5)) + 2 * np.eye(5)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def test_columns_by_hand():
    columns = example_columns([1, 0], [[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]], NAMES[:3])
    assert columns["label"].tolist() == ["bee", "ant"]
    assert columns["predicted"].tolist() == ["bee", "bee"]
    assert columns["correct"].tolist() == [True, False]
    assert columns["probability"] == pytest.approx([0.5, 0.6])
    assert columns["probability_of_label"] == pytest.approx([0.5, 0.1])
    # ln 2 = 0.6931, ln 10 = 2.3026
    assert columns["log_loss"] == pytest.approx([0.6931, 2.3026], abs=1e-4)
    # Of 0.2, 0.5, 0.3 none exceeds 0.5; of 0.1, 0.6, 0.3 two exceed 0.1.
    assert columns["label_rank"].tolist() == [0, 2]


def test_of_equal_probabilities_the_lower_id_comes_first():
    """As for argmax: of 0.25 four times the label's rank is its id; 0.4, 0.4, 0.2 by hand."""
    columns = example_columns([0, 1, 2, 3], np.full((4, 4), 0.25), NAMES[:4])
    assert columns["label_rank"].tolist() == [0, 1, 2, 3]
    assert columns["correct"].tolist() == [True, False, False, False]
    assert summarise(columns, NAMES[:4], top_k=2)["top_2_accuracy"] == 0.5
    columns = example_columns([0, 1, 2], [[0.4, 0.4, 0.2]] * 3, NAMES[:3])
    assert columns["label_rank"].tolist() == [0, 1, 2]


def test_summary_is_scikit_learns():
    labels, probabilities = example()
    columns = example_columns(labels, probabilities, NAMES)
    predicted = probabilities.argmax(axis=1)
    found = summarise(columns, NAMES, top_k=2)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, predicted)
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "log_loss": reference.log_loss(labels, probabilities, labels=range(5)),
        "macro_f1": reference.f1_score(labels, predicted, average="macro"),
        "top_2_accuracy": reference.top_k_accuracy_score(labels, probabilities, k=2),
    }
    for label, name in enumerate(NAMES):
        expected |= {
            f"precision/{name}": precision[label],
            f"recall/{name}": recall[label],
            f"f1/{name}": f1[label],
        }
    assert found == pytest.approx(expected, rel=1e-5)


def test_absent_classes_are_left_out():
    """Labels 0 and 1; 2 is predicted only, 3 never, as a label or a prediction."""
    labels = np.array([0, 0, 1, 1])
    predicted = np.array([0, 2, 0, 0])
    columns = example_columns(labels, np.eye(5)[predicted], NAMES)
    found = summarise(columns, NAMES)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, zero_division=0
    )
    assert [found[f"precision/{name}"] for name in NAMES[:3]] == pytest.approx(precision)
    assert [found[f"recall/{name}"] for name in NAMES[:3]] == pytest.approx(recall)
    assert [found[f"f1/{name}"] for name in NAMES[:3]] == pytest.approx(f1)
    assert found["macro_f1"] == pytest.approx(f1.mean())
    assert not any("dog" in name or "eel" in name for name in found)


def test_certain_and_wrong_is_a_finite_loss():
    """As scikit-learn, limited by float32's precision: -ln(2**-23) = 23 ln 2 = 15.942."""
    columns = example_columns([0], np.array([[0.0, 1.0]]), NAMES[:2])
    assert summarise(columns, NAMES[:2])["log_loss"] == pytest.approx(15.942, abs=1e-3)


def test_no_examples_have_no_metrics():
    assert summarise(example_columns([], np.zeros((0, 5)), NAMES), NAMES) == {}


def test_confusion_matrix_is_scikit_learns():
    labels, probabilities = example(classes=(0, 2))
    columns = example_columns(labels, probabilities, NAMES)
    expected = reference.confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(5))
    np.testing.assert_array_equal(confusion_matrix(columns, 5), expected)


def test_a_thousand_resamples_are_quick():
    """Of 1,000 rows; measured: 0.1 s. Row by row it would be some minutes."""
    columns = example_columns(*example(1000), NAMES)
    read = {k: columns[k] for k in ("label_id", "predicted_id", "log_loss", "label_rank")}
    generator, start = np.random.default_rng(0), time.perf_counter()
    for _ in range(1000):
        index = generator.integers(0, 1000, 1000)
        summarise({k: v[index] for k, v in read.items()}, NAMES)
    assert time.perf_counter() - start < 3.0
