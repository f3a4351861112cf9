"""How fast a config trains on this machine: finds the artifacts, has them measured, judges.

The measuring is done by `throughput.py` in a process of its own, the judging by `bottleneck.py`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from penstock.tfx.doctor.bottleneck import judge
from penstock.tfx.doctor.finding import Finding, fix, ok, tip
from penstock.tfx.load_config import RunConfig

CHILD = (sys.executable, "-P", "-m", "penstock.tfx.doctor.throughput")
TIMEOUT_SECONDS = 300.0
NEEDED = {"Examples": "examples", "TransformedExamples": "transformed", "TransformState": "state"}


def check_speed(config: RunConfig, directory: Path, database: str | None) -> list[Finding]:
    """Measures the training of a config on the data of its newest run that has prepared them.

    Args:
        directory, database: of the store.
    """
    if config.pipeline.task is None:
        return [ok("speed", "the config has no `task`, so there is no training to measure")]
    found = _artifacts(config.pipeline.name, directory, database)
    if found is None:
        return [
            tip(
                "speed",
                "nothing to measure yet: no run of this pipeline in the store has come as far as "
                "Transform. `penstock run` the config, then ask again",
            )
        ]
    request = {
        **{name: str(path) for name, path in found.items()},
        "task": config.pipeline.task,
        "task_config": config.task.model_dump(mode="json"),
        "train": config.pipeline.train.model_dump(mode="json"),
        "seed": config.pipeline.seed,
    }
    # Made here: the process that measures may be killed, and must leave nothing.
    with tempfile.TemporaryDirectory(prefix="penstock-") as scratch:
        return _measured({**request, "scratch": scratch})


def _artifacts(pipeline: str, directory: Path, database: str | None) -> dict[str, Path] | None:
    """The directories that are needed, of the newest run of the pipeline that has all of them."""
    from penstock.tfx.doctor.store import open_database
    from penstock.tfx.store import Store

    store = Store(directory, database)
    if not store.directory.is_dir():
        return None
    # Opened as the check of the store does, which changes nothing and says what is wrong with it.
    _, metadata = open_database(store, database)
    if metadata is None:
        return None
    runs = [row for row in metadata.runs() if row["pipeline"] == pipeline]
    for row in reversed(runs):
        outputs = [
            output
            for _, _, record in metadata.steps_of(row["run"])
            for output in record.outputs.values()
        ]
        found = {
            NEEDED[output.type]: store.directory / output.uri
            for output in outputs
            if output.type in NEEDED
        }
        if len(found) == len(NEEDED) and all(path.is_dir() for path in found.values()):
            return found
    return None


def _measured(request: dict) -> list[Finding]:
    process = subprocess.Popen(
        CHILD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
    )
    try:
        output, errors = process.communicate(json.dumps(request).encode(), TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        said = f"the measuring has not ended after {TIMEOUT_SECONDS:g} s"
        return [
            fix(
                "speed",
                f"{said}; the model's step may be too slow for this machine, or the examples too "
                "many to be cached in that time (`train.cache`)",
            )
        ]
    finally:
        _kill(process)
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        said = "".join(last).rstrip(".") or "it died"
        return [
            fix(
                "speed",
                f"the training cannot be measured on the data of the last run: {said}. If the config "
                "has changed since, `penstock run` it first",
            )
        ]
    return judge(json.loads(output))


def _kill(process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
