"""Bad records on their way into the quarantine: more of them than memory holds.

Each process writes what it finds as *runs*, sorted; `merged` reads all runs as one sorted sequence.
Of a record's own bytes so many are kept as `Limits` says. Which records keep theirs depends on the
records only, not on how they were divided among processes: of each kind of reason those that come
first in order (`is_before`), so that a frequent one leaves room for the others.
"""

import base64
import heapq
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.pipelines.quarantine.reason_kinds import kind_of
from penstock.pipelines.sources.source import KEPT_BYTES, BadRecord

RUN_RECORDS, RUN_BYTES = 50_000, 32 * 2**20
"""What a process collects before it writes a run."""
MOST_OPEN = 200
"""Runs that are read at once: a process may have 1,024 files open."""
MOST_KINDS = 1000
"""Of reasons told apart; a source whose reasons all differ must not fill memory."""


@dataclass(frozen=True)
class Limits:
    """How many bytes of the bad records themselves are kept; 0 keeps none of any.

    Attributes:
        record_bytes: of one record.
        total_bytes: of all together; of one kind of reason an eighth of it.
    """

    record_bytes: int = KEPT_BYTES
    total_bytes: int = 64 * 2**20

    @property
    def kind_bytes(self) -> int:
        """Of all records that are bad for the same kind of reason."""
        return self.total_bytes // 8


def entry_of(record: BadRecord, limits: Limits) -> dict:
    """As JSON; `data` is base64, `bytes` says how many there were where not all are in `data`."""
    entry = replace(record, data=b"").to_json()
    kept = record.data[: limits.record_bytes] if limits.total_bytes else b""
    if kept:
        entry["data"] = base64.b64encode(kept).decode()
    if len(kept) < len(record.data):
        entry["bytes"] = len(record.data)
    return entry


def record_of(entry: dict) -> BadRecord:
    """The inverse of `entry_of`, as far as the bytes were kept."""
    return BadRecord.from_json({name: part for name, part in entry.items() if name != "bytes"})


def without_data(entry: dict) -> dict:
    """The entry of a record whose bytes are not kept."""
    if "data" not in entry:
        return entry
    entry = {"bytes": data_bytes(entry), **entry}
    del entry["data"]
    return entry


def data_bytes(entry: dict) -> int:
    """How many bytes of the record are kept in the entry."""
    data = entry.get("data", "")
    return len(data) * 3 // 4 - data.count("=", -2)


def _order(entry: dict):
    return entry["file"], entry["index"], entry["key"], entry["reason"], entry.get("data", "")


class BadRunWriter:
    """Collects bad records and writes them as runs into `directory`.

    File names are unique, so that a bundle that is tried again never reads another try's files.
    """

    def __init__(self, directory, limits: Limits):
        self._directory = Path(directory)
        self._limits = limits
        self._entries, self._bytes = [], 0
        self._kept: dict[str, tuple[int, tuple]] = {}
        self.names: list[str] = []
        """Of the runs that were written."""

    def add(self, record: BadRecord) -> None:
        """Adds one record; writes a run when enough have come together."""
        entry = self._with_bytes_in_reach(entry_of(record, self._limits))
        self._entries.append(entry)
        self._bytes += len(entry.get("data", ""))
        if len(self._entries) >= RUN_RECORDS or self._bytes >= RUN_BYTES:
            self.flush()

    def _with_bytes_in_reach(self, entry: dict) -> dict:
        """Without the bytes that `Quarantine` will not keep: enough records of the kind are before it."""
        if "data" not in entry:
            return entry
        kind, order = kind_of(entry["reason"]), _order(entry)
        size, largest = self._kept.get(kind, (0, order))
        if size >= self._limits.kind_bytes and order >= largest:
            return without_data(entry)
        if len(self._kept) > MOST_KINDS:
            self._kept.clear()  # it then keeps more than it must
        self._kept[kind] = size + data_bytes(entry), max(order, largest)
        return entry

    def flush(self) -> None:
        """Writes what has been collected."""
        if self._entries:
            self.names.append(_write_run(self._directory, sorted(self._entries, key=_order)))
        self._entries, self._bytes = [], 0


def _write_run(directory: Path, entries: Iterable[dict]) -> str:
    name = uuid.uuid4().hex
    with open(directory / f"{name}.bad", "w", encoding="ascii") as file:
        for entry in entries:
            file.write(json.dumps(entry) + "\n")
    return name


def merged(directory, names: list[str]) -> Iterator[dict]:
    """The entries of all runs in order: by file, index, key and reason."""
    directory, names = Path(directory), sorted(names)
    while len(names) > MOST_OPEN:
        first = heapq.merge(*(_read_run(directory, name) for name in names[:MOST_OPEN]), key=_order)
        names = [*names[MOST_OPEN:], _write_run(directory, first)]
    return heapq.merge(*(_read_run(directory, name) for name in names), key=_order)


def _read_run(directory: Path, name: str) -> Iterator[dict]:
    with open(directory / f"{name}.bad", encoding="ascii") as file:
        for line in file:
            yield json.loads(line)
