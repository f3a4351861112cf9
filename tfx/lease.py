"""One writer at a time: a lock on a file, which the kernel frees when its holder dies.

`flock` needs no clean-up after a crash, no clock and no heartbeat. Workers do not inherit it
(Python opens files close-on-exec), so a worker that outlives its orchestrator holds nothing.
"""

import fcntl
import os
import socket
from pathlib import Path


class LeaseHeld(Exception):
    """Somebody else writes here; the message says who."""


class Lease:
    """An exclusive lock on `path`, from `acquire` to `release` or to the end of the process."""

    def __init__(self, path: Path, what: str):
        self.path = path
        self.what = what
        self._file = None

    def acquire(self) -> "Lease":
        """Takes the lease.

        Raises:
            LeaseHeld: another process has it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "a+")  # noqa: SIM115 - it stays open as long as the lease is held
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "another process"
            file.close()
            raise LeaseHeld(
                f"{self.what} is being written by {holder}. Wait until it has ended, or stop it."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        self._file = file
        return self

    def release(self) -> None:
        """Gives the lease back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "Lease":
        return self.acquire()

    def __exit__(self, *_) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether a live process holds the lease at `path`."""
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
