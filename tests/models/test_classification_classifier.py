"""What a classifier's task does beside its inputs and network, on a network that repeats logits."""

import json

import keras
import numpy as np
import pytest

from penstock.models.classification.classifier import Classifier
from penstock.models.classification.config import ClassifierConfig
from penstock.models.classification.labels import Labels
from penstock.pipelines.features import Label
from penstock.pipelines.transform.state import State

NAMES = ("a", "b", "c")
# Softmax of logarithms is the numbers themselves where they add up to 1.
LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32))


class Repeats(Classifier, Labels):
    """The logits are the inputs."""

    def build(self, state):
        inputs = keras.Input((len(self.class_names(state)),))
        return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.fixture
def state():
    return State({"label": Label(names=NAMES)})


def made(**sections):
    return Repeats(ClassifierConfig.model_validate_json(json.dumps(sections)))


def test_the_answer_is_the_likeliest_class_and_all_probabilities(state):
    task = made()
    answer = {k: v.numpy() for k, v in task.decode(task.build(state), LOGITS, state).items()}
    assert answer["label_id"].tolist() == [0, 2]
    assert answer["label"].tolist() == [b"a", b"c"]
    assert answer["probability"] == pytest.approx([0.7, 0.6])
    assert answer["probabilities"] == pytest.approx(np.exp(LOGITS))


def test_loss_and_metrics_are_those_of_the_config(state):
    """Labels b, b: -ln .2 = 1.6094, -ln .3 = 1.2040, mean 1.4067; none likeliest, both second."""
    task = made(metrics={"top_k": 2})
    model = task.build(state)
    task.compile(model, "sgd", run_eagerly=True)
    found = model.evaluate(LOGITS, np.array([1, 1]), verbose=0, return_dict=True)
    expected = {"loss": 1.4067, "accuracy": 0.0, "top_2_accuracy": 1.0}
    assert found == pytest.approx(expected, abs=1e-4)
    assert task.proportions == ("accuracy", "top_2_accuracy")


def test_details_are_the_confusion_matrix(state):
    task = made()
    decoded = {"probabilities": np.exp(LOGITS)}
    columns = task.evaluate_batch(decoded, np.array([0, 1]), {}, state)
    counts = [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    expected = {"confusion_matrix": {"classes": ["a", "b", "c"], "counts": counts}}
    assert task.details(columns, state) == expected
    assert task.summarise(columns, state)["accuracy"] == 0.5


@pytest.mark.parametrize("top_k", [3, 4])
def test_top_k_is_at_most_the_number_of_classes(top_k, state):
    task = made(metrics={"top_k": top_k})
    model = task.build(state)
    if top_k == 3:
        task.compile(model, "sgd")
        return
    message = r"`metrics.top_k` must be at most the number of classes \(3\). Received: 4. Lower it"
    with pytest.raises(ValueError, match=message):
        task.compile(model, "sgd")
