"""Checks of a store: can it be written and opened, and is what it says on the disk? Changes nothing.

The metadata store's own code would create what is missing and bring an old schema up to date, so
the database is looked at here first, and is opened only when nothing of that would happen.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.tfx import published
from penstock.tfx.doctor.finding import Finding, first_few, fix, ok, tip
from penstock.tfx.store import Store
from penstock.tfx.versions import unwritable

if TYPE_CHECKING:
    from penstock.tfx.metadata import Metadata

LOCK_SECONDS = 2
"""How long the check waits for another writer; a transaction of ours takes milliseconds."""
FOLDERS = ("", "artifacts", "runs", "staging", "fingerprints")


def check_store(directory: Path, database: str | None) -> list[Finding]:
    """Everything about one store; a single line where there is none yet."""
    store = Store(directory, database)
    written = [_write_access(store.directory)]
    if not store.directory.is_dir():
        if written[0].status == "fix":
            return written
        return [*written, ok("store", f"none yet in {store.directory}; a run creates it")]
    opened, metadata = open_database(store, database)
    if metadata is None:
        return [*written, opened]
    checks = (damaged_executions, dead_runs, leftovers)
    return [*written, opened, *(check(store, metadata) for check in checks)]


def _write_access(directory: Path) -> Finding:
    problems = [
        problem
        for name in FOLDERS
        if name == "" or (directory / name).exists()
        if (problem := unwritable(directory / name))
    ]
    if problems:
        return fix(
            "write access",
            f"{problems[0]}. Expected: a folder that this user may write to. Change its owner, or "
            "name another in `store.directory`.",
        )
    return ok("write access", f"{directory} can be written to")


# The database --------------------------------------------------------------------------------


def open_database(store: Store, url: str | None) -> "tuple[Finding, Metadata | None]":
    """Whether the database answers, is whole, not locked, current and this store's own.

    Returns:
        The finding, and the metadata store where all is well.
    """
    from penstock.tfx import database, tables
    from penstock.tfx.metadata import Metadata

    path = store.directory / "metadata.sqlite" if url is None else _sqlite_file(url)
    problem = None if path is None else _check_sqlite(path, store.directory / "store.json")
    if problem:
        return problem, None
    try:
        url = url or path
        revision = database.revision_of(url)
        if revision != tables.HEAD:
            return _other_schema(revision, tables.HEAD), None
        metadata = Metadata(database.open_database(url, store.directory / "migrate.lock"))
        problem = _other_owner(store.directory / "store.json", metadata.known_owner())
    except database.DatabaseUnreachable as error:
        return fix("store", str(error)), None
    if problem:
        return problem, None
    return ok("store", f"{store.directory} opens; its schema is current ({revision})"), metadata


def _other_schema(revision: str | None, head: str) -> Finding:
    if revision is None:
        return tip("store", "its database is empty; the next run creates the tables")
    if revision < head:
        return tip("store", f"its schema is {revision}; the next command brings it to {head}")
    return fix(
        "store",
        f"written by a newer Penstock. Expected: schema {head} or older. Received: {revision}. "
        "Install the newer version, or name another `store.directory`.",
    )


def _sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server, or what only opening it can tell."""
    import sqlalchemy as sa

    try:
        parsed = sa.engine.make_url(url)
    except sa.exc.SQLAlchemyError:
        return None
    named = parsed.database or ":memory:"
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or named == ":memory:":
        return None
    return None if named.startswith("file:") else Path(named)


def _check_sqlite(path: Path, identity: Path) -> Finding | None:
    """What is wrong with the file of an SQLite database (or that there is none yet)."""
    if path.is_file():
        return _try_sqlite(path)
    if not identity.exists():
        return ok("store", f"none yet in {identity.parent}; a run creates it")
    return fix(
        "store",
        f"its database is missing. Expected: {path}. Received: no such file. If the store uses "
        "another one, name it with `--database`; else restore it from a backup, or begin anew in "
        "another `store.directory`.",
    )


def _try_sqlite(path: Path) -> Finding | None:
    """Takes the write lock for a moment and lets SQLite check its pages."""
    import sqlite3

    connection = None
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=LOCK_SECONDS,
            isolation_level=None,
        )
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            return _broken(path, str(error))
        return fix(
            "store",
            f"{path} has been locked by another program for {LOCK_SECONDS} s. Expected: a lock of "
            f"milliseconds. Find it with `fuser {path}` and stop it.",
        )
    except sqlite3.DatabaseError as error:
        return _broken(path, str(error))
    finally:
        if connection is not None:
            connection.close()
    return None if problem == "ok" else _broken(path, problem)


def _broken(path: Path, problem: str) -> Finding:
    return fix(
        "store",
        f"the database {path} cannot be used. Expected: a whole SQLite file. Received: {problem}. "
        "Restore it from a backup, or begin anew in another `store.directory`.",
    )


def _other_owner(identity: Path, owner: str | None) -> Finding | None:
    """`store.json` says which store this is, and the database whose it is."""
    try:
        known = json.loads(identity.read_text())["id"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if owner in (None, known):
        return None
    if known is None:
        document = json.dumps({"format_version": 1, "id": owner})
        return fix(
            "store",
            f"{identity} is missing or damaged, so that no command can open the store. Write this "
            f"into it: {document}",
        )
    return fix(
        "store",
        f"the database belongs to another store. Expected: id {known}. Received: {owner}. Name the "
        "right `--store` or `--database`.",
    )


# What the database says against what is on the disk --------------------------------------------


def damaged_executions(store: Store, metadata: "Metadata") -> Finding:
    """Every usable execution has its directory and document, and files of the right sizes."""
    usable = [e for e in metadata.inventory() if e["state"] == "COMPLETE" and e["live"]]
    damaged = []
    for execution in usable:
        try:
            published.check_sizes(store.published_directory(execution["step"], execution["id"]))
        except published.CorruptArtifact as error:
            damaged.append(str(error).rstrip("."))
    if damaged:
        return fix(
            "artifacts",
            f"{len(damaged)} of {len(usable)} executions are not as they were published: "
            f"{first_few(damaged)}. Run the pipeline again: these steps will run again. `penstock "
            "run --verify` compares every byte.",
        )
    return ok("artifacts", f"{len(usable)} executions are there, with files of the right sizes")


def dead_runs(store: Store, metadata: "Metadata") -> Finding:
    """Runs that say they are running, and those that do."""
    running = [row["run"] for row in metadata.runs() if row["state"] == "RUNNING"]
    dead = [run for run in running if not store.is_active(run)]
    if dead:
        return fix(
            "runs",
            f"killed before they ended: {first_few(dead)}. Go on with one: `penstock resume "
            f"{dead[-1]} --store {store.directory}`; the next `penstock run` closes the others.",
        )
    return ok("runs", f"{len(running)} running, none killed")


def leftovers(store: Store, metadata: "Metadata") -> Finding:
    """Directories that no execution owns, or whose run is dead."""
    staged = _folders(store.directory / "staging")
    final = [f for step in _folders(store.directory / "artifacts") for f in _folders(step)]
    # Asked after the folders were listed: a run that goes on records before it writes.
    known = {execution["id"]: execution for execution in metadata.inventory()}

    def state(folder: Path) -> str | None:
        execution = known.get(folder.name)
        if execution and execution["state"] == "RUNNING" and store.is_active(execution["run"]):
            return "LIVE"
        return execution and execution["state"]

    found = [f for f in staged if state(f) != "LIVE" and f.exists()]
    found += [f for f in final if state(f) not in ("LIVE", "COMPLETE")]
    if not found:
        return ok("leftovers", "no directory without an execution")
    shown = first_few([str(folder.relative_to(store.directory)) for folder in found])
    if all(state(folder) == "RUNNING" for folder in found):
        return fix(
            "leftovers",
            f"a run that was killed left: {shown}. The next `penstock run` or `penstock resume` "
            "records or removes it.",
        )
    return fix(
        "leftovers",
        f"directories that no execution owns: {shown}. Remove them from {store.directory} while "
        "nothing runs there; no run needs them.",
    )


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())
