"""One trial of the kill test, in a process of its own: runs the toy pipeline, to be killed or to end."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import sqlalchemy.dialects.sqlite  # noqa: F401 - imported once, before the trials are forked
from toy_steps import toy_pipeline

from penstock.tfx import (  # noqa: F401 - likewise
    database,
    function_component,
    metadata,
    worker,
    worker_pool,
)
from penstock.tfx.runner import run_pipeline
from penstock.tfx.store import Store


def run_toy(folder: str, factor: int, run: str, crash_at: str | None, interpreters: bool) -> None:
    """Runs the toy pipeline in `folder`; exit code 0 when it completes.

    Args:
        folder: holds `numbers.txt`; gets `store/`, `served/` and `output.txt`.
        crash_at: a crash point of this process and its workers, or None.
        interpreters: whether workers are new interpreters, as a user's are. Otherwise they are forked
            from this process, which has imported everything: importing takes most of a toy run.
    """
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.environ.pop("PENSTOCK_CRASH_AT", None)
    if crash_at:
        os.environ["PENSTOCK_CRASH_AT"] = crash_at
    if not interpreters:
        worker_pool.subprocess = SimpleNamespace(Popen=ForkedWorker, DEVNULL=subprocess.DEVNULL)
    pipeline = toy_pipeline(Path("numbers.txt"), Path("served"), factor=factor)
    result = run_pipeline(pipeline, Store(Path("store")), run)
    print(result.state, result.reason, flush=True)
    sys.exit(0 if result.state == "COMPLETE" else 1)


class ForkedWorker:
    """A worker with what `worker_pool.py` uses of a `subprocess.Popen`, forked from this process."""

    def __init__(self, command, *, pass_fds, stdin, stdout, stderr, env):
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            # What the orchestrator had open is closed below, and must not be closed once more by
            # an object that dies here: the number may be another file's by then.
            gc.disable()
            _keep_only(pass_fds, stdout.fileno())
            os.environ.update(env)
            sys.argv = command[command.index("penstock.tfx.worker") :]
            try:
                worker.main()
            finally:
                os._exit(1)

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        return self._ask(os.WNOHANG)

    def wait(self) -> int:
        """The exit code."""
        return self._ask(0)

    def kill(self) -> None:
        """As the orchestrator's."""
        os.kill(self.pid, signal.SIGKILL)

    def _ask(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _keep_only(descriptors: tuple[int, ...], output: int) -> None:
    """Closes all else, as `Popen` does: a pipe ends only when nobody else holds it."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    first = 3
    for descriptor in (*sorted(descriptors), os.sysconf("SC_OPEN_MAX")):
        os.closerange(first, descriptor)
        first = descriptor + 1
