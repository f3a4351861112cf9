"""Checks of the machine: memory, disk, and a file system on which a store is safe. Nothing stays."""

import errno
import fcntl
import math
import os
import shutil
import tempfile
from pathlib import Path

from penstock.tfx import durable
from penstock.tfx.doctor.finding import Finding, fix, ok, tip
from penstock.tfx.memory import WORKER_MB

GIB = 2**30
STORE_BYTES = GIB
"""Less free space than this does not hold the artifacts of a small application."""
TEMPORARY_BYTES = GIB // 4
SHARED_BYTES = 64 * 2**20
"""Docker's default size of /dev/shm; libraries that share memory between processes need more."""
NETWORK_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "glusterfs", "ceph", "lustre")


def memory(root: Path = Path("/")) -> Finding:
    """RAM and the limit of the container, against what one worker takes."""
    total, free = _ram(root)
    limit = _container_limit(root)
    usable = min(total, limit)
    said = f"{_gib(total)} RAM, {_gib(free)} free"
    if limit < total:
        said += f", {_gib(limit)} allowed by the container (cgroup)"
    if usable < WORKER_MB * 2**20:
        return fix(
            "memory",
            f"too little for a worker with TensorFlow and Beam. Expected: {WORKER_MB / 1000:g} GB. "
            f"Received: {said}. Raise the container's limit, or use a larger machine.",
        )
    if min(free, usable) < WORKER_MB * 2**20:
        return tip("memory", f"{said}; steps will run one at a time, and may be killed")
    return ok("memory", said)


def _ram(root: Path) -> tuple[float, float]:
    """(total, available) bytes; infinite where the system does not say."""
    try:
        text = (root / "proc/meminfo").read_text()
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return tuple(int(lines[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return math.inf, math.inf


def _container_limit(root: Path) -> float:
    """The limit of the control group, version 2 or 1; infinite where there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((root / "sys/fs/cgroup" / name).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return math.inf


def shared_memory(folder: Path = Path("/dev/shm")) -> Finding:
    """/dev/shm, which several GPUs need to speak with each other."""
    try:
        total = shutil.disk_usage(folder).total
    except OSError:
        total = 0
    if total <= SHARED_BYTES:
        return tip(
            "shared memory",
            f"{folder} has {total // 2**20} MB. Several GPUs (NCCL) need more: start the container "
            "with `--shm-size=1g`.",
        )
    return ok("shared memory", f"{folder} has {_gib(total)}")


def free_space(store: Path) -> list[Finding]:
    """Where the store lies and where temporary files go."""
    temporary = Path(tempfile.gettempdir())
    return [
        _free("disk", nearest_folder(store), STORE_BYTES, "the store", "store.directory"),
        _free("temporary files", temporary, TEMPORARY_BYTES, "temporary files", "TMPDIR"),
    ]


def _free(name: str, folder: Path, needed: int, what: str, setting: str) -> Finding:
    free = shutil.disk_usage(folder).free
    if free < needed:
        return fix(
            name,
            f"too little room for {what} in {folder}. Expected: {_gib(needed)} free. Received: "
            f"{_gib(free)}. Remove something, or name another place in `{setting}`.",
        )
    return ok(name, f"{_gib(free)} free for {what} in {folder}")


def nearest_folder(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.is_dir())


def file_system(store: Path) -> list[Finding]:
    """Whether locks, links, renames and fsync really work where the store lies; really tried."""
    folder = nearest_folder(store)
    kind = file_system_type(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".penstock-doctor-") as scratch:
            problem = next((p for probe in PROBES if (p := probe(Path(scratch)))), None)
    except OSError as error:
        problem = f"a folder cannot be created in it ({error.strerror})"
    if problem:
        return [
            fix(
                "file system",
                f"{folder} ({kind}) is no safe place for a store: {problem}. Expected: flock, hard "
                "links, atomic rename and fsync. Put the store on a local disk with "
                "`store.directory`.",
            )
        ]
    found = [ok("file system", f"locks, links, renames and fsync work in {folder} ({kind})")]
    if kind in NETWORK_SYSTEMS:
        found.append(
            tip(
                "network disk",
                f"{folder} is on {kind}. SQLite is safe there only if one machine uses the store; "
                "for several, set `store.database` to a PostgreSQL URL.",
            )
        )
    return found


def file_system_type(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """`ext4`, `nfs4`, ...; `unknown` where the system does not say."""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return "unknown"
    resolved, found = folder.resolve(), {}
    for row in rows:
        point = Path(row[4].encode().decode("unicode_escape"))  # a blank is written \040
        if point == resolved or point in resolved.parents:
            found[len(point.parts)] = row[row.index("-") + 1]  # of equal ones the last is on top
    return found[max(found)] if found else "unknown"


def probe_lock(folder: Path) -> str | None:
    """A second lock on a locked file must be refused."""
    with open(folder / "lock", "w") as first, open(folder / "lock") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return f"flock fails ({error.strerror})"
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            refused = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
            return None if refused else f"flock fails ({error.strerror})"
    return "flock lets two hold one lock"


def probe_rename(folder: Path) -> str | None:
    """A whole directory takes its final name at once, and a file replaces another."""
    try:
        (folder / "staged").mkdir()
        durable.write_text(folder / "staged" / "document", "old")
        durable.write_text(folder / "staged" / "document", "new")
        durable.sync_tree(folder / "staged")
        durable.publish_directory(folder / "staged", folder / "final")
        found = (folder / "final" / "document").read_text()
    except OSError as error:
        return f"rename or fsync fails ({error.strerror})"
    return None if found == "new" else "a renamed file has other contents"


def probe_link(folder: Path) -> str | None:
    """A store takes its identity by a hard link."""
    try:
        (folder / "first").touch()
        os.link(folder / "first", folder / "second")
    except OSError as error:
        return f"hard links fail ({error.strerror})"
    return None


PROBES = (probe_lock, probe_rename, probe_link)


def _gib(size: float) -> str:
    return "?" if math.isinf(size) else f"{size / GIB:.1f} GiB"
