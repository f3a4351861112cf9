"""text.reversal: ids by hand, and a decoder that has learnt four words."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.text.reversal.config import Config, Model, Prepare
from penstock.models.text.reversal.task import Task
from penstock.pipelines.features import Label, Text
from penstock.pipelines.transform.state import State


def task(max_characters):
    model = Model(embedding_dim=16, units=48)
    return Task(Config(prepare=Prepare(max_characters=max_characters), model=model))


def state(*characters):
    return State({"text": Text()}, {"characters": characters})


def raw(*words):
    return {"text": np.array([word.encode() for word in words], object)}


def test_ids_by_hand():
    """Padding 0, unknown 1, start 2, end 3; then the vocabulary: a 4, ü 5, c 6."""
    reversal, known = task(3), state("a", "ü", "c")
    words = raw("aü", "", "cab", "cacc")
    inputs = reversal.prepare_inputs(words, known)
    targets, weight = reversal.prepare_targets(words, known)
    assert weight is None
    assert inputs.numpy().tolist() == [[4, 5, 0], [0, 0, 0], [6, 4, 1], [6, 4, 6]]
    assert targets.numpy().tolist() == [[5, 4, 3, 0], [3, 0, 0, 0], [1, 4, 6, 3], [6, 4, 6, 3]]
    fed, same = reversal.training_inputs(inputs, targets, known)
    assert same is targets
    assert fed["written"].numpy().tolist() == [
        [2, 5, 4, 3],
        [2, 3, 0, 0],
        [2, 1, 4, 6],
        [2, 6, 4, 6],
    ]


def test_the_decoder_writes_what_it_has_learnt():
    keras.utils.set_random_seed(1)
    words = raw("gate", "pipe", "weir", "at")
    reversal, known = task(4), state(*"aegiprtw")
    model = reversal.build(known)
    reversal.compile(model, keras.optimizers.Adam(0.01), jit_compile=False)
    inputs = reversal.prepare_inputs(words, known)
    targets, _ = reversal.prepare_targets(words, known)
    fed, targets = reversal.training_inputs(inputs, targets, known)
    for _ in range(100):
        model.train_on_batch(fed, targets)
    eager = reversal.decode(model, inputs, known)["text"].numpy()
    assert eager.tolist() == [b"etag", b"epip", b"riew", b"ta"]
    traced = tf.function(lambda ids: reversal.decode(model, ids, known)["text"])
    assert traced(inputs).numpy().tolist() == eager.tolist()


def test_columns_and_summary_by_hand():
    """Right: "ta". Of "riew", "rixw" has 3 of 4 characters in place; 5 of 6 in all."""
    reversal, known = task(4), state(*"aegiprtw")
    words = raw("weir", "at")
    targets, _ = reversal.prepare_targets(words, known)
    answers = {"text": np.array([b"rixw", b"ta"], object)}
    columns = reversal.evaluate_batch(answers, targets.numpy(), words, known)
    assert columns["expected"].tolist() == ["riew", "ta"]
    assert columns["correct"].tolist() == [False, True]
    assert reversal.summarise(columns, known) == pytest.approx(
        {"exact_match": 0.5, "character_accuracy": 5 / 6}
    )


def test_a_source_without_the_text_is_refused():
    with pytest.raises(ValueError, match="Received: no feature `text`. Features of that kind: "):
        task(4).input_features({"label": Label(names=("a",))})
