"""Sorting more records than memory holds: runs on disk, each sorted, merged range by range.

ExampleGen writes what it has read as *runs* of some 64 MB, each sorted by (split, hash of the key),
with an index of the hashes, and another one by content for `duplicates.py`. A shard is a range of
hashes: it takes its slice out of every run, so that only one shard's records are in memory at a
time, and nothing goes through Beam's own shuffle, which the in-process runner keeps in memory.
"""

import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penstock.pipelines.sources.source import Record

RUN_BYTES = 64 * 2**20
ROWS_OF_A_CONTENT = 16
"""Of a run: a blank picture that is there a million times must not fill the memory of a task.

What is left out is only counted; if its key is in another run too, nobody sees that it is a bad one.
"""
_HEADER = struct.Struct("<IIIq")
"""Bytes of the key, of the file's name and of the data, and the record's index; these follow."""
_ENTRY_BYTES = 300
"""What an entry takes in memory besides what is written (measured): of rows of a table most of it."""


class Entry(NamedTuple):
    """One record on its way into a shard; entries are in the order of their fields."""

    order_hash: int
    key: str
    data: bytes
    file: str
    index: int


class RunWriter:
    """Collects records and writes them as runs into `directory`.

    File names are unique, so that a bundle that is tried again never reads another try's files.
    """

    def __init__(self, directory):
        self._directory = Path(directory)
        self._entries = []
        self._bytes = 0
        self.runs = []
        """Of each run written: {"name", "splits": {split: {"examples", "bytes"}}}."""

    @staticmethod
    def unique_name() -> str:
        """A file name that no other try uses."""
        return uuid.uuid4().hex

    def add(self, split: str, order_hash: int, record: Record, data: bytes, content: int) -> None:
        """Adds one record; writes a run when enough have come together.

        Args:
            content: the hash of its content (`duplicates.py`).
        """
        key, file = record.key.encode(), os.fsencode(record.file)
        header = _HEADER.pack(len(key), len(file), len(data), record.index) + key + file
        self._entries.append((split, order_hash, header, data, content))
        self._bytes += len(header) + len(data) + _ENTRY_BYTES
        if self._bytes >= RUN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what has been collected."""
        if not self._entries:
            return
        name = self.unique_name()
        self._entries.sort(key=lambda entry: entry[:2])
        splits, index, offset = {}, {}, 0
        with open(self._directory / f"{name}.run", "wb") as file:
            for split, order_hash, header, data, content in self._entries:
                totals = splits.setdefault(split, {"examples": 0, "bytes": 0})
                totals["examples"] += 1
                totals["bytes"] += len(data)
                index.setdefault(split, []).append((order_hash, offset, content))
                file.write(header + data)
                offset += len(header) + len(data)
        for split, rows in index.items():
            order_hashes, offsets, contents = columns = np.array(rows, np.uint64).T
            np.save(self._directory / f"{name}.{split}.npy", columns[:2].T)
            by_content = _by_content(contents, order_hashes, offsets)
            np.save(self._directory / f"{name}.{split}.contents.npy", by_content)
        self.runs.append({"name": name, "splits": splits})
        self._entries, self._bytes = [], 0


def changes(values: np.ndarray) -> np.ndarray:
    """Where a value differs from the one before it; the first does."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _by_content(content, key, offset):
    """What `contents_in_range` reads: of each content a few rows, the last of them for the rest."""
    rows = np.stack([content, key, offset])[:, np.lexsort((key, content))]
    rows = rows[:, changes(rows[0]) | changes(rows[1])]
    starts = np.flatnonzero(changes(rows[0]))
    sizes = np.diff(np.append(starts, rows.shape[1]))
    rank = np.arange(rows.shape[1]) - np.repeat(starts, sizes)
    rest = np.repeat(sizes, sizes) - rank
    count = np.where(rank == ROWS_OF_A_CONTENT - 1, rest, 1).astype(np.uint64)
    return np.vstack([rows, count])[:, rank < ROWS_OF_A_CONTENT]


def read_range(directory, name: str, split: str, low: int, high: int) -> Iterator[Entry]:
    """The entries of a run and split whose hash lies in [low, high), in order."""
    pairs = np.load(Path(directory) / f"{name}.{split}.npy")
    # Inclusive bounds, because 2**64 does not fit into a uint64.
    first = np.searchsorted(pairs[:, 0], np.uint64(low), "left")
    last = np.searchsorted(pairs[:, 0], np.uint64(high - 1), "right")
    if first == last:
        return
    with open(Path(directory) / f"{name}.run", "rb") as file:
        file.seek(int(pairs[first, 1]))
        for order_hash in pairs[first:last, 0].tolist():
            key, path, size, index = _read_header(file)
            yield Entry(order_hash, key, file.read(size), path, index)


def _read_header(file):
    """(key, file, bytes of the data, index) of the record that begins here."""
    key_size, file_size, size, index = _HEADER.unpack(file.read(_HEADER.size))
    names = file.read(key_size + file_size)
    return names[:key_size].decode(), os.fsdecode(names[key_size:]), size, index


def contents_in_range(directory, name: str, split: str, low: int, high: int) -> np.ndarray:
    """Of the examples of a run and split whose content's hash lies in [low, high), sorted by it.

    Returns:
        uint64 [4, rows]: hash of the content, hash of the key, offset in the run, how many examples
        the row stands for: one, but for the last of `ROWS_OF_A_CONTENT`.
    """
    columns = np.load(Path(directory) / f"{name}.{split}.contents.npy", mmap_mode="r")
    first = np.searchsorted(columns[0], np.uint64(low), "left")
    last = np.searchsorted(columns[0], np.uint64(high - 1), "right")
    return np.array(columns[:, first:last])


def read_origin(directory, name: str, offset: int) -> dict:
    """{key, file} of the record at an offset of a run."""
    with open(Path(directory) / f"{name}.run", "rb") as file:
        file.seek(offset)
        key, path, _, _ = _read_header(file)
    return {"key": key, "file": path}
