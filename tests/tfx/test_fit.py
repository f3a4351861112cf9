"""`fit`: one trace, executions of several steps, averaged weights, replicas, errors."""

import json
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.tfx.training import callbacks as training_callbacks
from penstock.tfx.training import fit, optimizers, placement
from penstock.tfx.training.config import TrainConfig

STEPS, BATCH = 5, 8
EXAMPLES = STEPS * BATCH - 3


def config(**changes) -> TrainConfig:
    settings = {"epochs": 2, "batch_size": BATCH, "strategy": "cpu"}
    settings["optimizer"] = {"type": "sgd", "learning_rate": 0.1}
    return TrainConfig.model_validate_json(json.dumps({**settings, **changes}))


def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(EXAMPLES, 3)).astype(np.float32)
    return inputs, inputs @ np.array([[1.0], [-2.0], [0.5]], np.float32)


def batches(first_epoch=0, first_step=0):
    return tf.data.Dataset.from_tensor_slices(data()).batch(BATCH).repeat()


def train(config, scale=1.0, validation=None, place=None, batches=batches, **options):
    """Linear regression without bias, from zero; returns (model, fit.Result)."""
    place = place or placement.choose(config)
    placement.prepare_process(place, 0)
    with place.scope():
        model = keras.Sequential(
            [
                keras.layers.Input((3,)),
                keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
            ]
        )
        optimizer = optimizers.make_optimizer(
            config.optimizer, steps_per_epoch=STEPS, epochs=config.epochs
        )
        model.compile(
            optimizer,
            "mse",
            loss_weights=scale,
            metrics=["mae"],
            steps_per_execution=config.steps_per_execution,
            jit_compile=place.xla,
        )
        result = fit.fit(
            model,
            batches,
            steps_per_epoch=STEPS,
            config=config,
            seed=0,
            validation=validation,
            on_cpu=place.on_cpu,
            **options,
        )
    return model, result


def by_hand(epochs=2, average=None):
    """Weights after SGD in NumPy, [3, 1], and their moving average."""
    inputs, targets = data()
    weights, averaged = np.zeros((3, 1)), np.zeros((3, 1))
    for step in range(epochs * STEPS):
        rows = slice(step % STEPS * BATCH, (step % STEPS + 1) * BATCH)
        x, y = inputs[rows], targets[rows]
        weights = weights - 0.1 * 2 * x.T @ (x @ weights - y) / len(x)
        if average is not None:
            # As Keras has it: the average begins with the first updated weights.
            share = average if step else 0.0
            averaged = share * averaged + (1 - share) * weights
    return weights, averaged


@pytest.mark.parametrize("steps_per_execution", [1, 2, 7], ids=["one", "uneven", "over-an-epoch"])
def test_weights_as_by_hand(steps_per_execution):
    model, result = train(config(steps_per_execution=steps_per_execution))
    np.testing.assert_allclose(model.get_weights()[0], by_hand()[0], rtol=1e-5)
    assert int(model.optimizer.iterations) == 2 * STEPS
    assert result.epochs == 2
    inputs, targets = data()
    assert len(result.history["mae"]) == 2


@pytest.mark.parametrize(("rate", "shown"), [(812.4, 812), (10.2, 10), (3.26, 3.3), (0.04, 0.0)])
def test_small_rates_have_a_decimal(rate, shown):
    assert training_callbacks.shown_rate(rate) == shown


def test_rates_are_given_in_every_unit():
    messages = []

    def report(done, total, **values):
        messages.append(values)

    _, result = train(config(), report=report, per_step={"examples": 8.0, "tokens": 100.0})
    assert result.per_second["tokens"] == pytest.approx(12.5 * result.per_second["examples"])
    said = [(m["examples_per_second"], m["tokens_per_second"]) for m in messages]
    assert said
    # Each is rounded by itself: 0.5 of 12.5 tokens, and 0.5 of one.
    assert all(tokens == pytest.approx(12.5 * examples, abs=6.75) for examples, tokens in said)
    # Without being told, a step has `batch_size` examples.
    assert train(config())[1].per_second.keys() == {"examples"}


def test_history_holds_the_mean_over_the_epoch():
    _, result = train(config(epochs=1, optimizer={"type": "sgd", "learning_rate": 1e-30}))
    # Nothing is learned: the model answers 0, so the errors are the targets' themselves.
    targets = data()[1]
    assert result.history["mae"] == [pytest.approx(np.abs(targets).mean(), rel=1e-5)]
    assert result.history["loss"] == [pytest.approx(np.square(targets).mean(), rel=1e-5)]


def test_step_is_traced_once():
    """Whatever the batch sizes: tracing costs more than a small training."""
    traces = []

    class Counting(keras.Sequential):
        def train_step(self, data):
            traces.append(data)
            return super().train_step(data)

    model = Counting([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    fit.fit(model, batches, steps_per_epoch=STEPS, config=config(), seed=0)
    assert len(traces) == 1


def test_averaged_weights():
    optimizer = {"type": "sgd", "learning_rate": 0.1, "ema_momentum": 0.5}
    validation = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH)
    model, result = train(config(optimizer=optimizer), validation=validation)
    _, averaged = by_hand(average=0.5)
    np.testing.assert_allclose(model.get_weights()[0], averaged, rtol=1e-5)
    inputs, targets = data()
    error = np.square(inputs @ averaged - targets).mean()
    # The validation saw the averages, too.
    assert result.history["val_loss"][-1] == pytest.approx(error, rel=1e-4)


def test_early_stopping_keeps_the_best_averaged_weights():
    optimizer = {"type": "sgd", "learning_rate": 0.1, "ema_momentum": 0.5}
    stop = {"monitor": "val_loss", "patience": 1, "min_delta": 100.0}
    validation = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH)
    model, result = train(
        config(epochs=9, optimizer=optimizer, early_stopping=stop), validation=validation
    )
    # No improvement is large enough: the first epoch is the best, the second the last.
    assert result.epochs == 2
    np.testing.assert_allclose(model.get_weights()[0], by_hand(epochs=1, average=0.5)[1], rtol=1e-5)


def test_xla_and_two_replicas_train_as_one_does():
    """In a process of its own: devices and determinism are fixed once TensorFlow has begun."""
    program = (
        "import importlib.util, sys\n"
        "import tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "two = [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, two)\n"
        "spec = importlib.util.spec_from_file_location('fit_test', sys.argv[1])\n"
        "test = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(test)\n"
        "validation = tf.data.Dataset.from_tensor_slices(test.data()).batch(8)\n"
        "even = lambda *start: test.batches(*start).filter(lambda x, y: tf.shape(x)[0] == 8)\n"
        "for strategy, xla in (('cpu', 'on'), ('mirrored', 'off'), ('cpu', 'off')):\n"
        "    config = test.config(strategy=strategy, xla=xla)\n"
        "    place = test.placement.choose(config)\n"
        "    replicas = place.strategy.num_replicas_in_sync if place.strategy else 1\n"
        "    model, result = test.train(config, validation=validation, batches=even)\n"
        "    weights = model.get_weights()[0].ravel()\n"
        "    print(replicas, int(model.jit_compile), *weights, *result.history['val_loss'])\n"
    )
    command = [sys.executable, "-c", program, __file__]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    xla, two, one = (np.array(line.split(), float) for line in done.stdout.splitlines()[-3:])
    assert (*xla[:2], *two[:2], *one[:2]) == (1, 1, 2, 0, 1, 0)
    np.testing.assert_allclose(xla[2:], one[2:], rtol=1e-4)
    np.testing.assert_allclose(two[2:], one[2:], rtol=1e-4)


@pytest.mark.parametrize(
    ("every_step", "when"), [(True, "at epoch 1, step 3"), (False, "at or shortly before epoch 1")]
)
def test_bad_loss_stops_with_a_sentence(every_step, when):
    inputs, targets = data()
    targets[2 * BATCH + 1] = np.nan

    def poisoned(first_epoch, first_step):
        return tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(BATCH).repeat()

    placement.prepare_process(placement.choose(config()), 0)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    with pytest.raises(ValueError, match=rf"Received: nan {when}.*Lower `train.optimizer"):
        fit.fit(model, poisoned, steps_per_epoch=STEPS, config=config(), seed=0, on_cpu=every_step)


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("val_mea", r"Received: 'val_mea'. Nearest known: .*mae.*no validation split"),
        ("val_loss", r"Received: 'val_loss'. Nearest known: .*loss.*no validation split"),
    ],
)
def test_unknown_monitor(monitor, message):
    with pytest.raises(ValueError, match=message):
        train(config(early_stopping={"monitor": monitor}))


def test_reports_are_few_and_end_at_the_end():
    reports, begun = [], time.monotonic()
    train(config(epochs=3), report=lambda done, total, **values: reports.append((done, total)))
    assert reports[-1] == (3 * STEPS, 3 * STEPS)
    # One each epoch, and some five a second.
    assert 3 <= len(reports) <= 5 + 5 * (time.monotonic() - begun)
