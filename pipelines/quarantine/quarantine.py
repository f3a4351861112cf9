"""The Quarantine directory: every record that could not be used, with the reason.

`bad_records.jsonl` has one JSON object for each, sorted: {file, index, key, reason}, where known
`offset` (bytes from the beginning of the file), `data` (its own bytes in base64) and `bytes` (how
many there were, where `data` has not all of them). `summary.json` has the version of both files, how
many records were read, and for each kind of reason how many are bad for it and the first of them.
Each record that was read (and made by a task's `expand`) is an example or a bad record:
`read` = `good` + `bad`.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.pipelines.quarantine.bad_records import (
    MOST_KINDS,
    Limits,
    data_bytes,
    entry_of,
    record_of,
    without_data,
)
from penstock.pipelines.quarantine.printable import printable
from penstock.pipelines.quarantine.reason_kinds import kind_of
from penstock.pipelines.sources.source import BadRecord

FORMAT_VERSION = 2
RECORDS, SUMMARY = "bad_records.jsonl", "summary.json"
SHOWN_RECORDS, SHOWN_BYTES = 5, 600
"""What `summary.json` has of each kind of reason: so many records, of each so many bytes."""
OTHER = "Another reason."
SAME_KEY = "Another record has the same key."
"""Why the second record of a key in a split is a bad one."""


def write(directory, bad: Iterable[BadRecord], good: int) -> dict:
    """Writes both files with default limits; see `write_entries`.

    Args:
        bad: in order.
    """
    limits = Limits()
    return write_entries(directory, (entry_of(record, limits) for record in bad), good, limits)


def write_entries(directory, entries: Iterable[dict], good: int, limits: Limits) -> dict:
    """Writes both files, holding no more than a few records at once.

    Args:
        entries: as `bad_records.merged` gives them, in order.
        good: how many records became examples.

    Returns:
        What stands in `summary.json`.
    """
    directory, kinds = Path(directory), _Kinds(limits)
    with open(directory / RECORDS, "w", encoding="ascii") as file:
        for entry in entries:
            file.write(json.dumps(kinds.add(entry), sort_keys=True) + "\n")
    found = {
        "format_version": FORMAT_VERSION,
        "read": good + kinds.bad,
        "good": good,
        "bad": kinds.bad,
        "kept_bytes": kinds.kept_bytes,
        "reasons": kinds.sorted(),
    }
    (directory / SUMMARY).write_text(json.dumps(found, indent=1) + "\n")
    return found


class _Kinds:
    """Counts by kind of reason, and decides which records keep their bytes."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._kinds: dict[str, dict] = {}
        self._seen_bytes: dict[str, int] = {}
        self.bad = self.kept_bytes = 0

    def add(self, entry: dict) -> dict:
        """Counts an entry and gives it back as it is kept."""
        self.bad += 1
        kind = kind_of(entry["reason"])
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = OTHER
        size = data_bytes(entry)
        self._seen_bytes[kind] = seen = self._seen_bytes.get(kind, 0) + size
        fits = self.kept_bytes + size <= self._limits.total_bytes
        if size and fits and seen <= self._limits.kind_bytes:
            self.kept_bytes += size
        else:
            entry = without_data(entry)
        found = self._kinds.setdefault(kind, {"kind": kind, "count": 0, "first": []})
        found["count"] += 1
        if len(found["first"]) < SHOWN_RECORDS:
            found["first"].append(_shortened(entry))
        return entry

    def sorted(self) -> list[dict]:
        """The most frequent first."""
        return sorted(self._kinds.values(), key=lambda found: (-found["count"], found["kind"]))


def _shortened(entry: dict) -> dict:
    return entry_of(record_of(entry), Limits(SHOWN_BYTES)) | (
        {"bytes": entry["bytes"]} if "bytes" in entry else {}
    )


def entries(directory) -> Iterator[dict]:
    """The bad records as they are stored, in order, one at a time."""
    with open(Path(directory) / RECORDS, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def read(directory) -> list[BadRecord]:
    """All of them at once, for where they are known to be few."""
    return [record_of(entry) for entry in entries(directory)]


def summary(directory) -> dict:
    """What `summary.json` says, also of a directory that an earlier version wrote.

    Raises:
        ValueError: a later version wrote it.
    """
    found = json.loads((Path(directory) / SUMMARY).read_text(encoding="utf-8"))
    version = found.get("format_version", 1)
    if version == 1:  # it counted each reason for itself, and kept no bytes
        read, good = found["bad"] + found["good"], found["good"]
        counts = {"read": read, "good": good, "bad": found["bad"], "kept_bytes": 0}
        reasons = reasons_of(entries(directory))
        return {"format_version": FORMAT_VERSION, **counts, "reasons": reasons}
    if version != FORMAT_VERSION:
        raise ValueError(
            f"The quarantine must have the format_version {FORMAT_VERSION} or less. Received: "
            f"{version} (in {str(directory)!r}). It was written by a later version of Penstock; "
            "use that, or run the pipeline again."
        )
    return found


def reasons_of(some: Iterable[dict]) -> list[dict]:
    """The kinds of reasons of some entries, as `reasons` in `summary.json`."""
    kinds = _Kinds(Limits())
    for entry in some:
        kinds.add(entry)
    return kinds.sorted()


def too_many(found: dict, max_bad_fraction: float) -> str | None:
    """A sentence if the share of bad records is over the limit, else None.

    Args:
        found: as `summary` gives it.
    """
    bad, total = found["bad"], found["read"]
    if not total or bad / total <= max_bad_fraction:
        return None
    most = found["reasons"][0]
    example = most["first"][0]
    return (
        f"{bad} of {total} records ({bad / total:.1%}) cannot be used; at most "
        f"{max_bad_fraction:.1%} may be bad (`data.max_bad_fraction`). Most frequent reason "
        f"({most['count']} times): {printable(example['reason'], 500)} First in "
        f"`{printable(example['file'], 300)}`, index {example['index']}; `penstock quarantine` "
        "shows them, and with `--replay` reads mended files again."
    )
