"""A tree of files: a folder, an archive, or a folder inside an archive.

`Tree("photos")`, `Tree("photos.zip")` and `Tree("all.tar.gz/data/photos")` are read in the same
way; nothing is unpacked. In a folder links are followed, except those to a folder that they are in.
What has a name, but cannot be read (a link that leads nowhere, a pipe, a name that is not UTF-8, a
file that an archive must not have), is an entry with the reason. Hidden files are left out.
"""

import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from penstock.pipelines.reading.archive import (
    MAX_UNPACKED_BYTES,
    Entry,
    ReadFault,
    is_hidden,
    is_utf8,
    name_fault,
    plain_name,
    shown_name,
)
from penstock.pipelines.reading.archives import SUFFIXES, is_archive_name, open_archive

__all__ = ["Entry", "ReadFault", "Tree"]

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class Tree:
    """Files under a path. Can be pickled: an archive is opened in the process that reads it.

    Args:
        path: a folder, an archive (`SUFFIXES`), or a folder inside an archive: `x.zip/inner`.
        max_unpacked_bytes: an archive whose files are more together is refused.
    """

    def __init__(self, path: Path, max_unpacked_bytes: int = MAX_UNPACKED_BYTES):
        self.path = Path(path)
        self._max_unpacked_bytes = max_unpacked_bytes

    def __reduce__(self):
        return Tree, (self.path, self._max_unpacked_bytes)

    @cached_property
    def _place(self) -> tuple[Path | None, str]:
        """(the archive or None for a folder on disk, the folder in it with `/` at its end)."""
        if not self.path.is_dir():
            for path in (self.path, *self.path.parents):
                if is_archive_name(path) and path.is_file():
                    inner = self.path.relative_to(path).as_posix()
                    return path, "" if inner == "." else f"{inner}/"
        return None, ""

    @property
    def is_archive(self) -> bool:
        """Whether it is an archive or a folder in one, and no folder on disk."""
        return self._place[0] is not None

    def _archive(self):
        return open_archive(self._place[0], self._max_unpacked_bytes)

    def check(self) -> str | None:
        """A sentence if there is nothing, or it cannot be read.

        No file's content is read, but a compressed tar must be decompressed to be listed.
        """
        path, inner = self._place
        if path is None:
            return _folder_fault(self.path)
        if not os.access(path, os.R_OK):
            return _denied(path)
        try:
            archive = self._archive()
        except ReadFault as fault:
            return str(fault)
        if inner and not any(name.startswith(inner) for name in archive.entries):
            hint = ""
            if inner.rstrip("/") in archive.entries:
                hint = " (it is a file; an archive in an archive is not opened)"
            return (
                f"The archive `{path}` has no folder {inner.rstrip('/')!r}{hint}. Expected: one of "
                f"{', '.join(map(repr, sorted(archive.folders)[:5])) or 'none (it has none)'}. "
                "Correct the path."
            )
        return None

    def entries(self) -> list[Entry]:
        """All files below the path, sorted by name; hidden ones are left out.

        Raises:
            ReadFault: an archive that is damaged or refused as a whole.
        """
        path, inner = self._place
        if path is None:
            return sorted(_walk(self.path), key=lambda entry: entry.name)
        found = self._archive().entries.values()
        if inner:
            found = [
                Entry(entry.name[len(inner) :], entry.size, entry.fault)
                for entry in found
                if entry.name.startswith(inner)
            ]
        return sorted(found, key=lambda entry: entry.name)

    def folders(self) -> list[str]:
        """The names of all folders below the path, sorted, also of those without a file.

        Raises:
            ReadFault: see `entries`.
        """
        path, inner = self._place
        if path is None:
            return sorted(_walk_folders(self.path))
        found = self._archive().folders
        return sorted(name[len(inner) :] for name in found if name.startswith(inner))

    def read(self, name: str, limit: int) -> bytes:
        """The content of a file.

        Args:
            name: relative to the tree; from `entries`, or from data.
            limit: of its size in bytes.

        Raises:
            ReadFault: no such file, a name that leads out of the tree, a larger file, damage.
        """
        size, stream = self._opened(name)
        with stream:
            if size > limit:
                raise ReadFault(f"The file has {size} bytes; at most {limit} are read.")
            try:
                # As many bytes as are asked for are allocated, so not the limit at once. One more
                # than there should be: a file on disk may have grown since it was looked at.
                data = stream.read(size + 1)
                if len(data) > size:
                    data += stream.read(limit + 1 - len(data))
            except OSError as error:
                raise ReadFault(f"The file cannot be read: {error.strerror}.") from None
        if len(data) > limit:
            raise ReadFault(f"The file has grown to more than {limit} bytes.")
        return data

    def open(self, name: str) -> BinaryIO:
        """A file as a stream; reading it may raise `ReadFault` too (see `read`)."""
        return self._opened(name)[1]

    def _opened(self, name):
        """(size, stream)."""
        name = plain_name(name)
        fault = name_fault(name)
        path, inner = self._place
        # On disk `\\` and `c:` are letters like others.
        if fault and (
            path is not None or name.startswith("/") or {"", ".."} & set(name.split("/"))
        ):
            raise ReadFault(fault)
        if path is None:
            return _open_on_disk(self.path, name)
        archive = self._archive()
        entry = archive.entries.get(inner + name)
        if entry is None:
            raise ReadFault(f"There is no file {name!r} in `{self.path}`.")
        if entry.fault:
            raise ReadFault(entry.fault)
        return entry.size, archive.open(entry.name)

    def disk_files(self) -> list[Path]:
        """The files on disk that all this is read from, sorted: the archive, or each file."""
        path, _ = self._place
        if path is not None:
            return [path]
        folder = str(self.path)
        return [Path(folder, entry.name) for entry in self.entries() if entry.fault is None]


def _denied(path):
    return f"`{path}` cannot be read: permission denied. Give the user who runs this access to it."


def _folder_fault(path):
    if path.is_dir():
        return None if os.access(path, os.R_OK | os.X_OK) else _denied(path)
    found = "a file that is none" if path.exists() else "nothing there"
    where = "" if path.is_absolute() else f" in the current folder, {os.getcwd()!r}"
    return (
        f"There is no folder or archive `{path}` ({found}{where}). Expected: a folder, an archive "
        f"({', '.join(SUFFIXES)}) or a folder in one. Correct the path."
    )


def _open_on_disk(folder, name):
    path = os.path.join(folder, name)
    try:
        # Not blocking: opening a pipe would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ReadFault(f"There is no file {name!r} in `{folder}`.") from None
    except ValueError:
        raise ReadFault("Its name is empty or contains a zero byte.") from None
    except OSError as error:
        raise ReadFault(f"The file cannot be read: {error.strerror}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ReadFault(_no_file(status.st_mode))
    return status.st_size, os.fdopen(descriptor, "rb")


def _walk(root: Path) -> Iterator[Entry]:
    """The files under a folder, in no order."""
    for prefix, entry, fault in _scan(root):
        if entry is None:
            if fault is not None:
                yield Entry(prefix.rstrip("/"), 0, fault, is_folder=True)
        elif not is_utf8(entry.name):
            folder = _is_folder(entry)
            yield Entry(prefix + shown_name(entry.name), 0, _not_utf8(folder), folder)
        elif not _is_folder(entry):
            size, fault = _facts(entry)
            yield Entry(prefix + entry.name, size, fault)


def _walk_folders(root: Path) -> Iterator[str]:
    for prefix, entry, _ in _scan(root):
        if entry is None and prefix:
            yield prefix.rstrip("/")


def _scan(root: Path):
    """Yields (folder as prefix, None, None or why it cannot be read), then its entries:
    (folder as prefix, directory entry, None).
    """
    pending = [(str(root), "", frozenset())] if root.is_dir() else []
    while pending:
        folder, prefix, above = pending.pop()
        try:
            identity = _identity(folder)
            if not prefix or os.path.islink(folder):
                above |= set(map(_identity, Path(os.path.realpath(folder)).parents))
            if identity in above:
                continue  # A link to a folder that it is in: without an end.
            with os.scandir(folder) as listed:
                entries = [entry for entry in listed if not is_hidden(entry.name)]
        except OSError as error:
            yield prefix, None, f"The folder cannot be read: {error.strerror}."
            continue
        yield prefix, None, None
        for entry in entries:
            yield prefix, entry, None
            if is_utf8(entry.name) and _is_folder(entry):
                pending.append((entry.path, f"{prefix}{entry.name}/", above | {identity}))


def _identity(folder):
    """What a folder has in common with all links to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, or into a folder that cannot be entered.
        return False


def _not_utf8(is_folder):
    if is_folder:
        return "The folder's name is not valid UTF-8, so nothing in it is read. Rename it."
    return "The file's name is not valid UTF-8. Rename it."


def _no_file(mode):
    return f"It is no file, but {_KINDS.get(stat.S_IFMT(mode), 'something else')}."


def _facts(entry):
    """(size, why it cannot be read as a file or None) of a directory entry. Opens nothing."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return 0, "It is a link that leads nowhere."
    except OSError as error:
        return 0, f"The file cannot be read: {error.strerror}."
    if not stat.S_ISREG(status.st_mode):
        return 0, _no_file(status.st_mode)
    readable = os.access(entry.path, os.R_OK)
    return status.st_size, None if readable else "The file cannot be read: Permission denied."
