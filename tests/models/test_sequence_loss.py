"""The loss of a token, by hand and against NumPy."""

import keras
import numpy as np
import pytest

from penstock.models.sequence_to_sequence.loss import TokenAccuracy, TokenCrossEntropy

LOGITS = np.log([[[0.7, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.4], [0.1, 0.2, 0.3, 0.4]]]).astype("f")
"""One text of three places; logits that are logarithms of probabilities."""


def test_cross_entropy_by_hand_without_padding():
    """Tokens 1 and 3: (-ln 0.1 - ln 0.4) / 2; the third place is padding."""
    expected = (-np.log(0.1) - np.log(0.4)) / 2
    found = TokenCrossEntropy()(np.array([[1, 3, 0]]), LOGITS)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_by_hand():
    """q = 0.8 for the token and 0.05 for each of the four: 0.85 and three times 0.05."""
    first = -0.85 * np.log(0.1) - 0.05 * (np.log(0.7) + 2 * np.log(0.1))
    second = -0.85 * np.log(0.4) - 0.05 * 3 * np.log(0.2)
    found = TokenCrossEntropy(0.2)(np.array([[1, 3, 0]]), LOGITS)
    assert float(found) == pytest.approx((first + second) / 2, rel=1e-6)


def test_label_smoothing_is_that_of_keras():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 5, 7)).astype("f")
    targets = generator.integers(1, 7, (3, 5))
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(
        np.eye(7)[targets], logits
    )
    assert float(TokenCrossEntropy(0.1)(targets, logits)) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_gradient_is_probability_minus_target():
    """Of a mean over 2 tokens: (softmax - q) / 2, and nothing at padding."""
    import tensorflow as tf

    logits = tf.Variable(LOGITS)
    with tf.GradientTape() as tape:
        loss = TokenCrossEntropy(0.2)(np.array([[1, 3, 0]]), logits + 0.0)
    smoothed = 0.8 * np.eye(4)[[1, 3]] + 0.05
    expected = (np.exp(LOGITS[0, :2]) - smoothed) / 2
    gradient = tape.gradient(loss, logits).numpy()
    np.testing.assert_allclose(gradient[0, :2], expected, atol=1e-6)
    assert np.abs(gradient[0, 2]).max() == 0.0


def test_accuracy_does_not_count_padding():
    metric = TokenAccuracy()
    metric.update_state(np.array([[0, 3, 3], [1, 3, 0]]), np.tile(LOGITS, (2, 1, 1)))
    # Of four tokens, the likeliest at each place are 0, 3 and 3: three are right.
    assert float(metric.result()) == pytest.approx(3 / 4)
