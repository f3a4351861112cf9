"""Batches of one or several splits: rows, the plan of their batches, and what is done to a batch.

Comes in: `PreparedSplit`s with weights and how to batch them. Goes out: endless training batches
from any epoch and step on, or one pass in a fixed order. A batch is: rows from the plan, gathered,
padded or packed where asked for, augmented, and given the form that `fit` takes.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from penstock.pipelines.inputs import input_layout, input_packing, input_padding
from penstock.pipelines.inputs.input_layout import Batching
from penstock.pipelines.inputs.input_rows import open_rows
from penstock.pipelines.inputs.input_split import PreparedSplit
from penstock.pipelines.transform.tensor_spec import unflatten


class Batches:
    """The batches of some splits.

    Args:
        parts: (split, weight) pairs; a split may be one data set of it (`PreparedSplit.data_set`).
            An epoch has as many examples as all parts together, each part its weight's share of
            them; a part that gives fewer than it has goes on with the others in the next epoch, one
            that must give more begins again, in new order.
        batching: see there.
        cache: "memory", "disk" or "off", decided.
        seed: of shuffling and augmentation; None keeps the order on disk (within buckets).
        scratch: directory for what is kept between starts, or None.

    Attributes:
        bounds: of each bucket, ascending, to what length each ragged tensor is padded, by flat name;
            None without buckets.
        tokens_per_batch: that of the buckets; None where the number of examples is set.
        steps_per_epoch: batches in each epoch.
        examples_per_epoch: examples in them, of all hosts together.
        padding_share: part of the places of ragged tensors that is padding, in the first epoch;
            None without buckets or packing.
        totals: of each ragged tensor, the sum of its lengths in the first epoch, of all hosts
            together; empty without buckets or packing.

    Raises:
        ValueError: parts differ in their tensors, give no batch, or cannot be bucketed or packed.
    """

    def __init__(
        self,
        parts: Sequence[tuple[PreparedSplit, float]],
        batching: Batching,
        *,
        cache: str,
        seed: int | None,
        scratch=None,
    ):
        _check(parts, batching, cache, scratch)
        # Several data sets of one split are rows of the same files.
        wholes = {split.paths: split for split, _ in parts}
        splits = list(wholes.values())
        tensors = {n: t for n, t in splits[0].tensors.items() if n != "key" or batching.keys}
        self._batching, self._seed = batching, seed
        self._ragged = input_layout.ragged_names(tensors, batching)
        self._rows = open_rows(splits, list(tensors), cache, scratch, batching.shuffle_window)
        lengths = self._rows.lengths(self._ragged) if self._ragged else None
        counts = [split.examples for split in splits]
        self._chosen = None
        if len(splits) < len(parts) or any(split.data_set for split in splits):
            chosen = _chosen_rows(parts, wholes)
            counts = [len(rows) for rows in chosen]
            self._chosen = np.concatenate(chosen)
            lengths = lengths if lengths is None else lengths[self._chosen]
        layout = input_layout.lay_out(
            [(count, weight) for count, (_, weight) in zip(counts, parts, strict=True)],
            batching,
            seed,
            lengths,
            self._ragged,
        )
        self._plan, self.bounds = layout.plan, layout.bounds
        self._row_lengths = layout.row_lengths
        packed = layout.members is not None
        if packed:
            with tf.device("/CPU:0"):
                self._members = tf.RaggedTensor.from_row_splits(*layout.members, validate=False)
        self.tokens_per_batch = batching.buckets and batching.buckets.tokens_per_batch
        self.steps_per_epoch = self._plan.steps
        self.examples_per_epoch = len(layout.members[0]) if packed else int(self._plan.sizes.sum())
        self.padding_share, self.totals = layout.padding_share, layout.totals

    def training(
        self,
        first_epoch=0,
        first_step=0,
        augment=None,
        training_inputs=None,
        parallel=tf.data.AUTOTUNE,
    ):
        """Endless batches from an epoch and step on; nothing before them is read or computed.

        Args:
            augment: `f(inputs, targets, seed) -> (inputs, targets)`, `seed` int32 [2].
            training_inputs: `f(inputs, targets) -> (inputs, targets)`, after augmentation.
            parallel: batches that are made at the same time.
        """
        if not 0 <= first_step <= self.steps_per_epoch:
            raise ValueError(
                f"`first_step` must lie in an epoch of {self.steps_per_epoch} steps. Received: "
                f"{first_step}. The checkpoint was written with another batch size or other data."
            )

        def epoch_steps(epoch):
            start = tf.where(tf.equal(epoch, first_epoch), tf.cast(first_step, tf.int64), 0)
            return self._steps(epoch, start)

        def finish(epoch, step, rows, bucket):
            batch = self._batch(rows, bucket)
            if augment is not None:
                inputs, targets = augment(
                    batch["inputs"], batch["targets"], _augmentation_seed(self._seed, epoch, step)
                )
                batch = {**batch, "inputs": inputs, "targets": targets}
            return self._for_fit(batch, training_inputs)

        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
        return _parallel_map(epochs.flat_map(epoch_steps), finish, parallel)

    def once(self, training_inputs=None, parallel=tf.data.AUTOTUNE, first_step=0):
        """One pass over all examples, of known cardinality; no augmentation."""
        dataset = self._steps(tf.constant(0, tf.int64), tf.constant(first_step, tf.int64))
        batches = _parallel_map(
            dataset,
            lambda epoch, step, rows, bucket: self._for_fit(
                self._batch(rows, bucket), training_inputs
            ),
            parallel,
        )
        return batches.apply(
            tf.data.experimental.assert_cardinality(self.steps_per_epoch - first_step)
        )

    def heaviest_step(self, epoch=0) -> int:
        """A step of an epoch whose batch is the largest as far as the plan tells: by its bucket."""
        if not self.bounds:
            return 0
        steps = self._plan.epoch(epoch)
        places = np.array([sum(bound.values()) for bound in self.bounds])
        return int(np.argmax(np.diff(steps.splits) * places[steps.buckets]))

    def largest(self) -> list[tuple[int, dict[str, int]]]:
        """This host's largest batch of each bucket: (examples, padded length of each ragged tensor).

        One batch without buckets; its rows when packed. No lengths where they are not known.
        """
        steps = self._plan.epoch(0)
        sizes = np.diff(steps.splits)
        lengths = self.bounds or [self._row_lengths]
        return [
            (int(sizes[steps.buckets == bucket].max()), lengths[bucket])
            for bucket in np.unique(steps.buckets)
        ]

    def _steps(self, epoch, start):
        """Dataset of (epoch, step, rows, bucket)."""

        def arrays(epoch):
            steps = self._plan.epoch(int(epoch))
            return steps.rows, steps.splits, steps.buckets

        types = [tf.int64] * 3
        # Stateless: op determinism would run a stateful function apart from everything else.
        rows, splits, buckets = tf.numpy_function(arrays, [epoch], types, stateful=False)
        for tensor in (rows, splits, buckets):
            tensor.set_shape([None])
        index, hosts = self._batching.host
        size = self._batching.batch_size
        static = self._batching.drop_remainder and not self._batching.buckets
        own = size * (index + 1) // hosts - size * index // hosts

        def step_rows(step):
            of_step = rows[splits[step] : splits[step + 1]]
            if static:
                of_step.set_shape([own])
            return epoch, step, of_step, buckets[step]

        return tf.data.Dataset.range(start, self.steps_per_epoch).map(step_rows)

    def _batch(self, rows, bucket):
        """A nested batch `{"key"?, "inputs", "targets", "sample_weight"?}`."""
        padding = self._batching.padding
        if self._batching.packing:
            members = tf.gather(self._members, rows)
            flat = self._gather(members.flat_values)
            flat = input_packing.place(flat, members.row_splits, self._row_lengths, padding)
            for tensor in flat.values():
                if isinstance(tensor, tf.Tensor):
                    tensor.set_shape([*rows.shape, *tensor.shape[1:]])
            return nested(flat)
        flat = self._gather(rows)
        if self._batching.buckets:
            for name in self._ragged:
                bounds = [bound[name] for bound in self.bounds]
                alike = len(set(bounds)) == 1
                length = bounds[0] if alike else tf.gather(tf.constant(bounds), bucket)
                flat[name] = input_padding.padded(flat[name], length, padding.get(name, 0))
        return nested(flat)

    def _gather(self, rows):
        """The tensors of planned rows, which number the chosen ones of all parts."""
        if self._chosen is not None:
            with tf.device("/CPU:0"):
                rows = tf.gather(tf.constant(self._chosen, tf.int64), rows)
        return self._rows.gather(rows)

    def _for_fit(self, batch, training_inputs):
        fitted = for_fit(batch, training_inputs)
        if not self._batching.keys:
            return fitted
        return *fitted[:2], batch.get("sample_weight"), batch["key"]


def for_fit(batch, training_inputs):
    """What `keras.Model.fit` takes: `(inputs, targets)` or `(inputs, targets, sample_weight)`."""
    inputs, targets = batch["inputs"], batch["targets"]
    if training_inputs is not None:
        inputs, targets = training_inputs(inputs, targets)
    if "sample_weight" in batch:
        return inputs, targets, batch["sample_weight"]
    return inputs, targets


def nested(flat):
    """Flat prepared tensors -> `{"key"?, "inputs", "targets", "sample_weight"?}`."""
    batch = {"key": flat["key"]} if "key" in flat else {}
    if any(name.split("/")[0] == "sample_weight" for name in flat):
        batch["sample_weight"] = unflatten(flat, "sample_weight")
    return {**batch, "inputs": unflatten(flat, "inputs"), "targets": unflatten(flat, "targets")}


def _parallel_map(dataset, function, parallel):
    return dataset.map(function, num_parallel_calls=parallel, deterministic=True)


def _augmentation_seed(seed, epoch, step):
    """int32 [2], from (seed, epoch, step) alone."""
    folded = tf.random.fold_in(tf.constant([seed, 0], tf.int32), tf.cast(epoch, tf.int32))
    return tf.random.fold_in(folded, tf.cast(step, tf.int32))


def _check(parts, batching, cache, scratch):
    first = parts[0][0]
    for split, weight in parts:
        if split.tensors != first.tensors:
            raise ValueError(
                "Splits that are mixed must have the same tensors. Expected: "
                f"{sorted(first.tensors)}. Received: {sorted(split.tensors)}, or other shapes or "
                "dtypes. Prepare them with the same task and settings."
            )
        if _way(split) != _way(first):
            raise ValueError(
                "Splits that are mixed must be prepared in one way. Expected: all of them stored, or "
                "one preparation and one state for all. Received: several. Prepare them alike."
            )
        if not split.examples or not weight > 0:
            raise ValueError(
                "Each split that is trained on must have an example and a weight above 0. "
                f"Received: {split.examples} examples, weight {weight}. Leave it out."
            )
    if batching.buckets and batching.packing:
        raise ValueError("`train.buckets` and `train.packing` exclude each other. Set one of them.")
    if batching.batch_size < batching.host[1]:
        raise ValueError(
            f"`train.batch_size` must be at least the number of hosts ({batching.host[1]}). "
            f"Received: {batching.batch_size}."
        )
    if cache == "disk" and scratch is None:
        raise ValueError("`cache='disk'` needs a `scratch` directory. Received: None.")
    _check_padding(batching.padding, first.tensors)


def _chosen_rows(parts, wholes):
    """Of each part the rows of all files that it has, in the order of `wholes`."""
    starts = dict(zip(wholes, np.cumsum([0, *(w.examples for w in wholes.values())]), strict=False))
    chosen = [starts[split.paths] + split.rows() for split, _ in parts]
    for rows, (split, _) in zip(chosen, parts, strict=True):
        if not len(rows):
            raise ValueError(
                f"Of the data set `{split.data_set}` the split has no example: no key begins with "
                f"`{split.data_set}/`. Correct `train.mixture`, whose names are `split/data set`, or "
                "look at the quarantine, and at what the task's `expand` makes of the keys."
            )
    return chosen


def _way(split):
    """What its records are decoded with."""
    way = split.on_the_fly
    return way and (id(way.preparation), id(way.state))


def _check_padding(padding, tensors):
    unknown = set(padding) - {name for name, tensor in tensors.items() if tensor.ragged_rank}
    if unknown:
        raise ValueError(
            f"`train.padding` must name ragged tensors. Received: {', '.join(sorted(unknown))}. "
            f"Tensors: {', '.join(sorted(tensors))}."
        )
    for name, value in padding.items():
        if not _fits(value, tf.as_dtype(tensors[name].dtype)):
            raise ValueError(
                f"`train.padding` of `{name}` must be of its dtype, {tensors[name].dtype}. "
                f"Received: {value!r}."
            )


def _fits(value, dtype):
    try:
        tf.constant(value, dtype)
        # TensorFlow takes -1 for 255 where bytes are wanted.
        return not dtype.is_integer or dtype.min <= value <= dtype.max
    except (TypeError, ValueError):
        return False
