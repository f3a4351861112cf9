"""TransformedExamples -> batches (tf.data).

Training batches are infinite and deterministic: epoch *e*, step *s* names the same batch whatever
epoch and step one begins at, and the seed that `augment` gets depends on (seed, e, s) alone. A run
that resumes in mid-epoch therefore goes on with the very batches that it would have seen.

Two ways, chosen by `cache`:
- memory: the split is parsed once into tensors; a batch is one gather by a permutation of the
  whole split. Nothing is read to skip to a step.
- off: shards in shuffled order -> interleave -> shuffle buffer -> batch -> one parse of the batch.
`auto` decides by the size of the data alone (not by the machine's memory), because the two ways
shuffle differently and a resumed run must not change from one to the other.
"""

import math

import tensorflow as tf

from penstock.pipelines.tensor_records import parse
from penstock.pipelines.tensor_spec import AS_INT64, read_spec, shard_path, unflatten

MEMORY_LIMIT_BYTES = 2**30
"""`cache="auto"` holds a split in memory if its tensors take up to this many bytes."""
READ_BATCH = 1024
INTERLEAVED_SHARDS = 8


def num_examples(directory, split: str) -> int:
    """How many examples a split has."""
    splits = read_spec(directory)[1]
    if split not in splits:
        raise ValueError(
            f"The transformed examples have no split {split!r}. Known splits: "
            f"{', '.join(splits)}. Set `data.splits` or name one of these."
        )
    return splits[split]


def steps_per_epoch(directory, split: str, batch_size: int, drop_remainder: bool = False) -> int:
    """Batches in one pass over a split."""
    examples = num_examples(directory, split)
    return examples // batch_size if drop_remainder else -(-examples // batch_size)


def element_spec(directory, batch_size: int | None = None) -> dict:
    """Type specs of a prepared batch: `{"key", "inputs", "targets", "sample_weight"?}`, nested."""
    tensors = read_spec(directory)[0]
    return _nested({name: tensor.type_spec(batch_size) for name, tensor in tensors.items()})


def prepared(directory, split: str, batch_size: int) -> tf.data.Dataset:
    """One pass, in the order on disk: `{"key", "inputs", "targets", "sample_weight"?}`, batched."""
    tensors = read_spec(directory)[0]
    return (
        _read(directory, split)
        .batch(batch_size)
        .map(
            lambda serialised: _nested(parse(serialised, tensors)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    )


def evaluation_batches(directory, split: str, *, batch_size: int, training_inputs=None):
    """One pass in order: `(inputs, targets)` or `(inputs, targets, sample_weight)`.

    Args:
        training_inputs: `f(inputs, targets) -> (inputs, targets)`, the task's; None changes nothing.
    """
    dataset = prepared(directory, split, batch_size)
    return dataset.map(lambda batch: _for_fit(batch, training_inputs)).prefetch(tf.data.AUTOTUNE)


def training_batches(
    directory,
    split: str,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    shuffle_buffer: int = 10_000,
    cache: str = "auto",
    augment=None,
    training_inputs=None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Endless shuffled batches: `(inputs, targets)` or `(inputs, targets, sample_weight)`.

    Args:
        batch_size: the last batch of an epoch is smaller unless `drop_remainder`.
        seed: of shuffling and augmentation.
        first_epoch, first_step: where to begin; what comes before is not computed.
        shuffle_buffer: examples to shuffle among where the split is not held in memory; in memory
            the whole split is shuffled.
        cache: "auto", "memory" or "off", see above.
        augment: `f(inputs, targets, seed) -> (inputs, targets)` on a batch, `seed` int32 [2].
        training_inputs: `f(inputs, targets) -> (inputs, targets)`, after augmentation.

    Raises:
        ValueError: the split is unknown or gives no batch, `cache` is unknown, or `first_step`
            lies behind the end of an epoch.
    """
    steps = steps_per_epoch(directory, split, batch_size, drop_remainder)
    _check(directory, split, steps, batch_size, first_step, cache)
    epoch_of = _in_memory if held_in_memory(directory, split, cache) else _streamed
    batches = epoch_of(directory, split, batch_size, seed, steps, shuffle_buffer, drop_remainder)

    def epoch_batches(epoch):
        start = tf.where(tf.equal(epoch, first_epoch), tf.cast(first_step, tf.int64), 0)
        return batches(epoch, start)

    def finish(epoch, step, batch):
        if augment is not None:
            inputs, targets = augment(
                batch["inputs"], batch["targets"], _augmentation_seed(seed, epoch, step)
            )
            batch = {**batch, "inputs": inputs, "targets": targets}
        return _for_fit(batch, training_inputs)

    dataset = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch_batches)
    dataset = dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    options.deterministic = True
    # Each batch is split among the replicas; the files are not.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _check(directory, split, steps, batch_size, first_step, cache):
    if cache not in ("auto", "memory", "off"):
        raise ValueError(f"`cache` must be auto, memory or off. Received: {cache!r}.")
    if steps == 0:
        raise ValueError(
            f"The split {split!r} gives no batch. Expected: at least one batch of {batch_size}. "
            f"Received: {num_examples(directory, split)} examples. Lower `train.batch_size`."
        )
    if not 0 <= first_step <= steps:
        raise ValueError(
            f"`first_step` must lie in an epoch of {steps} steps. Received: {first_step}. "
            "The checkpoint was written with another batch size or other data."
        )


def held_in_memory(directory, split: str, cache: str) -> bool:
    """Whether a split is kept in memory under the setting `cache`."""
    if cache == "auto":
        return decoded_bytes(directory, split) <= MEMORY_LIMIT_BYTES
    return cache == "memory"


def decoded_bytes(directory, split: str) -> int:
    """What the tensors of a split take in memory: exact for dense ones, at most for others.

    Files do not tell: an int64 list on disk takes one byte for a small number.
    """
    tensors = {name: t for name, t in read_spec(directory)[0].items() if name != "key"}
    varying = [t for t in tensors.values() if t.ragged_rank or t.dtype == "string"]
    # Growth from the file: a number takes at least one byte there; strings have headers in memory.
    growth = max((_item_bytes(t) if t.dtype in AS_INT64 else 2 for t in varying), default=0)
    dense = [t for t in tensors.values() if not t.ragged_rank and t.dtype != "string"]
    on_disk = sum(path.stat().st_size for path in _shards(directory, split)) if varying else 0
    of_example = sum(_item_bytes(t) * math.prod(t.shape) for t in dense)
    return num_examples(directory, split) * of_example + growth * on_disk


def _item_bytes(tensor):
    return tf.as_dtype(tensor.dtype).size


def _in_memory(directory, split, batch_size, seed, steps, shuffle_buffer, drop_remainder):
    """Returns `f(epoch, start) -> Dataset of (epoch, step, batch)` that gathers from tensors."""
    del shuffle_buffer
    examples = num_examples(directory, split)
    tensors = {name: t for name, t in read_spec(directory)[0].items() if name != "key"}
    # On the CPU, where tf.data runs: an accelerator's memory is the model's.
    with tf.device("/CPU:0"):
        read = _read(directory, split).batch(READ_BATCH)
        parts = [parse(serialised, tensors) for serialised in read]
        # `pop`: the parts of one tensor are freed before the next tensor's are put together.
        columns = {name: tf.concat([part.pop(name) for part in parts], axis=0) for name in tensors}

    def epoch_batches(epoch, start):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(examples, dtype=tf.int64), tf.stack([tf.cast(seed, tf.int64), epoch]), "philox"
        )

        def batch(step):
            rows = order[step * batch_size : (step + 1) * batch_size]
            if drop_remainder:
                rows.set_shape([batch_size])
            gathered = {name: tf.gather(column, rows) for name, column in columns.items()}
            return epoch, step, _nested(gathered)

        return tf.data.Dataset.range(start, steps).map(batch)

    return epoch_batches


def _streamed(directory, split, batch_size, seed, steps, shuffle_buffer, drop_remainder):
    """Returns `f(epoch, start) -> Dataset of (epoch, step, batch)` that reads the shards."""
    tensors = {name: t for name, t in read_spec(directory)[0].items() if name != "key"}
    paths = [str(path) for path in _shards(directory, split)]

    def epoch_batches(epoch, start):
        if not tf.executing_eagerly():
            # Sets the seed of this graph alone. With the caller's `tf.random.set_seed(0)` in it,
            # `Dataset.shuffle` compares its seeds with (0, 0), which tensors in a graph cannot do.
            tf.random.set_seed(1)
        seeds = tf.random.stateless_uniform(
            [2], tf.stack([tf.cast(seed, tf.int64), epoch]), None, None, tf.int64, "philox"
        )
        shards = tf.data.Dataset.from_tensor_slices(paths)
        shards = shards.shuffle(len(paths), seed=seeds[0], reshuffle_each_iteration=False)
        records = shards.interleave(
            tf.data.TFRecordDataset,
            cycle_length=INTERLEAVED_SHARDS,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        records = records.shuffle(shuffle_buffer, seed=seeds[1], reshuffle_each_iteration=False)
        batches = tf.data.Dataset.zip(
            tf.data.Dataset.range(steps), records.batch(batch_size, drop_remainder=drop_remainder)
        ).skip(start)
        return batches.map(
            lambda step, serialised: (epoch, step, _nested(parse(serialised, tensors))),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    return epoch_batches


def _augmentation_seed(seed, epoch, step):
    """int32 [2], from (seed, epoch, step) alone."""
    folded = tf.random.fold_in(tf.constant([seed, 0], tf.int32), tf.cast(epoch, tf.int32))
    return tf.random.fold_in(folded, tf.cast(step, tf.int32))


def _for_fit(batch, training_inputs):
    """What `keras.Model.fit` takes."""
    inputs, targets = batch["inputs"], batch["targets"]
    if training_inputs is not None:
        inputs, targets = training_inputs(inputs, targets)
    if "sample_weight" in batch:
        return inputs, targets, batch["sample_weight"]
    return inputs, targets


def _nested(flat):
    batch = {"key": flat["key"]} if "key" in flat else {}
    if any(name.split("/")[0] == "sample_weight" for name in flat):
        batch["sample_weight"] = unflatten(flat, "sample_weight")
    return {**batch, "inputs": unflatten(flat, "inputs"), "targets": unflatten(flat, "targets")}


def _shards(directory, split):
    count = read_spec(directory)[2][split]
    return [shard_path(directory, split, index, count) for index in range(count)]


def _read(directory, split):
    """Serialised examples of a split in the order on disk."""
    num_examples(directory, split)
    return tf.data.TFRecordDataset([str(path) for path in _shards(directory, split)])
