"""`penstock doctor`: runs the checks and prints a line for each finding."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from penstock.tfx.config import StoreConfig
from penstock.tfx.doctor import installation, machine, store
from penstock.tfx.doctor.child import CHECKS
from penstock.tfx.doctor.finding import Finding, fix, ok
from penstock.tfx.doctor.speed import check_speed
from penstock.tfx.load_config import RunConfig

CHILD = (sys.executable, "-P", "-m", "penstock.tfx.doctor.child")
TIMEOUT_SECONDS = 60.0
"""The child takes 5 s on an idle machine of two cores; without byte code most of a minute."""


def doctor(
    config: str | None,
    directory: str | None,
    database: str | None,
    as_json: bool,
    speed: bool = True,
    overrides: tuple[str, ...] = (),
) -> int:
    """Runs every check; returns 1 if something must be mended, else 0.

    Args:
        config: a config file to check; its store is the one that is looked at.
        directory, database: of the store; None for those of the config, or the defaults.
        speed: whether to measure what bounds the training of the config.
        overrides: `train.epochs=3`, as of a run.
    """
    child = Child()
    try:
        findings = []
        for finding in _all(child, config, overrides, directory, database, speed):
            findings.append(finding)
            if not as_json:
                print(finding, flush=True)
    finally:
        child.stop()
    broken = [finding for finding in findings if finding.status == "fix"]
    if as_json:
        print(json.dumps({"ok": not broken, "findings": list(map(asdict, findings))}, indent=2))
    return 1 if broken else 0


def _all(child: "Child", config, overrides, directory, database, speed) -> Iterator[Finding]:
    """The light checks at once, then what the child finds meanwhile; measuring comes last, alone."""
    settings, loaded = StoreConfig(), None
    if config is not None:
        found, loaded = check_config(config, overrides)
        settings = loaded.pipeline.store if loaded else settings
        yield from found
    place = Path(directory) if directory else settings.directory
    database = database or settings.database
    for name, check in (
        ("python", installation.python),
        ("libraries", installation.libraries),
        ("tested versions", installation.versions_as_tested),
        ("compiled packages", installation.compiled_packages),
        ("memory", machine.memory),
        ("shared memory", machine.shared_memory),
        ("disk", lambda: machine.free_space(place)),
        ("file system", lambda: machine.file_system(place)),
        ("home", installation.home),
        ("store", lambda: store.check_store(place, database)),
    ):
        yield from guarded(name, check)
    yield from child.findings()
    if loaded and speed:
        yield from guarded("speed", lambda: check_speed(loaded, place, database))


def guarded(name: str, check: Callable) -> list[Finding]:
    """The findings of a check; a check that fails is a finding too."""
    try:
        found = check()
    except Exception as error:  # whatever is wrong with the machine, the other checks still run
        return [fix(name, _unchecked(error))]
    return found if isinstance(found, list) else [found]


def _unchecked(error: Exception) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"this could not be checked: {said}"


def check_config(
    path: str, overrides: tuple[str, ...] = ()
) -> tuple[list[Finding], RunConfig | None]:
    """Every fault of a config that shows before data is read, and the config if it can be read."""
    from penstock.tfx.load_config import ConfigError, load_config
    from penstock.tfx.standard_pipeline import standard_pipeline

    config = None
    try:
        config = load_config(Path(path), overrides)
        pipeline = standard_pipeline(config)
        faults = [f for step in pipeline.steps for f in step.component.check(step.parameters)]
    except ConfigError as error:
        faults = error.faults
    except ValueError as error:
        faults = str(error).splitlines()
    except Exception as error:  # a user's own component may raise anything
        faults = [_unchecked(error)]
    if faults:
        return [fix("config", f"{path}: {fault}") for fault in faults], config
    return [ok("config", f"{path} is valid: {len(pipeline.steps)} steps")], config


class Child:
    """The process with TensorFlow and Beam (`child.py`), which works while the light checks run."""

    def __init__(self, command=CHILD, timeout_seconds: float = TIMEOUT_SECONDS):
        self._timeout = timeout_seconds
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        )

    def findings(self) -> list[Finding]:
        """Waits for the child; a child that hangs or dies is one finding more."""
        left = self._timeout - (time.monotonic() - self._started)
        try:
            output, errors = self._process.communicate(timeout=max(left, 0.1))
            problem = self._death(errors)
        except subprocess.TimeoutExpired:
            self._kill()
            output, errors = self._process.communicate()
            problem = f"it has not ended after {self._timeout:g} s"
        lines = output.decode(errors="replace").split("\n")[:-1]
        found = [Finding(**json.loads(line)) for line in lines]
        missing = [name for name in CHECKS if name not in {finding.name for finding in found}]
        if missing:
            found.append(_unanswered(missing[0], problem))
        return found

    def _death(self, errors: bytes) -> str:
        code = self._process.returncode
        how = f"exit code {code}" if code >= 0 else f"the signal {signal.Signals(-code).name}"
        said = errors.decode(errors="replace").strip().splitlines()[-1:]
        return f"the process died by {how}" + "".join(f", and said last: {line}" for line in said)

    def stop(self) -> None:
        """Ends the child and whatever it started."""
        self._kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _unanswered(name: str, problem: str) -> Finding:
    return fix(
        name,
        f"the check with TensorFlow and Beam did not get beyond this point: {problem}. Expected: "
        f"an answer within seconds. See what happens: `{' '.join(CHILD)}`. SIGILL means a processor "
        "that TensorFlow's build does not fit, SIGKILL too little memory; a hang often is an "
        "accelerator's driver or a package without byte code.",
    )
