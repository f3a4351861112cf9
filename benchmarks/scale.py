"""Time and peak memory of the data steps at 1x, 4x and 16x: does memory stay bounded?

`python benchmarks/scale.py [--only pictures|rows] [--sizes 1 4 16] [--pictures 62500] [--rows 625000]`
prints a Markdown table: small pictures in a TFRecord file (1,000,000 at 16x) and rows of a CSV file
of six columns (10,000,000 at 16x) through ExampleGen, StatisticsGen, SchemaGen and ExampleValidator,
the pictures through Transform too. A run of each size in an empty store; peak memory is the
kernel's own figure of the worker that ran the step and of the processes that it started. The largest
sizes take some 8 GB of disk (`TMPDIR`).
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import generated_images
import generated_tables
from processes import Process, watch
from tables import PENSTOCK, machine, table

SIZES = (1, 4, 16)
CHECKS = ("StatisticsGen", "SchemaGen", "ExampleValidator")
HEAD = "name: scale\ndata:\n  splits: {train: 0.8, validation: 0.1, test: 0.1}\n"
CONFIGS = {
    "pictures": HEAD
    + "  source: {type: tfrecord, path: pictures.tfrecord, key: key, label: label}\n"
    + "task: vision.classification\nprepare: {height: 28, width: 28, channels: 1}\n"
    + "model: {type: cnn, filters: [4], dense_units: [16]}\n"
    + "train: {epochs: 1, batch_size: 512}\nevaluate: {thresholds: {accuracy: {min: 0.0}}}\n"
    + "push: {destination: serving}\n",
    "rows": HEAD + "  source: {type: csv, path: rows.csv, label: label}\n",
}
STEPS = {
    "pictures": ("ExampleGen", *CHECKS, "Transform"),
    "rows": ("ExampleGen", *CHECKS),
}


def measure(kind: str, count: int, folder: Path) -> list[list]:
    """Rows of the table: of each step seconds, examples/s, and the peak of its processes."""
    if kind == "pictures":
        generated_images.write_records(folder / "pictures.tfrecord", count)
    else:
        generated_tables.write_csv(folder / "rows.csv", count)
    (folder / "scale.yaml").write_text(CONFIGS[kind])
    done = watch([*PENSTOCK, "run", "scale.yaml", "--json"], folder)
    try:
        steps = json.loads(done.output)["steps"]
    except ValueError:
        sys.exit(f"penstock run ended with {done.code}:\n{done.errors}")
    rows = []
    for name in STEPS[kind]:
        step = steps.get(name, {})
        if step.get("status") != "executed":
            sys.exit(f"{name} did not run to its end: {step}\n{done.errors}")
        seconds = step["seconds"]
        rows.append(
            [f"{count:,} {kind}", name, seconds, count / seconds, peak(done.processes, name)]
        )
    return rows


def peak(processes: list[Process], step: str) -> float | None:
    """The largest peak of the processes that ran a step, in megabytes."""
    return max((process.peak_mb for process in processes if step in process.steps), default=None)


def main() -> None:
    """Measures and prints each size as soon as it has it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CONFIGS)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--pictures", type=int, default=62_500)
    parser.add_argument("--rows", type=int, default=625_000)
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    columns = ["data", "step", "seconds", "examples/s", "peak MB of a process"]
    rows = []
    for kind in [arguments.only] if arguments.only else CONFIGS:
        for size in arguments.sizes:
            with tempfile.TemporaryDirectory() as name:
                rows += measure(kind, size * getattr(arguments, kind), Path(name))
                shutil.rmtree(Path(name, ".penstock"), ignore_errors=True)
            print(f"{size}x {kind} measured", file=sys.stderr, flush=True)
    print(table(columns, rows))


if __name__ == "__main__":
    main()
