"""Trains a compiled model: `model.fit` with resume in mid-epoch, checkpoints and progress.

Comes in: a model as `task.compile` left it, and a function that gives its batches from any epoch
and step on. Goes out: the trained model and a `Result`. A run that is killed and started again
with the same arguments ends with the same weights and the same history (on CPU, bit for bit).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from penstock.tfx.training import callbacks as training_callbacks
from penstock.tfx.training import checkpoint
from penstock.tfx.training.config import TrainConfig
from penstock.tfx.training.steps import TestFunction, TrainFunction


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        history: metric name -> value after each epoch.
        epochs: epochs that were run, those before a resume included.
        resumed_at: (epoch, step) of the checkpoint that this process began from, or None.
        seconds: wall time of this process's `fit`.
        per_second: what was handled, by unit (`examples`), of training steps alone, the first one
            (tracing) included.
        input_wait_share: part of the training time spent waiting for input; 0...1.
    """

    history: dict[str, list[float]]
    epochs: int
    resumed_at: tuple[int, int] | None
    seconds: float
    per_second: dict[str, float]
    input_wait_share: float


def fit(
    model: keras.Model,
    batches: Callable[[int, int], tf.data.Dataset],
    *,
    steps_per_epoch: int,
    config: TrainConfig,
    seed: int,
    per_step: dict[str, float] | None = None,
    validation: tf.data.Dataset | None = None,
    checkpoints: Path | None = None,
    tensorboard: Path | None = None,
    report: Callable = lambda done, total, **values: None,
    on_cpu: bool = True,
    extra_callbacks: tuple = (),
) -> Result:
    """Trains `model`.

    Args:
        model: built and compiled, in the scope of its strategy.
        batches: `f(first_epoch, first_step)` -> endless batches for `train_step`; the same epoch
            and step must always give the same batch.
        steps_per_epoch: training steps in one epoch.
        config: epochs, early stopping, checkpoint intervals, steps per execution.
        seed: recorded in checkpoints; a checkpoint of another seed is an error.
        per_step: what a step handles on average, by unit (`{"examples": 31.7, "tokens": 812.0}`), for
            the rates that are shown; None for `config.batch_size` examples.
        validation: batches for `test_step`, of known cardinality, or None.
        checkpoints: directory to resume from and to save to; None saves nothing.
        tensorboard: directory for event files, or None.
        report: progress, see `callbacks.Progress`.
        on_cpu: whether looking at the loss after each step is cheap.
        extra_callbacks: called before checkpoints are written.

    Raises:
        ValueError: the loss is no finite number, or early stopping monitors an unknown metric.
    """
    restored = checkpoint.latest(checkpoints) if checkpoints else None
    per_step = per_step or {"examples": config.batch_size}
    start = (restored.epoch, restored.step) if restored else (0, 0)
    steps = TrainFunction(model, batches, steps_per_epoch, start)
    metrics = steps.trace()
    if config.early_stopping:
        training_callbacks.check_monitor(
            config.early_stopping.monitor, metrics, validation is not None
        )
    model.train_function = steps
    if validation is not None:
        model.test_function = TestFunction(model, validation)
    if restored:
        _restore(model, restored, seed)
        report(restored.total_steps, steps_per_epoch * config.epochs, resumed=_place(start))
    history = training_callbacks.History()
    begun = time.monotonic()
    model.fit(
        _placeholder(model.distribute_strategy.num_replicas_in_sync),
        epochs=config.epochs,
        initial_epoch=start[0],
        steps_per_epoch=steps_per_epoch,
        validation_data=validation,
        callbacks=_callbacks(
            model,
            steps,
            history,
            config,
            checkpoints,
            tensorboard,
            restored,
            seed,
            report,
            on_cpu,
            extra_callbacks,
            per_step,
        ),
        shuffle=False,
        verbose=0,
    )
    seconds = time.monotonic() - begun
    in_steps = max(steps.busy_seconds + steps.waited_seconds, 1e-9)
    return Result(
        history=history.history,
        epochs=len(history.epoch),
        resumed_at=start if restored else None,
        seconds=seconds,
        per_second={u: steps.trained_steps * count / in_steps for u, count in per_step.items()},
        input_wait_share=steps.waited_seconds / in_steps,
    )


def _callbacks(
    model,
    steps,
    history,
    config,
    checkpoints,
    tensorboard,
    restored,
    seed,
    report,
    on_cpu,
    extra,
    per_step,
):
    """In the order in which each event reaches them; see each class for why."""
    stateful = {"history": history}
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: steps.begin_epoch())
    ordered = [begin, training_callbacks.StopOnBadLoss(steps, model.optimizer, on_cpu)]
    average = training_callbacks.AverageWeights() if config.optimizer.ema_momentum else None
    if average:
        ordered.append(average)
    if config.early_stopping:
        stateful["early_stopping"] = training_callbacks.EarlyStopping.from_config(
            config.early_stopping
        )
        ordered.append(stateful["early_stopping"])
    if average:
        ordered.append(average.end)
    if tensorboard:
        ordered.append(training_callbacks.TensorBoard(tensorboard))
    ordered += [
        history,
        training_callbacks.Progress(steps, report, steps.steps_per_epoch, config.epochs, per_step),
        *extra,
    ]
    if checkpoints:
        ordered.append(
            checkpoint.Checkpoints(
                checkpoints,
                steps=steps,
                stateful=stateful,
                every_steps=config.checkpoint_every_steps,
                every_seconds=config.checkpoint_every_seconds,
                seed=seed,
                restored=restored,
            )
        )
    return ordered


def _restore(model, restored, seed):
    if restored.seed != seed:
        raise ValueError(
            f"The checkpoint was trained with another seed. Expected: {seed}. "
            f"Received: {restored.seed}. Start a new run."
        )
    restored.assign("model", model.variables)
    restored.assign("optimizer", model.optimizer.variables)
    restored.restore_generators()


def _placeholder(replicas: int) -> tf.data.Dataset:
    """What `fit` insists on; nobody reads it, see `steps.py`. One row for each replica."""
    return tf.data.Dataset.from_tensors(tf.zeros([replicas])).repeat()


def _place(start):
    return f"epoch {start[0] + 1}, step {start[1]}"
