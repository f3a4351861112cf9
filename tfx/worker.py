"""A worker process: imports what its steps need, then executes one after the other.

Comes in: `execute` messages on one pipe. Goes out: `ready`, `progress`, and how a step ended
(`done`, `failed`, `corrupt`, or `lost`: a process of Beam has died) on another. What the step
prints (TensorFlow's start-up noise included) goes to the step's log file.
The worker dies with its orchestrator.
"""

import argparse
import contextlib
import importlib
import json
import linecache
import logging
import os
import queue
import shutil
import signal
import sys
import sysconfig
import tempfile
import threading
import time
import traceback
from pathlib import Path

from penstock.pipelines.running.beam_worker import FRAMES, ProcessDied
from penstock.tfx import durable, messages, published
from penstock.tfx.component import ExecutionContext, Input, Output
from penstock.tfx.crash_points import reach
from penstock.tfx.worker_pool import TEMPORARY_PREFIX

NEVER_USED = ("matplotlib", "sklearn")
"""What Keras 3.15 imports, if it can, for `keras.visualization` and `keras.wrappers`: 30 % of the time
that TensorFlow takes to be imported (1.7 s of 5.8 s of CPU)."""


def main() -> None:
    """Serves until the orchestrator closes the pipe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--receive", type=int, required=True)
    parser.add_argument("--send", type=int, required=True)
    parser.add_argument("--environment", type=json.loads, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(FileNotFoundError):
        sys.path.append(os.getcwd())
    inbox = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(arguments.receive, inbox), daemon=True).start()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    _import_libraries(arguments.environment)
    messages.send(arguments.send, {"type": "ready"})
    verified: set = set()
    while True:
        messages.send(arguments.send, execute(inbox.get(), arguments.send, verified))


def _listen(descriptor: int, inbox: queue.SimpleQueue) -> None:
    while (message := messages.receive(descriptor)) is not None:
        inbox.put(message)
    # The orchestrator is gone, perhaps killed: nobody else clears up what `worker_pool.py` made.
    own = Path(os.environ.get("TMPDIR", ""))
    if own.name.startswith(TEMPORARY_PREFIX):
        shutil.rmtree(own, ignore_errors=True)
    os._exit(1)


def _import_libraries(environment: dict) -> None:
    if environment["tensorflow"]:
        if environment["devices"] == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        # By itself, TensorFlow imports Keras too. A fresh process is to have what a server has.
        with _hidden((*NEVER_USED, "keras") if environment["fresh"] else NEVER_USED):
            import tensorflow as tf

            if not environment["fresh"]:
                import keras  # noqa: F401 - imported now, while nobody waits for it
        if environment["devices"] == "cpu":
            tf.config.set_visible_devices([], "GPU")
    if environment["beam"]:
        import apache_beam  # noqa: F401 - imported now, while nobody waits for it


@contextlib.contextmanager
def _hidden(modules: tuple[str, ...]):
    """Inside, they cannot be imported, as if they were not installed; afterwards they can."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def execute(task: dict, sender: int, verified: set) -> dict:
    """Executes one step and returns the message that says how it went."""
    started = time.monotonic()
    reply = {"execution": task["execution"]}
    try:
        _redirect_output(Path(task["log"]))
        _reset_keras()
        for artifact in task["inputs"].values():
            _verify(Path(artifact["path"]), verified)
        context = _context(task, sender)
        reach("worker:started", task["step"])
        _load(task["component"]).execute(context)
        reach("worker:executed", task["step"])
        _seal(task, context, time.monotonic() - started)
        return {"type": "done", **reply}
    except published.CorruptArtifact as error:
        return {"type": "corrupt", **reply, "error": str(error), "directory": str(error.directory)}
    except ProcessDied as error:
        with contextlib.suppress(OSError):
            traceback.print_exc()
        # By itself it would end again in the same way.
        kind = "lost" if error.code < 0 else "failed"
        return {"type": kind, **reply, "code": error.code, "error": str(error)}
    except Exception as error:
        places = [Path(task["staging"]), Path(task["scratch"]), Path(tempfile.gettempdir())]
        reason = durable.full_disk(error, places) or sentence(error)
        with contextlib.suppress(OSError):  # the log may be on the full disk
            traceback.print_exc()
        return {"type": "failed", **reply, "error": reason}
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()


def sentence(error: Exception) -> str:
    """What a person reads of an exception; the full traceback is in the log."""
    text = str(error).strip().encode("utf-8", "backslashreplace").decode()
    kind = type(error).__name__
    if not isinstance(error, ValueError | TypeError | OSError) or not text:
        text = f"{kind}: {text}" if text else kind
    # Of code that TensorFlow traces, it names file and line itself.
    return text if "in user code:" in text else text + _users_line(error)


def _users_line(error: Exception) -> str:
    """` (my_package/data.py, line 40)`: the innermost code that is neither ours nor installed.

    Not for a sentence that this code raised on purpose.
    """
    frames = [
        (frame.f_code.co_filename, line, frame.f_globals.get("__name__") or "")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    frames += getattr(error, FRAMES, ())  # of a process of Beam
    lines = [(file, line) for file, line, module in frames if _is_users(file, module)]
    if not lines:
        return ""
    file, line = lines[-1]
    if isinstance(error, ValueError) and "raise " in linecache.getline(file, line):
        return ""
    folder = f"{os.getcwd()}{os.sep}"
    return f" ({file.removeprefix(folder)}, line {line})"


def _is_users(file: str, module: str) -> bool:
    installed = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    ours = module == "__main__" or module.startswith("penstock.")
    return not ours and os.path.isfile(file) and not file.startswith(installed)


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _reset_keras() -> None:
    """Layer names and policy must not depend on what the process ran before, nor on ~/.keras."""
    if "keras" in sys.modules:
        import keras

        keras.utils.clear_session(free_memory=False)
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")


def _verify(artifact: Path, verified: set) -> None:
    if artifact not in verified:
        published.check_thoroughly(artifact)
        verified.add(artifact)


def _context(task: dict, sender: int) -> ExecutionContext:
    component = _load(task["component"])
    staged = Path(task["staging"])
    published.prepare_staging(staged, list(component.outputs))
    scratch = Path(task["scratch"])
    scratch.mkdir(parents=True, exist_ok=True)
    task["summary"] = {}

    def report(progress: dict) -> None:
        task["summary"].update(progress["values"])
        messages.send(sender, {"type": "progress", "execution": task["execution"], **progress})

    return ExecutionContext(
        parameters=component.Parameters.model_validate_json(json.dumps(task["parameters"])),
        inputs={
            name: Input(Path(a["path"]), a["type"], a["content_digest"], a["properties"])
            for name, a in task["inputs"].items()
        },
        outputs={
            name: Output(staged / name, kind.__name__) for name, kind in component.outputs.items()
        },
        scratch=scratch,
        run=task["run"],
        execution=task["execution"],
        report=report,
    )


def _seal(task: dict, context: ExecutionContext, seconds: float) -> None:
    facts = {
        "execution": task["execution"],
        "run": task["run"],
        "step": task["step"],
        "inputs": {name: a["number"] for name, a in task["inputs"].items()},
        "properties": {name: output.properties for name, output in context.outputs.items()},
        "gate": context.gate,
        "summary": task["summary"],
        "seconds": seconds,
    }
    types = _load(task["component"]).outputs
    published.seal(Path(task["staging"]), types, facts)


def _load(reference: str):
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    main()
