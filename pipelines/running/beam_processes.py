"""Beam's in-process runner with several processes: each runs bundles as the one process would.

Beam's own way (`--direct_running_mode=multi_processing`) opens unprotected network ports on every
interface, over which pickled code travels; it starts its processes through a shell, which outlive
a killed parent, and it waits for ever when one of them dies. Here a bundle, what it reads and what
it writes go through a pipe to a process of `beam_worker.py`, which ends with this one.
"""

import contextlib
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    ControlFuture,
    EmbeddedWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from penstock.pipelines.running import progress
from penstock.pipelines.running.beam_worker import ProcessDied

_PAYLOAD = b"penstock:process"
_GRACE_S = 5.0


class ProcessRunner(FnApiRunner):
    """Runs each stage in `processes` processes, each on its share of what the stage reads."""

    def __init__(self, processes: int):
        super().__init__(default_environment=_ProcessEnvironment.default())
        self._processes = processes

    def run_via_runner_api(self, pipeline_proto, options):
        # Not by an option: in-process, it would only warn.
        self._num_workers = self._processes
        return super().run_via_runner_api(pipeline_proto, options)


class _ProcessEnvironment(EmbeddedPythonEnvironment):
    """For Beam it is the embedded one, for which it opens no ports."""

    def to_runner_api_parameter(self, context):
        del context
        return python_urns.EMBEDDED_PYTHON, _PAYLOAD


class _ProcessHandler(EmbeddedWorkerHandler):
    """Hands what Beam asks of a worker to a process, and its answers back."""

    def __init__(self, payload, state, provision_info, manager):
        super().__init__(payload, state, provision_info, manager)
        self._descriptors = manager._process_bundle_descriptors
        self._sent = set()
        self._is_busy = False

    def start_worker(self):
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "penstock.pipelines.running.beam_worker",
                    str(its.fileno()),
                ],
                # Nothing is written to it: that it ends tells the process that this one has ended.
                stdin=subprocess.PIPE,
                pass_fds=(its.fileno(),),
            )
        self._connection = Connection(ours.detach())
        self._connection.send(sys.path)

    def push(self, request):
        if not request.instruction_id:
            self._uid_counter += 1
            request.instruction_id = f"control_{self._uid_counter}"
        self._is_busy = True
        try:
            self._connection.send((self._new_descriptors(request), *self._question(request)))
            outcome = self._answer()
        except (EOFError, ConnectionError) as error:
            raise ProcessDied(self._end()) from error
        self._is_busy = False
        if isinstance(outcome, Exception):
            raise outcome
        response, outputs = outcome
        self.data_conn._inputs += map(unpacked, outputs)
        answer = beam_fn_api_pb2.InstructionResponse.FromString(response)
        return ControlFuture(request.instruction_id, answer)

    def _new_descriptors(self, request):
        """What stages consist of, once for each."""
        name = request.process_bundle.process_bundle_descriptor_id
        if not name or name in self._sent:
            return []
        self._sent.add(name)
        return [self._descriptors[name].SerializeToString()]

    def _question(self, request):
        given = self.data_conn.inverse().input_elements(request.instruction_id, None)
        return request.SerializeToString(), list(map(packed, given))

    def _answer(self):
        """The outcome of a bundle; meanwhile the process may ask for side inputs."""
        while True:
            kind, content = self._connection.recv()
            if kind == "outcome":
                return content
            if kind == "progress":
                progress.add(content)
                continue
            key = beam_fn_api_pb2.StateKey.FromString(content[0])
            found = getattr(self.state, kind)(key, *content[1:])
            self._connection.send(found if kind == "get_raw" else None)

    def stop_worker(self):
        super().stop_worker()
        if self._is_busy:  # Another process has failed: nobody waits for this one.
            self._process.kill()
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._end()
        self._process.stdin.close()
        self._connection.close()

    def _end(self):
        """The code with which the process ends, by itself or not."""
        try:
            return self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


@WorkerHandler.register_environment(python_urns.EMBEDDED_PYTHON, bytes)
def _handler(payload, *rest):
    """In place of Beam's own entry for the embedded environment, which it leaves as it is."""
    kind = _ProcessHandler if payload == _PAYLOAD else EmbeddedWorkerHandler
    return kind(None, *rest)


def packed(element) -> tuple[bool, bytes]:
    """A piece of what a bundle reads or writes, for the pipe."""
    return isinstance(element, beam_fn_api_pb2.Elements.Timers), element.SerializeToString()


def unpacked(piece: tuple[bool, bytes]):
    """The inverse of `packed`."""
    is_timer, data = piece
    kinds = beam_fn_api_pb2.Elements
    return (kinds.Timers if is_timer else kinds.Data).FromString(data)
