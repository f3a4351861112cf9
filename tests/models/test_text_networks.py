"""The networks of text.classification: padding changes nothing, and small ones by hand."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.text.classification import networks
from penstock.models.text.classification.config import Config
from penstock.models.text.classification.layers import AttentionPooling, MaxPooling
from penstock.models.text.classification.task import Task
from penstock.pipelines.features import Label
from penstock.pipelines.transform.state import State

V, D, U, F, C = 12, 8, 6, 5, 3
"""Ids, embedding, units, filters, classes."""
LAST = 2 * U * C + C

NETWORKS = {
    "average": ({"type": "average", "hidden_units": [4]}, V * D + D * 4 + 4 + 4 * C + C),
    "cnn": (
        {"type": "cnn", "filters": F, "widths": [2, 4]},
        V * D + (2 + 4) * D * F + 2 * F + 2 * F * C + C,
    ),
    # Four gates with one bias each, two directions.
    "lstm_last": (
        {"type": "lstm", "units": U, "pooling": "last"},
        V * D + 2 * 4 * (D * U + U * U + U) + LAST,
    ),
    # Three gates with two biases each (`reset_after`), two layers of one direction.
    "gru_max": (
        {"type": "gru", "units": U, "num_layers": 2, "bidirectional": False, "pooling": "max"},
        V * D + 3 * (D * U + U * U + 2 * U) + 3 * (2 * U * U + 2 * U) + U * C + C,
    ),
    "gru_attention": (
        {"type": "gru", "units": U, "pooling": "attention"},
        V * D + 2 * 3 * (D * U + U * U + 2 * U) + (2 * U * U + U) + U + LAST,
    ),
    # Positions; query, key, value and output; two normalisations; two dense layers.
    "transformer": (
        {"type": "transformer", "num_heads": 2, "intermediate_dim": 10},
        V * D + 30 * D + 4 * (D * D + D) + 2 * 2 * D + (D * 10 + 10) + (10 * D + D) + D * C + C,
    ),
}


def network(name):
    keras.utils.set_random_seed(0)
    return networks.build(settings(embedding_dim=D, **NETWORKS[name][0]), V, 30, C)


def settings(**model):
    return Config.model_validate_json(json.dumps({"model": model})).model


def small(**model):
    """A network of one embedding component and one class whose last layer changes nothing."""
    built = networks.build(settings(embedding_dim=1, **model), 5, 9, 1)
    built.get_layer("embedding").set_weights([np.array([[9.0], [7.0], [1.0], [2.0], [4.0]])])
    built.get_layer("logits").set_weights([np.ones((1, 1)), np.zeros(1)])
    return built


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_changes_no_answer(name):
    model = network(name)
    assert model.count_params() == NETWORKS[name][1]
    texts = [[3, 4, 5, 6, 7, 8], [2, 9], [11]]
    # Keras's softmax warns of an axis of size 1, so one place of padding here too.
    alone = np.concatenate([model(np.array([[*ids, 0]])).numpy() for ids in texts])
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    for length in (8, 30):
        ids = np.array([text + [0] * (length - len(text)) for text in texts])
        np.testing.assert_allclose(model(ids).numpy(), alone, rtol=1e-4, atol=1e-5)


def test_buckets_may_be_longer_than_texts():
    """A boundary of 8 for texts of up to 6 tokens, of whose positions a transformer has 6."""
    model = {"type": "transformer", "num_heads": 2, "dropout": 0.0}
    sections = {"prepare": {"max_length": 6}, "model": model}
    task = Task(Config.model_validate_json(json.dumps(sections)))
    state = State({"label": Label(names=("bad", "good"))}, {"words": ("a", "b")})
    ids = tf.constant([[2, 3, 2, 3, 2, 3, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]])
    fed, _ = task.training_inputs(ids, None, state)
    np.testing.assert_array_equal(fed, ids[:, :6])
    assert task.build(state)(fed).shape == (2, 2)


def test_average_by_hand():
    """Ids 2 and 4 are 1 and 4; padding, which is 9, does not count."""
    model = small(type="average")
    assert model(np.array([[2, 4, 0, 0]])).numpy() == pytest.approx(2.5)


def test_cnn_by_hand():
    """1, 2, 4: sums of three neighbours are 0 + 1 + 2, 1 + 2 + 4, 2 + 4 + 0."""
    model = small(type="cnn", widths=[3], filters=1, activation="linear")
    model.get_layer("convolution_3").set_weights([np.ones((3, 1, 1)), np.zeros(1)])
    assert model(np.array([[2, 3, 4, 0, 0]])).numpy() == pytest.approx(7.0)
    model.get_layer("convolution_3").set_weights([-np.ones((3, 1, 1)), np.zeros(1)])
    assert model(np.array([[2, 3, 4, 0, 0]])).numpy() == pytest.approx(-3.0)


def test_attention_pooling_by_hand():
    """Scores 2 tanh(1) and 2 tanh(3); the third position is padding."""
    layer = AttentionPooling.from_config(AttentionPooling(1).get_config())
    x, mask = np.array([[[1.0], [3.0], [50.0]]]), np.array([[True, True, False]])
    layer.build(x.shape)
    layer.set_weights([np.ones((1, 1)), np.zeros(1), np.full((1, 1), 2.0)])
    first, second = np.exp(2 * np.tanh(1.0)), np.exp(2 * np.tanh(3.0))
    expected = [first / (first + second), second / (first + second), 0.0]
    np.testing.assert_allclose(layer.weights_of(x, mask)[0], expected, rtol=1e-6)
    assert layer(x, mask).numpy() == pytest.approx(expected[0] * 1 + expected[1] * 3)


def test_maximum_is_of_tokens_only():
    x = np.array([[[-2.0, 1.0], [-1.0, -4.0], [0.0, 0.0]]], np.float32)
    pooled = MaxPooling()(x, np.array([[True, True, False]]))
    assert pooled.numpy().tolist() == [[-1.0, 1.0]]


def test_word_dropout_leaves_out_whole_tokens():
    """Of a text of one token either nothing is left or the token, twice as large."""
    model = small(type="average", word_dropout=0.5, dropout=0.0)
    answers = model(np.full((64, 1), 4), training=True).numpy().ravel()
    assert sorted(set(answers.tolist())) == [0.0, 8.0]
