"""What orchestration costs: seconds for each executed and each cached step, and at the start.

`python benchmarks/overhead.py [--steps 50] [--repeats 5]` runs chains of N and 2N steps that do
nothing (one small file each, no TensorFlow), executed and then from the cache, each run a process of
its own. The slope between the two lengths is the cost of a step, what is left the fixed cost: the
interpreter, imports, the store, and for executed steps the worker's start.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import machine, table


def seconds_of(folder: Path, count: int) -> float:
    """Wall time of a process that runs a chain of `count` steps in `folder`."""
    command = [sys.executable, "-P", __file__, "--chain", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, env=environment)
    return time.perf_counter() - started


def run_chain(count: int) -> None:
    """What the process does."""
    from trivial_steps import chain

    from penstock.tfx.runner import run_pipeline
    from penstock.tfx.store import Store, new_id

    result = run_pipeline(chain(count), Store(Path(".penstock")), f"trivial-{new_id()}")
    if result.state != "COMPLETE":
        sys.exit(f"{result.state}: {result.reason}")


def measure(steps: int, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """ "executed" and "cached" -> for each repeat the seconds of N and of 2N steps."""
    found = {"executed": [], "cached": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as short, tempfile.TemporaryDirectory() as long:
            for how in found:
                pair = seconds_of(Path(short), steps), seconds_of(Path(long), 2 * steps)
                found[how].append(pair)
    return found


def line(short: float, long: float, steps: int) -> tuple[float, float]:
    """(fixed seconds, seconds a step) of the line through N and 2N steps."""
    slope = (long - short) / steps
    return short - slope * steps, slope


def report(found: dict, steps: int) -> str:
    """Medians of the repeats, as a table."""
    rows = []
    for how, pairs in found.items():
        lines = [line(short, long, steps) for short, long in pairs]
        slopes = [1000 * slope for _, slope in lines]
        fixed = statistics.median(fixed for fixed, _ in lines)
        rows.append([f"{how} step", statistics.median(slopes), min(slopes), max(slopes), fixed])
    columns = ["", "ms a step, median", "minimum", "maximum", "fixed cost of a run, s"]
    return table(columns, rows)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--chain", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.chain:
        run_chain(arguments.chain)
        return
    print(f"{machine()}, chains of {arguments.steps} and {2 * arguments.steps} steps\n")
    print(report(measure(arguments.steps, arguments.repeats), arguments.steps))


if __name__ == "__main__":
    main()
