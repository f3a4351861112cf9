"""Writing files so that a kill or a power cut leaves either the old state or the new one.

Comes in: directories and small documents. Goes out: the same, on the disk (fsync) and, where it
matters, in one atomic rename.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

CHUNK_BYTES = 2**16

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAYS_FULL = re.compile(
    # NumPy, SQLite, and libraries that keep the system's text but not its number (Beam, HDF5).
    r"\d+ requested and \d+ written|disk is full|" + "|".join(map(os.strerror, _FULL))
)


class DiskFull(OSError):
    """There is no space left; the message says where."""


def full_disk(error: BaseException, places: list[Path]) -> str | None:
    """A sentence if an error, or one that it was raised from, says that a disk is full, else None.

    Args:
        places: where it may have been, if the error does not say: the one with the least space.
    """
    seen: BaseException | None = error
    known: set[int] = set()  # a library may chain errors in a ring
    while seen is not None and id(seen) not in known:
        known.add(id(seen))
        if isinstance(seen, DiskFull):
            return str(seen)
        fullest = min(places, key=_free_bytes)
        # What SQLite says when it finds no space for its shared memory file.
        unclear = "disk I/O error" in str(seen) and _free_bytes(fullest) < 2**16
        if getattr(seen, "errno", None) in _FULL or _SAYS_FULL.search(str(seen)) or unclear:
            place = getattr(seen, "filename", None) or fullest
            return (
                f"The disk is full: {place} cannot be written. Free space there, then go on with "
                "`penstock resume`."
            )
        seen = seen.__cause__ or seen.__context__
    return None


def _free_bytes(place: Path) -> int:
    there = next((path for path in (place, *place.parents) if path.exists()), Path("/"))
    return shutil.disk_usage(there).free


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Makes every file below a directory, and every name, durable."""
    for folder, _, names in os.walk(directory):
        for name in names:
            descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(folder))


def publish_directory(staged: Path, final: Path) -> None:
    """Renames a complete directory to the name under which readers look for it."""
    if not final.parent.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        sync_directory(final.parent.parent)
    os.rename(staged, final)
    sync_directory(final.parent)
    sync_directory(staged.parent)


def write_text(path: Path, text: str) -> None:
    """Replaces a small document atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())  # `mkstemp` would keep others from reading it
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(path.parent)


def _umask() -> int:
    """The process's umask; the only way to read it is to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_json(path: Path, document: dict) -> None:
    """Replaces a small JSON document atomically."""
    write_text(path, json.dumps(document, sort_keys=True))


def files_below(directory: Path) -> list[Path]:
    """Every file below a directory, sorted."""
    return sorted(Path(folder) / name for folder, _, names in os.walk(directory) for name in names)


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    digest = hashlib.sha256()
    # `hashlib.file_digest` clears a buffer of 256 kB for each file, however small: twice the time
    # for a folder of small pictures.
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
