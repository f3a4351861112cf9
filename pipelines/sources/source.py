"""The contract of a data source.

A source is one class called `Source` in a module of its own: `penstock.pipelines.sources.<type>`,
or a module of the user's, named in the config (`source: {type: my_package.my_source}`). Importing
the module must not import TensorFlow or Beam; `read` may.
"""

import base64
import operator
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from penstock.pipelines.config import Config
from penstock.pipelines.features import Features, Label


@dataclass(frozen=True)
class Record:
    """One good record. `key` is stable and unique; `split` is the source's own, or None.

    `values` maps each feature name to its raw form (see `features.py`), as bytes, str, int, float,
    list or numpy array, without a batch axis; of an optional feature it may be None. Records with
    the same `group` come into the same split (the windows of one recording, the photographs of one
    patient); None: a group of its own.
    """

    key: str
    values: dict[str, object]
    split: str | None = None
    file: str = ""
    index: int = 0
    group: str | None = None


KEPT_BYTES = 64 * 2**10
"""Of a bad record's own bytes."""


@dataclass(frozen=True)
class BadRecord:
    """One record that cannot be used: where it stands and why, in one sentence.

    `offset` is where it begins in its file, in bytes, if that makes sense; `data` is what was read
    of it, of which the quarantine keeps `KEPT_BYTES`.
    """

    file: str
    index: int
    reason: str
    key: str = ""
    offset: int | None = None
    data: bytes = b""

    def to_json(self) -> dict:
        """As JSON, `data` in base64, cut at `KEPT_BYTES`; without what is not known."""
        # A number of numpy's is no JSON.
        entry = {
            "file": self.file,
            "index": int(self.index),
            "reason": self.reason,
            "key": self.key,
        }
        if self.offset is not None:
            entry["offset"] = int(self.offset)
        if self.data:
            entry["data"] = base64.b64encode(self.data[:KEPT_BYTES]).decode()
        return entry

    @classmethod
    def from_json(cls, entry: dict) -> "BadRecord":
        """The inverse of `to_json`."""
        return cls(**{**entry, "data": base64.b64decode(entry.get("data", ""))})


def with_plain_fields(record: Record | BadRecord) -> Record | BadRecord:
    """A record of a user's source with a text for a path and an int for a number of numpy's.

    Raises:
        TypeError: `file` is no path, `index` no integer; of a bad record, `reason` or `key` is no
            text, `data` are no bytes.
    """
    try:
        plain = {"file": os.fsdecode(record.file), "index": operator.index(record.index)}
        if isinstance(record, BadRecord):
            texts = isinstance(record.reason, str) and isinstance(record.key, str)
            if not texts or not isinstance(record.data, bytes):
                raise TypeError
            if record.offset is not None:
                plain["offset"] = operator.index(record.offset)
    except TypeError:
        raise TypeError(
            "A record's `file` must be a text or a path, its `index` an integer; a bad record's "
            "`reason` and `key` texts, its `offset` an integer or None, its `data` bytes. Received: "
            f"{replace(record, values={}) if isinstance(record, Record) else record!r:.500}."
        ) from None
    return replace(record, **plain)


class Source(Config):
    """Base of all sources: its fields are the source's section of the config."""

    type: str

    needs_tensorflow: ClassVar[bool] = False
    """Whether `read` runs TensorFlow; decides in which kind of worker ExampleGen runs."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version changes what is read (part of ExampleGen's cache key)."""

    def check(self) -> list[str]:
        """Faults that can be seen without reading data (a missing path), one sentence each."""
        return []

    def files(self) -> list[Path]:
        """Every file that `read` reads; their content is part of ExampleGen's cache key."""
        raise NotImplementedError(f"{type(self).__module__}.Source must define `files`.")

    def modules(self) -> tuple[str, ...]:
        """Further modules that run in `read`, and that its own does not import: a nested source's."""
        return ()

    def fingerprint(self) -> dict:
        """Further facts about what is read that no file's content shows, as JSON.

        Class folders without an image, the version of a data set; part of ExampleGen's cache key.
        """
        return {}

    def only(self, files: frozenset[str]) -> "Source":
        """A source that need not read any but these files, named as in `BadRecord.file`.

        For `penstock quarantine --replay`, which leaves out the records of other files itself: this
        only saves time. Features and keys must stay those of the whole source.
        """
        del files
        return self

    def features(self) -> Features:
        """Describes an example. May list folders or read headers, not the data."""
        raise NotImplementedError(f"{type(self).__module__}.Source must define `features`.")

    def early_labels(self) -> list[str] | None:
        """Features that are labels, or may be for all that shows before any data is read.

        None: not even their names show so early. For `data.stratify`; called only where `check`
        finds nothing.
        """
        if self.needs_tensorflow:
            return None
        return [name for name, feature in self.features().items() if isinstance(feature, Label)]

    def own_splits(self) -> frozenset[str | None] | None:
        """The splits that records name, with None if some name none; None if that does not show.

        As far as it shows before any data is read: a split too many here costs a late fault, one
        too few a false one. Called only where `check` finds nothing.
        """
        return None

    def remarks(self) -> list[str]:
        """What a person should know of what is read, said once in each run: what is left out."""
        return []

    def read(self, pipeline):
        """Reads everything: a `beam.Pipeline` -> a PCollection of `Record | BadRecord`."""
        raise NotImplementedError(f"{type(self).__module__}.Source must define `read`.")
