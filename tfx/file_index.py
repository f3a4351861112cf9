"""The content of files outside the store, without reading again what has not changed.

A file counts by path, size, mtime, ctime and inode first: where all five are as they were when it
was last read, its digest is taken from the index. Where any differs it is read. So `touch` costs
one read and changes nothing, and an edit that restores size and mtime is still seen (ctime cannot
be set back).

The index is a file of SQLite, because a source may have a million files: they are looked up one by
one, and a run that is killed leaves a whole index. Without it (the disk is full, another run is
writing) files are read again, no more.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from penstock.tfx import durable

TABLE = "files_1"
"""Its number is that of the format: a table of another one is not looked at."""
KEPT_AT_ONCE = 5_000
"""Digests that are in memory; what is new of them is then written, in a transaction of its own."""
BUSY_S = 5.0
"""How long another run that writes the index is waited for; a transaction takes milliseconds."""

SETTLE_NS = 2_000_000_000
"""A file changed less than this before it was read may change again within one tick of the file
system's clock; it is read again next time (git's "racily clean" entries)."""


class FileIndex:
    """Digests of files by their stat, kept in one file of SQLite.

    Args:
        path: the file; it is built anew when it is damaged.
        digest: path -> JSON value, computed from the content alone.
    """

    def __init__(self, path: Path, digest: Callable[[Path], object] = durable.sha256_of_file):
        self.path = path
        self._digest = digest
        self._connection: sqlite3.Connection | None = None
        self._failed = False
        self._seen: dict[str, tuple[str, object]] = {}
        self._new: list[str] = []

    def digest(self, path: Path) -> object:
        """The digest of one file, read only if its stat has changed."""
        return self.digest_of(os.path.abspath(path))

    def digest_of(self, name: str) -> object:
        """Likewise, of a file whose absolute, normal path is `name`."""
        status = os.stat(name)
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        found = self._seen.get(name) or self._kept(name)
        if found is None or found[0] != stamp:
            settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLE_NS
            found = stamp, self._digest(Path(name))
            if not settled:
                return found[1]
            self._new.append(name)
        self._seen[name] = found
        if len(self._seen) >= KEPT_AT_ONCE:
            self.save()
            self._seen = {}
        return found[1]

    def _kept(self, name):
        """(stamp, digest) of a file when it was last read, or None."""
        found = self._try(
            lambda connection: connection.execute(
                f"SELECT stamp, digest FROM {TABLE} WHERE name = ?", (os.fsencode(name),)
            ).fetchone()
        )
        with contextlib.suppress(ValueError, TypeError):  # a damaged row, or none
            return found[0], json.loads(found[1])
        return None

    def save(self) -> None:
        """Writes what is new; two writers at once cost a read, never a wrong digest."""
        found = ((name, *self._seen[name]) for name in self._new)
        rows = [(os.fsencode(name), stamp, json.dumps(digest)) for name, stamp, digest in found]
        self._new = []

        def write(connection):
            with connection:
                connection.executemany(f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?)", rows)

        if rows:
            self._try(write)

    def _try(self, action):
        """What `action(connection)` gives; None if the index cannot be used."""
        for _ in range(2):
            if self._failed:
                break
            try:
                if self._connection is None:
                    self._connection = self._open()
                return action(self._connection)
            except sqlite3.Error as error:
                # Locked too long, no space, no right to write; everything else is damage.
                self._failed = isinstance(error, sqlite3.OperationalError)
                self.close()
                if not self._failed:
                    self._remove()
        self._failed = True
        return None

    def _open(self):
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_S)
        try:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {TABLE} "
                "(name BLOB PRIMARY KEY, stamp TEXT, digest TEXT) WITHOUT ROWID"
            )
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Closes the file; what is asked for later opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remove(self):
        with contextlib.suppress(OSError):
            # The journal first: SQLite would roll it back into the new file.
            Path(f"{self.path}-journal").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


def digests_of_paths(index: FileIndex, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """(path relative to the files' common folder, digest) of each, sorted by path.

    Moving a whole folder changes nothing. The digest is why there is none where a file cannot be
    read: it may go while a folder of them is looked at.
    """
    names = sorted({os.path.abspath(path) for path in paths})
    if not names:
        return
    # By strings: `commonpath` and `relpath` cost more than looking at the files themselves. What
    # the first and the last name have in common, all have; up to its last `/` it is a folder.
    folder = len(os.path.commonprefix([names[0], names[-1]]).rpartition("/")[0]) + 1
    for name in names:
        try:
            yield name[folder:], str(index.digest_of(name))
        except OSError as error:
            yield name[folder:], f"cannot be read: {error.strerror}"
