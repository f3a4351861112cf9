"""Beam in several processes: the same bytes as in one, and nothing that outlives its parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest

from penstock.pipelines.features import Label, Number, Text
from penstock.pipelines.running import beam_runner, progress
from penstock.pipelines.running.beam_processes import ProcessRunner
from penstock.pipelines.running.beam_runner import new_pipeline, processes_for
from penstock.pipelines.running.beam_worker import ProcessDied
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record

RECORDS = 1000


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The processes import this module by the name that pytest gives it."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


class Parts(source.Source):
    """Rows in parts of 100, every 50th of them bad and one key twice; features from the part."""

    type: str = "parts"

    def features(self):
        return {"text": Text(), "label": Label(names=("a", "b")), "size": Number()}

    def read(self, pipeline):
        names = pipeline | "Names" >> beam.Create(["x", "y", "z"])
        starts = pipeline | "Starts" >> beam.Create(list(range(0, RECORDS, 100)))
        return starts | "Rows" >> beam.FlatMap(rows_of, names=beam.pvalue.AsIter(names))


def rows_of(start, names):
    names = sorted(names)  # A side input: it is the parent that has it.
    for index in range(start, start + 100):
        key = f"k{7 if index == 234 else index}"
        if index % 50 == 3:
            yield BadRecord("table", index, "It is bad.", key)
            continue
        size = float(np.random.default_rng(index).normal())
        text = names[index % 3] * (index % 5)
        yield Record(key, {"text": text, "label": index % 2, "size": size}, None, "table", index)


def run(folder, processes):
    # Not above: each process imports this module.
    from penstock.pipelines.ingest import example_gen
    from penstock.pipelines.ingest.splits import Splitter
    from penstock.pipelines.statistics import statistics

    folder.mkdir()
    (folder / "examples").mkdir()
    (folder / "statistics").mkdir()
    generated = example_gen.generate(
        Parts(),
        Splitter({"train": 0.5, "test": 0.5}),
        folder / "examples",
        folder / "scratch",
        shards=3,
        processes=processes,
    )
    statistics.compute(folder / "examples", folder / "statistics", processes=processes)
    files = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return generated, files


def test_two_processes_write_the_bytes_of_one(tmp_path):
    one, files = run(tmp_path / "one", 1)
    two, same = run(tmp_path / "two", 2)
    assert sum(one.splits.values()) == RECORDS - RECORDS // 50 - 1
    assert len(one.bad) == RECORDS // 50 + 1
    assert len(files) > 10
    assert files.keys() == same.keys()
    for name, content in files.items():
        assert content == same[name], name
    assert one.splits == two.splits
    assert one.summary == two.summary


def fail_or_die(number):
    assert sys.stdin.read() == "", "There is nothing to wait for."
    progress.add(1)
    if number == 30:
        raise KeyError("thirty")
    if number == 31:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 32:
        os._exit(3)
    return os.getpid()


@pytest.mark.parametrize(
    ("number", "processes", "error", "message"),
    [
        (30, 1, KeyError, "thirty"),
        (31, 2, ProcessDied, "ended with the code -9 .* PENSTOCK_PROCESSES=1 takes less"),
        (32, 1, ProcessDied, "ended with the code 3 by itself; what it said stands in the log of"),
    ],
    ids=["fails", "is-killed", "ends"],
)
def test_a_process_that_fails_ends_the_pipeline(monkeypatch, number, processes, error, message):
    from penstock.tfx.worker import sentence

    monkeypatch.setattr(beam_runner, "_runner", ProcessRunner)
    with pytest.raises(error, match=message) as caught, new_pipeline(processes) as pipeline:
        _ = pipeline | beam.Create([1, 2, 3, number]) | beam.Map(fail_or_die)
    assert not _children()
    line = fail_or_die.__code__.co_firstlineno + 4
    said = f"test_beam_runner.py, line {line})" in sentence(caught.value)
    assert said == (error is KeyError)


def _children():
    text = subprocess.run(
        ["ps", "-o", "pid,args", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    return [line for line in text.splitlines() if "beam_worker" in line]


def test_processes_end_when_their_parent_is_killed(tmp_path):
    script = """
        import os, pathlib, time
        import apache_beam as beam
        from penstock.pipelines.running.beam_runner import new_pipeline
        from penstock.pipelines.running import progress

        def work(number):
            progress.add(1)
            while True:
                pathlib.Path(f"alive-{os.getpid()}").touch()
                time.sleep(0.01)

        if __name__ == "__main__":
            with progress.reported(print), new_pipeline(2) as pipeline:
                pipeline | beam.Create(range(4)) | beam.Map(work)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    parent = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE)
    # Counts of both processes come together.
    reported = [int(parent.stdout.readline())]
    while reported[-1] < 2:
        reported.append(int(parent.stdout.readline()))
    workers = [int(path.name.split("-")[1]) for path in tmp_path.glob("alive-*")]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while any(map(_is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_alive(pid):
    """Whether it still runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_several_processes_only_where_they_pay(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.delenv(beam_runner.LIMIT, raising=False)
    assert [processes_for(work_s) for work_s in (0, 2.9, 5.9, 6, 9, 1000)] == [1, 1, 1, 2, 3, 4]
    monkeypatch.setenv(beam_runner.LIMIT, "2")
    assert processes_for(1000) == 2
