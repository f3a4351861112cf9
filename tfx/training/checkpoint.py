"""Checkpoints from which a training goes on in mid-epoch, bit for bit.

A checkpoint is a directory `step-<n>`: `arrays.npz` (every variable of model, optimizer and
metrics, seed generators included, and arrays of callback state) and `state.json` (epoch, step,
other callback state, states of Python's and NumPy's global generators, the SHA-256 of the arrays).
It is written beside, synced and renamed, so that it is there whole or not at all; what a broken
disk spoils is noticed by the digest and the one before is taken. No pickle.
"""

import contextlib
import json
import random
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from penstock.tfx.durable import publish_directory, sha256_of_file, sync_tree

FORMAT_VERSION = 1
KEEP = 2


class Checkpoints(keras.callbacks.Callback):
    """Saves now and then; restores what `restore_variables` cannot.

    Stands last in the list of callbacks, so that the others have had their turn with each event.

    Args:
        directory: where checkpoints are kept; made when missing.
        steps: the `TrainFunction`.
        stateful: name -> callback with `get_state` and `set_state`.
        every_steps: save after this many steps, or None.
        every_seconds: save when this much time has passed.
        seed: the training's seed, for the record.
        restored: what `latest` gave, or None.
    """

    def __init__(self, directory, *, steps, stateful, every_steps, every_seconds, seed, restored):
        super().__init__()
        self._directory = Path(directory)
        self._steps = steps
        self._stateful = stateful
        self._every_steps = every_steps
        self._every_seconds = every_seconds
        self._seed = seed
        self._restored = restored
        self._epoch = 0
        self._total = restored.total_steps if restored else 0
        self._saved = (self._total, time.monotonic())

    def on_train_begin(self, logs=None):
        if self._restored:
            for name, callback in self._stateful.items():
                callback.set_state(self._restored.callback_state(name))

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._restored and self._restored.step:
            # After `fit` has reset the metrics for the epoch.
            self._restored.assign("metrics", self.model.metrics_variables)
        self._restored = None

    def on_train_batch_end(self, batch, logs=None):
        if not self._steps.skipping:
            self._total = self._total_at(self._epoch, self._steps.step)
            self._save_if_due(self._epoch, self._steps.step)

    def on_epoch_end(self, epoch, logs=None):
        # A training that stops here is as good as finished: its last epoch is simply run again.
        if not self.model.stop_training:
            self._save_if_due(epoch + 1, 0)

    def _total_at(self, epoch, step):
        return epoch * self._steps.steps_per_epoch + step

    def _save_if_due(self, epoch, step):
        saved_total, saved_at = self._saved
        total = self._total_at(epoch, step)
        due = time.monotonic() - saved_at >= self._every_seconds
        if self._every_steps is not None and total - saved_total >= self._every_steps:
            due = True
        if due:
            states = {name: callback.get_state() for name, callback in self._stateful.items()}
            save(self._directory, self.model, epoch, step, total, states, self._seed)
            self._saved = (total, time.monotonic())


class Restored:
    """A checkpoint that has been read."""

    def __init__(self, document: dict, arrays: dict):
        self._document = document
        self._arrays = arrays
        self.epoch: int = document["epoch"]
        self.step: int = document["step"]
        self.total_steps: int = document["total_steps"]
        self.seed: int = document["seed"]

    def assign(self, group: str, variables) -> None:
        """Gives variables the saved values.

        Raises:
            ValueError: number, shape or dtype differ; the checkpoint is of another model.
        """
        saved = self._document["variables"][group]
        expected = [
            [variable.path, list(variable.shape), _dtype(variable)] for variable in variables
        ]
        if [entry[1:] for entry in saved] != [entry[1:] for entry in expected]:
            differing = [
                pair for pair in zip(saved, expected, strict=False) if pair[0][1:] != pair[1][1:]
            ]
            raise ValueError(
                f"The checkpoint is of another model ({group}). Expected: {len(expected)} "
                f"variables. Received: {len(saved)}; first difference: {differing[:1]}. "
                "Start a new run."
            )
        for index, variable in enumerate(variables):
            variable.assign(self._array(f"{group}/{index}"))

    def callback_state(self, name: str):
        """What the callback's `get_state` had returned."""
        return _unpack(self._document["callbacks"][name], self._arrays)

    def restore_generators(self) -> None:
        """Sets Python's and NumPy's global generators as they were."""
        version, numbers, gauss = self._document["python_random"]
        random.setstate((version, tuple(numbers), gauss))
        name, position, has_gauss, gauss = self._document["numpy_random"]
        np.random.set_state((name, self._arrays["numpy_random"], position, has_gauss, gauss))

    def _array(self, name):
        array = self._arrays[name]
        if array.dtype.kind == "V":  # bfloat16 and its like: plain bytes to NumPy's own formats.
            group, index = name.rsplit("/", 1)
            array = array.view(np.dtype(self._document["variables"][group][int(index)][2]))
        return array


def save(directory, model, epoch: int, step: int, total: int, states: dict, seed: int) -> Path:
    """Writes the checkpoint of a moment: the next batch would be (epoch, step)."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {}
    groups = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
    for group, variables in groups.items():
        arrays |= {f"{group}/{i}": variable.numpy() for i, variable in enumerate(variables)}
    callbacks = {name: _pack(state, f"callbacks/{name}", arrays) for name, state in states.items()}
    numpy_name, arrays["numpy_random"], *numpy_rest = np.random.get_state()
    final = directory / f"step-{total:010d}-{step}"
    staged = directory / f".writing-{final.name}"
    for stale in (*directory.glob(".writing-*"), final):
        shutil.rmtree(stale, ignore_errors=True)
    staged.mkdir()
    np.savez(staged / "arrays.npz", **arrays)
    document = {
        "format_version": FORMAT_VERSION,
        "epoch": epoch,
        "step": step,
        "total_steps": total,
        "seed": seed,
        "variables": {
            group: [[v.path, list(v.shape), _dtype(v)] for v in variables]
            for group, variables in groups.items()
        },
        "callbacks": callbacks,
        "python_random": random.getstate(),
        "numpy_random": [numpy_name, *numpy_rest],
        "sha256": sha256_of_file(staged / "arrays.npz"),
    }
    (staged / "state.json").write_text(json.dumps(document))
    sync_tree(staged)
    publish_directory(staged, final)
    for old in _newest_first(directory)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest(directory) -> Restored | None:
    """The newest whole checkpoint, or None; broken ones are passed over."""
    for path in _newest_first(Path(directory)):
        with contextlib.suppress(OSError, ValueError, KeyError):
            document = json.loads((path / "state.json").read_text())
            if document["format_version"] != FORMAT_VERSION:
                continue
            if sha256_of_file(path / "arrays.npz") != document["sha256"]:
                continue
            with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
                return Restored(document, dict(arrays))
    return None


def _newest_first(directory):
    return sorted(directory.glob("step-*"), reverse=True)


def _dtype(variable):
    return keras.backend.standardize_dtype(variable.dtype)


def _pack(value, name, arrays):
    """Plain data as JSON; arrays go into `arrays` and leave their name."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict):
        return {"dict": {key: _pack(v, f"{name}/{key}", arrays) for key, v in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"list": [_pack(v, f"{name}/{i}", arrays) for i, v in enumerate(value)]}
    return {"value": value.item() if isinstance(value, np.generic) else value}


def _unpack(packed, arrays):
    ((kind, value),) = packed.items()
    if kind == "array":
        return arrays[value]
    if kind == "dict":
        return {key: _unpack(v, arrays) for key, v in value.items()}
    if kind == "list":
        return [_unpack(v, arrays) for v in value]
    return value
