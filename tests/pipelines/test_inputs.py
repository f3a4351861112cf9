"""Batches: complete, repeatable, resumable at any step, ragged where the data is."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines import inputs
from penstock.pipelines.tensor_records import encode
from penstock.pipelines.tensor_spec import Tensor, shard_path, write_spec
from penstock.pipelines.tfrecord import write_records

TENSORS = {
    "key": Tensor("string", ()),
    "inputs/ids": Tensor("int64", (None,), 1),
    "inputs/image": Tensor("uint8", (2, 2, 1)),
    "targets": Tensor("int64", ()),
}
EXAMPLES = 23


@pytest.fixture
def directory(tmp_path):
    """23 examples in 3 shards; example i has target i, ids [i] * (i % 4) and an image of i."""
    write_split(tmp_path, TENSORS)
    return tmp_path


def write_split(directory, tensors, **more):
    numbers = np.arange(EXAMPLES)
    ids = [[i] * (i % 4) for i in numbers.tolist()]
    flat = {
        "key": tf.constant([f"k{i:02d}" for i in numbers]),
        "inputs/ids": tf.ragged.constant(ids, tf.int64, row_splits_dtype=tf.int64),
        "inputs/image": tf.constant(np.tile(numbers[:, None, None, None], (1, 2, 2, 1)), tf.uint8),
        "targets": tf.constant(numbers, tf.int64),
        **more,
    }
    records = encode(flat, tensors)
    for index, part in enumerate((records[:9], records[9:10], records[10:])):
        write_records(shard_path(directory, "train", index, 3), part)
    write_spec(directory, tensors, {"train": EXAMPLES}, {"train": 3})


def targets_of(dataset, steps):
    return [batch[1].numpy().tolist() for batch in dataset.take(steps)]


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_an_epoch_holds_every_example_once_in_new_order(directory, cache):
    batches = inputs.training_batches(directory, "train", batch_size=5, seed=1, cache=cache)
    seen = targets_of(batches, 10)
    assert [len(batch) for batch in seen] == [5, 5, 5, 5, 3] * 2
    first, second = sum(seen[:5], []), sum(seen[5:], [])
    assert sorted(first) == sorted(second) == list(range(EXAMPLES))
    assert first != second
    assert first != list(range(EXAMPLES))


@pytest.mark.parametrize("cache", ["memory", "off"])
@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 3), (1, 0), (1, 4), (1, 5), (2, 1)])
def test_resuming_names_the_same_batches(directory, cache, epoch, step):
    def augment(images, targets, seed):
        noise = tf.random.stateless_uniform(tf.shape(targets), seed, 0, 2**31 - 1, tf.int64)
        return {**images, "noise": noise}, targets

    def batches(**start):
        return inputs.training_batches(
            directory,
            "train",
            batch_size=5,
            seed=3,
            shuffle_buffer=7,
            cache=cache,
            augment=augment,
            **start,
        )

    def contents(dataset, steps):
        return [(x["noise"].numpy().tolist(), y.numpy().tolist()) for x, y in dataset.take(steps)]

    whole = contents(batches(), 15)
    done = epoch * 5 + step
    assert contents(batches(first_epoch=epoch, first_step=step), 15 - done) == whole[done:]
    assert whole[0][0] != whole[1][0]


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_another_seed_gives_another_order(directory, cache):
    orders = [
        targets_of(
            inputs.training_batches(directory, "train", batch_size=5, seed=s, cache=cache), 5
        )
        for s in (0, 1)
    ]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_contents_stay_together_and_ragged(directory, cache):
    batches = inputs.training_batches(
        directory, "train", batch_size=4, seed=0, cache=cache, drop_remainder=True
    )
    assert batches.element_spec[0]["image"].shape == [4, 2, 2, 1]
    for features, targets in batches.take(7):
        numbers = targets.numpy()
        assert len(numbers) == 4
        assert features["ids"].to_list() == [[i] * (i % 4) for i in numbers.tolist()]
        assert features["ids"].row_splits.dtype == tf.int64
        np.testing.assert_array_equal(features["image"][:, 1, 0, 0], numbers)


def test_training_inputs_follow_augmentation(directory):
    batches = inputs.training_batches(
        directory,
        "train",
        batch_size=5,
        seed=0,
        augment=lambda x, y, seed: (x, y + 100),
        training_inputs=lambda x, y: {"fed": y},
    )
    features, targets = next(iter(batches))
    np.testing.assert_array_equal(features["fed"], targets)
    assert min(targets) >= 100


def test_one_pass_in_order(directory):
    batches = list(inputs.evaluation_batches(directory, "train", batch_size=10))
    assert [len(y) for _, y in batches] == [10, 10, 3]
    np.testing.assert_array_equal(tf.concat([y for _, y in batches], 0), range(EXAMPLES))
    keys = tf.concat([b["key"] for b in inputs.prepared(directory, "train", 10)], 0)
    assert keys.numpy().tolist() == [f"k{i:02d}".encode() for i in range(EXAMPLES)]


def test_sample_weights_are_the_third_element(tmp_path):
    weights = tf.cast(tf.range(EXAMPLES), tf.float32) / 4
    tensors = {**TENSORS, "sample_weight": Tensor("float32", ())}
    write_split(tmp_path, tensors, sample_weight=weights)
    for cache in ("memory", "off"):
        batches = inputs.training_batches(tmp_path, "train", batch_size=5, seed=0, cache=cache)
        _, targets, weight = next(iter(batches))
        np.testing.assert_array_equal(weight, targets.numpy() / 4)


@pytest.mark.parametrize(
    ("drop", "steps"), [(False, 5), (True, 4)], ids=["keep-remainder", "drop-remainder"]
)
def test_steps_per_epoch(directory, drop, steps):
    assert inputs.steps_per_epoch(directory, "train", 5, drop) == steps


def test_element_spec(directory):
    spec = inputs.element_spec(directory)
    assert spec["inputs"]["ids"] == tf.RaggedTensorSpec([None, None], tf.int64, 1, tf.int64)
    assert spec["targets"] == tf.TensorSpec([None], tf.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "no split 'dev'. Known splits: train"),
        ({"batch_size": 50, "drop_remainder": True}, "gives no batch.*Received: 23 examples"),
        ({"first_step": 6}, "epoch of 5 steps. Received: 6"),
        ({"cache": "disk"}, "auto, memory or off. Received: 'disk'"),
    ],
    ids=["split", "batch_size", "first_step", "cache"],
)
def test_faults_are_named(directory, arguments, message):
    arguments = {"split": "train", "batch_size": 5, "seed": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        inputs.training_batches(directory, **arguments)
