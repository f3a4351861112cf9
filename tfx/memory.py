"""How much memory is left for one more worker."""

import math
from pathlib import Path

WORKER_MB = 2000
"""What a worker with TensorFlow, Keras and Beam takes at start, with some air (measured: 0.9 GB)."""


def memory_allows_worker() -> bool:
    """Whether another worker can start without pushing the machine to its limit (True if unknown)."""
    return free_bytes() > WORKER_MB * 2**20


def free_bytes() -> float:
    """Memory that the machine and this process's container have left; infinite if unknown."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return math.inf
    return min(free, _free_in_container())


def _free_in_container() -> float:
    """Bytes left under the limit of this process's control group (version 2); infinite without one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
        return math.inf if limit == "max" else int(limit) - used
    except (OSError, ValueError):
        return math.inf
