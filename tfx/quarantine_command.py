"""`penstock quarantine`: the records that a run could not use, by reason; their bytes; a second try.

Whatever comes from data (names, reasons, bytes) is shown with escapes for control characters, and
no name from it becomes a path unchanged.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.quarantine.bad_records import record_of
from penstock.pipelines.quarantine.printable import excerpt, printable
from penstock.pipelines.quarantine.reason_kinds import kind_of
from penstock.tfx.load_config import ConfigError, load_config
from penstock.tfx.standard_pipeline import standard_pipeline
from penstock.tfx.store import Store, open_store

RECORDS_OF_A_REASON = 3
LONGEST_NAME, LONGEST_REASON, LONGEST_EXCERPT = 200, 300, 72


def quarantine_of_run(
    run: str | None,
    *,
    store: str,
    database: str | None,
    reason: str | None,
    files: tuple[str, ...],
    limit: int,
    extract: str | None,
    replay: bool,
    as_json: bool,
) -> int:
    """Does what the options say with the quarantine of a run (None: the newest); the exit code.

    Args:
        reason: only records with this text in their reason, in any case.
        files: only records of these files; of all, if empty.
        limit: how many records are shown where `reason` or `files` choose some.
        extract: a folder for the bytes of the records.
        replay: reads the files again instead.
    """
    if replay and (reason is not None or extract is not None):
        raise ValueError(
            "`--replay` reads whole files again, so `--reason` and `--extract` have no meaning "
            "beside it. Received: both. Leave them out; `--file` chooses files."
        )
    opened = open_store(store, database)
    resolved = opened.resolve_run(run)
    name = resolved["run"]
    directory = _directory(opened, name)
    if replay:
        return _replay(opened, resolved, directory, files, as_json)
    chosen = reason is not None or bool(files)
    found = quarantine.summary(directory)
    if chosen:
        found["reasons"] = quarantine.reasons_of(_chosen(directory, reason, files))
    if extract is not None:
        return _extract(Path(extract), _chosen(directory, reason, files))
    records = list(islice(_chosen(directory, reason, files), limit)) if chosen else None
    if as_json:
        facts = {"run": name, "path": str(directory / quarantine.RECORDS), **found}
        print(json.dumps(facts | ({"records": records} if chosen else {}), indent=2))
        return 0
    print(f"{name}: {_share(found)}")
    _print_reasons(found["reasons"], found["bad"], 0 if chosen else RECORDS_OF_A_REASON)
    if chosen:
        for entry in records:
            _print_record(entry)
        if found["bad"] and not found["reasons"]:
            print(f"None of them is chosen; `penstock quarantine {name}` shows reasons and files.")
        left_out = sum(kind["count"] for kind in found["reasons"]) - len(records)
        if left_out:
            print(f"  {left_out:,} more; --limit shows more of them")
    print(f"all: {directory / quarantine.RECORDS}")
    return 0


def _directory(store: Store, run: str) -> Path:
    """Where the quarantine of a run is; ExampleGen need only have read its data."""
    for _, _, record in store.metadata.steps_of(run):
        for output in record.outputs.values():
            if output.type == "Quarantine":
                return store.directory / output.uri
    raise ValueError(
        f"The run {run} has no quarantine: its step ExampleGen has not read the data to the end. "
        f"See how it ended with `penstock show {run}`."
    )


def _chosen(directory: Path, reason: str | None, files: tuple[str, ...]) -> Iterator[dict]:
    """The stored records, one at a time, of these files and with this text in the reason."""
    wanted = (reason or "").lower()
    paths = set(map(os.path.normpath, files))
    for entry in quarantine.entries(directory):
        kind = kind_of(entry["reason"])
        has_reason = wanted in entry["reason"].lower() or wanted in kind.lower()
        if has_reason and (not files or os.path.normpath(entry["file"]) in paths):
            yield entry


def _share(found: dict) -> str:
    if not found["bad"]:
        return f"every one of the {found['read']:,} records could be used"
    share = f"{found['bad'] / found['read']:.1%}"
    return f"{found['bad']:,} of {found['read']:,} records ({share}) could not be used"


def _print_reasons(reasons: list[dict], bad: int, shown: int) -> None:
    for kind in reasons:
        share = f"{kind['count'] / bad:.1%}"
        text = printable(kind["kind"], LONGEST_REASON)
        print(f"{kind['count']:>9,}  {share:>6}  {text}")
        for entry in kind["first"][:shown]:
            _print_record(entry, with_reason=entry["reason"] != kind["kind"])


def _print_record(entry: dict, with_reason: bool = True) -> None:
    place = f"index {entry['index']}"
    if entry.get("offset") is not None:
        place += f", offset {entry['offset']}"
    line = f"{'':>9}  {printable(entry['file'], LONGEST_NAME)}  {place}"
    if with_reason:
        line += f"  {printable(entry['reason'], LONGEST_REASON)}"
    print(line)
    data = record_of(entry).data
    if data:
        print(f"{'':>11}{excerpt(data, LONGEST_EXCERPT)}")


def _extract(directory: Path, entries: Iterator[dict]) -> int:
    """Writes what was kept of each record; names are made of number, index and safe characters."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(
            f"`--extract` must be a folder that is empty or does not exist yet. Received: "
            f"{str(directory)!r}. Name another one, or empty it."
        )
    directory.mkdir(parents=True, exist_ok=True)
    written = cut = without = 0
    for number, entry in enumerate(entries):
        data = record_of(entry).data
        if not data:
            without += 1
            continue
        path = directory / f"{number:06}-{entry['index']}-{_safe(entry['file'])}"
        # Never through a link, never over a file, never executable.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
        written, cut = written + 1, cut + ("bytes" in entry)
    print(f"{written:,} records written to {directory}")
    if cut:
        print(
            f"  of {cut:,} of them only the beginning was kept (data.quarantine.max_record_bytes)"
        )
    if without:
        print(f"  of {without:,} more no bytes were kept")
    return 0


def _safe(name: str) -> str:
    """The last part of a path, with letters, digits, `.`, `_` and `-` only; its end is kept."""
    last = re.sub(r"[^A-Za-z0-9._-]+", "_", re.split(r"[/\\]", name)[-1])
    return last[-80:].strip("._") or "record"


def _replay(
    store: Store, resolved: dict, directory: Path, given: tuple[str, ...], as_json: bool
) -> int:
    """Reads the files of the quarantine (or the given ones) again and says what is good now."""
    run = resolved["run"]
    names, before = set(), 0
    for entry in _chosen(directory, None, given):
        if entry["reason"] != quarantine.SAME_KEY:
            names.add(entry["file"])
            before += 1
    known = set(map(os.path.normpath, names))
    files = frozenset(names).union(f for f in given if os.path.normpath(f) not in known)
    if not files:
        print(f"The quarantine of {run} names no file that could be read again.")
        return 0
    try:
        config = load_config(store.run_directory(run) / "config.yaml")
    except ConfigError as error:
        raise ValueError(
            f"The files of {run} cannot be read again: its config, which worked then, has faults now. "
            "Put back what it names, and start this command in the folder in which the run was "
            f"started.\n{error}"
        ) from error
    step = standard_pipeline(config).step("ExampleGen").parameters
    with _quiet():
        from penstock.pipelines.quarantine.replay import replay

        source = config.pipeline.data.source
        now = replay(source, files, step.expand, step.expand_config)
    facts = {"run": run, "files": len(files), "bad_before": before, **now}
    if as_json:
        print(json.dumps(facts, indent=2))
        return 0
    noun = "file was" if len(files) == 1 else "files were"
    print(
        f"{len(files):,} {noun} read again: of {now['read']:,} records {now['good']:,} can be used "
        f"now, {now['bad']:,} cannot; {before:,} could not in the run."
    )
    _print_reasons(now["reasons"], now["bad"], RECORDS_OF_A_REASON)
    for line in _absent(files, now["read"]):
        print(line)
    print("Nothing was stored. Records with the key of a record elsewhere are found only by a run.")
    if now["good"] and not now["bad"]:
        print(f"next: penstock run {resolved['config']}")
    return 0


def _absent(files: frozenset[str], read: int) -> Iterator[str]:
    """What to say of files that are not read any more; one in an archive may still be there."""
    if not read:
        yield "The source has no record of these files any more."
        return
    gone = [f for f in sorted(files) if not any(p.is_file() for p in (Path(f), *Path(f).parents))]
    yield from (f"{printable(file, LONGEST_NAME)} is gone." for file in gone[:RECORDS_OF_A_REASON])
    if len(gone) > RECORDS_OF_A_REASON:
        yield f"{len(gone) - RECORDS_OF_A_REASON:,} more are gone."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Beam warns of parts of itself that nobody needs here; in a run that goes into a log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
