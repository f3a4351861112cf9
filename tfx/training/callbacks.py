"""Callbacks of a training: progress, early stopping, averaged weights, a loss that is no number.

Those whose state decides how a resumed run goes on have `get_state` and `set_state` (plain data,
numpy arrays and lists of them); `checkpoint.py` saves it.
"""

import math
import time
from collections.abc import Callable
from difflib import get_close_matches

import keras

from penstock.tfx.training import config as training_config
from penstock.tfx.training.steps import TrainFunction

REPORT_EVERY_SECONDS = 0.2


class History(keras.callbacks.History):
    """Keras's record of each epoch's metrics, which a checkpoint can hold."""

    def get_state(self):
        return {"epoch": list(self.epoch), "history": {k: list(v) for k, v in self.history.items()}}

    def set_state(self, state):
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's early stopping, which a checkpoint can hold."""

    _STATE = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    @classmethod
    def from_config(cls, config: training_config.EarlyStopping) -> "EarlyStopping":
        return cls(**config.model_dump())

    def get_state(self):
        return {name: getattr(self, name) for name in self._STATE}

    def set_state(self, state):
        for name in self._STATE:
            setattr(self, name, state[name])


def check_monitor(monitor: str, train_metrics: list[str], validated: bool) -> None:
    """Raises ValueError if early stopping would wait for a metric that never comes."""
    known = [*train_metrics, *(f"val_{name}" for name in train_metrics if validated)]
    if monitor not in known:
        near = get_close_matches(monitor, known, n=3) or known
        reason = "" if validated else " There is no validation split, so nothing begins with val_."
        raise ValueError(
            "`train.early_stopping.monitor` must name a metric of this training. "
            f"Received: {monitor!r}. Nearest known: {', '.join(near)}.{reason}"
        )


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the training with an error when the loss is NaN or infinite.

    Looking at a value waits for the device, so on an accelerator it looks now and then only.
    """

    def __init__(self, steps: TrainFunction, optimizer, every_step: bool):
        super().__init__()
        self._steps = steps
        self._optimizer = optimizer
        self._every_step = every_step
        self._looked = 0.0
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._every_step or now - self._looked >= REPORT_EVERY_SECONDS:
            self._looked = now
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs)

    def _check(self, logs):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(loss)):
            return
        when = "at" if self._every_step else "at or shortly before"
        raise ValueError(
            f"The training loss must stay a finite number. Received: {float(loss)} {when} epoch "
            f"{self._epoch + 1}, step {self._steps.step} (learning rate "
            f"{float(self._optimizer.learning_rate):.3g}). Lower `train.optimizer.learning_rate`, "
            "set `train.optimizer.clip_norm`, train in float32, or look for NaN in the data."
        )


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras's event files: metrics and learning rate of each epoch; no graph, no profile."""

    def __init__(self, directory):
        super().__init__(directory, write_graph=False, profile_batch=0)

    def on_train_batch_end(self, batch, logs=None):
        """Keras makes a summary for each batch here, though nothing writes it: 1 ms a step."""


class Progress(keras.callbacks.Callback):
    """Reports where the training is, some five times a second.

    Args:
        steps: the train function.
        report: `f(done, total, **values)`.
        steps_per_epoch, epochs: of this training.
        per_step: what a step handles on average, by unit.
    """

    def __init__(
        self,
        steps,
        report: Callable,
        steps_per_epoch: int,
        epochs: int,
        per_step: dict[str, float],
    ):
        super().__init__()
        self._steps = steps
        self._report = report
        self._steps_per_epoch = steps_per_epoch
        self._epochs = epochs
        self._per_step = per_step
        self._values = {}
        self._reported = 0.0
        self._window = (0, 0.0, 0.0)
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY_SECONDS or self._steps.skipping:
            return
        self._reported = now
        self._values |= {name: float(value) for name, value in (logs or {}).items()}
        self._send()

    def on_epoch_end(self, epoch, logs=None):
        self._values |= {name: float(value) for name, value in (logs or {}).items()}
        self._send()

    def _send(self):
        now = (self._steps.trained_steps, self._steps.busy_seconds, self._steps.waited_seconds)
        trained, busy, waited = (a - b for a, b in zip(now, self._window, strict=True))
        self._window = now
        seconds = busy + waited
        speed = {}
        if seconds > 0:
            for unit, count in self._per_step.items():
                speed[f"{unit}_per_second"] = shown_rate(trained * count / seconds)
            speed["input_wait"] = f"{waited / seconds:.0%}"
        self._report(
            self._epoch * self._steps_per_epoch + self._steps.step,
            self._epochs * self._steps_per_epoch,
            epoch=f"{self._epoch + 1}/{self._epochs}",
            **{name: round(value, 4) for name, value in self._values.items()},
            **speed,
        )


def shown_rate(rate: float) -> float:
    """A rate for a reader: whole numbers, of small ones a decimal (seconds of audio a second)."""
    return round(rate) if rate >= 10 else round(rate, 1)


class AverageWeights(keras.callbacks.Callback):
    """Validates with the optimizer's moving average of the weights (`ema_momentum`).

    Early stopping must see and keep the averaged weights, and the next epoch must go on from the
    others: so this stands before all callbacks, and its `end` after those that look at the weights.
    `keras.callbacks.SwapEMAWeights` swaps by adding and subtracting, which changes the last bits,
    and leaves the wrong weights in the model when training stops early (Keras 3.15).
    """

    def __init__(self):
        super().__init__()
        self._trained = None
        self.end = _EndOfAverage(self)

    def on_test_begin(self, logs=None):
        self.swap_in()

    def on_epoch_end(self, epoch, logs=None):
        self.swap_in()

    def swap_in(self):
        """Puts the averages into the model and the trained weights aside."""
        if self._trained is None:
            optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
            weights = self.model.trainable_variables
            self._trained = [weight.numpy() for weight in weights]
            averages = optimizer._model_variables_moving_average
            for weight, average in zip(weights, averages, strict=True):
                weight.assign(average)

    def swap_out(self):
        """Puts the trained weights back."""
        if self._trained is not None:
            for weight, value in zip(self.model.trainable_variables, self._trained, strict=True):
                weight.assign(value)
            self._trained = None


class _EndOfAverage(keras.callbacks.Callback):
    """See `AverageWeights`."""

    def __init__(self, average):
        super().__init__()
        self._average = average

    def on_epoch_end(self, epoch, logs=None):
        self._average.swap_out()
