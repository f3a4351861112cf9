"""Zip and tar archives, read in place: nothing in them is ever unpacked under its own name.

Comes in: the path of an archive. Goes out: an `Archive`, opened once in each process.
"""

import os
import threading
from functools import lru_cache
from pathlib import Path

from penstock.pipelines.reading.archive import MAX_UNPACKED_BYTES, Archive, ReadFault
from penstock.pipelines.reading.tar_archive import OPENERS, TarArchive
from penstock.pipelines.reading.zip_archive import ZipArchive

SUFFIXES = (".zip", *OPENERS)


def is_archive_name(path) -> bool:
    """Whether a path ends as an archive's does."""
    return str(path).lower().endswith(SUFFIXES)


_lock = threading.Lock()


def open_archive(path: Path, max_unpacked_bytes: int = MAX_UNPACKED_BYTES) -> Archive:
    """The archive, opened once in each process as long as its size and time stay.

    Raises:
        ReadFault: see `Archive`; or the file cannot be opened.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise ReadFault(f"The archive `{path}` cannot be read: {error.strerror}.") from None
    with _lock:
        # The process: after a fork the position in an open zip file would be shared.
        return _opened(
            path, max_unpacked_bytes, status.st_size, status.st_mtime_ns, status.st_ino, os.getpid()
        )


@lru_cache(maxsize=8)
def _opened(path, max_unpacked_bytes, *unchanged):
    del unchanged
    kind = ZipArchive if str(path).lower().endswith(".zip") else TarArchive
    return kind(path, max_unpacked_bytes)
