"""Wall time of the command line on the digits: full, cached and partly cached runs, start-up times.

`python benchmarks/timings.py [--repeats 5]` prints a Markdown table of minimum, median and maximum.
Each full run begins with an empty store; libraries are byte-compiled and in the page cache.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "configs" / "vision" / "digits.yaml"
PENSTOCK = [sys.executable, "-P", "-c", "from penstock.tfx.main import main; main()"]


def call(folder: str, *arguments: str) -> float:
    """Seconds of one command, which must succeed."""
    started = time.perf_counter()
    done = subprocess.run([*PENSTOCK, *arguments], cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            commands = {
                "full run, empty store": ("run", str(CONFIG)),
                "identical run, all cached": ("run", str(CONFIG)),
                "learning rate changed": (
                    "run",
                    str(CONFIG),
                    f"train.optimizer.learning_rate={0.004 - repeat * 1e-4}",
                ),
                "`penstock validate`": ("validate", str(CONFIG)),
                "`penstock --help`": ("--help",),
            }
            for name, arguments in commands.items():
                times.setdefault(name, []).append(call(folder, *arguments))
    print(f"{os.cpu_count()} cores, {repeats} repeats, seconds\n")
    print("| command | minimum | median | maximum |\n|---|---|---|---|")
    for name, seconds in times.items():
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"| {name} | {low:.2f} | {middle:.2f} | {high:.2f} |")


if __name__ == "__main__":
    main()
