"""Batches that do not fit into memory, said in a sentence: before training, or when one did not.

On the CPU the system ends a process that takes too much without a word, so the task is asked
beforehand what its largest batch needs. An accelerator is not asked: TensorFlow does not say how
much of it is free, but raises an error there that can be put into words.
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from penstock.models.task import Task
from penstock.pipelines.inputs.inputs import Batches
from penstock.tfx import memory


def check(task: Task, state, batches: Batches, on_cpu: bool) -> None:
    """Raises ValueError where a batch needs more than is left, as far as the task knows."""
    if not on_cpu:
        return
    largest = [
        (needed, size, lengths)
        for size, lengths in batches.largest()
        if (needed := task.activation_bytes(size, lengths, state)) is not None
    ]
    if not largest:
        return
    needed, size, lengths = max(largest, key=lambda entry: entry[0])
    free = memory.free_bytes()
    if needed > free:
        raise ValueError(
            "The largest batch must fit into memory. Expected: at most "
            f"{_gigabytes(free)}, which this machine has left. Received: about "
            f"{_gigabytes(needed)} for {_shape(size, lengths)}. "
            f"{_remedy(batches, int(size * free / needed), lengths)}"
        )


@contextlib.contextmanager
def in_words(batches: Batches) -> Iterator[None]:
    """Within it, TensorFlow's error for memory that has run out becomes a ValueError.

    The message of an allocator names no example, so the largest batches are named.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not _is_exhausted(error):
            raise
        largest = max(batches.largest(), key=lambda batch: batch[0] * sum(batch[1].values()))
        first_line = str(error.message).strip().split("\n")[0]
        raise ValueError(
            "The memory of the device ran out in training. Expected: a batch that fits. Received: "
            f"batches of up to {_shape(*largest)}. {_remedy(batches, None)} "
            f"TensorFlow says: {first_line[:200]}"
        ) from error


def _is_exhausted(error: tf.errors.OpError) -> bool:
    """XLA gives the same as an internal error."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return True
    return isinstance(error, tf.errors.InternalError) and (
        "RESOURCE_EXHAUSTED" in str(error.message) or "out of memory" in str(error.message).lower()
    )


def _shape(size, lengths) -> str:
    padded = ", ".join(f"`{name}` {length:,}" for name, length in lengths.items())
    return f"{size:,} examples" + (f" padded to the lengths {padded}" if padded else "")


def _remedy(batches, fitting: int | None, lengths=None) -> str:
    """What to lower; `fitting` is how many examples of `lengths` would fit, None where it is unknown."""
    cut = "cut long examples in the task's preparation" if batches.totals else "use a smaller model"
    if fitting == 0:
        return f"Not even one example fits: {cut}, or use a smaller model or a larger machine."
    if batches.tokens_per_batch:
        tokens = f" (about {fitting * max(lengths.values()):,} would fit)" if fitting else ""
        return f"Lower `train.buckets.tokens_per_batch`{tokens}; or {cut}."
    size = "Lower `train.batch_size`" + (f" (about {fitting:,} would fit)" if fitting else "")
    if batches.bounds:
        size += ", or set `train.buckets.tokens_per_batch` so that long examples come in fewer"
    return f"{size}; or {cut}."


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
