"""text.classification as it is served: strings in, an answer to every one of them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.text.classification.config import Config
from penstock.models.text.classification.task import Task
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State

TEXTS = ["a good pipe", "bad , so bad", "good water", "bad gate", "the good", "the bad"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The signature of a SavedModel, read back: list of strings -> answer as NumPy arrays."""
    keras.utils.set_random_seed(0)
    sections = {"prepare": {"max_length": 20}, "model": {"type": "cnn", "filters": 8}}
    task = Task(Config.model_validate_json(json.dumps(sections)))
    source = {"text": Text(), "label": Label(names=("bad", "good"))}
    state = State(source, {"words": ("bad", "good", ",", "a", "the", "pipe")})
    model = task.build(state)
    task.compile(model, keras.optimizers.Adam(0.01), jit_compile=False)
    ids = task.prepare_inputs({"text": np.array(TEXTS)}, state)
    fed, labels = task.training_inputs(ids, np.array([1, 0] * 3), state)
    for _ in range(20):
        model.train_on_batch(fed, labels)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text):
        return task.decode(model, task.prepare_inputs({"text": text}, state), state)

    module = tf.Module()
    module.model, module.resources = model, state.resources()
    directory = str(tmp_path_factory.mktemp("served"))
    tf.saved_model.save(module, directory, {"serving_default": serve})
    signature = tf.saved_model.load(directory).signatures["serving_default"]

    def answer(*texts):
        return {name: x.numpy() for name, x in signature(text=tf.constant(texts)).items()}

    yield answer
    keras.backend.clear_session()


def test_it_has_learnt(served):
    assert served(*TEXTS)["label"].tolist() == [b"good", b"bad"] * 3


SAME = {
    "empty": ("", "zebra"),
    "blank": (" \t\r\n\u2003", "zebra"),
    "ten_thousand_words": ("good " * 20 + "bad " * 9_980, "good " * 20),
    "control_characters": ("\x00\x07good\x1b\x7f", "good"),
    "emoji": ("😀👍🏽", "zebra zebra zebra"),
    "another_script": ("Отличный фильм", "zebra zebra"),
    "unknown_script_without_blanks": ("とても面白い", "zebra"),
    "no_utf8": (b"good \xff", "good zebra"),
}
"""A text, and a plainer one that must have the same answer."""


@pytest.mark.parametrize("name", SAME)
def test_every_text_has_the_answer_of_a_plain_one(served, name):
    answer, expected = (served(text) for text in SAME[name])
    assert answer["label"] == expected["label"]
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], rtol=1e-5)


def test_a_text_is_answered_alike_alone_and_among_long_ones(served):
    texts = [pair[0] if isinstance(pair[0], bytes) else pair[0].encode() for pair in SAME.values()]
    together = served(*texts)["probabilities"]
    assert together.shape == (len(SAME), 2)
    np.testing.assert_allclose(together.sum(axis=1), 1.0, rtol=1e-5)
    alone = np.concatenate([served(text)["probabilities"] for text in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
