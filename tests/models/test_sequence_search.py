"""Greedy and beam search against a search through all answers."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from penstock.models.sequence_to_sequence import search
from penstock.models.sequence_to_sequence.data import END, START

IDS = 6  # padding, unknown, start, end and two tokens, 4 and 5
LONGEST = 5
BATCH = 16


class TableNetwork:
    """Logits of a table: by example, place and the last two tokens, so that a cache is needed."""

    def __init__(self, seed=0, scale=2.0, end=0.0):
        self.table = np.random.default_rng(seed).normal(0, scale, (BATCH, LONGEST, IDS, IDS, IDS))
        self.table = self.table.astype(np.float32)
        self.table[..., END] += end

    def encode(self, source):
        return {"example": source[:, 0]}

    def begin(self, memory, length):
        del length
        return memory, {"before": tf.zeros_like(memory["example"])}

    def step(self, ids, place, memory, cache):
        example = memory["example"]
        places = tf.fill(tf.shape(ids), tf.minimum(place, LONGEST - 1))
        index = tf.stack([example, places, cache["before"], ids], axis=1)
        return tf.gather_nd(tf.constant(self.table), index), {"before": ids}

    def log_probability(self, example, answer):
        """Of a sequence of tokens, by hand in float64."""
        total, before, last = 0.0, 0, START
        for place, token in enumerate(answer):
            logits = self.table[example, place, before, last].astype(np.float64)
            total += logits[token] - np.log(np.exp(logits).sum())
            before, last = last, token
        return total


def all_answers(limit):
    """Every answer of up to `limit` tokens, END at its end."""
    for length in range(limit):
        for tokens in itertools.product((4, 5), repeat=length):
            yield (*tokens, END)


def best_answer(network, example, limit, length_penalty):
    """(score, tokens) of the best of all answers; Wu et al., arXiv:1609.08144, equation 14."""
    return max(
        (
            network.log_probability(example, answer) / ((5 + len(answer)) / 6) ** length_penalty,
            answer,
        )
        for answer in all_answers(limit)
    )


@pytest.fixture(scope="module")
def source():
    return tf.range(BATCH)[:, None]


def limits(longest=LONGEST):
    return tf.fill([BATCH], longest)


def tokens_of(answers, row):
    return [int(token) for token in answers.ids[row].numpy() if token]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("end", [0.0, -3.0, 3.0], ids=["usual", "long", "short"])
def test_a_wide_beam_finds_the_best_of_all_answers(source, length_penalty, end):
    network = TableNetwork(end=end)
    limit = LONGEST - np.arange(BATCH) % 3
    found = search.beam(
        network,
        source,
        tf.constant(limit, tf.int32),
        beam_size=2**LONGEST,
        length_penalty=length_penalty,
        max_seconds=60.0,
    )
    for row in range(BATCH):
        score, answer = best_answer(network, row, limit[row], length_penalty)
        assert tokens_of(found, row) == [token for token in answer if token != END]
        assert found.scores[row].numpy() == pytest.approx(score, rel=1e-5)
        assert bool(found.complete[row]) == ends_by_itself(network, row, answer, limit[row])


def ends_by_itself(network, example, answer, limit):
    """Whether an answer is shorter than it may be, or END is the likeliest token at its end."""
    last = [network.log_probability(example, (*answer[:-1], token)) for token in (END, 4, 5)]
    return len(answer) < limit or max(last) == last[0]


def beam_by_hand(network, example, size, limit, length_penalty):
    """The same search in plain Python, over lists."""
    alive, best = [(0.0, ())], (-np.inf, ())
    for place in range(limit):
        candidates = sorted(
            (
                (network.log_probability(example, (*answer, token)), (*answer, token))
                for _, answer in alive
                for token in ((END,) if place + 1 == limit else (END, 4, 5))
            ),
            reverse=True,
        )[: 2 * size]
        penalty = ((5 + place + 1) / 6) ** length_penalty
        scored = [(total / penalty, answer) for total, answer in candidates]
        best = max([best, *(c for c in scored if c[1][-1] == END)])
        alive = [c for c in candidates if c[1][-1] != END][:size]
    return best


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("end", [-1.0, -4.0])
def test_a_narrow_beam_finds_what_the_same_search_in_python_finds(source, size, end):
    network = TableNetwork(seed=1, end=end)
    found = search.beam(
        network, source, limits(), beam_size=size, length_penalty=1.0, max_seconds=60.0
    )
    for row in range(BATCH):
        score, answer = beam_by_hand(network, row, size, LONGEST, 1.0)
        assert tokens_of(found, row) == [token for token in answer if token != END]
        assert found.scores[row].numpy() == pytest.approx(score, rel=1e-5)


def test_greedy_takes_the_likeliest_token_each_time(source):
    network = TableNetwork(seed=2)
    found = search.greedy(network, source, limits(), length_penalty=0.6, max_seconds=60.0)
    for row in range(BATCH):
        answer = []
        while len(answer) < LONGEST and END not in answer:
            answer.append(
                max((END, 4, 5), key=lambda t: network.log_probability(row, (*answer, t)))
            )
        assert tokens_of(found, row) == [token for token in answer if token != END]
        total = network.log_probability(row, answer)
        expected = total / ((5 + len(answer)) / 6) ** 0.6
        assert found.scores[row].numpy() == pytest.approx(expected, rel=1e-5)
        assert bool(found.complete[row]) == (END in answer)


def test_an_answer_does_not_depend_on_the_other_examples(source):
    network = TableNetwork(seed=3, end=-1.0)
    settings = {"beam_size": 2, "length_penalty": 1.0, "max_seconds": 60.0}
    own = tf.constant(1 + np.arange(BATCH) % LONGEST, tf.int32)
    together = search.beam(network, source, own, **settings)
    assert {len(tokens_of(together, row)) for row in range(BATCH)} >= {0, 1, 2, 3}
    for row in range(BATCH):
        alone = search.beam(network, source[row : row + 1], own[row : row + 1], **settings)
        assert tokens_of(alone, 0) == tokens_of(together, row)
        assert alone.scores[0].numpy() == pytest.approx(together.scores[row].numpy(), rel=1e-6)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_when_the_time_is_up_there_is_an_answer_that_is_not_complete(source, beam_size):
    """All would end with their first token, if there were time for one."""
    network = TableNetwork(seed=4, end=9.0)
    settings = {"length_penalty": 1.0}
    searched = search.greedy
    if beam_size > 1:
        searched, settings["beam_size"] = search.beam, beam_size
    assert searched(network, source, limits(), max_seconds=60.0, **settings).complete.numpy().all()
    found = searched(network, source, limits(), max_seconds=0.0, **settings)
    assert not found.complete.numpy().any()
    assert not found.ids.numpy().any()
    assert found.scores.numpy().tolist() == [search.IMPOSSIBLE] * BATCH


def test_what_the_clock_ends_in_the_middle_is_not_complete(source, monkeypatch):
    """END stands among the finished ones from the first step on, and something better goes on."""
    network = TableNetwork(seed=6, end=-1.0)
    settings = {"beam_size": 4, "length_penalty": 0.0, "max_seconds": 1.5}
    clock = itertools.count()
    monkeypatch.setattr(search.tf, "timestamp", lambda: tf.constant(float(next(clock))))
    found = search.beam(network, source, limits(), **settings)
    monkeypatch.undo()
    ends = search.beam(network, source, limits(), **{**settings, "max_seconds": 60.0})
    is_same = [tokens_of(found, row) == tokens_of(ends, row) for row in range(BATCH)]
    assert not all(is_same)
    assert not any(c for c, same in zip(found.complete.numpy(), is_same, strict=True) if not same)


def test_an_answer_ends_at_its_longest_length(source):
    network = TableNetwork(seed=5, end=-30.0)
    found = search.beam(
        network, source, limits(3), beam_size=2, length_penalty=1.0, max_seconds=60.0
    )
    # The third token is END.
    assert [len(tokens_of(found, row)) for row in range(BATCH)] == [2] * BATCH
    assert not found.complete.numpy().any()
