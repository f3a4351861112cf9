"""The batches of a training: which splits must be there, training and validation batches.

Comes in: TransformedExamples (and the Examples, for golden records), the `train` section, the task.
Goes out: `tf.data` datasets of what `keras.Model.fit` takes.
"""

import tensorflow as tf

from penstock.pipelines import examples, inputs
from penstock.pipelines.tensor_spec import read_spec
from penstock.tfx.training.config import TrainConfig


def check_splits(transformed, raw, train: TrainConfig, golden_split: str) -> None:
    """Looks before training for what would be missed only during or after it.

    Args:
        transformed, raw: directories of the TransformedExamples and of the Examples.
        golden_split: the split of the golden records.

    Raises:
        ValueError: a split is missing or empty; all such faults at once.
    """
    known = read_spec(transformed)[1]
    faults = [_fault("train.train_split", train.train_split, known)]
    if train.validation_split is not None:
        fault = _fault("train.validation_split", train.validation_split, known)
        more = " `train.validation_split=null` trains without validation."
        faults.append(fault and fault + more)
    faults.append(_fault("evaluate.split", golden_split, examples.splits(raw)))
    if any(faults):
        raise ValueError(" ".join(filter(None, faults)))


def _fault(setting, split, known):
    if known.get(split):
        return None
    there = ", ".join(f"{name} ({count} examples)" for name, count in known.items())
    return (
        f"`{setting}` must name a split with at least one example. Received: {split!r}. "
        f"Splits: {there}. Set `{setting}` or `data.splits`."
    )


def training_batches(directory, train: TrainConfig, task, state, *, seed, first_epoch, first_step):
    """Endless batches from an epoch and step on, see `penstock.pipelines.inputs`."""
    return inputs.training_batches(
        directory,
        train.train_split,
        batch_size=train.batch_size,
        seed=seed,
        first_epoch=first_epoch,
        first_step=first_step,
        shuffle_buffer=train.shuffle_buffer,
        cache=train.cache,
        augment=lambda batch, targets, seed: task.augment(batch, targets, seed, state),
        training_inputs=lambda batch, targets: task.training_inputs(batch, targets, state),
    )


def validation_batches(directory, train: TrainConfig, task, state) -> tf.data.Dataset | None:
    """One pass over the validation split, of known cardinality; None without such a split.

    Held in memory by the same rule as training batches.
    """
    split = train.validation_split
    if split is None:
        return None
    batches = inputs.evaluation_batches(
        directory,
        split,
        batch_size=train.batch_size,
        training_inputs=lambda batch, targets: task.training_inputs(batch, targets, state),
    )
    if inputs.held_in_memory(directory, split, train.cache):
        batches = batches.cache()
    count = inputs.steps_per_epoch(directory, split, train.batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(count))
