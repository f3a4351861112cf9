"""CTC of a compiled model against a dynamic programme in NumPy, and what it leaves out."""

import keras
import numpy as np
import pytest

from penstock.models.speech.recognition.layers import NEVER, BlankBehindEnd
from penstock.models.speech.recognition.loss import CTC, Unalignable, unalignable

IDS = 4
"""The blank and three tokens."""


def forward(log_probabilities, tokens):
    """-ln p(tokens), by the forward variable of Graves et al. 2006, equations 6 to 8.

    log_probabilities: [frames, IDS]; tokens: without blanks.
    """
    path = [0]
    for token in tokens:
        path += [token, 0]
    alpha = np.full(len(path), -np.inf)
    alpha[:2] = log_probabilities[0][path[:2]]
    for frame in log_probabilities[1:]:
        before, alpha = alpha, np.empty_like(alpha)
        for s, token in enumerate(path):
            ways = [before[s], before[s - 1] if s else -np.inf]
            if s > 1 and token != 0 and token != path[s - 2]:
                ways.append(before[s - 2])
            alpha[s] = np.logaddexp.reduce(ways) + frame[token]
    return -np.logaddexp.reduce(alpha[-2:])


CASES = {
    "one": ([2], 1),
    "several": ([1, 2, 3], 7),
    "equal-neighbours": ([1, 1, 2, 2], 8),
    "as-many-as-frames": ([3, 1, 2], 3),
    "no-tokens": ([], 5),
}


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(0).normal(0, 2, (len(CASES), 9, IDS)).astype(np.float32)


@pytest.fixture(scope="module", params=[True, False], ids=["sparse", "dense"])
def model(request):
    """The last layer alone; compiled as the task compiles a network."""
    x, mask = keras.Input((None, IDS)), keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], BlankBehindEnd(dtype="float32")(x, mask))
    model.compile(loss=CTC(request.param), metrics=[Unalignable()], run_eagerly=True)
    return model


def fed(logits):
    frames = np.array([frames for _, frames in CASES.values()])
    tokens = np.zeros((len(CASES), 5), np.int32)
    for row, (text, _) in zip(tokens, CASES.values(), strict=True):
        row[: len(text)] = text
    return [logits, np.arange(9) < frames[:, None]], tokens


def test_the_loss_is_that_of_the_frames_of_each_recording(model, logits):
    inputs, tokens = fed(logits)
    probabilities = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    expected = [
        forward(found[:frames].astype(np.float64), text)
        for found, (text, frames) in zip(probabilities, CASES.values(), strict=True)
    ]
    losses = np.asarray(CTC(model.loss.sparse, reduction=None)(tokens, model(inputs)))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    loss, share = model.evaluate(inputs, tokens, verbose=0)
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)
    assert share == 0.0


UNALIGNABLE = {
    "more-tokens-than-frames": ([1, 2, 3], 2, True),
    "as-many": ([1, 2, 3], 3, False),
    # A blank must stand between equal ones.
    "no-room-for-a-blank": ([1, 1, 2], 3, True),
    "room-for-a-blank": ([1, 1, 2], 4, False),
    "nothing": ([], 1, False),
}


@pytest.mark.parametrize(("tokens", "frames", "expected"), UNALIGNABLE.values(), ids=UNALIGNABLE)
def test_what_has_no_alignment(tokens, frames, expected):
    logits = np.zeros((1, 6, IDS), np.float32)
    logits[:, frames:, 1:] = NEVER
    padded = np.pad(np.array([tokens], np.int32), [(0, 0), (0, 5 - len(tokens))])
    assert np.asarray(unalignable(padded, logits)).tolist() == [expected]


def test_what_has_no_alignment_teaches_nothing(model, logits):
    """Neither its loss nor its gradient is there; those of the others are as without it."""
    import tensorflow as tf

    inputs, tokens = fed(logits)
    tokens[0] = [1, 2, 3, 1, 2]  # in one frame
    given = tf.constant(inputs[0])
    with tf.GradientTape() as tape:
        tape.watch(given)
        losses = CTC(model.loss.sparse, reduction=None)(
            tokens, model([given, tf.constant(inputs[1])])
        )
    gradient = tape.gradient(losses, given).numpy()
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()
    assert losses[0] == 0.0
    assert not gradient[0].any()
    frames = np.array([frames for _, frames in CASES.values()])
    assert gradient[1:][(np.arange(9) < frames[:, None])[1:]].any(axis=-1).all()
    assert not gradient[np.arange(9) >= frames[:, None]].any()
    loss, share = model.evaluate(inputs, tokens, verbose=0)
    whole = [fed(logits)[0], fed(logits)[1]]
    others = np.asarray(CTC(model.loss.sparse, reduction=None)(whole[1], model(whole[0])))[1:]
    assert loss == pytest.approx(np.mean(others), rel=1e-5)
    assert share == pytest.approx(1 / len(CASES))


def test_loss_and_metric_survive_saving():
    for made in (CTC(sparse=True), Unalignable()):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()
