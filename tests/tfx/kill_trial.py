"""What a kill test does: start, kill, look on as a reader, resume, compare.

Used by `test_kill.py` on toy steps; the same checks serve any pipeline that pushes.
"""

import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path

import toy_kill

from penstock.tfx import published
from penstock.tfx.database import open_database
from penstock.tfx.durable import files_below, sha256_of_file
from penstock.tfx.metadata import Metadata

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["toy_kill"])

POLLING = threading.Lock()
"""Held while `multiprocessing` asks for exit codes. Starting a process asks for those of all others;
where two threads ask for one at once, the second is told 255 (9 % of a tight loop, measured)."""


class Reader(threading.Thread):
    """Reads the store and the destination all the while; `faults` are the half-written things it saw."""

    def __init__(self, store: Path, destination: Path):
        super().__init__(daemon=True)
        self._store, self._destination = store, destination
        self._end = threading.Event()
        self._checked: set = set()
        self.faults: list[str] = []
        self.looks = 0

    def run(self) -> None:
        while not self._end.is_set():
            begun = time.monotonic()
            self.look()
            # At most a tenth of its time, or the trials would be slowed down by their readers.
            time.sleep(max(0.01, 9 * (time.monotonic() - begun)))

    def stop(self) -> None:
        self._end.set()
        self.join()
        self.look()

    def look(self) -> None:
        """Every execution that the metadata shows must be whole, and so must every pushed version."""
        self.looks += 1
        for step, execution in complete_executions(self._store):
            if execution not in self._checked:
                self._checked.add(execution)
                directory = self._store / "artifacts" / step / execution
                try:
                    for name in published.read_document(directory)["outputs"]:
                        published.check_thoroughly(directory / name)
                except published.CorruptArtifact as error:
                    self.faults.append(str(error))
        for version in versions(self._destination):
            if version not in self._checked:
                self._checked.add(version)
                self.faults += pushed_faults(self._destination / version)


def complete_executions(store: Path) -> list[tuple[str, str]]:
    """(step, execution) of everything that the metadata store shows as complete."""
    return _ask(store, "SELECT step, id FROM executions WHERE state = 'COMPLETE'")


def worker_deaths(store: Path) -> int:
    """How often a worker died of SIGKILL while it had a step."""
    return len(_ask(store, "SELECT id FROM executions WHERE error LIKE '%killed by signal 9%'"))


def _ask(store: Path, query: str) -> list[tuple]:
    try:
        connection = sqlite3.connect(
            f"file:{store / 'metadata.sqlite'}?mode=ro", uri=True, timeout=10
        )
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return []  # not created yet


def versions(destination: Path) -> list[str]:
    """The version folders that a server would see."""
    if not destination.is_dir():
        return []
    return sorted((p.name for p in destination.iterdir() if p.name.isdigit()), key=int)


def pushed_faults(version: Path) -> list[str]:
    """What is wrong with a pushed version, by its own manifest."""
    try:
        manifest = json.loads((version / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        return [f"{version}: no readable manifest ({error})"]
    found = {str(p.relative_to(version)): sha256_of_file(p) for p in files_below(version)}
    found.pop("manifest.json")
    listed = {
        name: entry["sha256"] if isinstance(entry, dict) else entry
        for name, entry in manifest["files"].items()
    }
    return [] if found == listed else [f"{version}: files differ from its manifest"]


def content_digests(store: Path, run: str) -> dict[str, str]:
    """`step.output` -> content digest of everything in a run."""
    engine = open_database(f"sqlite:///{store}/metadata.sqlite", store / "migrate.lock")
    try:
        return {
            f"{step}.{name}": output.content_digest
            for step, _, record in Metadata(engine).steps_of(run)
            for name, output in record.outputs.items()
        }
    finally:
        engine.dispose()


class Trial:
    """A copy of a prepared store (one version pushed), in which a second run is killed and resumed.

    Args:
        template: a folder with `store/`, `served/` and `numbers.txt`.
        folder: where the copy goes.
    """

    def __init__(self, template: Path, folder: Path):
        shutil.copytree(template, folder)
        self.folder = folder
        self.store, self.destination = folder / "store", folder / "served"

    def start(self, crash_at: str | None = None, interpreters: bool = False):
        """The second run (another factor, so that most steps run); a `multiprocessing.Process`."""
        return start_run(self.folder, 5, "second", crash_at, interpreters)

    def check(self, expected: dict[str, str], reader: Reader, interpreters: bool = False) -> None:
        """Resumes and compares with the run that nobody interrupted."""
        code = exit_code(self.start(interpreters=interpreters))
        reader.stop()
        output = (self.folder / "output.txt").read_text()
        assert code == 0, f"`resume` ended with {code}: {output}"
        assert reader.faults == []
        assert reader.looks > 1
        assert versions(self.destination) == ["1", "2"]
        assert content_digests(self.store, "second") == expected
        assert not any((self.store / "staging").iterdir())
        assert [p.name for p in self.destination.iterdir() if "staging" in p.name] == []


def start_run(
    folder: Path, factor: int, run: str, crash_at: str | None = None, interpreters: bool = True
):
    """Starts `toy_kill.run_toy` in a process forked from a server that has imported everything."""
    arguments = (str(folder), factor, run, crash_at, interpreters)
    process = FORKS.Process(target=toy_kill.run_toy, args=arguments)
    with POLLING:
        process.start()
    return process


def exit_code(process) -> int:
    """Waits for the end of a process of `start_run`; safe in several threads at once."""
    multiprocessing.connection.wait([process.sentinel])
    with POLLING:
        process.join()
        return process.exitcode


def kill_process(pid: int, worker: bool) -> None:
    """Kills the orchestrator, or the worker that it started last."""
    victim = pid
    if worker:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            children = []
        victim = int(children[-1]) if children else pid
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return
