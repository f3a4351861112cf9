"""The destination of a Pusher: `<destination>/<version>/`, as TensorFlow Serving loads it.

Each version is a SavedModel with a `manifest.json` (digest and size of each file, which model it
is, who pushed it). A version appears by one rename, complete. A destination may hold what others
put there: what lacks our mark (`made_by` in the manifest, the prefix of a name) is never removed.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from penstock.tfx.durable import (
    files_below,
    publish_directory,
    sha256_of_file,
    sync_directory,
    sync_tree,
)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MADE_BY = "penstock"
STAGING, TRASH = f".{MADE_BY}-staging-", f".{MADE_BY}-trash-"
LOCK = ".lock"
LIMIT = 2**63
"""TensorFlow Serving reads versions as int64; a larger number is no version, but a foreign name."""


def versions(destination: Path) -> list[int]:
    """The version numbers there are, ascending; empty where there is no destination yet."""
    if not destination.is_dir():
        return []
    with os.scandir(destination) as entries:
        return sorted(
            int(entry.name)
            for entry in entries
            if re.fullmatch(r"[1-9][0-9]{0,18}", entry.name) and int(entry.name) < LIMIT
            if entry.is_dir()
        )


def read_manifest(destination: Path, version: int) -> dict | None:
    """A version's manifest, or None where it has none of ours."""
    try:
        manifest = json.loads((destination / str(version) / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    marked = isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY
    return manifest if marked and manifest.get("format_version") == FORMAT_VERSION else None


def fault_of(destination: Path, version: int, model: str) -> str | None:
    """Why a version does not hold a model whole (sizes are compared, not digests), or None."""
    manifest = read_manifest(destination, version)
    if manifest is None:
        return f"`{destination / str(version)}` has no manifest that this version can read."
    if manifest.get("model") != model:
        return f"`{destination / str(version)}` holds another model."
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(entry, dict) and "size" in entry for entry in files.values()
    ):
        return f"`{destination / str(version) / MANIFEST}` does not list the files."
    for name, entry in files.items():
        path = destination / str(version) / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry["size"]:
            return f"`{path}` must have {entry['size']} bytes. Received: {size}."
    return None


def write_manifest(directory: Path, **facts) -> None:
    """Writes `manifest.json` about everything else in a directory."""
    files = {
        str(path.relative_to(directory)): {
            "sha256": sha256_of_file(path),
            "size": path.stat().st_size,
        }
        for path in files_below(directory)
    }
    document = {"format_version": FORMAT_VERSION, "made_by": MADE_BY, "files": files, **facts}
    (directory / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


@contextlib.contextmanager
def locked(destination: Path) -> Iterator[None]:
    """One writer at a time; a process that dies gives the lock back, and its litter is cleared."""
    _make(destination)
    lock = destination / LOCK
    if lock.is_dir():
        raise ValueError(
            f"`{lock}` must be a file: a Pusher locks it. Received: a directory. "
            "Remove or rename it, then resume."
        )
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _clear(destination)
        yield
    finally:
        os.close(descriptor)


def _clear(destination):
    """Removes all names that only we use: a file or a link in the way would stop `trim` for good.

    Of a link only the link itself.
    """
    for prefix in (STAGING, TRASH):
        for left in destination.glob(f"{prefix}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def _make(destination):
    """Creates a directory durably: its name, and those of new parents, are on the disk too."""
    new = [path for path in (destination, *destination.parents) if not path.exists()]
    destination.mkdir(parents=True, exist_ok=True)
    for path in new:
        sync_directory(path.parent)


def publish(staged: Path, destination: Path) -> int:
    """Makes a complete directory the next version, durably; returns its number."""
    version = max(versions(destination), default=0) + 1
    while os.path.lexists(destination / str(version)):  # A file that is called like a version.
        version += 1
    if version >= LIMIT:
        raise ValueError(
            f"`{destination}` has no version number left: they must be below 2^63. Received: "
            f"{version - 1} as the latest. Remove or rename that version, then resume."
        )
    sync_tree(staged)
    publish_directory(staged, destination / str(version))
    return version


def trim(destination: Path, keep: int) -> None:
    """Removes all but the newest `keep` of the versions that have a manifest of ours."""
    ours = [v for v in versions(destination) if _is_ours(destination, v)]
    for version in ours[:-keep]:
        # Renamed first: a server that lists versions never sees one half removed.
        trash = destination / f"{TRASH}{version}"
        os.rename(destination / str(version), trash)
        shutil.rmtree(trash)
    if ours[:-keep]:
        sync_directory(destination)


def _is_ours(destination, version):
    """A link to a version elsewhere is somebody's own, whatever manifest one finds behind it."""
    linked = (destination / str(version)).is_symlink()
    return not linked and read_manifest(destination, version) is not None


def unwritable(destination: Path) -> str | None:
    """Why nothing can be pushed to a destination, as far as one sees without creating it.

    Tries to write, since permission bits say nothing about root and read-only file systems.
    """
    existing = destination.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        return f"`{existing}` is no directory"
    if (destination / LOCK).is_dir():
        return f"`{destination / LOCK}` is a directory where a Pusher needs a file"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return f"`{existing}` cannot be written to ({error.strerror})"
