"""Prepared examples as memory-mapped arrays: what `cache: disk` reads from.

A dense tensor is one file of its values. A ragged one is its flat values and, for each ragged axis,
the row splits; strings are their bytes and one more level of splits. A directory is written beside
its place and renamed when all of it is on disk, so that a killed process leaves nothing that looks
complete; the next one writes anew.
"""

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tensorflow as tf

from penstock.pipelines.inputs.input_plan import ranges
from penstock.pipelines.transform.tensor_spec import Tensor


class DiskArrays:
    """Arrays of some tensors; `open` makes them, `take` gathers rows."""

    def __init__(self, directory: Path, tensors: dict[str, Tensor]):
        self._tensors = tensors
        sizes = json.loads((directory / "sizes.json").read_text())
        self._levels, self._values = {}, {}
        for number, (name, tensor) in enumerate(tensors.items()):
            *levels, last = [directory / file for file in _file_names(number, tensor)]
            self._levels[name] = [_mapped(level, np.int64, sizes) for level in levels]
            values = _mapped(last, _stored_dtype(tensor), sizes)
            if tensor.dtype != "string":
                values = values.reshape(-1, *tensor.inner_shape)
            self._values[name] = values

    @classmethod
    def open(cls, directory: Path, tensors, batches: Iterable[dict], needed: int) -> "DiskArrays":
        """Opens a complete directory, or writes it from `batches` of flat eager tensors.

        Args:
            needed: bytes that it will take.

        Raises:
            ValueError: the disk has less space than that.
        """
        if not directory.exists():
            unfinished = directory.with_name(directory.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            free = shutil.disk_usage(directory.parent).free
            if needed > free:
                raise ValueError(
                    f"`train.cache=disk` needs up to {needed / 1e9:.2f} GB in "
                    f"`{directory.parent}`. Received: {free / 1e9:.2f} GB of free space. Free some, "
                    "or set `train.cache=off`."
                )
            unfinished.mkdir()
            _write(unfinished, tensors, batches)
            unfinished.replace(directory)
        return cls(directory, tensors)

    def lengths(self, name: str) -> np.ndarray:
        """int64 [rows]: how long each row of a ragged tensor is."""
        return np.diff(self._levels[name][0])

    def take(self, rows: np.ndarray) -> list[np.ndarray]:
        """For each tensor its (flat) values of these rows, then the splits of its ragged axes."""
        taken = []
        for name, tensor in self._tensors.items():
            items, splits = rows, []
            for level in self._levels[name][: tensor.ragged_rank]:
                items, lengths = _expanded(level, items)
                splits.append(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
            if tensor.dtype == "string":
                taken.append(self._strings(name, tensor, items))
            else:
                taken.append(self._values[name][items])
            taken += splits
        return taken

    def _strings(self, name, tensor, items):
        each = int(np.prod(tensor.inner_shape, dtype=np.int64))
        places = (items[:, None] * each + np.arange(each)).ravel()
        splits, data = self._levels[name][-1], self._values[name]
        strings = np.empty(len(places), object)
        starts, stops = splits[places].tolist(), splits[places + 1].tolist()
        for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            strings[place] = data[start:stop].tobytes()
        return strings.reshape(len(items), *tensor.inner_shape)


def _file_names(number, tensor):
    levels = tensor.ragged_rank + (tensor.dtype == "string")
    return [f"{number}-splits-{level}" for level in range(levels)] + [f"{number}-values"]


def _expanded(splits, rows):
    starts = splits[rows]
    lengths = splits[rows + 1] - starts
    return ranges(starts, lengths), lengths


def _stored_dtype(tensor):
    return np.uint8 if tensor.dtype == "string" else tf.as_dtype(tensor.dtype).as_numpy_dtype


def _mapped(path, dtype, sizes):
    if not sizes[path.name]:
        return np.empty(0, dtype)  # an empty file cannot be mapped
    return np.memmap(path, dtype, mode="r")


def _write(directory, tensors, batches):
    with ExitStack() as stack:
        writers = []
        for number, tensor in enumerate(tensors.values()):
            names = _file_names(number, tensor)
            files = [stack.enter_context(open(directory / name, "wb")) for name in names]
            writers.append(_ColumnWriter(tensor, files))
        for batch in batches:
            for name, writer in zip(tensors, writers, strict=True):
                writer.add(batch[name])
        sizes = {name: size for writer in writers for name, size in writer.finish().items()}
    (directory / "sizes.json").write_text(json.dumps(sizes))


class _ColumnWriter:
    def __init__(self, tensor, files):
        self._tensor, self._files = tensor, files
        self._ends = [0] * (len(files) - 1)
        for file in files[:-1]:
            file.write(np.zeros(1, np.int64).tobytes())

    def add(self, value):
        ragged = isinstance(value, tf.RaggedTensor)
        splits = [part.numpy() for part in value.nested_row_splits] if ragged else []
        values = (value.flat_values if ragged else value).numpy()
        if self._tensor.dtype == "string":
            strings = values.ravel().tolist()
            splits.append(np.cumsum([0, *map(len, strings)]))
            data = b"".join(strings)
        else:
            data = np.ascontiguousarray(values).tobytes()
        for level, part in enumerate(splits):
            self._files[level].write((part[1:] + self._ends[level]).astype(np.int64).tobytes())
            self._ends[level] += int(part[-1])
        self._files[-1].write(data)

    def finish(self):
        """Name -> bytes of each file, all of them on disk."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        return {Path(file.name).name: file.tell() for file in self._files}
