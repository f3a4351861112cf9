"""The store: one directory with every artifact, run and log, and the metadata database.

```
<directory>/store.json                          which store this is
<directory>/metadata.sqlite                     unless `store.database` names another
<directory>/artifacts/<step>/<execution>/       finished executions (published.py)
<directory>/staging/<execution>/                executions under way
<directory>/runs/<run>/                         config.yaml, lease, logs/, scratch/
<directory>/fingerprints/                       digests of source files and code, by their stat
```
Paths in the database are relative to the directory, so that a store can be moved.
"""

import contextlib
import json
import os
import secrets
import time
from functools import cached_property
from pathlib import Path

from penstock.tfx import durable, published
from penstock.tfx.component import Input
from penstock.tfx.crash_points import reach
from penstock.tfx.lease import Lease, LeaseHeld, is_held


class StoreUnusable(Exception):
    """The store's directory cannot be written; the message says why."""


def new_id() -> str:
    """A name that is unique and sorts by time as long as the clock does not jump."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"


class Store:
    """Files and metadata of one store.

    Args:
        directory: created when missing.
        database: a SQLAlchemy URL; None for SQLite inside the directory.
    """

    def __init__(self, directory: Path, database: str | None = None):
        self.directory = Path(directory).absolute()
        # A path, not a URL: in a URL a `?` of the folder's name would begin the options.
        self._database = database or self.directory / "metadata.sqlite"

    @cached_property
    def metadata(self):
        """The metadata store; the first use opens it (SQLAlchemy is imported only then)."""
        with self.full_disk_explained():
            return self._open()

    def _open(self):
        from penstock.tfx.database import open_database
        from penstock.tfx.metadata import Metadata

        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(
                f"The store cannot be created in {self.directory}: {error.strerror}. "
                "Name a writable folder in `store.directory`."
            ) from error
        metadata = Metadata(open_database(self._database, self.directory / "migrate.lock"))
        if metadata.owner(self._id()) != self._id():
            raise StoreUnusable(
                f"The database belongs to another store than {self.directory}: its artifacts are "
                "elsewhere. One database serves one `store.directory`; name the right one of either."
            )
        return metadata

    @contextlib.contextmanager
    def full_disk_explained(self):
        """Raises `durable.DiskFull`, a sentence, where the body finds the store's disk full."""
        try:
            yield
        except (OSError, StoreUnusable) as error:
            reason = durable.full_disk(error, [self.directory])
            if reason is None:
                raise
            raise durable.DiskFull(reason) from error

    def _id(self) -> str:
        """What tells this directory from others, wherever it is moved."""
        path = self.directory / "store.json"
        if not path.exists():
            fresh = self.directory / f".store-{new_id()}"
            durable.write_json(fresh, {"format_version": 1, "id": new_id()})
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        return json.loads(path.read_text())["id"]

    # Places ---------------------------------------------------------------------------------

    def run_directory(self, run: str) -> Path:
        """Where a run keeps its config, logs and scratch."""
        return self.directory / "runs" / run

    def log_file(self, run: str, step: str) -> Path:
        """A step's full log."""
        return self.run_directory(run) / "logs" / f"{step}.log"

    def keep_config(self, run: str, text: str | None) -> None:
        """Writes a new run's config, whole or not at all; that of a known run stays as it is."""
        path = self.run_directory(run) / "config.yaml"
        if text is not None and not path.exists():
            durable.write_text(path, text)

    def lease(self, run: str) -> Lease:
        """The right to write in a run."""
        return Lease(self.run_directory(run) / "lease", f"The run {run}")

    def is_active(self, run: str) -> bool:
        """Whether a live process is working on a run."""
        return is_held(self.run_directory(run) / "lease")

    def scratch(self, run: str, step: str, key: str) -> Path:
        """Where an execution keeps what a kill must not take (checkpoints)."""
        return self.run_directory(run) / "scratch" / f"{step}-{key[:16]}"

    def staging(self, execution: str) -> Path:
        """Where a worker builds an execution's outputs."""
        return self.directory / "staging" / execution

    def published_directory(self, step: str, execution: str) -> Path:
        """Where a finished execution stands."""
        return self.directory / "artifacts" / step / execution

    def as_input(self, artifact) -> Input:
        """An artifact of the metadata store as a step reads it."""
        return Input(
            path=self.directory / artifact.uri,
            type=artifact.type,
            content_digest=artifact.content_digest,
            properties=artifact.properties,
        )

    # Commit and recovery --------------------------------------------------------------------

    def commit(self, step: str, execution: str):
        """Publishes what a worker has sealed: one rename, then one transaction."""
        final = self.published_directory(step, execution)
        reach("commit:before-rename", step)
        durable.publish_directory(self.staging(execution), final)
        reach("commit:renamed", step)
        record = self._record(step, execution)
        reach("commit:recorded", step)
        return record

    def _record(self, step: str, execution: str):
        final = self.published_directory(step, execution)
        document = published.read_document(final)
        uri = str(final.relative_to(self.directory))
        return self.metadata.complete_execution(execution, document, uri)

    def is_published(self, step: str, execution: str) -> bool:
        """Whether an execution has been renamed to its place, recorded or not."""
        return (self.published_directory(step, execution) / published.DOCUMENT).exists()

    def recover(self, run: str) -> None:
        """Brings a run that was killed to rest; call with its lease held.

        An execution that was renamed but not recorded is complete and is recorded now; whatever
        else was under way is abandoned.
        """
        for record in self.metadata.executions_of(run, state="RUNNING"):
            try:
                if self.is_published(record.step, record.id):
                    self._record(record.step, record.id)
                    published.remove(self.scratch(run, record.step, record.cache_key))
                    continue
            except published.CorruptArtifact:
                published.remove(self.published_directory(record.step, record.id))
            ended = self._last_sign_of(run, record)
            self.metadata.end_execution(record.id, "ABANDONED", "The process was killed.", ended)
            published.remove(self.staging(record.id))
        begun = self.metadata.under_way_since(run)
        if begun is not None:
            reason = {"reason": "It was killed."}
            self.metadata.end_run(run, "INTERRUPTED", reason, self._seconds_since(run, begun))

    def _last_sign_of(self, run: str, record) -> float:
        """When an execution that was killed last wrote; it may be found days later."""
        scratch = self.scratch(run, record.step, record.cache_key)
        folders = [self.staging(record.id), scratch]
        files = [file for folder in folders for file in durable.files_below(folder)]
        paths = [self.log_file(run, record.step), *folders, *files]
        times = [path.stat().st_mtime for path in paths if path.exists()]
        return min(max([record.started_at, *times]), time.time())

    def _seconds_since(self, run: str, begun: float) -> float | None:
        """How long a run that was killed was worked on, as far as its executions tell."""
        records = [r for r in self.metadata.executions_of(run) if r.started_at >= begun]
        ends = [r.started_at + r.seconds for r in records if r.seconds is not None]
        return max(ends) - begun if ends else None

    def recover_dead_runs(self) -> None:
        """Brings every run to rest that was killed and that nobody is working on."""
        for run in self.metadata.runs_under_way():
            lease = self.lease(run)
            try:
                lease.acquire()
            except LeaseHeld:
                continue
            try:
                self.recover(run)
            finally:
                lease.release()

    def resolve_run(self, run: str | None) -> dict:
        """A run by its name, by the beginning of it, or the newest one.

        Raises:
            ValueError: there is none, or several begin so.
        """
        runs = self.metadata.runs()
        if not runs:
            raise ValueError(
                f"The store {self.directory} has no runs yet. Start one with `penstock run CONFIG`, "
                "or name another store with `--store`."
            )
        if run in (None, "latest"):
            return runs[-1]
        exact = [found for found in runs if found["run"] == run]
        matches = exact or [found for found in runs if found["run"].startswith(run)]
        if len(matches) == 1:
            return matches[0]
        names = ", ".join(found["run"] for found in (matches or runs)[-5:])
        problem = "begins the names of several runs" if matches else "is no run of this store"
        raise ValueError(f"{run!r} {problem}. Received: {run!r}. Runs: {names}.")


WILDCARDS = "*?[]\\"
"""TensorFlow reads the path of a SavedModel's variables as a pattern (`a[1]` does not match itself)."""


def wildcards_in(path: Path) -> str | None:
    """Why TensorFlow could not load a model below a path, or None."""
    found = sorted(set(WILDCARDS) & set(str(Path(path).absolute())))
    if not found:
        return None
    return (
        f"its path must have none of the characters {' '.join(WILDCARDS)}, which TensorFlow reads as "
        f"wildcards. Received: {str(Path(path).absolute())!r}, with {' '.join(found)}."
    )


def open_store(directory: str, database: str | None) -> Store:
    """A store that must be there already.

    Raises:
        ValueError: there is none.
    """
    if not Path(directory).is_dir():
        raise ValueError(
            f"There is no store in {directory!r}. Start one with `penstock run CONFIG`, or name "
            "another with `--store`."
        )
    return Store(Path(directory), database)
