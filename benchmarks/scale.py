"""Time, memory and disk of every step at 1x, 4x and 16x: does memory stay bounded?

`python benchmarks/scale.py [--only pictures|files|rows] [--sizes 1 4 16]` prints a Markdown table.
At 16x there are 1,000,000 small pictures in a TFRecord file, as many in files of their own (PNG in
class folders), and 10,000,000 rows of a CSV file of six columns. Each goes through a run of its own
in an empty store; the pictures are prepared and trained on too. Then the run is started again: all
of it comes from the cache. CPU seconds are those of all processes of a step, the peak is the
kernel's own figure of the largest of them; `(run)` is the process of the command itself, and
`(again)` of the second one.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from generated_images import write_folders, write_records
from generated_tables import write_csv
from processes import Process, watch
from tables import PENSTOCK, machine, table

SIZES = (1, 4, 16)
COUNTS = {"pictures": 62_500, "files": 62_500, "rows": 625_000}
HEAD = "name: scale\ndata:\n  splits: {train: 0.8, validation: 0.1, test: 0.1}\n  source: "
VISION = (
    "task: vision.classification\nprepare: {height: 28, width: 28, channels: 1}\n"
    "model: {type: cnn, filters: [4], dense_units: [16]}\n"
    "train: {epochs: 1, batch_size: 512}\nevaluate: {thresholds: {accuracy: {min: 0.0}}}\n"
    "push: {destination: serving}\n"
)
CONFIGS = {
    "pictures": f"{HEAD}{{type: tfrecord, path: data.tfrecord, key: key, label: label}}\n{VISION}",
    "files": f"{HEAD}{{type: image_folder, path: data, channels: 1}}\n{VISION}",
    "rows": f"{HEAD}{{type: csv, path: data.csv, label: label}}\n",
}
WRITERS = {
    "pictures": lambda folder, count: write_records(folder / "data.tfrecord", count),
    "files": lambda folder, count: write_folders(folder / "data", count),
    "rows": lambda folder, count: write_csv(folder / "data.csv", count),
}


def measure(kind: str, count: int, folder: Path) -> list[list]:
    """Rows of the table: what each step of a run took, then the run and a cached one."""
    WRITERS[kind](folder, count)
    (folder / "scale.yaml").write_text(CONFIGS[kind])
    done, steps = _run(folder)
    data = f"{count:,} {kind}"
    rows = []
    for name, step in steps.items():
        if step.get("status") != "executed":
            sys.exit(f"{name} did not run to its end: {step}\n{done.errors}")
        seconds = step["seconds"]
        rows.append([data, name, seconds, count / seconds, *_use(done.processes, name)])
    own = done.processes[0]
    rows.append([data, "(run)", done.seconds, count / done.seconds, own.cpu_seconds, own.peak_mb])
    again, steps = _run(folder)
    if any(step["status"] != "cached" for step in steps.values()):
        sys.exit(f"The second run was not cached: {steps}")
    own = again.processes[0]
    rows.append(
        [data, "(again)", again.seconds, count / again.seconds, own.cpu_seconds, own.peak_mb]
    )
    return rows


def _run(folder):
    """A run, and what it says of its steps."""
    done = watch([*PENSTOCK, "run", "scale.yaml", "--json"], folder)
    try:
        return done, json.loads(done.output)["steps"]
    except ValueError:
        sys.exit(f"penstock run ended with {done.code}:\n{done.errors}")


def _use(processes: list[Process], step: str) -> tuple[float | None, float | None]:
    """CPU seconds of all processes that ran a step, and the largest peak of one in megabytes."""
    uses = [process.of_step[step] for process in processes if step in process.of_step]
    if not uses:  # It was shorter than the watch could see.
        return None, None
    return sum(use.cpu_seconds for use in uses), max(use.peak_mb for use in uses)


def _disk_mb(folder: Path) -> float:
    """What all files below a folder take on the disk, in megabytes."""
    return sum(p.lstat().st_blocks * 512 for p in folder.rglob("*")) / 2**20


def main() -> None:
    """Measures and prints each size as soon as it has it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CONFIGS)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    columns = ["data", "step", "seconds", "examples/s", "CPU seconds", "peak MB of a process"]
    print(table(columns, []), end="", flush=True)
    for kind in [arguments.only] if arguments.only else CONFIGS:
        for size in arguments.sizes:
            with tempfile.TemporaryDirectory() as name:
                rows = measure(kind, size * COUNTS[kind], Path(name))
                disk_mb = _disk_mb(Path(name))
            print("\n".join(table(columns, rows).splitlines()[2:]), flush=True)
            print(f"{size}x {kind}: {disk_mb:,.0f} MB of disk", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
