"""Searches for the answer of an encoder-decoder network: greedy and beam search, in TensorFlow.

Comes in: a `network.Network`, ids of sources, how long each answer may become. Goes out: ids of the
answers, their scores, and whether each was finished. What one example gets does not depend on the others
of its batch. A search ends when all examples are done, at the longest length, or when its time is up.

An answer of n tokens, END included, has the score log p / ((5 + n) / 6) ** length_penalty (Wu et al.,
arXiv:1609.08144, equation 14). At the longest length an answer must end: beam search lets END alone
follow there, whose probability counts, and greedy search stops. Where END would not have been the likeliest
token, the answer says that it is not complete.
"""

from dataclasses import dataclass

import tensorflow as tf

from penstock.models.sequence_to_sequence.data import END, PADDING, START, UNKNOWN

NEVER = (PADDING, UNKNOWN, START)
"""Tokens that no answer has."""
IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class Answers:
    """What a search found.

    Attributes:
        ids: int32 [batch, longest], END and what is behind it are PADDING.
        scores: float32 [batch]; `IMPOSSIBLE` where time was up before the first token.
        complete: bool [batch], False where a limit of length or time cut the answer.
    """

    ids: tf.Tensor
    scores: tf.Tensor
    complete: tf.Tensor


def greedy(network, source, limits, *, length_penalty: float, max_seconds: float) -> Answers:
    """The likeliest token at each step.

    Args:
        source: int32 [batch, source], padded with 0.
        limits: int32 [batch], how many tokens each answer may have, END included; at least 1.
        max_seconds: for the whole batch.
    """
    longest, batch = _longest(limits), tf.shape(source)[0]
    memory, cache = network.begin(network.encode(source), longest)
    until = tf.timestamp() + max_seconds

    def going_on(place, last, ids, total, done, cache):
        del last, ids, total, cache
        return ~tf.reduce_all(done) & (place < longest) & (tf.timestamp() < until)

    def step(place, last, ids, total, done, cache):
        logits, cache = network.step(last, place, memory, cache)
        probabilities = _log_probabilities(logits)
        token = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
        found = tf.gather(probabilities, token, batch_dims=1)
        token = tf.where(done, PADDING, token)
        total += tf.where(done, 0.0, found)
        ids = _written(ids, place, token)
        done = done | (token == END) | (place + 1 >= limits)
        return place + 1, token, ids, total, done, cache

    start = (
        tf.constant(0),
        tf.fill([batch], START),
        tf.zeros([batch, longest], tf.int32),
        tf.zeros([batch]),
        tf.zeros([batch], tf.bool),
        cache,
    )
    _, _, ids, total, _, _ = tf.while_loop(going_on, step, start, _shapes(start))
    written = tf.reduce_sum(tf.cast(ids != PADDING, tf.int32), axis=1)
    complete = tf.reduce_any(ids == END, axis=1)
    scores = total / _length_penalty(tf.maximum(written, 1), length_penalty)
    scores = tf.where(written > 0, scores, IMPOSSIBLE)
    return Answers(_without_end(ids), scores, complete)


def beam(
    network, source, limits, *, beam_size: int, length_penalty: float, max_seconds: float
) -> Answers:
    """The best answer that `beam_size` hypotheses find.

    Alive hypotheses and finished ones are kept apart, `beam_size` alive ones at each step; an example is
    done when no alive one can become better than its best finished one.

    Args:
        source, limits, max_seconds: as of `greedy`.
    """
    size, longest, batch = beam_size, _longest(limits), tf.shape(source)[0]
    memory, cache = network.begin(network.encode(source), longest)
    memory, cache = (
        tf.nest.map_structure(lambda t: tf.repeat(t, size, axis=0), part)
        for part in (memory, cache)
    )
    until = tf.timestamp() + max_seconds

    def is_open(place, total, best):
        bound = tf.reduce_max(total, axis=1) / _length_penalty(limits, length_penalty)
        return (bound > best["score"]) & (place < limits)

    def going_on(place, alive, total, best, cache):
        del alive, cache
        open_ones = tf.reduce_any(is_open(place, total, best))
        return open_ones & (place < longest) & (tf.timestamp() < until)

    def step(place, alive, total, best, cache):
        last = tf.cond(
            place == 0,
            lambda: tf.fill([batch, size], START),
            lambda: alive[:, :, tf.maximum(place - 1, 0)],
        )
        logits, cache = network.step(tf.reshape(last, [-1]), place, memory, cache)
        is_last = place + 1 >= limits
        probabilities = tf.reshape(_log_probabilities(logits), [batch, size, logits.shape[-1]])
        would_end = tf.argmax(probabilities, axis=-1, output_type=tf.int32) == END
        is_end = tf.range(logits.shape[-1]) == END
        must_end = is_last[:, None, None] & ~is_end
        probabilities = tf.where(must_end, IMPOSSIBLE, probabilities)
        scores, parents, tokens = _candidates(total, probabilities)
        ids = _written(tf.gather(alive, parents, batch_dims=1), place, tokens)
        is_end = tokens == END
        is_finished = is_end & (place < limits)[:, None] & (scores > IMPOSSIBLE / 2)
        penalty = _length_penalty(place + 1, length_penalty)
        finished = tf.where(is_finished, scores / penalty, IMPOSSIBLE)
        complete = ~is_last[:, None] | tf.gather(would_end, parents, batch_dims=1)
        best = _better(best, finished, ids, complete)
        total, order = tf.math.top_k(tf.where(is_end, IMPOSSIBLE, scores), size)
        alive = tf.gather(ids, order, batch_dims=1)
        parents = tf.gather(parents, order, batch_dims=1)
        rows = tf.reshape(parents + size * tf.range(batch)[:, None], [-1])
        cache = tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), cache)
        return place + 1, alive, total, best, cache

    nothing = tf.zeros([batch, longest], tf.int32)
    # All but one hypothesis are impossible: else the same one would be there `beam_size` times.
    total = tf.tile([[0.0] + [IMPOSSIBLE] * (size - 1)], [batch, 1])
    best = {
        "score": tf.fill([batch], IMPOSSIBLE),
        "ids": nothing,
        "complete": tf.zeros([batch], tf.bool),
    }
    start = (tf.constant(0), tf.tile(nothing[:, None], [1, size, 1]), total, best, cache)
    place, alive, total, best, _ = tf.while_loop(going_on, step, start, _shapes(start))
    # Where the time was up before anything was finished, the best of what there is.
    none = best["score"] <= IMPOSSIBLE
    so_far = total[:, 0] / _length_penalty(tf.maximum(place, 1), length_penalty)
    left = tf.where(place > 0, so_far, IMPOSSIBLE)
    return Answers(
        _without_end(tf.where(none[:, None], alive[:, 0], best["ids"])),
        tf.where(none, left, best["score"]),
        # What is still open here was ended by the clock.
        best["complete"] & ~is_open(place, total, best),
    )


def _candidates(total, probabilities):
    """The best continuations: scores, hypotheses that they go on from, tokens; [batch, 2 size].

    Args:
        total: float32 [batch, size].
        probabilities: of the next token, as logarithms, float32 [batch, size, ids].
    """
    batch, size, num_ids = tf.shape(total)[0], *probabilities.shape[1:]
    # Of twice as many at least half do not end.
    count = min(2 * size, size * num_ids)
    scores = tf.reshape(total[:, :, None] + probabilities, [batch, size * num_ids])
    scores, places = tf.math.top_k(scores, count)
    return scores, places // num_ids, places % num_ids


def _better(best, scores, ids, complete):
    """The best finished answers, these candidates included."""
    place = tf.argmax(scores, axis=1, output_type=tf.int32)
    score = tf.gather(scores, place, batch_dims=1)
    is_better = score > best["score"]
    ids, complete = (tf.gather(tensor, place, batch_dims=1) for tensor in (ids, complete))
    return {
        "score": tf.where(is_better, score, best["score"]),
        "ids": tf.where(is_better[:, None], ids, best["ids"]),
        "complete": tf.where(is_better, complete, best["complete"]),
    }


def _log_probabilities(logits):
    """float32 [n, ids]; tokens that no answer has are impossible, the others keep what they have."""
    never = tf.reduce_any(tf.range(logits.shape[-1])[:, None] == tf.constant(NEVER), axis=1)
    return tf.where(never, IMPOSSIBLE, tf.nn.log_softmax(tf.cast(logits, tf.float32)))


def _longest(limits):
    """Of a batch, which may be empty."""
    return tf.reduce_max(tf.concat([limits, [1]], axis=0))


def _length_penalty(length, exponent):
    return tf.pow((5.0 + tf.cast(length, tf.float32)) / 6.0, exponent)


def _written(ids, place, tokens):
    """`tokens` [...] at `place` of `ids` [..., longest]."""
    here = tf.range(tf.shape(ids)[-1]) == place
    return tf.where(here, tokens[..., None], ids)


def _without_end(ids):
    return tf.where(ids == END, PADDING, ids)


def _shapes(start):
    """What stays the same of the shapes in a loop: all but the batch."""
    return tf.nest.map_structure(
        lambda tensor: tf.TensorShape([None, *tensor.shape[1:]] if tensor.shape.rank else []), start
    )
