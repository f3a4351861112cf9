"""How the settings of `train` reach the batches: preparing on the fly, buckets, mixtures, faults."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines.tfrecord import write_records
from penstock.pipelines.transform.tensor_records import encode
from penstock.pipelines.transform.tensor_spec import Tensor, shard_path, write_spec
from penstock.tfx.component import Input
from penstock.tfx.components.trainer import Trainer
from penstock.tfx.load_config import load_config
from penstock.tfx.standard_pipeline import standard_pipeline
from penstock.tfx.training import data
from penstock.tfx.training.config import TrainConfig
from penstock.tfx.training.model_digest import content_digest

SPLITS = {"train": 20, "extra": 10, "validation": 9, "test": 3}
TASK = SimpleNamespace(
    augment=lambda inputs, targets, seed, state: (inputs, targets),
    training_inputs=lambda inputs, targets, state: (inputs, targets),
)


@pytest.mark.parametrize("cache", ["auto", "disk"])
def test_preparing_on_the_fly_trains_the_same_model(workshop, trained, tmp_path, cache):
    document = json.loads((workshop.root / "transformed" / "spec.json").read_text())
    document |= {"stored": False, "shards": dict.fromkeys(document["splits"], 0)}
    (tmp_path / "described").mkdir()
    (tmp_path / "described" / "spec.json").write_text(json.dumps(document))
    parameters = json.loads(trained.parameters.model_dump_json())
    parameters["train"] |= {"prepare": "on_the_fly", "cache": cache}
    inputs = {name: workshop.input(name) for name in ("state", "examples")}
    inputs["transformed"] = Input(tmp_path / "described", "TransformedExamples", "")
    context = workshop.run(Trainer, parameters, inputs)
    digests = [content_digest(c.outputs["model"].path) for c in (context, trained)]
    assert digests[0] == digests[1]
    assert any(context.scratch.glob("prepared-*")) == (cache == "disk")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Example i of a split has i % 5 + 1 ids and as many targets; those of validation i % 9 + 1."""
    directory = tmp_path_factory.mktemp("texts")
    ragged = Tensor("int64", (None,), 1)
    tensors = {"key": Tensor("string", ()), "inputs/ids": ragged, "targets": ragged}
    for split, count in SPLITS.items():
        longest = 9 if split == "validation" else 5
        rows = [[i + 1] * (i % longest + 1) for i in range(count)]
        ids = tf.ragged.constant(rows, tf.int64, row_splits_dtype=tf.int64)
        keys = tf.constant([f"{split}{i}" for i in range(count)])
        records = encode({"key": keys, "inputs/ids": ids, "targets": ids}, tensors)
        write_records(shard_path(directory, split, 0, 1), records)
    write_spec(directory, tensors, SPLITS, dict.fromkeys(SPLITS, 1))
    return directory


def config(**train):
    return TrainConfig.model_validate_json(json.dumps({"batch_size": 4, **train}))


def shapes(dataset):
    return sorted({tuple(batch[0]["ids"].shape) for batch in dataset})


@pytest.mark.parametrize("cache", ["memory", "off", "disk"])
def test_validation_is_padded_like_training(texts, tmp_path, cache):
    train = config(buckets={"boundaries": [2, 5]}, padding={"targets": -1}, cache=cache)
    opened = data.open_training(texts, train, TASK, None, seed=0, scratch=tmp_path)
    batches = data.training_batches(
        texts, train, TASK, None, seed=0, first_epoch=0, first_step=0, opened=opened
    )
    # Lengths 1 to 5, four of each: 8 of at most 2 and 12 of at most 5.
    assert shapes(batches.take(opened.steps_per_epoch)) == [(4, 2), (4, 5)]
    # 4 lengths of 1 and 2, 4 * 5 of 5 places: 20 * 3 tokens in 16 + 60 places.
    assert opened.padding_share == pytest.approx(1 - 60 / 76)
    validation = data.validation_batches(
        texts, train, TASK, None, scratch=tmp_path, bounds=opened.bounds
    )
    assert validation.cardinality().numpy() == 3
    for _ in range(2):
        # 2 of at most 2 and 2 more; one of them and 3 of at most 5; the longer ones have 16.
        assert shapes(validation) == [(1, 16), (4, 5), (4, 16)]
    tokens = sum(int(tf.reduce_sum(tf.cast(y >= 0, tf.int32))) for _, y in validation)
    assert tokens == sum(range(1, 10))


@pytest.mark.parametrize("way", [{"buckets": {"boundaries": [2, 5]}}, {"packing": {"length": 5}}])
def test_work_is_counted_in_the_unit_of_the_task(texts, way):
    """20 examples of 1 to 5 ids, and as many targets: 60 of each in an epoch."""
    opened = data.open_training(texts, config(**way), TASK, None, seed=0)
    counted = {"inputs/ids": 1, "targets": 0.5}
    task = SimpleNamespace(throughput_unit=lambda: ("tokens", counted))
    steps = opened.steps_per_epoch
    assert data.work_per_step(opened, task) == {"examples": 20 / steps, "tokens": 90 / steps}
    none = SimpleNamespace(throughput_unit=lambda: None)
    assert data.work_per_step(opened, none) == {"examples": 20 / steps}
    wrong = SimpleNamespace(throughput_unit=lambda: ("tokens", {"ids": 1}))
    with pytest.raises(ValueError, match="Expected: of inputs/ids, targets. Received: ids"):
        data.work_per_step(opened, wrong)


def test_work_is_counted_in_examples_where_lengths_are_unknown(texts):
    opened = data.open_training(texts, config(), TASK, None, seed=0)
    task = SimpleNamespace(throughput_unit=lambda: ("tokens", {"inputs/ids": 1}))
    assert data.work_per_step(opened, task) == {"examples": 4.0}


def test_the_largest_batches_are_known(texts):
    """Fours of at most 2 and of at most 5 places; rows of 5 when packed; nothing without either."""
    for way, expected in (
        ({"buckets": {"boundaries": [2, 5]}}, [(4, (2, 2)), (4, (5, 5))]),
        ({"packing": {"length": 5}}, [(4, (5, 5))]),
        ({}, [(4, ())]),
    ):
        opened = data.open_training(texts, config(**way), TASK, None, seed=0)
        assert [(n, tuple(of.values())) for n, of in opened.largest()] == expected


def test_validation_is_packed_like_training(texts):
    train = config(packing={"length": 9, "window": 4}, cache="memory")
    opened = data.open_training(texts, train, TASK, None, seed=0)
    validation = data.validation_batches(texts, train, TASK, None)
    x, _ = next(iter(opened.training()))
    assert x["ids"].shape == (4, 9)
    # 1 to 9 tokens in order: 1 + 2 + 3, 4, 5, 6, ...: 4 rows open, 4 + 5 = 9 is full.
    rows = [row for x, _ in validation for row in x["ids"].numpy().tolist()]
    assert rows[0] == [1, 2, 2, 3, 3, 3, 0, 0, 0]
    assert rows[1] == [4] * 4 + [5] * 5
    assert len(rows) == 6


def test_a_mixture_of_splits(texts):
    train = config(mixture={"train": 1, "extra": 2}, packing={"length": 5})
    opened = data.open_training(texts, config(mixture={"train": 1, "extra": 2}), TASK, None, seed=0)
    assert opened.examples_per_epoch == 30
    assert opened.steps_per_epoch == 8
    assert data.open_training(texts, train, TASK, None, seed=0).steps_per_epoch > 1


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_a_mixture_of_data_sets(tmp_path, cache):
    """8 examples of `a`, 4 of `b`, 4 of `c`: of an epoch of 12 without `c`, a quarter is of `a`."""
    tensors = {n: Tensor("string", ()) for n in ("key", "inputs/x", "targets")}
    keys = [f"{name}/{i}" for name, count in (("a", 8), ("c", 4), ("b", 4)) for i in range(count)]
    keys = tf.constant(sorted(keys, key=lambda key: key[::-1]))
    records = encode(dict.fromkeys(tensors, keys), tensors)
    write_records(shard_path(tmp_path, "train", 0, 1), records)
    write_spec(tmp_path, tensors, {"train": 16}, {"train": 1})
    train = config(mixture={"train/a": 1, "train/b": 3}, cache=cache)
    opened = data.open_training(tmp_path, train, TASK, None, seed=0)
    assert opened.examples_per_epoch == 12
    seen = [y[:1] for _, ys in opened.training().take(3) for y in ys.numpy()]
    assert (seen.count(b"a"), seen.count(b"b")) == (3, 9)
    with pytest.raises(ValueError, match="no key begins with `d/`"):
        data.open_training(tmp_path, config(mixture={"train/d": 1}), TASK, None, seed=0)


def test_memory_in_flight_is_bounded(texts):
    """Batches of a little more than 2 MiB: one of them in 3 MiB, three in 7 MiB."""
    made = []

    def augment(inputs, targets, seed, state):
        tf.py_function(lambda: made.append(1), [], [])
        return {**inputs, "large": tf.zeros([2**19], tf.float32)}, targets

    task = SimpleNamespace(augment=augment, training_inputs=TASK.training_inputs)
    arguments = {"seed": 0, "first_epoch": 0, "first_step": 0}
    for limit, most in ((3, 1), (7, 3)):
        batches = data.training_batches(
            texts, config(input_memory_mb=limit), task, None, **arguments
        )
        made.clear()
        iterator = iter(batches)
        for taken in range(1, 4):
            next(iterator)
            time.sleep(0.05)
            assert taken <= len(made) <= taken + most
    free = data.training_batches(texts, config(), TASK, None, **arguments)
    bound = data.training_batches(texts, config(input_memory_mb=1), TASK, None, **arguments)
    for ours, theirs in zip(bound.take(7), free.take(7), strict=True):
        np.testing.assert_array_equal(ours[1].to_tensor(), theirs[1].to_tensor())


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"buckets": {}, "packing": {"length": 8}}, "`buckets` and `packing` exclude each other"),
        ({"padding": {"targets": -1}}, "`padding` has no effect without"),
        ({"mixture": {"train": 1, "validation": 1}}, "must not contain the validation split"),
        ({"mixture": {"train": 0}}, "greater than 0"),
        ({"buckets": {"boundaries": [8, 4]}}, r"must ascend. Received: \[8, 4\]"),
        ({"packing": {}}, "length"),
        ({"prepare": "later"}, "stored"),
    ],
)
def test_settings_that_cannot_be_are_named(train, message):
    with pytest.raises(ValueError, match=message):
        config(**train)


def test_only_what_can_change_the_model_trains_again(trained):
    def keyed(**train):
        parameters = trained.parameters.model_copy(update={"train": config(**train)})
        return Trainer.keyed(parameters)

    how = {"checkpoint_every_steps": 3, "checkpoint_every_seconds": 5.0, "input_memory_mb": 7}
    assert keyed(cache="off", **how) == keyed()
    assert keyed(shuffle_buffer=100) != keyed()
    assert keyed(tensorboard=False) != keyed()  # its logs are part of the Model


def test_splits_of_a_mixture_are_looked_for(workshop):
    train = config(mixture={"train": 1, "extr": 1, "test": 1})
    with pytest.raises(ValueError, match=r"`train.mixture`.*'extr'.*evaluated \('test'\)"):
        data.check_splits(workshop.root / "examples", train, "test")


def test_resume_across_epochs(texts):
    """Buckets and mixture together: 3 steps into the second epoch."""
    train = config(mixture={"train": 1, "extra": 2}, buckets={"count": 2})
    opened = data.open_training(texts, train, TASK, None, seed=1)
    steps = opened.steps_per_epoch
    whole = [y.numpy() for _, y in opened.training().take(2 * steps)]
    again = [y.numpy() for _, y in opened.training(1, 3).take(steps - 3)]
    assert len(again) == steps - 3
    for ours, theirs in zip(again, whole[steps + 3 :], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("prepare", "on_the_fly"), [("stored", False), ("on_the_fly", True)])
def test_transform_stores_unless_the_training_prepares(repository, prepare, on_the_fly):
    path = repository / "configs" / "vision" / "digits.yaml"
    pipeline = standard_pipeline(load_config(path, (f"train.prepare={prepare}",)))
    [transform] = [step for step in pipeline.steps if step.name == "Transform"]
    assert transform.parameters.on_the_fly == on_the_fly
