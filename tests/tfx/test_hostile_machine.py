"""A machine that misbehaves: a full disk, a clock that jumps back.

Kills are in `test_kill.py`; damaged files, files that change or go, stores that move or have odd
names in `test_runner.py`; a home that cannot be written in `end_to_end/test_awkward_photos.py`.
"""

import os
import subprocess
import sys
import time

import pytest

from penstock.tfx import durable
from penstock.tfx.inspect_commands import list_runs
from penstock.tfx.store import Store

CODE = "from penstock.tfx.main import main; main()"
STEPS = ("Read", "Scale", "Triple", "Add", "Gate", "Misbehave", "Fit", "Pusher")


# A full disk ----------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, of 4 MB; `fill(disk)` leaves no space on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass


def clear(disk):
    (disk / "filler").unlink()


def digests(result):
    return {
        f"{name}.{output}": artifact.content_digest
        for name, state in result.states.items()
        for output, artifact in state.record.outputs.items()
    }


@pytest.fixture
def run_toy(toy):
    """`run_toy(folder, name, observe)`: the toy pipeline with everything that it writes there."""
    from penstock.tfx.runner import run_pipeline

    def run_toy(folder, name, observe=lambda *_: None, store=None):
        pipeline = toy.steps.toy_pipeline(toy.source, folder / "served")
        return run_pipeline(pipeline, store or Store(folder / "store"), name, observe=observe)

    return run_toy


def test_a_disk_that_fills_during_each_step_loses_nothing(disk, run_toy, tmp_path):
    """One run, which finds the disk full in each of its steps and goes on when there is space."""
    store = Store(disk / "store")
    for step in STEPS:

        def observe(name, what, facts, step=step):
            if (name, what) == (step, "started"):
                fill(disk)

        result = run_toy(disk, "run", observe, store)
        assert result.state == "FAILED", step
        assert "The disk is full: " in result.reason or "No space left on device" in result.reason
        assert str(disk) in result.reason
        assert result.states[step].status != "executed"
        # Whatever can be seen is whole: each published execution, and no version yet.
        for document in (disk / "store" / "artifacts").glob("*/*/execution.json"):
            assert document.stat().st_size
        assert not list((disk / "served").glob("[0-9]*"))
        clear(disk)
    result = run_toy(disk, "run", store=store)
    assert result.state == "COMPLETE"
    executed = {name for name, state in result.states.items() if state.status == "executed"}
    assert "Pusher" in executed
    assert executed <= {"Pusher", "Misbehave"}  # which runs beside Fit and Pusher
    assert list((disk / "store" / "staging").iterdir()) == []
    assert [path.name for path in (disk / "served").iterdir() if path.name.isdigit()] == ["1"]
    assert digests(result) == digests(run_toy(tmp_path / "whole", "run"))


def test_a_disk_that_is_full_before_a_run_begins_is_said(disk, tmp_path, repository):
    store = disk / "store"
    fill(disk)
    arguments = ("run", repository / "configs/vision/digits.yaml", f"store.directory={store}")
    for command in (arguments, arguments):
        done = subprocess.run(
            [sys.executable, "-P", "-c", CODE, *map(str, command)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.stderr == (
            f"Error: The disk is full: {store} cannot be written. Free space there, then go on "
            "with `penstock resume`.\n"
        )
        assert done.returncode == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "The disk is full: {place} cannot"),
        (OSError(122, "Disk quota exceeded", "/x/y"), "The disk is full: /x/y cannot"),
        # Beam: the text of the error, without its number.
        (
            OSError("[Errno 28] No space left on device [while running 'Sort']"),
            "The disk is full: {place} cannot",
        ),
        (OSError("16384 requested and 512 written"), "The disk is full: {place} cannot"),  # NumPy
        (durable.DiskFull("`push.destination` is full."), "`push.destination` is full."),
        (OSError(2, "No such file or directory"), None),
        (ValueError("`epochs` must be positive."), None),
    ],
    ids=["system", "quota", "beam", "numpy", "ours", "missing", "value"],
)
def test_what_says_that_a_disk_is_full(tmp_path, error, said):
    found = durable.full_disk(error, [tmp_path / "not" / "there"])
    outer = RuntimeError("a library failed")
    outer.__cause__ = error
    assert durable.full_disk(outer, [tmp_path / "not" / "there"]) == found
    ring = RuntimeError("a library failed")
    ring.__context__, error.__cause__ = error, ring
    assert durable.full_disk(ring, [tmp_path / "not" / "there"]) == found
    if said is None:
        assert found is None
    else:
        assert found.startswith(said.format(place=tmp_path / "not" / "there"))


# A clock that jumps back ----------------------------------------------------------------------

DAY = 24 * 3600
RUNAWAY = """
import time
real, calls = time.time, iter(range(10**9))
time.time = lambda: real() - 3600 * next(calls)
time.time_ns = lambda: int(time.time() * 1e9)
"""
"""For the workers: each look at the clock shows an earlier hour."""


@pytest.fixture
def clock(toy, tmp_path, monkeypatch):
    """`clock.back()` sets the orchestrator's clock back by a day; the workers' runs backwards."""
    (tmp_path / "runaway").mkdir()
    (tmp_path / "runaway" / "sitecustomize.py").write_text(RUNAWAY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "runaway"), prepend=":")
    shift = [0]
    now, format_time = time.time, time.strftime
    monkeypatch.setattr(time, "time", lambda: now() + shift[0])
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))

    def strftime(form, moment=None):
        return format_time(form, moment or time.localtime(time.time()))

    monkeypatch.setattr(time, "strftime", strftime)

    class Clock:
        @staticmethod
        def back():
            shift[0] -= DAY

    return Clock


def test_a_clock_that_jumps_back_changes_no_order_and_no_duration(toy, clock, capsys):
    def jump(step, what, facts):
        if what == "started":
            clock.back()

    first = toy(observe=jump)
    clock.back()
    second = toy(factor=5, observe=jump)
    clock.back()
    failed = toy(factor=6, how="raise", observe=jump)
    assert [first.state, second.state, failed.state] == ["COMPLETE", "COMPLETE", "FAILED"]
    assert failed.run < second.run < first.run  # the names are the wrong clock's
    store = toy.store
    # Oldest and newest are those that began first and last, whatever the clock said.
    names = [first.run, second.run, failed.run]
    assert [row["run"] for row in store.metadata.runs()] == names
    assert store.resolve_run(None)["run"] == failed.run
    newest = store.metadata.find_cached(second.states["Scale"].key)[0]
    assert newest.id == second.states["Scale"].record.id
    records = [record for run in names for record in store.metadata.executions_of(run)]
    assert len(records) > 15
    assert all(record.seconds >= 0 for record in records)
    assert {"COMPLETE", "FAILED"} <= {record.state for record in records}
    assert list_runs(str(store.directory), None, False) == 0
    assert " -" not in capsys.readouterr().out
    # Nothing has changed, so nothing runs: not by time either.
    again = toy(factor=5, observe=jump)
    assert {state.status for state in again.states.values()} == {"cached"}


def test_the_model_that_was_blessed_last_is_the_baseline_whatever_the_clock_said(toy, clock):
    metadata = toy.store.metadata
    models = []
    for number in range(3):
        metadata.begin_run(f"run {number}", "toy", {})
        model = {"name": "model", "type": "Model", "digest": f"model {number}", "inputs": {}}
        record = complete(metadata, f"run {number}", model)
        models.append(record.outputs["model"].number)
        blessing = {"name": "blessing", "type": "Blessing", "digest": "yes"}
        complete(metadata, f"run {number}", {**blessing, "inputs": {"model": models[-1]}})
        clock.back()
    assert metadata.latest_blessed_model("toy", "another").number == models[2]
    assert metadata.latest_blessed_model("toy", "model 2").number == models[1]


def complete(metadata, run, made):
    """Records an execution with one output."""
    name = f"{run} {made['name']}"
    metadata.begin_execution(name, run, made["name"], "m:C", name, {})
    output = {"type": made["type"], "content_digest": made["digest"], "size_bytes": 1}
    output["properties"] = {"blessed": True}
    document = {"gate": None, "summary": {}, "seconds": 1.0, "inputs": made["inputs"]}
    document["outputs"] = {made["name"]: output}
    return metadata.complete_execution(name, document, f"artifacts/{name}")


def test_a_run_took_as_long_as_it_was_worked_on(toy, monkeypatch):
    """Not the day between its failure and its resumption."""
    first = toy(how="raise")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + DAY)
    second = toy(name=first.run)
    (row,) = toy.store.metadata.runs()
    assert row["ended_at"] - row["started_at"] > DAY
    assert row["seconds"] == pytest.approx(first.seconds + second.seconds, abs=60)


@pytest.mark.parametrize("finder", ["another run", "its own resumption"])
def test_a_killed_run_counts_until_it_was_last_seen_to_write(toy, monkeypatch, capsys, finder):
    """Failed after seconds, resumed, killed after two hours, found a day later."""
    store = toy.store
    first = toy(how="raise")
    begun = time.time()
    store.metadata.begin_run(first.run, "toy", {})
    store.metadata.begin_execution("e1", first.run, "Fit", "m:Fit", "key", {})
    scratch = store.scratch(first.run, "Fit", "key")
    scratch.mkdir(parents=True)
    (scratch / "checkpoint").touch()
    for path in (scratch, scratch / "checkpoint"):
        os.utime(path, (begun + 7200, begun + 7200))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + DAY)
    list_runs(str(store.directory), None, False)
    said = capsys.readouterr().out
    assert "killed; " in said
    assert " s  killed; " not in said  # not known yet
    store.recover_dead_runs() if finder == "another run" else store.recover(first.run)
    (row,) = store.metadata.runs()
    assert (row["state"], row["reason"]) == ("INTERRUPTED", "It was killed.")
    assert row["seconds"] == pytest.approx(first.seconds + 7200, abs=60)
    second = toy(name=first.run)
    (row,) = store.metadata.runs()
    assert row["seconds"] == pytest.approx(first.seconds + 7200 + second.seconds, abs=60)


def test_a_killed_run_of_which_nothing_is_known_has_no_duration(toy, capsys):
    toy.store.metadata.begin_run("dead", "toy", {})
    toy.store.recover("dead")
    (row,) = toy.store.metadata.runs()
    assert row["state"] == "INTERRUPTED"
    assert "seconds" not in row
    list_runs(str(toy.store.directory), None, False)
    assert "0.0 s" not in capsys.readouterr().out
