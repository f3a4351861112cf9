"""How much a config's result depends on the seed, and whether another setting is really better.

`python benchmarks/seeds.py CONFIG --seeds 0 1 2 [--against 'key.path=value ...'] [key.path=value ...]`
runs `penstock run CONFIG seed=N` for each seed, in the current folder but with a store and a serving
directory of its own, which are thrown away. It prints every metric that the Evaluator has of the
whole split (`evaluate.split=validation` to choose by), and how many seconds the run took, with their
mean and standard deviation. With `--against` each seed is run once more with those overrides too, and
the gain over them is printed: the mean of the differences within a seed, with its 95 % interval by
Student's t.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scipy import stats
from tables import PENSTOCK, machine, table

from penstock.tfx.load_config import load_config

CONFIDENCE = 0.95
NOT_PUSHED = 3
"""Exit code of a run that a gate stopped: its model has been measured all the same."""


def metrics_of(config: Path, seed: int, overrides: tuple[str, ...]) -> dict[str, float]:
    """Runs a config with a seed; returns the metrics of the whole split, and `seconds` it took."""
    with tempfile.TemporaryDirectory() as root:
        places = [f"store.directory={root}/store"]
        if load_config(config, overrides).pipeline.push is not None:
            places.append(f"push.destination={root}/serving")
        command = [*PENSTOCK, "run", str(config), *overrides, f"seed={seed}", *places, "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    if done.returncode not in (0, NOT_PUSHED):
        sys.exit(f"penstock run ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    found = json.loads(done.stdout)
    metrics = found["evaluation"].get("metrics")
    if metrics is None:
        sys.exit(f"There is no model to measure, for a gate stopped the run: {found['reason']}")
    whole = {name: value for name, value in metrics.items() if "/" not in name}
    print(seed, overrides, whole, file=sys.stderr, flush=True)  # not lost if a later one fails
    return {**whole, "seconds": seconds}


def spreads(runs: list[dict[str, float]]) -> str:
    """A table: of each metric its value in each run, the mean and the standard deviation."""
    rows = []
    for name in runs[0]:
        values = [run[name] for run in runs]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        cells = [*values, statistics.mean(values), deviation]
        rows.append([name, *(None if value is None else f"{value:.4f}" for value in cells)])
    numbers = [f"run {number}" for number in range(1, len(runs) + 1)]
    return table(["metric", *numbers, "mean", "standard deviation"], rows)


def gains(runs: list[dict[str, float]], peers: list[dict[str, float]]) -> str:
    """A table: of each metric the mean of `runs` less `peers`, pair by pair, and its interval."""
    rows = []
    for name in runs[0]:
        low, mean, high = interval([a[name] - b[name] for a, b in zip(runs, peers, strict=True)])
        rows.append([name, f"{mean:+.4f}", f"{low:+.4f}", f"{high:+.4f}"])
    return table(["metric", "gain", "from", "to"], rows)


def interval(differences: list[float]) -> tuple[float, float, float]:
    """(low, mean, high) of the mean of differences: Student's t (1908), n - 1 degrees of freedom."""
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / len(differences) ** 0.5
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * error
    return mean - half, mean, mean + half


def main(arguments: list[str] | None = None) -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--against", help="overrides of the peer, in one string")
    given = parser.parse_intermixed_args(arguments)
    if given.against is not None and len(given.seeds) < 2:
        parser.error("`--against` needs two seeds or more: one pair has no spread.")
    # argparse takes overrides that follow `--seeds` for seeds; they stand before or after `--against`.
    overrides = tuple(given.overrides)
    runs = [metrics_of(given.config, seed, overrides) for seed in given.seeds]
    shown = " ".join([str(given.config), *overrides])
    print(f"{machine()}; {shown}; seeds {', '.join(map(str, given.seeds))}\n\n{spreads(runs)}")
    if given.against is not None:
        more = (*overrides, *shlex.split(given.against))
        peers = [metrics_of(given.config, seed, more) for seed in given.seeds]
        print(f"With {given.against}:\n\n{spreads(peers)}")
        percent = f"{CONFIDENCE:.0%}"
        print(f"Gain over it, seed by seed, {percent} interval:\n\n{gains(runs, peers)}")


if __name__ == "__main__":
    main()
