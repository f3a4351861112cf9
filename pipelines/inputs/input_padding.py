"""Padding: lengths of examples, boundaries of buckets, and ragged tensors made dense.

An example's length is that of its longest ragged tensor. All ragged tensors of a batch are padded
to the boundary of the batch's bucket, so there are no more shapes than buckets (and a smaller last
batch), which is what XLA and TPUs want.
"""

import numpy as np

from penstock.pipelines.inputs.input_config import Buckets
from penstock.pipelines.transform.tensor_spec import Tensor

ROUND_UP_TO = 8
"""Boundaries that are found in the data are multiples of this, as TPUs and tensor cores like it."""


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


def boundaries_of(lengths: np.ndarray, buckets: Buckets, known=None) -> list[int]:
    """The longest length of each bucket, ascending.

    Args:
        lengths: int64 [examples].
        known: the boundaries of other examples (the training's, for validation), which are kept; a
            further one is added where these here are longer.

    Raises:
        ValueError: an example is longer than the last boundary that was given.
    """
    longest = int(lengths.max(initial=1))
    if known:
        return [*known, _rounded_up(longest)] if longest > known[-1] else list(known)
    if buckets.boundaries:
        last = buckets.boundaries[-1]
        if longest > last:
            raise ValueError(
                f"`train.buckets.boundaries` must reach to the longest example ({longest}). "
                f"Received: {last} as the last one; {int((lengths > last).sum()):,} examples are "
                "longer. Add a boundary, or cut examples in the task's preparation."
            )
        return list(buckets.boundaries)
    shares = np.arange(1, buckets.count + 1) / buckets.count
    found = np.quantile(np.maximum(lengths, 1), shares, method="higher")
    return sorted({_rounded_up(int(length)) for length in found})


def _rounded_up(length):
    return -(-length // ROUND_UP_TO) * ROUND_UP_TO


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
