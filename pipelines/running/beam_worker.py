"""A process that runs Beam's bundles for `beam_processes.py`, at the other end of a pipe.

Comes in: first `sys.path`, then (new descriptors of stages, a request, its input) or None, the end.
Goes out: ("progress", records), what is asked of side inputs and state, and ("outcome", (response,
its output) or an exception, whose attribute `FRAMES` has what its traceback cannot carry over). It
ends when its parent does: the parent never writes to its standard input, which the system closes
even if it is killed.
"""

import contextlib
import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from types import SimpleNamespace

FRAMES = "penstock_frames"
"""Of an exception: [(file, line, module)], the outermost first."""


class ProcessDied(RuntimeError):
    """Such a process has died in the middle of a bundle; `code` as `Popen.returncode` has it."""

    def __init__(self, code: int):
        hint = (
            "(-9: it was killed, often because the machine has no memory left). "
            "PENSTOCK_PROCESSES=1 takes less memory and more time."
        )
        super().__init__(
            f"A process of Beam ended with the code {code} "
            f"{hint if code < 0 else 'by itself; what it said stands in the log of the step.'}"
        )
        self.code = code

    def __reduce__(self):
        return type(self), (self.code,)


def main() -> None:
    """Serves until the pipe is closed."""
    _end_with_parent()
    connection = Connection(int(sys.argv[1]))
    sys.path = connection.recv()
    # From here on, for the parent's modules are to be found.
    from apache_beam.portability.api import beam_fn_api_pb2
    from apache_beam.runners.portability.fn_api_runner.worker_handlers import EmbeddedWorkerHandler

    from penstock.pipelines.running import progress
    from penstock.pipelines.running.beam_processes import packed, unpacked

    say = _Sender(connection)
    descriptors = {}
    manager = SimpleNamespace(_process_bundle_descriptors=descriptors)
    handler = EmbeddedWorkerHandler(None, _state_of(connection, say), None, manager)
    with progress.reported(say.progress):
        while (question := connection.recv()) is not None:
            new, request, given = question
            for serialised in new:
                descriptor = beam_fn_api_pb2.ProcessBundleDescriptor.FromString(serialised)
                descriptors[descriptor.id] = descriptor
            request = beam_fn_api_pb2.InstructionRequest.FromString(request)
            handler.data_conn.inverse()._inputs += map(unpacked, given)
            try:
                response = handler.push(request).get()
            except Exception as error:
                traceback.print_exc()
                say("outcome", _portable(error))
                continue
            written = handler.data_conn.input_elements(request.instruction_id, None)
            say("outcome", (response.SerializeToString(), list(map(packed, written))))
    handler.stop_worker()


def _end_with_parent():
    parent, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a source that reads its standard input must not wait for ever
    os.close(nothing)

    def wait():
        os.read(parent, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class _Sender:
    """Sends from several threads, one message after the other."""

    def __init__(self, connection):
        self._connection = connection
        self._lock = threading.Lock()
        self._reported = 0

    def __call__(self, kind, content):
        with self._lock:
            self._connection.send((kind, content))

    def progress(self, records):
        """Sends what has come since the last call."""
        new, self._reported = records - self._reported, records
        self("progress", new)


def _state_of(connection, say):
    from apache_beam.runners.worker.sdk_worker import StateHandler, _Future

    class State(StateHandler):
        """Side inputs and state, which the parent keeps."""

        def _ask(self, kind, key, *arguments):
            say(kind, (key.SerializeToString(), *arguments))
            return connection.recv()

        def get_raw(self, state_key, continuation_token=None):
            return self._ask("get_raw", state_key, continuation_token)

        def append_raw(self, state_key, data):
            self._ask("append_raw", state_key, data)
            return _Future.done()

        def clear(self, state_key):
            self._ask("clear", state_key)
            return _Future.done()

        def process_instruction_id(self, bundle_id):
            return contextlib.nullcontext()

        def done(self):
            pass

    return State()


def _portable(error):
    """The exception, or a like one if it cannot be pickled; with the `FRAMES` of its traceback."""
    frames = [
        (frame.f_code.co_filename, line, frame.f_globals.get("__name__") or "")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    try:
        found = pickle.loads(pickle.dumps(error))
    except Exception:
        found = RuntimeError(f"{type(error).__name__}: {error}")
    setattr(found, FRAMES, frames)
    return found


if __name__ == "__main__":
    main()
