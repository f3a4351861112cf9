"""The destination of a Pusher: `<destination>/<version>/`, as TensorFlow Serving loads it.

Each version is a SavedModel with a `manifest.json` (digest and size of each file, which model it
is, who pushed it). A version appears by one rename, complete; names that are no plain number are
nobody's business, and numbers without a manifest of ours are never removed.
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
STAGING, TRASH = ".staging-", ".trash-"


def versions(destination: Path) -> list[int]:
    """The version numbers there are, ascending; empty where there is no destination yet."""
    if not destination.is_dir():
        return []
    with os.scandir(destination) as entries:
        return sorted(
            int(entry.name)
            for entry in entries
            if re.fullmatch(r"[1-9][0-9]*", entry.name, re.ASCII) and entry.is_dir()
        )


def read_manifest(destination: Path, version: int) -> dict | None:
    """A version's manifest, or None where it has none of ours."""
    try:
        manifest = json.loads((destination / str(version) / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    ours = isinstance(manifest, dict) and manifest.get("format_version") == FORMAT_VERSION
    return manifest if ours else None


def fault_of(destination: Path, version: int, model: str) -> str | None:
    """Why a version does not hold a model whole (sizes are compared, not digests), or None."""
    manifest = read_manifest(destination, version)
    if manifest is None:
        return f"`{destination / str(version)}` has no manifest that this version can read."
    if manifest["model"] != model:
        return f"`{destination / str(version)}` holds another model."
    for name, entry in manifest["files"].items():
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
    document = {"format_version": FORMAT_VERSION, "files": files, **facts}
    (directory / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


@contextlib.contextmanager
def locked(destination: Path) -> Iterator[None]:
    """One writer at a time; a process that dies gives the lock back, and its litter is cleared."""
    destination.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(destination / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for prefix in (STAGING, TRASH):
            for left in destination.glob(f"{prefix}*"):
                shutil.rmtree(left)
        yield
    finally:
        os.close(descriptor)


def publish(staged: Path, destination: Path) -> int:
    """Makes a complete directory the next version, durably; returns its number."""
    version = max(versions(destination), default=0) + 1
    while os.path.lexists(destination / str(version)):  # A file that is called like a version.
        version += 1
    sync_tree(staged)
    publish_directory(staged, destination / str(version))
    return version


def trim(destination: Path, keep: int) -> None:
    """Removes all but the newest `keep` of the versions that have a manifest of ours."""
    ours = [v for v in versions(destination) if read_manifest(destination, v) is not None]
    for version in ours[:-keep]:
        # Renamed first: a server that lists versions never sees one half removed.
        trash = destination / f"{TRASH}{version}"
        os.rename(destination / str(version), trash)
        shutil.rmtree(trash)
    if ours[:-keep]:
        sync_directory(destination)


def unwritable(destination: Path) -> str | None:
    """Why nothing can be written to a destination, as far as one sees without creating it.

    Tries to write, since permission bits say nothing about root and read-only file systems.
    """
    existing = destination.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        return f"`{existing}` is no directory"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return f"`{existing}` cannot be written to ({error.strerror})"
