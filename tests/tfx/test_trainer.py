"""The Trainer step: what it writes, resume from the scratch directory, placement, progress."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.tfx.components.evaluator import Evaluator
from penstock.tfx.components.trainer import Trainer
from penstock.tfx.training import data, fit
from penstock.tfx.training.config import TrainConfig
from penstock.tfx.training.model_digest import content_digest

PARAMETERS = {
    "task": "own_task",
    "task_config": {"preset": "presets/mine"},
    "train": {},
    "seed": 0,
    "golden_examples": 1,
    "golden_split": "test",
}


def read(context, name) -> dict:
    return json.loads((context.outputs["model"].path / name).read_text())


def test_files(trained):
    path = trained.outputs["model"].path
    assert {p.name for p in path.iterdir()} == {
        "model.keras", "saved_model", "state", "task.json", "history.json", "training.json",
        "golden.npz", "golden.json", "tensorboard",
    }  # fmt: skip
    task = read(trained, "task.json")
    assert task["task"] == "vision.classification"
    assert task["config"]["model"]["filters"] == [4]
    assert list(task["input_features"]) == ["image"]
    assert (path / "state" / "state.json").exists()


def test_history_and_training_record(trained):
    history = read(trained, "history.json")["history"]
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 4 for values in history.values())
    assert history["loss"][-1] < history["loss"][0]
    record = read(trained, "training.json")
    assert record["seed"] == 0
    assert record["strategy"] == "cpu"
    assert record["precision"] == "float32"
    assert record["deterministic"] is True
    assert record["versions"]["keras"] == keras.__version__
    assert record["resumed_at"] is None
    assert record["examples_per_second"] > 0
    assert 0 <= record["input_wait_share"] <= 1
    # 1 grey channel * 3 * 3 * 4 filters + 4; 4 * 4 * 4 values after pooling * 3 classes + 3.
    assert record["parameters"] == 40 + 195
    assert record["initial_weights"] == "random"
    assert trained.outputs["model"].properties == {"parameters": 235}


def test_progress(trained):
    done = [m["done"] for m in trained.messages if m["done"] is not None]
    assert done == sorted(done)
    assert done[-1] == 16  # ceil(60 / 16) = 4 steps, 4 epochs
    last = [m for m in trained.messages if m["done"] == 16][-1]
    assert last["total"] == 16
    assert {"epoch", "loss", "val_accuracy", "input_wait"} <= set(last["values"])
    assert last["values"]["epoch"] == "4/4"
    assert trained.messages[-1]["values"]["initial_weights"] == "random"
    assert "padding" not in trained.messages[-1]["values"]  # all pictures are of one size


def test_tensorboard_logs_every_epoch(trained):
    directory = trained.outputs["model"].path / "tensorboard" / "validation"
    (file,) = directory.iterdir()
    tags = [
        (value.tag, event.step)
        for event in map(
            tf.compat.v1.Event.FromString,
            (record.numpy() for record in tf.data.TFRecordDataset(str(file))),
        )
        for value in event.summary.value
    ]
    assert [step for tag, step in tags if tag == "epoch_loss"] == [0, 1, 2, 3]


def test_killed_trainer_goes_on(workshop, trained, tmp_path, monkeypatch):
    """Augmentation and dropout on; checkpoints after each third step; killed after 6 of 16 steps."""

    class Kill(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            Kill.steps += 1
            if Kill.steps == 7:
                raise KeyboardInterrupt

    whole = fit.fit
    monkeypatch.setattr(fit, "fit", lambda *a, **k: whole(*a, extra_callbacks=(Kill(),), **k))
    with pytest.raises(KeyboardInterrupt):
        workshop.train(scratch=tmp_path, checkpoint_every_steps=3)
    monkeypatch.undo()
    resumed = workshop.train(scratch=tmp_path, checkpoint_every_steps=3)
    assert read(resumed, "training.json")["resumed_at"] == [1, 2]
    assert resumed.messages[0]["values"] == {"resumed": "epoch 2, step 2"}
    assert read(resumed, "history.json") == read(trained, "history.json")
    digests = [content_digest(c.outputs["model"].path) for c in (resumed, trained)]
    assert digests[0] == digests[1]
    # One run's logs, epoch by epoch, though two processes wrote them.
    assert len(list((resumed.outputs["model"].path / "tensorboard" / "train").iterdir())) == 2


def test_seed_changes_the_model(workshop, trained):
    other = workshop.train(seed=1, epochs=1, tensorboard=False)
    assert content_digest(other.outputs["model"].path) != content_digest(
        trained.outputs["model"].path
    )
    assert not (other.outputs["model"].path / "tensorboard").exists()


def test_speed_is_recorded_in_every_unit(workshop, monkeypatch):
    monkeypatch.setattr(data, "work_per_step", lambda *_: {"examples": 15.0, "pixels": 960.0})
    context = workshop.train(epochs=1, validation_split=None, tensorboard=False)
    record = read(context, "training.json")
    assert record["pixels_per_second"] == pytest.approx(64 * record["examples_per_second"], abs=3.3)
    said = context.messages[-1]["values"]
    assert said["pixels_per_second"] == pytest.approx(record["pixels_per_second"], abs=0.6)


def test_policy_is_reset_and_the_export_is_float32(workshop):
    context = workshop.train(epochs=1, precision="mixed_bfloat16", validation_split=None)
    assert keras.config.dtype_policy().name == "float32"
    model = keras.saving.load_model(context.outputs["model"].path / "model.keras", compile=False)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert np.isfinite(model.get_weights()[0]).all()
    assert "val_loss" not in read(context, "history.json")["history"]


@pytest.fixture
def empty_split(workshop):
    """`examples` have a split without examples for the time of a test."""
    path = workshop.root / "examples" / "penstock.json"
    before = path.read_text()
    document = json.loads(before)
    document["splits"]["empty"] = document["shards"]["empty"] = 0
    path.write_text(json.dumps(document))
    yield "empty"
    path.write_text(before)


@pytest.mark.parametrize(
    ("train", "golden_split", "message"),
    [
        (
            {"train_split": "tran"},
            "test",
            r"`train.train_split`.*Received: 'tran'. "
            r"Splits: train \(60 examples\), validation \(20 examples\), test \(30 examples\)",
        ),
        (
            {"validation_split": "empty"},
            "test",
            r"`train.validation_split`.*'empty'.*empty \(0 examples\).*validation_split=null",
        ),
        ({}, "tset", r"`evaluate.split`.*Received: 'tset'. Splits: .*test \(30 examples\)"),
    ],
    ids=["train", "empty-validation", "golden"],
)
def test_splits_are_checked_before_training(
    workshop, empty_split, monkeypatch, train, golden_split, message
):
    monkeypatch.setattr(fit, "fit", lambda *_, **__: pytest.fail("It has trained."))
    parameters = {
        **PARAMETERS,
        "task": "vision.classification",
        "task_config": {},
        "train": train,
        "golden_split": golden_split,
    }
    inputs = {name: workshop.input(name) for name in Trainer.inputs}
    with pytest.raises(ValueError, match=message):
        workshop.run(Trainer, parameters, inputs)


@pytest.mark.parametrize("cache", ["auto", "memory", "off"])
def test_validation_is_cached_by_the_rule_of_training(workshop, monkeypatch, cache):
    """A cached dataset still gives all its batches when the files are gone."""
    directory = workshop.root.parent / f"copy-{cache}"
    shutil.copytree(workshop.root / "transformed", directory)
    task = SimpleNamespace(training_inputs=lambda x, y, state: (x, y + 10))
    train = TrainConfig(cache=cache, batch_size=8)
    batches = data.validation_batches(directory, train, task, None)
    assert batches.cardinality().numpy() == 3  # ceil(20 / 8)
    first = [targets.numpy().tolist() for _, targets in batches]
    assert sum(first, []) == [10 + index % 3 for index in range(20)]
    shutil.rmtree(directory)
    if cache == "off":
        with pytest.raises(tf.errors.NotFoundError):
            list(batches)
    else:
        assert [targets.numpy().tolist() for _, targets in batches] == first


def test_no_validation_without_a_split():
    assert (
        data.validation_batches("nowhere", TrainConfig(validation_split=None), None, None) is None
    )


OWN_CONFIG = """
from pathlib import Path
from penstock.models.config import TaskConfig

class Config(TaskConfig):
    preset: str | None = None

    def libraries(self):
        return ("own-tokenizer", "no-such-distribution")

    def files(self):
        return [Path(self.preset)]
"""


@pytest.mark.parametrize(
    ("component", "more"),
    [(Trainer, {}), (Evaluator, {"evaluate": {}})],
    ids=["Trainer", "Evaluator"],
)
def test_libraries_and_files_of_a_task(tmp_path, monkeypatch, component, more):
    (tmp_path / "own_task").mkdir()
    for name in ("__init__", "data", "task"):
        (tmp_path / "own_task" / f"{name}.py").write_text("")
    (tmp_path / "own_task" / "config.py").write_text(OWN_CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    fields = component.Parameters.model_fields
    values = {name: value for name, value in {**PARAMETERS, **more}.items() if name in fields}
    parameters = component.Parameters.model_validate_json(json.dumps(values))
    assert component.libraries(parameters)[-2:] == ("own-tokenizer", "no-such-distribution")
    assert {"tensorflow", "keras", "numpy"} < set(component.libraries(parameters))
    assert component.files(parameters) == [Path("presets/mine")]


@pytest.mark.parametrize(("strategy", "devices"), [("cpu", "cpu"), ("gpu", "auto")])
def test_environment(strategy, devices):
    parameters = Trainer.Parameters.model_validate_json(
        json.dumps(
            {
                "task": "vision.classification",
                "task_config": {},
                "train": {"strategy": strategy},
                "seed": 0,
                "golden_examples": 1,
                "golden_split": "test",
            }
        )
    )
    environment = Trainer.environment(parameters)
    assert (environment.tensorflow, environment.devices) == (True, devices)
    assert Trainer.modules(parameters) == ("penstock.models.vision.classification.task",)
    assert Trainer.libraries(parameters) == ("tensorflow", "keras", "keras-hub", "numpy")
    assert Trainer.files(parameters) == []
