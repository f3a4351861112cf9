"""One trial of the kill test, in a process of its own: runs the toy pipeline, to be killed or to end."""

import os
import sys
from pathlib import Path

import sqlalchemy.dialects.sqlite  # noqa: F401 - imported once, before the trials are forked
from toy_steps import toy_pipeline

from penstock.tfx import database, metadata  # noqa: F401 - likewise
from penstock.tfx.runner import run_pipeline
from penstock.tfx.store import Store


def run_toy(folder: str, factor: int, run: str, crash_at: str | None = None) -> None:
    """Runs the toy pipeline in `folder`; exit code 0 when it completes.

    Args:
        folder: holds `numbers.txt`; gets `store/`, `served/` and `output.txt`.
        crash_at: a crash point of this process and its workers, or None.
    """
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.environ.pop("PENSTOCK_CRASH_AT", None)
    if crash_at:
        os.environ["PENSTOCK_CRASH_AT"] = crash_at
    pipeline = toy_pipeline(Path("numbers.txt"), Path("served"), factor=factor)
    result = run_pipeline(pipeline, Store(Path("store")), run)
    print(result.state, result.reason, flush=True)
    sys.exit(0 if result.state == "COMPLETE" else 1)
