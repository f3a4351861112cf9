"""The base of all sources that read files: `path` in the config, with wildcards and spans.

`FileSource` says which paths there are; `data_files` lists the files under them, on disk or in an
archive, `.gz` or not, each with the name that it has in the keys of its records.
"""

import gzip
import io
import os
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar, Literal

from pydantic import Field

from penstock.pipelines.reading import spans
from penstock.pipelines.reading.archive import MAX_UNPACKED_BYTES, ratio_fault
from penstock.pipelines.reading.tree import ReadFault, Tree
from penstock.pipelines.sources import source


class FileSource(source.Source):
    """Reads what `path` stands for (see `spans.py`): files, folders, archives.

    `path`: may have wildcards and `{SPAN}`. `span`: "latest" or a number. `span_window`: how many
    spans up to that one.
    """

    path: Path
    span: Literal["latest"] | Annotated[int, Field(ge=0)] = "latest"
    span_window: Annotated[int, Field(ge=1)] = 1

    def paths(self) -> list[Path]:
        """What `path` stands for now, sorted.

        Raises:
            ReadFault: nothing, or an archive that cannot be read.
        """
        return spans.resolve(self.path, self.span, self.span_window)

    def check(self) -> list[str]:
        try:
            faults = [Tree(path).check() for path in self.paths() if _is_place(path)]
        except ReadFault as fault:
            faults = [str(fault)]
        return [f"`data.source.path`: {fault}" for fault in faults if fault]

    def files(self) -> list[Path]:
        return disk_files(self.paths())

    def __getstate__(self):
        # Without what is listed once and kept: readers know their source, and with it each process
        # would be sent the names of all files.
        state = super().__getstate__()
        fields = type(self).model_fields
        kept = {name: value for name, value in state["__dict__"].items() if name in fields}
        return {**state, "__dict__": kept}


def disk_files(paths: list[Path]) -> list[Path]:
    """The files on disk that these paths are read from: an archive for all that lies in it."""
    found = set()
    for path in paths:
        found.update([path] if path.is_file() else _tree_of(path).disk_files())
    return sorted(found)


def _is_place(path):
    """Whether a path is a folder or archive, and not a file."""
    return path.is_dir() or (path.is_file() and Tree(path).is_archive)


def _tree_of(path):
    return Tree(path if path.exists() else path.parent)


class ChangedFault(ValueError):
    """A file is no longer what its parts were planned by; the message is a sentence.

    No bad record: what was read of the file before and what is there now do not belong together.
    """


@dataclass(frozen=True)
class DataFile:
    """One file to read, in a folder or an archive.

    `name` is its path relative to the part of the config's `path` without wildcards, as keys have
    it: it stays as long as the file keeps its place. `fault` says why it cannot be read. `seen` is
    what the file on disk was like when its parts were planned (see `as_it_is`).
    """

    name: str
    tree: Tree
    inner: str
    fault: str | None = None
    seen: tuple[int, ...] | None = None

    @property
    def where(self) -> str:
        """The path as it is shown to people; in an archive `x.zip/inner`."""
        return os.path.join(self.tree.path, self.inner)

    @property
    def on_disk(self) -> bool:
        """Whether it can be read from any position: not in an archive, not compressed."""
        return not self.tree.is_archive and not self.is_gzip

    @property
    def is_gzip(self) -> bool:
        return self.inner.lower().endswith(".gz")

    def open(self) -> BinaryIO:
        """The content as a stream, decompressed where the name ends in `.gz`.

        Raises:
            ReadFault: the file cannot be read; also while it is read.
        """
        if self.fault:
            raise ReadFault(self.fault)
        stream = self.tree.open(self.inner)
        return gunzipped(stream) if self.is_gzip else stream

    def damage(self) -> str | None:
        """Why the content is not as it was written, as its checksum says; None also without one.

        A checksum stands at the end, so all of it is read, once in a process: rows that come before
        it must not be taken for good ones.
        """
        if self.fault or self.on_disk:
            return self.fault
        try:
            now = self._now()
        except OSError as error:
            return f"The file cannot be read: {error.strerror}."
        return _damage(self.tree.path, self.inner, *now)

    def as_it_is(self) -> "DataFile":
        """Itself, to be divided into parts that are read later, perhaps in other processes."""
        try:
            return replace(self, seen=self._now())
        except OSError:
            return self  # Whoever opens it says why.

    def check_unchanged(self) -> None:
        """Raises ChangedFault if the file has changed since `as_it_is`."""
        try:
            now = self._now()
        except OSError as error:
            now = error.strerror
        if self.seen is None or now == self.seen:
            return
        found = now if isinstance(now, str) else f"{now[0]:,} bytes"
        raise ChangedFault(
            f"The file `{self.where}` was changed while it was read: it had {self.seen[0]:,} bytes "
            f"(or was another file of that size), now: {found}. Its rows would be lost or mixed. Run "
            "again when nobody writes to it."
        )

    def read_part(self, offset: int, size: int) -> bytes:
        """So many bytes of a file on disk, as they were planned.

        Raises:
            ChangedFault: they are not there any more.
            ReadFault: the file cannot be read.
        """
        self.check_unchanged()
        with self.open() as stream:
            stream.seek(offset)
            data = stream.read(size)
        self.check_unchanged()
        return data

    def _now(self):
        """What changes when the file does, or the archive in which it lies."""
        disk = self.tree.disk_files()[0] if self.tree.is_archive else Path(self.where)
        status = disk.stat()
        return status.st_size, status.st_mtime_ns, status.st_ino


@lru_cache(maxsize=4096)
def _damage(folder, inner, *unchanged):
    del unchanged
    try:
        with DataFile("", Tree(folder), inner).open() as stream:
            while stream.read(2**20):
                pass
    except ReadFault as fault:
        return str(fault)
    return None


def data_files(path: Path, found: list[Path], suffixes: tuple[str, ...]) -> list[DataFile]:
    """The files under paths, sorted by name.

    Args:
        path: as the config has it.
        found: what it stands for.
        suffixes: what names end in, of files in a folder or archive; files that are named by
            `path` itself or by wildcards may be called anything.
    """
    base = f"{spans.fixed_part(path)}/".removeprefix("./")
    files = []
    for one in found:
        if _is_place(one) or (not one.exists() and not _is_entry(one)):
            # Keys begin below a folder or archive that is named, but have what a wildcard matches.
            prefix = "" if one == path else f"{str(one).removeprefix(base)}/"
            tree = Tree(one)
            files += [
                DataFile(prefix + entry.name, tree, entry.name, entry.fault)
                for entry in tree.entries()
                if entry.name.lower().endswith(suffixes)
            ]
        else:
            files.append(_single(one, str(one).removeprefix(base)))
    return sorted(files, key=lambda file: file.name)


def _is_entry(path):
    return any(entry.name == path.name for entry in Tree(path.parent).entries())


def _single(path, name):
    tree = Tree(path.parent)
    if not tree.is_archive:
        return DataFile(name, tree, path.name)
    entry = next(entry for entry in tree.entries() if entry.name == path.name)
    return DataFile(name, tree, entry.name, entry.fault)


def gunzipped(stream: BinaryIO) -> BinaryIO:
    """What a gzip stream contains; damage is a `ReadFault`."""
    return io.BufferedReader(_GzipStream(stream), 2**18)


class _GzipStream(io.RawIOBase):
    """Decompresses; what is damaged, cut off or far too much is a `ReadFault`."""

    _ERRORS: ClassVar = (zlib.error, EOFError, gzip.BadGzipFile, OSError)

    def __init__(self, stream):
        self._stream = _Counted(stream)
        self._unpacked = gzip.GzipFile(fileobj=self._stream, mode="rb")
        self._total = 0
        self._fault = None

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._fault:
            raise ReadFault(self._fault)  # and not the end, as `gzip` might say
        data = b""
        try:
            data = self._unpacked.read1(len(buffer))
        except self._ERRORS as error:
            said = str(error).rstrip(".") or type(error).__name__
            self._fault = f"The gzip file is damaged or cut off: {said}."
        self._total += len(data)
        self._fault = self._fault or ratio_fault(self._total, self._stream.bytes)
        if self._total > MAX_UNPACKED_BYTES:
            self._fault = f"It unpacks to more than {MAX_UNPACKED_BYTES:,} bytes."
        if self._fault:
            raise ReadFault(self._fault)
        buffer[: len(data)] = data
        return len(data)

    def close(self):
        self._unpacked.close()
        self._stream.close()
        super().close()


class _Counted:
    """A stream that knows how many bytes were read of it."""

    def __init__(self, stream):
        self._stream = stream
        self.bytes = 0

    def read(self, size=-1):
        data = self._stream.read(size)
        self.bytes += len(data)
        return data

    def close(self):
        self._stream.close()
