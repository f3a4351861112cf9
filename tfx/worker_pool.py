"""The worker processes of one run: started early, reused, watched, and stopped with it."""

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from penstock.tfx import messages
from penstock.tfx.component import Environment

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "GRPC_VERBOSITY": "ERROR", "GLOG_minloglevel": "1"}
TEMPORARY_PREFIX = "penstock-worker-"
"""Of a worker's own temporary folder: it takes no other away."""


class Worker:
    """One worker process and what it is doing."""

    def __init__(self, environment: Environment, log: Path):
        self.environment = environment
        self.ready = False
        self.used = False
        self.step: str | None = None
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as its_ends, contextlib.ExitStack() as on_failure:
            # Of its own: a worker is killed when it is done, and its libraries (TensorFlow's
            # AutoGraph, Matplotlib without a home) would leave their files in /tmp.
            self._temporary = tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)
            on_failure.callback(shutil.rmtree, self._temporary, ignore_errors=True)
            task_read, self._task_write = os.pipe()
            its_ends.callback(os.close, task_read)
            on_failure.callback(os.close, self._task_write)
            self._reply_read, reply_write = os.pipe()
            its_ends.callback(os.close, reply_write)
            on_failure.callback(os.close, self._reply_read)
            self.process = self._start(task_read, reply_write)
            on_failure.pop_all()
        self.inbox = messages.Inbox(self._reply_read)

    def _start(self, receive: int, send: int) -> subprocess.Popen:
        arguments = ["--receive", str(receive), "--send", str(send)]
        arguments += ["--environment", json.dumps(asdict(self.environment))]
        own = {"KERAS_BACKEND": "tensorflow", "TMPDIR": self._temporary}
        with open(self.log, "ab") as file:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "penstock.tfx.worker", *arguments],
                pass_fds=(receive, send),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**QUIET, **os.environ, **own},
            )

    def can_run(self, wanted: Environment) -> bool:
        """Whether a step with this environment can run here."""
        have = self.environment
        if self.step is not None or have.fresh != wanted.fresh or (have.fresh and self.used):
            return False
        if wanted.tensorflow and have.devices != wanted.devices:
            return False
        return have.tensorflow >= wanted.tensorflow and have.beam >= wanted.beam

    def execute(self, step: str, task: dict) -> None:
        """Hands over a step; a worker that has just died is noticed when its pipe ends."""
        self.step, self.used = step, True
        with contextlib.suppress(BrokenPipeError):
            messages.send(self._task_write, {"type": "execute", **task})

    def stop(self) -> int:
        """Kills the process; returns its exit code (negative: the signal it died of)."""
        if self.process.poll() is None and not self.inbox.ended:
            self.process.kill()
        code = self.process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)
        for descriptor in (self._task_write, self._reply_read):
            os.close(descriptor)
        return code


class WorkerPool:
    """Starts workers and waits for their messages.

    Args:
        logs: the run's log directory.
    """

    def __init__(self, logs: Path):
        self._logs = logs
        self._selector = selectors.DefaultSelector()
        self.workers: list[Worker] = []

    def start(self, environment: Environment) -> Worker:
        """A new worker; it imports its libraries while the caller goes on."""
        log = self._logs / f"worker-{len(list(self._logs.glob('worker-*')))}.log"
        worker = Worker(environment, log)
        self._selector.register(worker.inbox.descriptor, selectors.EVENT_READ, worker)
        self.workers.append(worker)
        return worker

    def find(self, wanted: Environment) -> Worker | None:
        """An idle worker that can run such a step, the one with the least to spare."""
        fit = [worker for worker in self.workers if worker.can_run(wanted)]
        return min(fit, key=lambda w: (w.environment.tensorflow, w.environment.beam), default=None)

    def wait(self, timeout: float | None = None) -> list[tuple[Worker, dict]]:
        """What the workers have said; a dead worker says `{"type": "died", "code": ...}`."""
        heard = []
        for key, _ in self._selector.select(timeout):
            worker = key.data
            heard += [(worker, message) for message in worker.inbox.read()]
            if worker.inbox.ended:
                heard.append((worker, {"type": "died", "code": self.remove(worker)}))
        return heard

    def remove(self, worker: Worker) -> int:
        """Stops one worker."""
        self._selector.unregister(worker.inbox.descriptor)
        self.workers.remove(worker)
        return worker.stop()

    def close(self) -> None:
        """Stops all workers."""
        for worker in list(self.workers):
            self.remove(worker)
        self._selector.close()


def merge_environments(wanted: list[Environment]) -> list[Environment]:
    """The processes to start: one for each set of devices, one for Beam alone, one for each fresh step."""
    fresh = [e for e in wanted if e.fresh]
    shared = [e for e in wanted if not e.fresh]
    heavy = {}
    for environment in (e for e in shared if e.tensorflow):
        known = heavy.get(environment.devices, environment)
        heavy[environment.devices] = replace(known, beam=known.beam or environment.beam)
    light = [Environment(beam=True)] if any(e.beam and not e.tensorflow for e in shared) else []
    if shared and not heavy and not light:
        light = [Environment()]
    return [*light, *heavy.values(), *fresh]


def covers(have: Environment, wanted: Environment) -> bool:
    """Whether a worker of one kind can run steps that want another, once it is idle."""
    if have.fresh or wanted.fresh:
        return False
    if wanted.tensorflow and (not have.tensorflow or have.devices != wanted.devices):
        return False
    return have.beam >= wanted.beam
