"""Encoder-decoder networks: what a step keeps, where they look, and that padding changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.sequence_to_sequence.attention import SourceAttention
from penstock.models.sequence_to_sequence.copying import mixed_log_probabilities
from penstock.models.sequence_to_sequence.recurrent import Recurrent
from penstock.models.sequence_to_sequence.transformer import Transformer

IDS, START = 11, 2
SHARED = {"num_source_ids": 9, "num_target_ids": IDS, "shared_embedding": False, "dropout": 0.2}


def transformer(**changes):
    settings = {**SHARED, "dim": 8, "num_layers": 2, "num_heads": 2, "intermediate_dim": 12}
    settings |= {"tie_output": True, "normalize_first": True, **changes}
    return Transformer(**settings)


def recurrent(**changes):
    settings = {**SHARED, "embedding_dim": 6, "units": 5, "cell": "gru", "score": "additive"}
    return Recurrent(**{**settings, "tie_output": True, "num_layers": 2, **changes})


NETWORKS = {
    "transformer": transformer,
    "transformer_post_norm": lambda: transformer(normalize_first=False),
    "transformer_shared": lambda: transformer(num_source_ids=IDS, shared_embedding=True),
    "gru_additive": recurrent,
    "gru_multiplicative": lambda: recurrent(score="multiplicative", tie_output=False),
    "lstm_additive": lambda: recurrent(cell="lstm"),
    "pointer_generator": lambda: recurrent(
        num_source_ids=IDS, shared_embedding=True, pointer_generator=True
    ),
    "lstm_multiplicative": lambda: recurrent(cell="lstm", score="multiplicative", num_layers=1),
}


@pytest.fixture(scope="module", params=list(NETWORKS))
def network(request):
    keras.utils.set_random_seed(3)
    network = NETWORKS[request.param]()
    network.build()
    for variable in network.trainable_variables:  # biases and scales begin at 0 and 1
        variable.assign_add(0.3 * np.random.default_rng(0).standard_normal(variable.shape))
    return network


def test_positions_are_exact_in_16_bits_too():
    """sin(400) and cos(400), Vaswani et al. 2017, section 3.5: bfloat16 has 400 and then 402."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = transformer()
        network.build()
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.compute_dtype == "bfloat16"
    place = network.positions(tf.zeros([1, 402, 8], tf.bfloat16))[0, 399:402, :2]
    expected = [[np.sin(n), np.cos(n)] for n in (399, 400, 401)]
    np.testing.assert_allclose(tf.cast(place, tf.float32), expected, atol=1e-3)


@pytest.fixture(scope="module")
def source():
    return tf.constant([[5, 6, 7, 8, 3], [8, 4, 0, 0, 0], [1, 0, 0, 0, 0]])


@pytest.fixture(scope="module")
def written():
    return tf.constant([[START, 5, 6, 7], [START, 4, 10, 9], [START, 3, 3, 3]])


def test_steps_with_a_cache_say_what_the_whole_pass_says(network, source, written):
    expected = network({"source": source, "written": written})
    memory, cache = network.begin(network.encode(source), 4)
    for place in range(4):
        logits, cache = network.step(written[:, place], tf.constant(place), memory, cache)
        np.testing.assert_allclose(logits, expected[:, place], rtol=1e-5, atol=1e-5)


def test_what_is_written_later_changes_no_earlier_logits(network, source, written):
    later = written.numpy()
    later[:, 2:] = 8
    before, after = (
        network({"source": source, "written": tf.constant(ids)}) for ids in (written, later)
    )
    np.testing.assert_allclose(before[:, :2], after[:, :2], rtol=1e-5, atol=1e-6)
    assert np.abs(before[:, 2:] - after[:, 2:]).max() > 1e-3


def test_padding_of_the_source_changes_nothing(network, source, written):
    wider = tf.pad(source, [[0, 0], [0, 3]])
    before, after = (network({"source": s, "written": written}) for s in (source, wider))
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-5)


def test_attention_sums_to_one_over_the_tokens_of_the_source(network, source, written):
    weights = network.attention(written, network.encode(source)).numpy()
    assert weights.shape == (3, 4, 5)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
    assert weights[1, :, 2:].max() == 0.0
    np.testing.assert_allclose(weights[2, :, 0], 1.0, rtol=1e-6)


def test_attention_of_the_transformer_is_that_of_its_last_layer(source, written):
    """One layer, pre-norm: queries and keys multiplied by hand give the weights."""
    keras.utils.set_random_seed(1)
    network = transformer(num_layers=1, num_heads=1)
    network.build()
    memory = network.encode(source)
    layer = network.decoder_layers[0]
    seen = {}

    class Spy:
        """Stands for the cross attention and keeps what it is called with."""

        def __init__(self, inner):
            self.inner = inner

        def __call__(self, query, value, **options):
            seen["query"] = query
            return self.inner(query=query, value=value, **options)

    inner = layer._cross_attention_layer
    try:
        layer.__dict__["_cross_attention_layer"] = Spy(inner)
        network({"source": source, "written": written})
    finally:
        layer.__dict__["_cross_attention_layer"] = inner
    (wq, bq), (wk, bk) = inner._query_dense.get_weights(), inner._key_dense.get_weights()
    query = np.einsum("btd,dhe->bte", seen["query"], wq) + bq[0]
    key = np.einsum("bsd,dhe->bse", memory["states"], wk) + bk[0]
    scores = np.einsum("bte,bse->bts", query, key) / np.sqrt(8)
    scores = np.where(memory["mask"].numpy()[:, None], scores, -np.inf)
    expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(network.attention(written, memory), expected, rtol=1e-4, atol=1e-6)


def test_the_additive_score_by_hand():
    """v . tanh(W s + U h), arXiv:1409.0473, with W = U = 1 and v = 2."""
    layer = SourceAttention(1, "additive")
    layer.build((None, None, 1))
    layer.set_weights([np.ones((1, 1)), np.ones((1, 1)), np.full((1, 1), 2.0)])
    keys = layer.keys(tf.constant([[[0.0], [1.0], [9.0]]]))
    weights = layer(tf.constant([[1.0]]), keys, tf.constant([[True, True, False]])).numpy()
    high, low = np.exp(2 * np.tanh(2.0)), np.exp(2 * np.tanh(1.0))
    np.testing.assert_allclose(weights, [[low / (low + high), high / (low + high), 0]], rtol=1e-5)


def test_the_multiplicative_score_by_hand():
    """s . W h, arXiv:1508.04025, equation 8: 2 * 3 * 1 = 6 and 2 * 3 * 1.5 = 9."""
    layer = SourceAttention(1, "multiplicative")
    layer.build((None, None, 1))
    layer.set_weights([np.full((1, 1), 3.0)])
    keys = layer.keys(tf.constant([[[1.0], [1.5]]]))
    weights = layer(tf.constant([[2.0]]), keys, tf.constant([[True, True]])).numpy()
    np.testing.assert_allclose(weights[0, 1], 1 / (1 + np.exp(-3.0)), rtol=1e-5)


def test_a_saved_network_answers_the_same(network, source, written, tmp_path):
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    inputs = {"source": source, "written": written}
    np.testing.assert_array_equal(loaded(inputs), network(inputs))


def test_copied_probabilities_by_hand():
    """g = 0.25: a quarter of an even softmax over four tokens, three quarters of the attention."""
    found = mixed_log_probabilities(
        tf.zeros([1, 1, 4]),
        tf.constant([[[0.25]]]),
        tf.constant([[[0.5, 0.2, 0.3]]]),
        tf.constant([[3, 1, 3]]),
    )
    expected = [0.0625, 0.0625 + 0.75 * 0.2, 0.0625, 0.0625 + 0.75 * 0.8]
    np.testing.assert_allclose(np.exp(found)[0, 0], expected, rtol=1e-5)


def test_gradients_reach_what_is_copied():
    """d log p(3) / d attention on place 0 = (1 - g) / p(3), of the distribution above."""
    weights = tf.constant([[[0.5, 0.2, 0.3]]])
    with tf.GradientTape() as tape:
        tape.watch(weights)
        found = mixed_log_probabilities(
            tf.zeros([1, 1, 4]), tf.constant([[[0.25]]]), weights, tf.constant([[3, 1, 3]])
        )[0, 0, 3]
    gradient = tape.gradient(found, weights).numpy()[0, 0]
    np.testing.assert_allclose(gradient, [0.75 / 0.6625, 0, 0.75 / 0.6625], rtol=1e-5)
