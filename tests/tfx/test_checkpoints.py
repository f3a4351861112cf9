"""Training that is killed in mid-epoch and goes on: same weights, same history, bit for bit."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.tfx.training import checkpoint, fit, optimizers, placement
from penstock.tfx.training.config import TrainConfig

STEPS, BATCH, EPOCHS = 5, 16, 4
EXAMPLES = STEPS * BATCH - 6  # The last batch of an epoch is smaller.


def config(**changes) -> TrainConfig:
    settings = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "optimizer": {"type": "adam", "learning_rate": 0.01, "schedule": {"type": "cosine"}},
        "checkpoint_every_steps": 1,
        "strategy": "cpu",
    }
    return TrainConfig.model_validate_json(json.dumps({**settings, **changes}))


def batches(first_epoch, first_step):
    """Shuffled, augmented with noise: everything from (epoch, step) alone."""
    generator = np.random.default_rng(0)
    inputs = tf.constant(generator.normal(size=(EXAMPLES, 6)), tf.float32)
    targets = tf.cast(tf.reduce_sum(inputs, axis=1) > 0, tf.int64)

    def epoch_of(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(EXAMPLES), [7, tf.cast(epoch, tf.int32)]
        )

        def batch(step):
            rows = order[step * BATCH : (step + 1) * BATCH]
            noise = tf.random.stateless_normal([tf.size(rows), 6], tf.stack([epoch, step]))
            return tf.gather(inputs, rows) + 0.1 * noise, tf.gather(targets, rows)

        first = tf.where(tf.equal(epoch, first_epoch), tf.cast(first_step, tf.int64), 0)
        return tf.data.Dataset.range(first, STEPS).map(batch)

    return tf.data.Dataset.range(first_epoch, 1000).flat_map(epoch_of).prefetch(2)


def validation():
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(40, 6)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((inputs, inputs.sum(axis=1) > 0)).batch(BATCH)


class Kill(keras.callbacks.Callback):
    """Raises, or kills the process, after so many steps of training."""

    def __init__(self, at, how="raise"):
        super().__init__()
        self.left, self.how = at, how

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            if self.how == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt


class Keep(keras.callbacks.Callback):
    """Copies the directory of the checkpoints as a kill after so many steps would leave it."""

    def __init__(self, directory, after):
        super().__init__()
        self.directory, self.after, self.steps = directory, after, 0

    def on_train_batch_end(self, batch, logs=None):
        # The checkpoint of this step is not written yet.
        if self.steps in self.after:
            shutil.copytree(self.directory, kept(self.directory, self.steps))
        self.steps += 1


def kept(directory, steps):
    return directory.with_name(f"{directory.name}-killed-after-{steps}")


def train(config, directory=None, callback=None, seed=3, reports=None):
    """Like a new process: returns (fit.Result, every variable of model and optimizer)."""
    place = placement.choose(config)
    placement.prepare_process(place, seed)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = optimizers.make_optimizer(
        config.optimizer, steps_per_epoch=STEPS, epochs=config.epochs
    )
    model.compile(
        optimizer,
        "binary_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=config.steps_per_execution,
        jit_compile=place.xla,
    )
    result = fit.fit(
        model,
        batches,
        steps_per_epoch=STEPS,
        config=config,
        seed=seed,
        validation=validation(),
        checkpoints=directory,
        extra_callbacks=(callback,) if callback else (),
        report=lambda done, total, **values: reports is None or reports.append((done, values)),
    )
    return result, [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def assert_equal_runs(run, reference):
    (result, variables), (expected, expected_variables) = run, reference
    assert result.history == expected.history
    assert result.epochs == expected.epochs
    assert len(variables) == len(expected_variables) > 10
    for value, other in zip(variables, expected_variables, strict=True):
        np.testing.assert_array_equal(value, other)


VARIANTS = {
    "schedule": {},
    # Stops after some epochs of 12 and goes back to the best weights.
    "early-stopping": {
        "epochs": 12,
        "early_stopping": {"monitor": "val_loss", "patience": 2, "min_delta": 0.2},
    },
    "averaged": {
        "optimizer": {"type": "sgd", "momentum": 0.9, "ema_momentum": 0.8},
        "early_stopping": {"monitor": "val_accuracy", "patience": 1},
    },
    "two-at-once": {"steps_per_execution": 2},
    "layer-rates": {"optimizer": {"type": "adamw", "layer_rates": {"*dense*/kernel": 0.1}}},
}


KILLED_AFTER = {"schedule": (7,), "early-stopping": (4, 7), "two-at-once": (3,)}
"""Executions, of two steps in the last; 7 of the others: in mid-epoch. 4: at an epoch's end."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """`undisturbed(name)`: a variant's config, the directory of its checkpoints, and how it ends."""

    @functools.cache
    def run(name):
        changed, directory = config(**VARIANTS[name]), tmp_path_factory.mktemp(name)
        reference = train(changed, directory, Keep(directory, KILLED_AFTER.get(name, (7,))))
        assert reference[0].epochs < 12  # Early stopping has stopped.
        return changed, directory, reference

    return run


@pytest.fixture(scope="module")
def interrupted(undisturbed):
    """A directory with the checkpoints of a run that was killed after 7 steps."""
    return kept(undisturbed("schedule")[1], 7)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *((name, KILLED_AFTER.get(name, (7,))[-1]) for name in VARIANTS),
        ("early-stopping", 4),
    ],
)
def test_a_run_killed_after_some_steps_ends_as_if_undisturbed(undisturbed, name, steps, tmp_path):
    changed, directory, reference = undisturbed(name)
    shutil.copytree(kept(directory, steps), tmp_path, dirs_exist_ok=True)
    reports = []
    resumed = train(changed, tmp_path, reports=reports)
    assert resumed[0].resumed_at not in (None, (0, 0))
    assert "resumed" in reports[0][1]
    assert_equal_runs(resumed, reference)


def test_sigkilled_process(undisturbed, tmp_path):
    """A process that dies for good, in mid-epoch, then another; a third goes on."""
    program = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('checkpoint_test', sys.argv[1])\n"
        "test = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(test)\n"
        "kill = test.Kill(int(sys.argv[3]), 'SIGKILL')\n"
        "test.train(test.config(), sys.argv[2], kill)\n"
    )
    command = [sys.executable, "-c", program, __file__, str(tmp_path), "7"]
    died = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]
    with pytest.raises(KeyboardInterrupt):
        train(config(), tmp_path, Kill(6))
    resumed = train(config(), tmp_path)
    # 7 steps, then 6 of which the first 2 were skipped: 11 are two epochs of 5, and 1.
    assert resumed[0].resumed_at == (2, 1)
    assert_equal_runs(resumed, undisturbed("schedule")[2])


def test_interval_in_seconds(undisturbed, tmp_path):
    seldom = config(checkpoint_every_steps=None, checkpoint_every_seconds=1000)
    without = train(seldom, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert_equal_runs(without, undisturbed("schedule")[2])  # whether saved or not
    often = config(checkpoint_every_steps=None, checkpoint_every_seconds=1e-6)
    train(often, tmp_path)
    # The last two: after the last step, and after the last epoch with its validation.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-0000000020-0", "step-0000000020-5"]


@pytest.mark.parametrize("damage", ["arrays", "state", "missing", "half-written"])
def test_damaged_checkpoint_is_passed_over(interrupted, tmp_path, damage):
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    older, newer = sorted(tmp_path.glob("step-*"))
    if damage == "arrays":
        content = bytearray((newer / "arrays.npz").read_bytes())
        content[len(content) // 2] ^= 1
        (newer / "arrays.npz").write_bytes(content)
    elif damage == "state":
        (newer / "state.json").write_text("{")
    elif damage == "missing":
        (newer / "arrays.npz").unlink()
    else:
        newer.rename(tmp_path / ".writing-x")
    assert (older / "state.json").exists()
    assert checkpoint.latest(tmp_path).total_steps == 6
    (older / "state.json").unlink()
    assert checkpoint.latest(tmp_path) is None


def test_checkpoint_of_another_model_is_an_error(interrupted):
    restored = checkpoint.latest(interrupted)
    with pytest.raises(ValueError, match=r"of another model \(model\). Expected: 1 variables"):
        restored.assign("model", [keras.Variable([1.0])])


def test_checkpoint_of_another_seed_is_an_error(interrupted):
    with pytest.raises(ValueError, match="another seed. Expected: 4. Received: 3"):
        train(config(), interrupted, seed=4)


def test_bfloat16_variables_survive(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2, dtype="bfloat16")])
    model.compile("sgd", "mse")
    expected = [tf.cast(v.value, tf.float32).numpy() for v in model.variables]
    checkpoint.save(tmp_path, model, 0, 1, 1, {}, 0)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    checkpoint.latest(tmp_path).assign("model", model.variables)
    for variable, value in zip(model.variables, expected, strict=True):
        np.testing.assert_array_equal(tf.cast(variable.value, tf.float32), value)
