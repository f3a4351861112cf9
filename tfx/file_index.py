"""The content of files outside the store, without reading again what has not changed.

A file counts by path, size, mtime, ctime and inode first: where all five are as they were when it
was last read, its digest is taken from the index. Where any differs it is read. So `touch` costs
one read and changes nothing, and an edit that restores size and mtime is still seen (ctime cannot
be set back).
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from penstock.tfx import durable

FORMAT_VERSION = 1

SETTLE_NS = 2_000_000_000
"""A file changed less than this before it was read may change again within one tick of the file
system's clock; it is read again next time (git's "racily clean" entries)."""


class FileIndex:
    """Digests of files by their stat, kept in one JSON document.

    Args:
        path: the document; it is rebuilt when it is missing or unreadable.
        digest: path -> JSON value, computed from the content alone.
    """

    def __init__(self, path: Path, digest: Callable[[Path], object] = durable.sha256_of_file):
        self.path = path
        self._digest = digest
        self._changed = False
        self._entries = self._load()

    def _load(self) -> dict:
        try:
            document = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        whole = isinstance(document, dict) and document.get("format_version") == FORMAT_VERSION
        files = document.get("files") if whole else None
        return files if isinstance(files, dict) else {}

    def digest(self, path: Path) -> object:
        """The digest of one file, read only if its stat has changed."""
        return self.digest_of(os.path.abspath(path))

    def digest_of(self, name: str) -> object:
        """Likewise, of a file whose absolute, normal path is `name`."""
        status = os.stat(name)
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        entry = self._entries.get(name)
        if _is_entry(entry) and entry["stamp"] == stamp and entry["settled"]:
            return entry["digest"]
        settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLE_NS
        entry = {"stamp": stamp, "settled": settled, "digest": self._digest(Path(name))}
        self._entries[name] = entry
        self._changed = True
        return entry["digest"]

    def save(self) -> None:
        """Writes the index if it has changed; two writers at once cost a read, never a wrong digest."""
        if self._changed:
            document = {"format_version": FORMAT_VERSION, "files": self._entries}
            with contextlib.suppress(OSError):  # without the index files are read again, no more
                durable.write_json(self.path, document)
            self._changed = False


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and {"stamp", "settled", "digest"} <= entry.keys()


def digest_of_paths(index: FileIndex, paths: list[Path]) -> dict[str, str]:
    """Path relative to the files' common folder -> digest; moving a whole folder changes nothing."""
    if not paths:
        return {}
    names = sorted(os.path.abspath(path) for path in paths)
    # By strings: `commonpath` and `relpath` cost more than looking at the files themselves. What
    # the first and the last name have in common, all have; up to its last `/` it is a folder.
    folder = len(os.path.commonprefix([names[0], names[-1]]).rpartition("/")[0]) + 1
    return {name[folder:]: _content(index, name) for name in names}


def _content(index: FileIndex, name: str) -> str:
    """The digest, or why there is none: a file may go while a folder of them is looked at."""
    try:
        return str(index.digest_of(name))
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def summary(digests: dict[str, str]) -> str:
    """One digest for all of them."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
