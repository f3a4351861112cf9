"""Trainings trace their steps in the first epoch only: a smaller last batch, texts in buckets."""

import json
from collections import Counter

import keras
import pytest
import tensorflow as tf

from penstock.models.locate import config_class, task_class
from penstock.pipelines.features import Label, Text
from penstock.pipelines.tfrecord import write_records
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.tensor_records import encode
from penstock.pipelines.transform.tensor_spec import Tensor, shard_path, write_spec
from penstock.tfx.training import data, fit, optimizers, placement
from penstock.tfx.training.config import TrainConfig

TEXTS = {"train": (27, 9), "validation": (10, 12)}
"""How many of each split, and the most words; lengths go round."""


def task_of(name, **sections):
    return task_class(name)(config_class(name).model_validate_json(json.dumps(sections)))


def images(workshop, directory):
    """60 pictures in batches of 8: the last has 4; 20 to validate on."""
    del directory
    sections = {"prepare": {"height": 8, "width": 8}, "model": {"type": "cnn", "filters": [4]}}
    state = State.load(workshop.root / "state")
    return workshop.root / "transformed", task_of("vision.classification", **sections), state


def texts(workshop, directory):
    """Batches of 8 and fewer texts, padded to 3, 6 and 9 words, and longer in validation."""
    del workshop
    ragged = Tensor("int32", (None,), 1)
    tensors = {"inputs": ragged, "key": Tensor("string", ()), "targets": Tensor("int64", ())}
    for split, (count, longest) in TEXTS.items():
        rows = [[2 + i % 2] * (1 + i % longest) for i in range(count)]
        flat = {
            "inputs": tf.ragged.constant(rows, tf.int32, row_splits_dtype=tf.int64),
            "key": tf.constant([f"{split}{i}" for i in range(count)]),
            "targets": tf.constant([i % 2 for i in range(count)], tf.int64),
        }
        write_records(shard_path(directory, split, 0, 1), encode(flat, tensors))
    counts = {split: count for split, (count, _) in TEXTS.items()}
    write_spec(directory, tensors, counts, dict.fromkeys(counts, 1))
    task = task_of("text.classification", model={"type": "average", "embedding_dim": 2})
    state = State({"text": Text(), "label": Label(names=("a", "b"))}, {"words": ("x", "y")})
    return directory, task, state


@pytest.mark.parametrize(
    ("made", "train"),
    [(images, {}), (texts, {"buckets": {"boundaries": [3, 6, 9]}})],
    ids=["images", "texts"],
)
def test_no_step_is_traced_after_the_first_epoch(workshop, tmp_path, monkeypatch, made, train):
    directory, task, state = made(workshop, tmp_path)
    options = {"epochs": 3, "batch_size": 8, "strategy": "cpu", **train}
    config = TrainConfig.model_validate_json(json.dumps(options))
    traced = []
    for step in ("train_step", "test_step"):
        original = getattr(keras.Model, step)

        def counting(model, batch, step=step, original=original):
            traced.append(step)
            return original(model, batch)

        monkeypatch.setattr(keras.Model, step, counting)
    place = placement.choose(config)
    placement.prepare_process(place, 0)
    opened = data.open_training(directory, config, task, state, seed=0)
    steps = opened.steps_per_epoch
    after = []

    def batches(epoch, step):
        start = {"first_epoch": epoch, "first_step": step, "opened": opened}
        return data.training_batches(directory, config, task, state, seed=0, **start)

    model = task.build(state)
    optimizer = optimizers.make_optimizer(config.optimizer, steps_per_epoch=steps, epochs=3)
    task.compile(model, optimizer, jit_compile=False)
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: after.append(Counter(traced)))
    fit.fit(
        model,
        batches,
        steps_per_epoch=steps,
        config=config,
        seed=0,
        validation=data.validation_batches(directory, config, task, state, bounds=opened.bounds),
        extra_callbacks=(look,),
    )
    fed = {tuple(batch[0].shape) for batch in batches(0, 0).take(steps)}
    assert len(fed) > 1, fed  # there was reason enough to trace again
    # Once: the optimizer's variables are made before, or the step would be traced again to use them.
    assert after == [{"train_step": 1, "test_step": 1}] * 3
