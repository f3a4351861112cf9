"""Ingest beside a hand-written Beam pipeline, and the data steps of a whole run.

`python benchmarks/data_plane.py [--count 60000] [--turns 3]` prints two tables. First examples/s of
ExampleGen's `generate` and of `plain_beam.py` on the same TFRecord files of small pictures, each in
one process and in two, each in a command of its own, start and imports included, in turns; the ratio
is that of the same turn. Penstock does more: it sorts, keeps bad records and finds what is there
twice. Then a run of `generated_records.yaml`: the seconds of each data step.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import generated_images
import measure_run
from processes import watch
from tables import machine, spread, table

FILES = 4
CONFIG = Path(__file__).parent / "generated_records.yaml"
FEATURES = {
    "image": {"kind": "image", "channels": 1, "encoding": "png"},
    "label": {"kind": "label", "names": [f"class_{i}" for i in range(generated_images.CLASSES)]},
}
"""The plain pipeline knows them too; finding them out takes one more look at all records."""
STEPS = ("ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")


def ingest(pattern: str, folder: Path, processes: int) -> None:
    """ExampleGen's work, without a store around it."""
    from penstock.pipelines.ingest.example_gen import generate
    from penstock.pipelines.ingest.splits import Splitter
    from penstock.pipelines.sources import tfrecord

    settings = {"type": "tfrecord", "path": pattern, "key": "key", "features": FEATURES}
    source = tfrecord.Source.model_validate_json(json.dumps(settings))
    splitter = Splitter({"train": 0.8, "validation": 0.1, "test": 0.1})
    (folder / "examples").mkdir()
    found = generate(source, splitter, folder / "examples", folder / "scratch", processes=processes)
    if found.summary["bad"]:
        # They take another way, and would not be what the plain pipeline writes.
        sys.exit(f"Of the generated records {found.summary['bad']:,} are bad; none may be.")


def write_files(folder: Path, count: int) -> str:
    """Writes `FILES` files; returns the pattern that stands for them."""
    folder.mkdir()
    for index in range(FILES):
        path = folder / f"pictures-{index}.tfrecord"
        each = count // FILES
        generated_images.write_records(path, each, seed=index, first_key=index * each)
    return str(folder / "pictures-*.tfrecord")


def ways() -> dict[str, tuple[str, int]]:
    """Name -> (script, processes)."""
    scripts = {"ExampleGen": "data_plane.py", "plain Beam": "plain_beam.py"}
    return {
        f"{name}, {processes} process{'es' * (processes > 1)}": (script, processes)
        for processes in (1, 2)
        for name, script in scripts.items()
    }


def in_turns(pattern: str, turns: int) -> dict[str, list]:
    """Name of a way -> what was watched in each turn."""
    found = {name: [] for name in ways()}
    for turn in range(turns):
        order = list(ways().items())
        for name, (script, processes) in order if turn % 2 == 0 else reversed(order):
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(__file__).parent / script)
                command = [sys.executable, path, pattern, folder, "--processes", str(processes)]
                done = watch(command, folder)
            if done.code:
                sys.exit(f"{' '.join(command)} ended with {done.code}:\n{done.errors}")
            found[name].append(done)
    return found


def report_ingest(found: dict[str, list], count: int) -> str:
    """The table; a ratio is ours to plain Beam's in as many processes in the same turn."""
    rows = []
    for name, turns in found.items():
        peer = found[name.replace("ExampleGen", "plain Beam")]
        rates = [count / done.seconds for done in turns]
        ratios = [other.seconds / done.seconds for done, other in zip(turns, peer, strict=True)]
        cpu = [done.cpu_seconds for done in turns]
        peaks = max(process.peak_mb for done in turns for process in done.processes)
        low, middle, high = spread(ratios)
        ratio = None if turns is peer else f"{middle:.2f} ({low:.2f}–{high:.2f})"
        rows.append([name, spread(rates)[1], ratio, spread(cpu)[1], peaks])
    columns = ["way", "examples/s", "ExampleGen : plain", "CPU seconds", "peak MB of a process"]
    return table(columns, rows)


def steps(count: int) -> str:
    """The data steps of a run, which include nothing of its start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generated_images.write_records(folder / "pictures.tfrecord", count)
        measured = measure_run.measure(CONFIG, folder=folder)
    seconds = {name: measured["steps"][name]["seconds"] for name in STEPS}
    checks = sum(seconds[name] for name in STEPS[1:4])
    # Transform does not wait for the statistics.
    total = seconds["ExampleGen"] + max(checks, seconds["Transform"])
    rows = [[name, seconds[name]] for name in STEPS] + [["all, some at once", total]]
    peaks = [
        [", ".join(process["steps"]) or process["name"], process["cpu_seconds"], process["peak_mb"]]
        for process in measured["processes"]
        if process["cpu_seconds"] >= 0.1
    ]
    return (
        f"{table(['step', 'seconds'], rows)}\n{table(['process', 'CPU seconds', 'peak MB'], peaks)}"
    )


def main() -> None:
    """Measures and prints; with a pattern and a folder it is one way, run by itself."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="?")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.folder:
        ingest(arguments.pattern, arguments.folder, arguments.processes)
        return
    count = arguments.count
    with tempfile.TemporaryDirectory() as folder:
        pattern = write_files(Path(folder, "pictures"), count)
        found = in_turns(pattern, arguments.turns)
    print(f"{machine()}, {count:,} pictures, {arguments.turns} turns\n")
    print(report_ingest(found, count), flush=True)
    print(steps(count))


if __name__ == "__main__":
    main()
