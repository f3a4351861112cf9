"""How much memory is left for one more worker."""

WORKER_MB = 2000
"""What a worker with TensorFlow, Keras and Beam takes at start, with some air (measured: 0.9 GB)."""


def memory_allows_worker() -> bool:
    """Whether another worker can start without pushing the machine to its limit (True if unknown)."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) / 1024 > WORKER_MB
    except (OSError, KeyError, ValueError):
        return True
