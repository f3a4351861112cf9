"""Wall time of the command line on the digits: full, cached and partly cached runs, start-up times.

`python benchmarks/timings.py [--repeats 5]` prints a Markdown table of minimum, median and maximum.
Each full run begins with an empty store; libraries are byte-compiled and in the page cache.
"""

import argparse
import subprocess
import sys
import tempfile
import time

from tables import CONFIGS, PENSTOCK, machine, spread, table

CONFIG = str(CONFIGS / "vision" / "digits.yaml")


def call(folder: str, *arguments: str) -> float:
    """Seconds of one command, which must succeed."""
    started = time.perf_counter()
    done = subprocess.run([*PENSTOCK, *arguments], cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return seconds


def measure(repeats: int) -> dict[str, list[float]]:
    """Command -> its seconds, each repeat in a folder of its own."""
    times: dict[str, list[float]] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            rate = f"train.optimizer.learning_rate={0.004 - repeat * 1e-4}"
            commands = {
                "`penstock run`, empty store": ("run", CONFIG),
                "`penstock run` again, all cached": ("run", CONFIG),
                "`penstock run`, learning rate changed": ("run", CONFIG, rate),
                "`penstock runs`": ("runs",),
                "`penstock validate`": ("validate", CONFIG),
                "`penstock --help`": ("--help",),
            }
            for name, arguments in commands.items():
                times.setdefault(name, []).append(call(folder, *arguments))
    return times


def report(times: dict[str, list[float]]) -> str:
    """The table, in seconds."""
    rows = [
        [name, *(f"{value:.2f}" for value in spread(list_of))] for name, list_of in times.items()
    ]
    return table(["command", "minimum", "median", "maximum"], rows)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{machine()}, {repeats} repeats, seconds\n\n{report(measure(repeats))}")


if __name__ == "__main__":
    main()
