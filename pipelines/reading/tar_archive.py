"""Tar files, plain or compressed.

A compressed tar has no index, so it is decompressed once, to a temporary file without a name.
"""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tempfile
import weakref
import zlib
from pathlib import Path
from typing import BinaryIO

from penstock.pipelines.reading.archive import (
    MAX_UNPACKED_BYTES,
    Archive,
    ReadFault,
    damaged,
    ratio_fault,
    shown_name,
    too_much,
)

MAX_HEADER_BYTES = 2**20
"""Of a tar header with its long names: what it claims is allocated before it is read."""

_BLOCK = 2**20

OPENERS = {
    ".tar": None,
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}
_DAMAGE = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RecursionError,
)
"""What `tarfile` and the decompressors raise for damaged bytes."""


class TarArchive(Archive):
    """A tar file, plain or compressed with gzip, bzip2 or xz."""

    def __init__(self, path: Path, max_unpacked_bytes: int = MAX_UNPACKED_BYTES):
        super().__init__(path, max_unpacked_bytes)
        opener = next(OPENERS[s] for s in OPENERS if str(path).lower().endswith(s))
        self._places = {}
        try:
            # Kept open, see `open_archive`.
            self._file = tempfile.TemporaryFile() if opener else open(path, "rb")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            if opener:
                self._decompress(opener)
            self._list()
        except ReadFault:
            raise
        except _DAMAGE as error:
            raise damaged(path, error) from None

    def _decompress(self, opener):
        packed = os.path.getsize(self.path)
        total = 0
        with opener(self.path, "rb") as stream:
            while data := stream.read(_BLOCK):
                total += len(data)
                fault = ratio_fault(total, packed)
                if fault:
                    raise ReadFault(f"The archive `{self.path}` is refused. {fault}")
                if total > self.max_unpacked_bytes:
                    raise ReadFault(too_much(self.path, self.max_unpacked_bytes))
                _write(self._file, data)

    def _list(self):
        size = os.fstat(self._file.fileno()).st_size
        with tarfile.open(fileobj=_Headers(self._file, 0, size, self), mode="r:") as tar:
            before = -1
            while (member := tar.next()) is not None:
                # Negative sizes lead backwards, without an end (CVE-2025-8194).
                if member.offset <= before or member.size < 0:
                    raise damaged(self.path, "its headers lead backwards")
                before = member.offset
                tar.members.clear()  # `tarfile` would keep a kilobyte for each
                if member.isdir():
                    self.add_folder(member.name)
                    continue
                name = self.add(member.name, member.size, _tar_fault(member))
                if name is not None:
                    self._places[name] = (member.offset_data, member.size)
            self._check_end(tar.offset, size)

    def _check_end(self, offset, size):
        """`tarfile` stops at a damaged header, and at the end of the first of archives that are joined."""
        descriptor = self._file.fileno()
        if os.pread(descriptor, 512, offset) != bytes(512):
            raise damaged(self.path, f"no header and no end at byte {offset:,}")
        for start in range(offset, size, _BLOCK):
            if os.pread(descriptor, _BLOCK, start).strip(b"\0"):
                raise ReadFault(
                    f"The archive `{self.path}` has something behind its end: another archive that was "
                    "joined to it? It would not be read. Pack the files into one archive."
                )

    def open(self, name: str) -> BinaryIO:
        return io.BufferedReader(_Window(self._file, *self._places[name], self), 2**18)


def _write(file, data):
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise ReadFault(
            f"A compressed tar is decompressed to a temporary file in {tempfile.gettempdir()!r}, "
            f"which failed: {error.strerror}. Make room, or set TMPDIR to a folder with more."
        ) from None


def _tar_fault(member):
    if member.issym() or member.islnk():
        return (
            f"It is a link to {shown_name(member.linkname)!r}; links in archives are not followed."
        )
    if member.issparse() or member.type not in tarfile.REGULAR_TYPES:
        return "It is no plain file (a device, a pipe, a sparse file)."
    return None


class _Window(io.RawIOBase):
    """A part of a file, by `pread`: threads share the file, but no position.

    `owner` closes the file when nobody needs it any longer.
    """

    def __init__(self, file, start, size, owner):
        self._descriptor = file.fileno()
        self._owner = owner
        self._start = start
        self._size = size
        self._position = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self):
        return self._position

    def readinto(self, buffer):
        wanted = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._descriptor, wanted, self._start + self._position)
        if len(data) < wanted:
            raise ReadFault("It is cut off in the archive.")
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Headers(_Window):
    """The whole of a tar file, for listing it."""

    def read(self, size=-1):
        if size > MAX_HEADER_BYTES:
            raise ReadFault(
                f"A header claims {size:,} bytes; at most {MAX_HEADER_BYTES:,} are read."
            )
        return super().read(size)
