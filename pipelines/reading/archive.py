"""What all archives share: the list of files, and the rules for their names and sizes.

An archive may be made by anybody, so nothing that it says is believed. Refused as a whole are
damaged archives, those whose entries overlap, and those that unpack to too much; refused one by one
are names that lead out of the archive, links, devices, encrypted files and decompression bombs.
"""

import os
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_UNPACKED_BYTES = 64 * 2**30
"""Of all files of an archive together."""
MAX_RATIO = 200
"""A file may unpack to so many times its size in the archive; deflate's own limit is 1,032."""
BOMB_FROM_BYTES = 16 * 2**20
"""Smaller files may unpack to any multiple: a black picture is no bomb."""
_DRIVE = re.compile(r"[A-Za-z]:")


class ReadFault(ValueError):
    """A file or an archive cannot be read; the message is the reason, a sentence."""


class Entry(NamedTuple):
    """One file: its path relative to the tree with `/`, its size in bytes, why it cannot be read.

    `fault` is None for a file that can be read, otherwise a sentence. A folder that cannot be read
    is an entry too, since nothing that is in it can be one.
    """

    name: str
    size: int
    fault: str | None = None
    is_folder: bool = False


def is_hidden(name: str) -> bool:
    """Whether a file is no data: `.DS_Store`, `._x`, `__MACOSX/x`, anything in `.git`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def plain_name(name: str) -> str:
    """`./a//b` -> `a/b`; what is not a relative path stays so."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/" * name.startswith("/") + "/".join(parts)


def name_fault(name: str) -> str | None:
    """Why a name from an archive or from data is no path inside a tree; None if it is one."""
    parts = name.split("/")
    if "\0" in name or not name:
        return "Its name is empty or contains a zero byte."
    if name.startswith("/") or ".." in parts or "\\" in name or _DRIVE.match(name):
        return (
            f"Its name leads out of the place where it lies: {name!r}. Expected: a relative path "
            "with `/` and without `..`."
        )
    return None


def shown_name(name: str) -> str:
    """A name that may not be UTF-8 as it can be printed: `\\xff` for such a byte."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def is_utf8(name: str) -> bool:
    """Whether a name from the file system or an archive is valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Archive:
    """What is in an archive; base of `ZipArchive` and `TarArchive`.

    `entries` maps the name of each file that is not hidden to its `Entry`; `folders` are the names
    of all folders. Reading is safe from several threads.

    Raises:
        ReadFault: the archive is damaged, its entries overlap, or it unpacks to too much.
    """

    def __init__(self, path: Path, max_unpacked_bytes: int):
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.folders: set[str] = set()
        self.max_unpacked_bytes = max_unpacked_bytes
        self._total = 0

    def open(self, name: str) -> BinaryIO:
        """A file of the archive as a stream; reading it may raise `ReadFault`."""
        raise NotImplementedError

    def add(self, raw_name: str, size: int, fault: str | None) -> str | None:
        """Notes a file; returns its name if it can be read."""
        name = plain_name(raw_name)
        fault = name_fault(name) or fault
        if not is_utf8(name):
            name, fault = shown_name(name), "Its name is not valid UTF-8."
        if name_fault(name) is None and is_hidden(name):
            return None
        if name in self.entries:
            fault = "The archive has several files of this name, so none of them is read."
        self.entries[name] = Entry(name, size, fault)
        if fault:
            return None
        self._add_folders(name.rpartition("/")[0])
        self._total += size
        if self._total > self.max_unpacked_bytes:
            raise ReadFault(too_much(self.path, self.max_unpacked_bytes))
        return name

    def _add_folders(self, name: str) -> None:
        while name and name not in self.folders:
            self.folders.add(name)
            name = name.rpartition("/")[0]

    def add_folder(self, raw_name: str) -> None:
        name = plain_name(raw_name)
        if name_fault(name) is None and is_utf8(name) and not is_hidden(name):
            self._add_folders(name)


def too_much(path, limit):
    return (
        f"The archive `{path}` unpacks to more than {limit:,} bytes: a decompression bomb? If not, "
        "unpack it and name the folder."
    )


def damaged(path, error):
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ReadFault(f"The archive `{path}` is damaged or cut off: {said}.")


def ratio_fault(size, packed):
    if size > BOMB_FROM_BYTES and size > MAX_RATIO * packed:
        return (
            f"It unpacks from {packed:,} to {size:,} bytes: a decompression bomb? At most "
            f"{MAX_RATIO} times its size is read. If it is none, unpack it and name what comes out."
        )
    return None
