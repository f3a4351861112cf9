"""Zip files. `zipfile` checks each checksum; sizes, overlaps and kinds of files are checked here."""

import copy
import io
import stat
import struct
import zipfile
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
)

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
"""What `zipfile` and the decompressors raise for damaged bytes."""


class ZipArchive(Archive):
    """A zip file: stored, deflated or bzip2 entries."""

    def __init__(self, path: Path, max_unpacked_bytes: int = MAX_UNPACKED_BYTES):
        super().__init__(path, max_unpacked_bytes)
        try:
            self._zip = zipfile.ZipFile(path)
            infos = self._zip.infolist()
        except _DAMAGE as error:
            raise damaged(path, error) from None
        self._check_overlaps(infos)
        self._infos = {}
        for info in infos:
            # `filename` ends at a zero byte; what stands behind it would be hidden.
            raw_name = info.orig_filename
            if raw_name.endswith("/"):
                self.add_folder(raw_name)
                continue
            name = self.add(raw_name, info.file_size, _zip_fault(info))
            if name is not None:
                self._infos[name] = info

    def _check_overlaps(self, infos):
        """Entries that share bytes make a bomb of any size (https://www.bamsoftware.com/hacks/zipbomb/)."""
        end = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise ReadFault(
                    f"The archive `{self.path}` has entries that overlap, as a decompression bomb has: "
                    f"{shown_name(info.filename)!r} begins inside another one."
                )
            end = info.header_offset + 30 + info.compress_size
        if end > self._zip.start_dir:
            raise damaged(self.path, "an entry reaches into its directory")
        first = min((info.header_offset for info in infos), default=0)
        # A program that unpacks itself may stand in front; entries that no directory lists may not.
        self._zip.fp.seek(0)
        if first and self._zip.fp.read(4) == zipfile.stringFileHeader:
            raise ReadFault(
                f"The archive `{self.path}` begins with files that its directory does not list: another "
                "archive to which it was joined? They would not be read. Pack the files into one archive."
            )

    def open(self, name: str) -> BinaryIO:
        return io.BufferedReader(_ZipStream(self._zip, self._infos[name], name), 2**18)


def _zip_fault(info):
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if info.create_system == 3 and kind not in (0, stat.S_IFREG):
        return (
            "It is a link or a device, not a file." if kind != stat.S_IFDIR else "It is a folder."
        )
    if info.flag_bits & 0x1:
        return "It is encrypted."
    if info.compress_type not in _METHODS:
        return f"It is compressed by a method that is not read (number {info.compress_type})."
    return ratio_fault(info.file_size, info.compress_size)


class _ZipStream(io.RawIOBase):
    """An entry of a zip file; at its end its size and checksum must be as the archive says."""

    def __init__(self, archive, info, name):
        self._name = name
        self._size = info.file_size
        self._read = 0
        self._damage = None
        # With one byte more `zipfile` does not stop at the size that the archive claims.
        longer = copy.copy(info)
        longer.file_size += 1
        try:
            self._stream = archive.open(longer)
        except _DAMAGE as error:
            raise ReadFault(_said(error)) from None

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._damage:
            raise ReadFault(self._damage)  # and not the end, as `zipfile` might say
        data = b""
        try:
            data = self._stream.read(len(buffer))
        except _DAMAGE as error:
            self._damage = _said(error)
        self._read += len(data)
        if self._read > self._size or (not data and self._read < self._size):
            self._damage = self._damage or _said(
                f"its size is not the {self._size:,} bytes that the archive claims"
            )
        if self._damage:
            raise ReadFault(self._damage)
        buffer[: len(data)] = data
        return len(data)


def _said(error):
    return f"It is damaged in the archive: {str(error).rstrip('.')}."
