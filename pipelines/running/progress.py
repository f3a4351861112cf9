"""How far a Beam pipeline is, where it runs in this process: a count that its workers raise.

The in-process runner runs its workers as threads, so a plain counter is enough; with another runner
nothing would be reported. One pipeline at a time, as in a step's worker.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL_S = 1.0


class _Count:
    """The records of the pipeline that runs now."""

    def __init__(self):
        self.lock = threading.Lock()
        self.records = 0


_count = _Count()


def add(records: int) -> None:
    """Called by workers: so many more records are done."""
    with _count.lock:
        _count.records += records


@contextmanager
def reported(report: Callable[[int], None] | None) -> Iterator[None]:
    """Calls `report(records so far)` in a thread while the body runs, if the number has changed.

    Args:
        report: None reports nothing.
    """
    with _count.lock:
        _count.records = 0
    if report is None:
        yield
        return
    done = threading.Event()

    def poll():
        last = 0
        while not done.wait(INTERVAL_S):
            if _count.records != last:
                last = _count.records
                report(last)

    thread = threading.Thread(target=poll, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
