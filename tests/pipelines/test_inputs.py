"""Batches: complete, repeatable, resumable at any step, ragged where the data is."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines.inputs import inputs
from penstock.pipelines.tfrecord import write_records
from penstock.pipelines.transform.tensor_records import encode
from penstock.pipelines.transform.tensor_spec import Tensor, shard_path, write_spec

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
        training_inputs=lambda x, y: ({"fed": y}, y + 1000),
    )
    features, targets = next(iter(batches))
    np.testing.assert_array_equal(features["fed"] + 1000, targets)
    assert min(targets) >= 1100


def test_training_inputs_pad_ragged_targets(tmp_path):
    """Example i has i % 4 ids, so a whole pass has 3 at most: padded to 3, weights stay third."""
    ids = [[i] * (i % 4) for i in range(EXAMPLES)]
    tensors = {
        **{name: tensor for name, tensor in TENSORS.items() if name != "targets"},
        "targets": Tensor("int64", (None,), 1),
        "sample_weight": Tensor("float32", ()),
    }
    ragged = tf.ragged.constant(ids, tf.int64, row_splits_dtype=tf.int64)
    write_split(tmp_path, tensors, targets=ragged, sample_weight=tf.ones(EXAMPLES))
    pad = {"training_inputs": lambda x, y: (x["image"], y.to_tensor(-1, shape=[None, 3]))}
    once = inputs.evaluation_batches(tmp_path, "train", batch_size=4, **pad)
    _, targets, weight = next(iter(once))
    assert targets.numpy().tolist() == [[-1, -1, -1], [1, -1, -1], [2, 2, -1], [3, 3, 3]]
    assert weight.shape == (4,)
    for cache in ("memory", "off"):
        batches = inputs.training_batches(
            tmp_path, "train", batch_size=4, seed=0, cache=cache, **pad
        )
        assert batches.element_spec[1] == tf.TensorSpec([None, 3], tf.int64)


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


def test_weights_of_tokens_and_outputs(tmp_path):
    numbers = tf.range(EXAMPLES, dtype=tf.float32)
    weights = {
        "sample_weight/tokens": tf.stack([numbers, numbers / 2], axis=1),
        "sample_weight/box/size": numbers + 1,
    }
    tensors = {
        **TENSORS,
        "sample_weight/tokens": Tensor("float32", (2,)),
        "sample_weight/box/size": Tensor("float32", ()),
    }
    write_split(tmp_path, tensors, **weights)
    spec = inputs.element_spec(tmp_path)["sample_weight"]
    assert spec["tokens"] == tf.TensorSpec([None, 2], tf.float32)
    for cache in ("memory", "off"):
        batches = inputs.training_batches(tmp_path, "train", batch_size=5, seed=0, cache=cache)
        _, targets, weight = next(iter(batches))
        targets = tf.cast(targets, tf.float32)
        np.testing.assert_array_equal(weight["tokens"], tf.stack([targets, targets / 2], axis=1))
        np.testing.assert_array_equal(weight["box"]["size"], targets + 1)


def test_decoded_size_decides_what_is_held_in_memory(tmp_path, monkeypatch):
    tensors = {"key": Tensor("string", ()), "inputs": Tensor("int64", (100,))}
    flat = {"key": tf.constant(["a"] * 10), "inputs": tf.ones([10, 100], tf.int64)}
    count, size = write_records(shard_path(tmp_path, "train", 0, 1), encode(flat, tensors))
    write_spec(tmp_path, tensors, {"train": 10}, {"train": 1})
    # 10 examples of 100 numbers of 8 bytes; in the file each number takes one byte.
    assert (count, size < 2000) == (10, True)
    split = inputs.prepared_split(tmp_path, "train")
    assert split.decoded_bytes() == 8000
    for limit, decided in ((8000, "memory"), (7999, "off")):
        monkeypatch.setattr(inputs, "MEMORY_LIMIT_BYTES", limit)
        assert inputs.decided_cache([split], "auto") == decided


@pytest.mark.parametrize(("dtype", "growth"), [("int64", 8), ("int32", 4), ("float32", 2)])
def test_ragged_tensors_are_taken_for_the_most_that_they_can_be(tmp_path, dtype, growth):
    tensors = {"inputs": Tensor(dtype, (None,), 1), "targets": Tensor("uint8", (3,))}
    ragged = tf.ragged.constant([[1] * 50, [1]], row_splits_dtype=tf.int64)
    flat = {
        "inputs": tf.cast(ragged, dtype),
        "targets": tf.zeros([2, 3], tf.uint8),
    }
    path = shard_path(tmp_path, "train", 0, 1)
    write_records(path, encode(flat, tensors))
    write_spec(tmp_path, tensors, {"train": 2}, {"train": 1})
    held = inputs.prepared_split(tmp_path, "train").decoded_bytes()
    assert held == 2 * 3 + growth * path.stat().st_size


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
        ({"cache": "ram"}, "auto, memory, disk or off. Received: 'ram'"),
        ({"cache": "disk"}, "needs a `scratch` directory"),
    ],
    ids=["split", "batch_size", "first_step", "cache", "scratch"],
)
def test_faults_are_named(directory, arguments, message):
    arguments = {"split": "train", "batch_size": 5, "seed": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        inputs.training_batches(directory, **arguments)


@pytest.mark.parametrize("cache", ["memory", "off"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_global_seed_changes_no_batch(directory, cache, seed):
    """Keras's `set_random_seed`, which the Trainer calls; 0 is the default of `seed`."""

    def labels():
        batches = inputs.training_batches(
            directory, "train", batch_size=5, seed=0, shuffle_buffer=7, cache=cache
        )
        return [y.numpy().tolist() for _, y in batches.take(10)]

    tf.random.set_seed(987)
    before = labels()
    tf.random.set_seed(seed)
    assert labels() == before
