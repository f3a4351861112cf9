"""Decoding against the enumeration of all alignments of short recordings; times by hand."""

from collections import defaultdict
from itertools import groupby, product

import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.recognition import decoding
from penstock.models.speech.recognition.config import Beam

FRAMES, IDS = 5, 4
TOKENS = [b"", b"a", b"b", b" "]


def log_softmax(x):
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def log_probabilities():
    """Of 20 recordings of 5 frames."""
    logits = np.random.default_rng(0).normal(0, 1.5, (20, FRAMES, IDS))
    return log_softmax(logits).astype(np.float32)


LENGTHS = np.array([5] * 10 + [4] * 5 + [3] * 4 + [1], np.int32)


def collapsed(alignment):
    """Repeats merged, then blanks left out (Graves et al. 2006, section 3.1)."""
    return tuple(token for token, _ in groupby(alignment) if token != 0)


def enumerated(found):
    """Each alignment of [frames, IDS] with its ln p, and each labelling with its sum over these."""
    alignments, labellings = {}, defaultdict(lambda: -np.inf)
    for alignment in product(range(IDS), repeat=len(found)):
        score = sum(frame[token] for frame, token in zip(found, alignment, strict=True))
        alignments[alignment] = score
        tokens = collapsed(alignment)
        labellings[tokens] = np.logaddexp(labellings[tokens], score)
    return alignments, labellings


def tokens_of(ids):
    return [tuple(token for token in row.tolist() if token != -1) for row in np.asarray(ids)]


def test_greedy_is_the_best_of_all_alignments(log_probabilities):
    ids, score = decoding.greedy(log_probabilities, LENGTHS)
    for row, tokens in enumerate(tokens_of(ids)):
        alignments, _ = enumerated(log_probabilities[row, : LENGTHS[row]])
        best = max(alignments, key=alignments.get)
        assert tokens == collapsed(best)
        assert float(score[row]) == pytest.approx(alignments[best], rel=1e-5)


def test_a_wide_beam_finds_the_best_of_all_labellings(log_probabilities):
    config = Beam(type="beam", beam_size=400)
    ids, score, complete = decoding.beam(log_probabilities, LENGTHS, config)
    differs = 0
    for row, tokens in enumerate(tokens_of(ids)):
        alignments, labellings = enumerated(log_probabilities[row, : LENGTHS[row]])
        best = max(labellings, key=labellings.get)
        assert tokens == best
        assert float(score[row]) == pytest.approx(labellings[best], rel=1e-4)
        differs += best != collapsed(max(alignments, key=alignments.get))
    assert differs  # or the beam would not be needed
    assert np.asarray(complete).all()


def test_where_time_is_over_the_greedy_answer_is_given(log_probabilities):
    wide = Beam(type="beam", beam_size=400)
    for seconds, whole in ((1000.0, True), (1e-9, False)):
        limited = wide.model_copy(update={"max_seconds": seconds})
        ids, score, complete = decoding.beam(log_probabilities, LENGTHS, limited)
        if whole:
            expected = decoding.beam(log_probabilities, LENGTHS, wide)[:2]
        else:
            expected = decoding.greedy(log_probabilities, LENGTHS)
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_allclose(score, expected[1], rtol=1e-6)
        assert (np.asarray(complete) == whole).all()


def test_tokens_become_text_with_single_blanks():
    ids = np.array([[3, 1, 3, 3, 2], [2, 2, -1, -1, -1], [-1] * 5], np.int32)
    assert decoding.texts_of(ids, TOKENS).numpy().tolist() == [b"a b", b"bb", b""]
    # The two bytes of an umlaut; the first of them alone is no character.
    parts = [b"", "ü".encode()[:1], "ü".encode()[1:]]
    texts = decoding.texts_of(np.array([[1, 2], [1, -1]], np.int32), parts)
    assert [text.decode() for text in texts.numpy()] == ["ü", "�"]


def certain(*alignments, ids=IDS):
    """Logarithms of probabilities of which each frame has one that is nearly 1."""
    width = max(map(len, alignments))
    logits = np.zeros((len(alignments), width, ids), np.float32)
    for row, alignment in zip(logits, alignments, strict=True):
        row[np.arange(len(alignment)), list(alignment)] = 9.0
    return log_softmax(logits), np.array([len(a) for a in alignments], np.int32)


A, B, SPACE = 1, 2, 3


def test_times_of_words_by_hand():
    found, frames = certain(
        (0, A, A, 0, A, SPACE, 0, B, B, 0),  # "aa b"
        (SPACE, SPACE, 0, B, 0, SPACE, 0, SPACE, A),  # blanks at the beginning and twice
        (A, B),
        (0, 0, 0),
        (SPACE, 0),
    )
    words, first, last, count = decoding.words_and_times(found, frames, TOKENS, 5)
    assert np.asarray(count).tolist() == [2, 2, 1, 0, 0]
    assert words.numpy().tolist() == [
        [b"aa", b"b", b"", b"", b""],
        [b"b", b"a", b"", b"", b""],
        [b"ab", b"", b"", b"", b""],
        [b""] * 5,
        [b""] * 5,
    ]
    assert np.asarray(first)[:3, :2].tolist() == [[1, 7], [3, 8], [0, 0]]
    assert np.asarray(last)[:3, :2].tolist() == [[4, 8], [3, 8], [1, 0]]
    assert first.shape == last.shape == (5, 5)


def test_a_subword_with_a_blank_in_front_begins_a_word():
    tokens = [b"", b"on", b"e", b" two", b" "]
    found, frames = certain((1, 0, 2, 2, 0, 3, 3, 2), ids=5)
    words, first, last, _ = decoding.words_and_times(found, frames, tokens, 3)
    assert words.numpy().tolist() == [[b"one", b"twoe", b""]]
    assert np.asarray(first).tolist() == [[0, 5, 0]]
    assert np.asarray(last).tolist() == [[3, 7, 0]]


def test_frames_behind_the_end_are_no_words():
    found, _ = certain((A, 0, SPACE, B))
    words, _, _, count = decoding.words_and_times(found, np.array([2], np.int32), TOKENS, 2)
    assert words.numpy().tolist() == [[b"a", b""]]
    assert np.asarray(count).tolist() == [1]


def test_it_is_the_same_in_a_graph(log_probabilities):
    spec = [tf.TensorSpec([None, None, IDS]), tf.TensorSpec([None], tf.int32)]

    @tf.function(input_signature=spec)
    def graph(found, frames):
        return decoding.words_and_times(found, frames, TOKENS, 3), decoding.greedy(found, frames)

    for eager, traced in zip(
        tf.nest.flatten(
            (
                decoding.words_and_times(log_probabilities, LENGTHS, TOKENS, 3),
                decoding.greedy(log_probabilities, LENGTHS),
            )
        ),
        tf.nest.flatten(graph(log_probabilities, LENGTHS)),
        strict=True,
    ):
        np.testing.assert_array_equal(eager, traced)
