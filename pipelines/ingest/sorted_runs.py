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
UNDECIDED = "~"
"""Instead of a split, which is named by letters, of records that are divided when all are known."""
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

    def add(self, split: str, order_hash: int, record: Record, data: bytes, facts: tuple) -> None:
        """Adds one record; writes a run when enough have come together.

        Args:
            facts: the hashes of its content and of its labels (`duplicates.py`); where the split is
                `UNDECIDED` also that of its group or key, and its stratum (`stratified_splits.py`).
        """
        key, file = record.key.encode(), os.fsencode(record.file)
        header = _HEADER.pack(len(key), len(file), len(data), record.index) + key + file
        self._entries.append((split, order_hash, header, data, facts))
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
            for split, order_hash, header, data, facts in self._entries:
                totals = splits.setdefault(split, {"examples": 0, "bytes": 0})
                totals["examples"] += 1
                totals["bytes"] += len(data)
                index.setdefault(split, []).append((order_hash, offset, len(data), *facts))
                file.write(header + data)
                offset += len(header) + len(data)
        for split, rows in index.items():
            columns = np.array(rows, np.uint64).T
            if split == UNDECIDED:
                np.save(self._directory / f"{name}.{split}.npy", columns)
            else:
                save_index(self._directory, name, split, columns)
        self.runs.append({"name": name, "splits": splits})
        self._entries, self._bytes = [], 0


def save_index(directory, name: str, split: str, columns: np.ndarray) -> None:
    """Writes what `read_range` and `contents_in_range` look up of a run and split.

    Args:
        columns: uint64 [5, rows]: hash of the key, ascending; offset in the run, bytes of the data,
            hash of the content, hash of the labels.
    """
    key, offset, _, content, labels = columns
    np.save(Path(directory) / f"{name}.{split}.npy", np.stack([key, offset], axis=1))
    rows = _by_content(content, key, labels, offset)
    np.save(Path(directory) / f"{name}.{split}.contents.npy", rows)


def undecided(directory, name: str) -> np.ndarray:
    """Of the records of a run whose split is `UNDECIDED`: the columns of `save_index` and two more.

    Returns:
        uint64 [7, rows]; the last two are the hash of the group or key, and the stratum.
    """
    return np.load(Path(directory) / f"{name}.{UNDECIDED}.npy", mmap_mode="r")


def changes(values: np.ndarray) -> np.ndarray:
    """Where a value differs from the one before it; the first does."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _by_content(content, key, labels, offset):
    """What `contents_in_range` reads: of each content a few rows, the last of them for the rest.

    One of each label comes first, so that a content with several shows them.
    """
    rows = np.stack([content, key, labels, offset])[:, np.lexsort((key, labels, content))]
    of_label = changes(rows[0]) | changes(rows[2])
    is_new = of_label | changes(rows[1])
    rows, of_label = rows[:, is_new], of_label[is_new]
    rank, sizes = _ranks(changes(rows[0]))
    if sizes.max() > ROWS_OF_A_CONTENT:
        # Within a content the first of each label, then the second of each, and so on.
        rows = rows[:, np.lexsort((rows[2], _ranks(of_label)[0], rows[0]))]
    rest = np.repeat(sizes, sizes) - rank
    count = np.where(rank == ROWS_OF_A_CONTENT - 1, rest, 1).astype(np.uint64)
    return np.vstack([rows, count])[:, rank < ROWS_OF_A_CONTENT]


def _ranks(is_first):
    """Of each row its place in its group, which begins where `is_first`; the sizes of the groups."""
    starts = np.flatnonzero(is_first)
    sizes = np.diff(np.append(starts, len(is_first)))
    return np.arange(len(is_first)) - np.repeat(starts, sizes), sizes


def read_range(directory, name: str, split: str, low: int, high: int) -> Iterator[Entry]:
    """The entries of a run and split whose hash lies in [low, high), in order."""
    pairs = keys_in_range(directory, name, split, low, high)
    if not len(pairs):
        return
    with open(Path(directory) / f"{name}.run", "rb") as file:
        place = None
        paths = {}  # Rows of a table share one name, and many rows are in memory at once.
        for order_hash, offset in pairs.tolist():
            if place != offset:  # records of other splits may lie between
                file.seek(offset)
            key, path, size, index, header_size = _read_header(file)
            yield Entry(order_hash, key, file.read(size), paths.setdefault(path, path), index)
            place = offset + header_size + size


def keys_in_range(directory, name: str, split: str, low: int, high: int) -> np.ndarray:
    """uint64 [rows, 2]: the hashes of the keys in [low, high), ascending, and offsets in the run."""
    pairs = np.load(Path(directory) / f"{name}.{split}.npy", mmap_mode="r")
    # Inclusive bounds, because 2**64 does not fit into a uint64.
    first = np.searchsorted(pairs[:, 0], np.uint64(low), "left")
    last = np.searchsorted(pairs[:, 0], np.uint64(high - 1), "right")
    return np.array(pairs[first:last])


def _read_header(file):
    """(key, file, bytes of the data, index, bytes of all this) of the record that begins here."""
    key_size, file_size, size, index = _HEADER.unpack(file.read(_HEADER.size))
    names = file.read(key_size + file_size)
    key, path = names[:key_size].decode(), os.fsdecode(names[key_size:])
    return key, path, size, index, _HEADER.size + len(names)


def contents_in_range(directory, name: str, split: str, low: int, high: int) -> np.ndarray:
    """Of the examples of a run and split whose content's hash lies in [low, high), sorted by it.

    Returns:
        uint64 [5, rows]: hash of the content, of the key and of the labels, offset in the run, how
        many examples the row stands for: one, but for the last of `ROWS_OF_A_CONTENT`.
    """
    columns = np.load(Path(directory) / f"{name}.{split}.contents.npy", mmap_mode="r")
    first = np.searchsorted(columns[0], np.uint64(low), "left")
    last = np.searchsorted(columns[0], np.uint64(high - 1), "right")
    return np.array(columns[:, first:last])


def read_origin(directory, name: str, offset: int) -> dict:
    """{key, file} of the record at an offset of a run."""
    with open(Path(directory) / f"{name}.run", "rb") as file:
        file.seek(offset)
        key, path, *_ = _read_header(file)
    return {"key": key, "file": path}
