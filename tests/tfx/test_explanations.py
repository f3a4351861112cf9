"""What the worst answers rest on: a served model whose answer is known, examples on disk."""

import json

import numpy as np
import pytest
import tensorflow as tf

from penstock.models.task import Task
from penstock.models.text.classification.config import Config
from penstock.models.text.classification.task import EXPLAINED_WORDS
from penstock.models.text.classification.task import Task as TextTask
from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State
from penstock.tfx.evaluation import explanations

FEATURES = {"remark": Text(), "label": Label(names=("bad", "good"))}
TEXTS = ["dull"] * 8 + ["good é dull", "good " * 300] + ["dull"] * 8


def logistic(weight):
    return 1 / (1 + np.exp(-weight))


class Counting(tf.Module):
    """The probability of "good" grows with each "good" of a text."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="remark")])
    def serve(self, remark):
        words = tf.strings.split(remark)
        goods = tf.reduce_sum(tf.cast(words == "good", tf.float32), axis=1)
        return {"probabilities": tf.nn.softmax(tf.stack([tf.zeros_like(goods), goods], axis=1))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="remark")])
    def length(self, remark):
        return {"characters": tf.strings.length(remark)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model and the examples in one directory."""
    folder = tmp_path_factory.mktemp("made")
    module = Counting()
    directory = str(folder / "saved_model")
    signatures = {"serving_default": module.serve, "length": module.length}
    tf.saved_model.save(module, directory, signatures)
    records = [
        example_codec.serialise(f"é{i}", {"remark": text, "label": 0}, FEATURES)
        for i, text in enumerate(TEXTS)
    ]
    tfrecord.write_records(folder / examples.shard_name("test", 0, 1), records)
    examples.write_description(folder, FEATURES, {"test": len(TEXTS)}, {"test": 1})
    return folder


def columns():
    """The ninth and the tenth example are answered "good", and are among the worst."""
    count = np.arange(len(TEXTS))
    predicted = ((count == 8) | (count == 9)).astype(np.int64)
    keys = np.array([f"é{i}" for i in count])
    return {"key": keys, "predicted_id": predicted, "log_loss": predicted + count / 100}


def explain(folder, task):
    options = {"split": "test", "batch_size": 4, "task": task, "state": State(FEATURES)}
    return explanations.of_worst(folder, folder, columns(), **options)


def test_words_of_the_worst_texts(folder):
    sections = {"prepare": {"text_feature": "remark"}}
    found = explain(folder, TextTask(Config.model_validate_json(json.dumps(sections))))
    # Twelve: the two with the highest loss, and the last ten of the others.
    assert found.keys() == {f"é{i}" for i in range(6, 18)}
    without = pytest.approx(logistic(1.0) - logistic(0.0), abs=2e-6)
    assert found["é8"] == {"remark": [(0, 4, without), (5, 6, 0.0), (7, 11, 0.0)]}
    assert len(found["é9"]["remark"]) == EXPLAINED_WORDS
    assert found["é17"] == {"remark": [(0, 4, 0.0)]}


class Noting(Task):
    """Says which example it was asked about, and how long a further signature finds it."""

    def input_features(self, source):
        return {"remark": source["remark"]}

    def explain(self, signatures, features, columns, state):
        texts = features["remark"]
        lengths = signatures["length"](remark=tf.constant(texts))["characters"].numpy().tolist()
        found = zip(texts.tolist(), columns["key"].tolist(), lengths, strict=True)
        return [{key: [t.decode(), length]} if key != "é17" else {} for t, key, length in found]


class Silent(Noting):
    explain = Task.explain


def test_features_and_columns_are_those_of_the_same_examples(folder):
    config = Config()
    assert explain(folder, Noting(config)) == {
        f"é{i}": {f"é{i}": [TEXTS[i], len(TEXTS[i].encode())]} for i in range(6, 17)
    }


def test_a_task_that_explains_nothing_costs_nothing(tmp_path):
    assert explain(tmp_path / "missing", Silent(Config())) == {}
    features = {"remark": np.array([b"a", b"b"], object)}
    assert Silent(Config()).explain(None, features, {}, None) == [{}, {}]
