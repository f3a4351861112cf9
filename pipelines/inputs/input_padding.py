"""Padding: lengths of examples, boundaries of buckets, and ragged tensors made dense.

An example's length is that of its longest ragged tensor, and decides its bucket. Each ragged tensor
of a batch is padded to its own bound in the bucket: the longest that it has there. So there are no
more shapes than buckets (and a smaller last batch), which is what XLA and TPUs want, and a short
target beside a long source is not padded to the length of the source. Tensors whose lengths are
equal in every example (tokens and their tags) have equal bounds.
"""

import numpy as np

from penstock.pipelines.inputs.input_config import Buckets
from penstock.pipelines.transform.tensor_spec import Tensor

ROUND_UP_TO = 8
"""Bounds that are found in the data are multiples of this, as TPUs and tensor cores like it."""
_CANDIDATES = 512
"""So many boundaries, evenly spaced, are weighed against each other at most."""


def ragged_names(tensors: dict[str, Tensor]) -> list[str]:
    """The tensors whose length differs between examples.

    Raises:
        ValueError: there is none, or one is ragged in a further axis.
    """
    names = [name for name, tensor in tensors.items() if tensor.ragged_rank]
    deep = [name for name in names if tensors[name].ragged_rank > 1]
    if deep or not names:
        received = f"{', '.join(deep)} with more than one ragged axis" if deep else "dense tensors"
        raise ValueError(
            "Buckets and packing need tensors that are ragged in their first axis and nowhere "
            f"else. Received: {received}. Change the task's preparation, or leave `train.buckets` "
            "and `train.packing` out."
        )
    return names


def bounds_of(lengths: np.ndarray, buckets: Buckets, known: np.ndarray | None = None) -> np.ndarray:
    """To what length each tensor is padded in each bucket, the buckets ascending.

    The largest of a bucket is its boundary. The others are the longest that the tensor has in this
    bucket or a smaller one (whose last examples may go up into it), rounded up.

    Args:
        lengths: int64 [examples, ragged tensors].
        known: int64 [buckets, ragged tensors], what this function gave for other examples (the
            training's, for validation). Their boundaries are kept, and a further one is added where
            these examples are longer; a bound grows where one of these tensors needs it.

    Returns:
        int64 [buckets, ragged tensors].

    Raises:
        ValueError: an example is longer than the last boundary that was given.
    """
    longest = lengths.max(axis=1)
    known_boundaries = None if known is None else known.max(axis=1).tolist()
    boundaries = np.array(boundaries_of(longest, buckets, known_boundaries), np.int64)
    bounds = np.zeros((len(boundaries), lengths.shape[1]), np.int64)
    np.maximum.at(bounds, np.searchsorted(boundaries, longest), lengths)
    bounds = np.maximum.accumulate(bounds)
    reach = bounds == bounds.max(axis=1, keepdims=True)
    bounds = np.maximum(bounds, 1)
    bounds = np.where(reach, boundaries[:, None], _rounded_up(bounds, _steps(bounds, buckets)))
    bounds = np.minimum(bounds, boundaries[:, None])
    if known is not None:
        bounds[: len(known)] = np.maximum(bounds[: len(known)], known)
    return bounds


def boundaries_of(lengths: np.ndarray, buckets: Buckets, known=None) -> list[int]:
    """The longest length of each bucket, ascending.

    Args:
        lengths: int64 [examples].
        known: the boundaries of other examples, see `bounds_of`.

    Raises:
        ValueError: an example is longer than the last boundary that was given.
    """
    lengths = np.maximum(lengths, 1)
    longest = int(lengths.max(initial=1))
    if known:
        return [*known, int(_rounded_up(longest, ROUND_UP_TO))] if longest > known[-1] else known
    if buckets.boundaries:
        last = buckets.boundaries[-1]
        if longest > last:
            raise ValueError(
                f"`train.buckets.boundaries` must reach to the longest example ({longest}). "
                f"Received: {last} as the last one; {int((lengths > last).sum()):,} examples are "
                "longer. Add a boundary, or cut examples in the task's preparation."
            )
        return list(buckets.boundaries)
    if buckets.chosen_by == "padding":
        return _least_padding(_rounded_up(lengths, _steps(lengths, buckets)), buckets.count)
    shares = np.arange(1, buckets.count + 1) / buckets.count
    found = np.quantile(lengths, shares, method="higher").astype(np.int64)
    return np.unique(_rounded_up(found, ROUND_UP_TO)).tolist()


def _least_padding(lengths, count):
    """At most `count` boundaries with the fewest places in all, by dynamic programming.

    `places[k]` are those of the lengths up to candidate k, with as many boundaries as rounds so far,
    the last of them candidate k; `before[k]` is the boundary before it.
    """
    spacing = -(-int(lengths.max()) // _CANDIDATES)
    if spacing > 1:
        lengths = _rounded_up(lengths, _rounded_up(spacing, ROUND_UP_TO))
    candidates, examples = np.unique(lengths, return_counts=True)
    upto = np.cumsum(examples)
    # [k, j]: places of the lengths above candidate j and up to candidate k.
    between = candidates[:, None] * np.maximum(upto[:, None] - upto[None, :], 0.0)
    between[np.triu_indices(len(candidates))] = np.inf
    places, before = candidates * upto.astype(np.float64), []
    for _ in range(min(count, len(candidates)) - 1):
        sums = places[None, :] + between
        before.append(sums.argmin(axis=1))
        places = sums.min(axis=1)
    last = len(candidates) - 1
    chosen = [last]
    for of_round in reversed(before):
        last = of_round[last]
        chosen.append(last)
    return candidates[chosen[::-1]].tolist()


def _steps(lengths, buckets):
    """What lengths are rounded up to multiples of.

    Buckets chosen by padding round short lengths less: by under an eighth of the length.
    """
    if buckets.chosen_by == "examples":
        return ROUND_UP_TO
    eighths = np.maximum(lengths // 8, 1)
    return np.minimum(2 ** np.log2(eighths).astype(np.int64), ROUND_UP_TO)


def _rounded_up(lengths, steps):
    return -(-lengths // steps) * steps


def batch_sizes(boundaries: list[int], buckets: Buckets, batch_size: int, hosts: int) -> list[int]:
    """Examples in a batch of each bucket, of all hosts together.

    Raises:
        ValueError: the budget of tokens does not hold one example for each host.
    """
    if buckets.tokens_per_batch is None:
        return [batch_size] * len(boundaries)
    sizes = [buckets.tokens_per_batch // bound // hosts * hosts for bound in boundaries]
    if sizes[-1] == 0:
        raise ValueError(
            f"`train.buckets.tokens_per_batch` must hold an example of the longest bucket "
            f"({boundaries[-1]}) for each of {hosts} host(s). Received: "
            f"{buckets.tokens_per_batch}. Raise it, or cut examples in the task's preparation."
        )
    return sizes


def padded(ragged, length, default):
    """Ragged [batch, None, ...] -> dense [batch, length, ...]; `length` may be a tensor."""
    import tensorflow as tf

    dtype, inner = ragged.dtype, ragged.flat_values.shape[1:]
    default = tf.constant(default, dtype) if default else tf.zeros([], dtype)
    shape = tf.stack([tf.constant(-1, tf.int64), tf.cast(length, tf.int64), *map(int, inner)])
    dense = ragged.to_tensor(default, shape=shape)
    static = length if isinstance(length, int) else None
    dense.set_shape([ragged.shape[0], static, *inner])
    return dense


def padding_share(lengths: np.ndarray, slots: int) -> float:
    """Part of the places in all batches that holds padding; 0...1.

    Args:
        lengths: int64 [examples, ragged tensors], those of one epoch.
        slots: places of all ragged tensors in all batches of it.
    """
    return 1.0 - float(lengths.sum()) / slots if slots else 0.0
