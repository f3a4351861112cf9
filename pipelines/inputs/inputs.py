"""TransformedExamples -> batches (tf.data).

Training batches are infinite and deterministic: epoch *e*, step *s* names the same batch whatever
epoch and step one begins at, and the seed that `augment` gets depends on (seed, e, s) alone. A run
that resumes in mid-epoch therefore goes on with the very batches that it would have seen, and
reads nothing of what comes before.

The way of a batch: `input_plan.py` says by arithmetic which rows it has (a shuffle of the whole
split, or of a mixture, or within buckets of equal length, see `input_layout.py`); `input_rows.py`
gathers these rows from memory, disk or the records; `input_padding.py` or `input_packing.py` makes
ragged rows dense; the task augments. Where rows are kept (`cache`) changes no batch.
"""

import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from penstock.pipelines.inputs.input_batches import Batches, for_fit, nested
from penstock.pipelines.inputs.input_layout import Batching
from penstock.pipelines.inputs.input_split import (
    OnTheFly,
    PreparedSplit,
    held_bytes,
    num_examples,
    prepared_split,
)
from penstock.pipelines.transform.tensor_spec import read_spec

__all__ = ["Batches", "Batching", "OnTheFly", "PreparedSplit", "num_examples", "prepared_split"]

CACHES = ("auto", "memory", "disk", "off")
MEMORY_LIMIT_BYTES = 2**30
"""`cache="auto"` holds splits in memory if their tensors take up to this many bytes together."""


def steps_per_epoch(directory, split: str, batch_size: int, drop_remainder: bool = False) -> int:
    """Batches in one pass over a split, without buckets and packing."""
    examples = num_examples(directory, split)
    return examples // batch_size if drop_remainder else -(-examples // batch_size)


def element_spec(directory, batch_size: int | None = None) -> dict:
    """Type specs of a prepared batch: `{"key", "inputs", "targets", "sample_weight"?}`, nested."""
    tensors = read_spec(directory)[0]
    return nested({name: tensor.type_spec(batch_size) for name, tensor in tensors.items()})


def prepared(
    directory, split: str, batch_size: int, on_the_fly: OnTheFly | None = None
) -> tf.data.Dataset:
    """One pass, in the order on disk: `{"key", "inputs", "targets", "sample_weight"?}`, batched."""
    return prepared_split(directory, split, on_the_fly).in_order(batch_size).map(nested)


def evaluation_batches(
    directory, split: str, *, batch_size: int, training_inputs=None, on_the_fly=None
):
    """One pass in order: `(inputs, targets)` or `(inputs, targets, sample_weight)`.

    Args:
        training_inputs: `f(inputs, targets) -> (inputs, targets)`, the task's; None changes nothing.
        on_the_fly: see `prepared_split`.
    """
    dataset = prepared(directory, split, batch_size, on_the_fly)
    return dataset.map(lambda batch: for_fit(batch, training_inputs)).prefetch(tf.data.AUTOTUNE)


def training_batches(
    directory,
    split: str,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    shuffle_buffer: int | None = None,
    cache: str = "auto",
    augment=None,
    training_inputs=None,
    drop_remainder: bool = False,
    on_the_fly: OnTheFly | None = None,
    scratch=None,
    **batching,
) -> tf.data.Dataset:
    """Endless shuffled batches of one split: `(inputs, targets)` or with `sample_weight` third.

    Args:
        batch_size: the last batch of an epoch is smaller unless `drop_remainder`.
        seed: of shuffling and augmentation.
        first_epoch, first_step: where to begin; what comes before is neither read nor computed.
        shuffle_buffer: None shuffles the whole split; a number about so many neighbours at a time
            (`Batching.shuffle_window`).
        cache: "auto", "memory", "disk" or "off", see `decided_cache`.
        augment: `f(inputs, targets, seed) -> (inputs, targets)` on a batch, `seed` int32 [2].
        training_inputs: `f(inputs, targets) -> (inputs, targets)`, after augmentation.
        on_the_fly: what prepares the examples where they are not stored.
        scratch: a directory for `cache="disk"`.
        batching: further attributes of `Batching`: buckets, packing, padding, host, keys.

    Raises:
        ValueError: the split is unknown or gives no batch, `cache` is unknown, or `first_step`
            lies behind the end of an epoch.
    """
    batches = open_batches(
        [(prepared_split(directory, split, on_the_fly), 1.0)],
        Batching(batch_size, drop_remainder, shuffle_window=shuffle_buffer, **batching),
        cache=cache,
        seed=seed,
        scratch=scratch,
    )
    return tuned(
        lambda parallel: batches.training(
            first_epoch, first_step, augment, training_inputs, parallel
        )
    )


def open_batches(
    parts: Sequence[tuple[PreparedSplit, float]],
    batching: Batching,
    *,
    cache: str = "auto",
    seed: int | None,
    scratch=None,
) -> Batches:
    """The batches of several splits, also of several directories, mixed by weight.

    Example: `open_batches([(prepared_split(clean, "train"), 3.0), (prepared_split(noisy, "train"),
    1.0)], Batching(64), seed=0)` gives batches of which three quarters come from `clean`.

    Args:
        parts, batching, seed, scratch: see `Batches`.
        cache: "auto", "memory", "disk" or "off".
    """
    decided = decided_cache([split for split, _ in parts], cache)
    return Batches(parts, batching, cache=decided, seed=seed, scratch=scratch)


def decided_cache(splits: Sequence[PreparedSplit], cache: str) -> str:
    """ "memory", "disk" or "off": `auto` holds in memory what takes up to `MEMORY_LIMIT_BYTES`."""
    if cache not in CACHES:
        raise ValueError(f"`cache` must be auto, memory, disk or off. Received: {cache!r}.")
    if cache != "auto":
        return cache
    # Several data sets of one split are held once.
    held = {split.paths: split for split in splits}.values()
    fits = sum(split.decoded_bytes() for split in held) <= MEMORY_LIMIT_BYTES
    return "memory" if fits else "off"


MEASURED_BATCHES = 4
"""Of rows of different lengths the first may be the smallest; of each more the start takes longer."""


def tuned(
    build: Callable[[int], tf.data.Dataset],
    memory_mb: int | None = None,
    measured: Callable[[], tf.data.Dataset] | None = None,
) -> tf.data.Dataset:
    """Prefetches, with as many batches in flight as tf.data finds best or `memory_mb` allows.

    tf.data's own bound (`autotune.ram_budget`) does not keep batches back: with 192 MB a batch, a
    process grew by 865 MB at any budget from 100 MB up. So some batches are measured here and the
    others counted as the largest of them; with `memory_mb=400` the same process grew by 612 MB, one
    batch in the consumer's hands and one in the making included.

    Args:
        build: `f(parallel_calls) -> batches`.
        memory_mb: bounds the memory of the finished batches in flight; at least one is.
        measured: gives batches that begin with the largest, if it is known which one that is
            (`Batches.heaviest_step`); None measures those that `build` begins with.
    """
    options = tf.data.Options()
    options.deterministic = True
    # Each batch is split among the replicas; the files are not.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    if memory_mb is None:
        return build(tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE).with_options(options)
    some = (measured() if measured else build(1)).take(MEASURED_BATCHES)
    largest = max(map(held_bytes, some), default=0)
    in_flight = max(memory_mb * 2**20 // max(largest, 1), 1)
    parallel = min(len(os.sched_getaffinity(0)), -(-in_flight // 2))
    batches = build(parallel)
    waiting = min(in_flight - parallel, 2 * parallel)
    return (batches.prefetch(waiting) if waiting else batches).with_options(options)
