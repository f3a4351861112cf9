"""The batches of a training: which splits must be there, training and validation batches.

Comes in: TransformedExamples (and the Examples, for golden records), the `train` section, the task.
Goes out: `tf.data` datasets of what `keras.Model.fit` takes.
"""

from dataclasses import replace

import tensorflow as tf

from penstock.pipelines import examples as raw_examples
from penstock.pipelines.inputs import inputs
from penstock.pipelines.transform.tensor_spec import is_stored
from penstock.tfx.training.config import TrainConfig
from penstock.tfx.training.split_faults import split_faults
from penstock.tfx.training.wanted_splits import wanted_splits


def check_splits(raw, train: TrainConfig, golden_split: str) -> None:
    """Looks before training for what would be missed only during or after it.

    Args:
        raw: directory of the Examples, whose splits the TransformedExamples have, too.
        golden_split: the split of the golden records.

    Raises:
        ValueError: a split is missing or empty; all such faults at once.
    """
    faults = split_faults(wanted_splits(train, golden_split), raw_examples.splits(raw))
    if faults:
        raise ValueError(" ".join(faults))


def open_training(
    directory, train: TrainConfig, task, state, *, seed, examples=None, scratch=None
) -> inputs.Batches:
    """The batches of a training: how many steps an epoch has, and `training_batches` from it.

    Args:
        directory: of the TransformedExamples.
        seed: of shuffling and augmentation.
        examples: directory of the raw Examples; needed with `train.prepare: on_the_fly`.
        scratch: a directory that comes back after a kill; needed with `train.cache: disk`.
    """
    parts = training_parts(directory, train, task, state, examples)
    return inputs.open_batches(
        parts, _batching(train), cache=train.cache, seed=seed, scratch=scratch
    )


def work_per_step(opened: inputs.Batches, task) -> dict[str, float]:
    """What a step handles on average, by unit: examples, and the unit that the task names.

    Raises:
        ValueError: the task counts a tensor that is not ragged.
    """
    work = {"examples": float(opened.examples_per_epoch)}
    named = task.throughput_unit() if opened.totals else None
    if named:
        unit, tensors = named
        if unknown := tensors.keys() - opened.totals.keys():
            raise ValueError(
                "`throughput_unit` must name ragged prepared tensors. Expected: of "
                f"{', '.join(opened.totals)}. Received: {', '.join(sorted(unknown))}. Correct the "
                "task."
            )
        work[unit] = sum(opened.totals[name] * units for name, units in tensors.items())
    return {unit: count / opened.steps_per_epoch for unit, count in work.items()}


def training_parts(directory, train: TrainConfig, task, state, examples=None):
    """(split, weight) of each split that is trained on; arguments as of `open_training`."""
    prepares = _on_the_fly(directory, task, state, examples)
    return [
        (inputs.prepared_split(directory, split, prepares), weight)
        for split, weight in train.weights.items()
    ]


def training_batches(
    directory, train: TrainConfig, task, state, *, seed, first_epoch, first_step, opened=None
) -> tf.data.Dataset:
    """Endless batches from an epoch and step on, see `penstock.pipelines.inputs.inputs`.

    Args:
        opened: what `open_training` gave, where more than the batches is wanted of it.
    """
    opened = opened or open_training(directory, train, task, state, seed=seed)

    def build(parallel, step=first_step):
        return opened.training(
            first_epoch,
            step,
            augment=lambda batch, targets, seed: task.augment(batch, targets, seed, state),
            training_inputs=lambda batch, targets: task.training_inputs(batch, targets, state),
            parallel=parallel,
        )

    heaviest = opened.heaviest_step
    return inputs.tuned(
        build, train.input_memory_mb, measured=lambda: build(1, heaviest(first_epoch))
    )


def validation_batches(
    directory, train: TrainConfig, task, state, *, examples=None, scratch=None, bounds=None
) -> tf.data.Dataset | None:
    """One pass over the validation split, of known cardinality; None without such a split.

    Kept in memory by the same rule as training batches; padded or packed like these.

    Args:
        examples, scratch: see `open_training`.
        bounds: of the training's buckets (`Batches.bounds`); longer examples have a further one.
    """
    if train.validation_split is None:
        return None
    prepares = _on_the_fly(directory, task, state, examples)
    split = inputs.prepared_split(directory, train.validation_split, prepares)
    cache = inputs.decided_cache([split], train.cache)

    def training_inputs(batch, targets):
        return task.training_inputs(batch, targets, state)

    if train.buckets or train.packing or cache == "disk":
        batching = replace(_batching(train), bounds=bounds)
        # In memory the finished batches are kept, see below.
        kept = "disk" if cache == "disk" else "off"
        opened = inputs.open_batches(
            [(split, 1.0)], batching, cache=kept, seed=None, scratch=scratch
        )
        count = opened.steps_per_epoch
        batches = inputs.tuned(
            lambda parallel: opened.once(training_inputs, parallel),
            train.input_memory_mb,
            measured=lambda: opened.once(training_inputs, 1, opened.heaviest_step()),
        )
    else:
        batches = inputs.evaluation_batches(
            directory,
            train.validation_split,
            batch_size=train.batch_size,
            training_inputs=training_inputs,
            on_the_fly=prepares,
        )
        count = -(-split.examples // train.batch_size)
    if cache == "memory":
        batches = batches.cache()
    return batches.apply(tf.data.experimental.assert_cardinality(count))


def _batching(train):
    return inputs.Batching(
        train.batch_size,
        buckets=train.buckets,
        packing=train.packing,
        padding=train.padding,
        shuffle_window=train.shuffle_buffer,
    )


def _on_the_fly(directory, task, state, examples):
    if is_stored(directory) or examples is None:
        return None
    return inputs.OnTheFly(examples, task, state)
