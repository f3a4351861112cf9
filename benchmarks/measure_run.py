"""One run of a config: wall time, seconds and examples/s of each step, memory of each process.

`python benchmarks/measure_run.py CONFIG [key.path=value ...] [--folder FOLDER] [--json]` runs
`penstock run CONFIG` in FOLDER (or a temporary one, so with an empty store) and follows its
processes. Relative paths in the config are relative to that folder. Steps that run at once share
the cores: their seconds do not add up to the run's.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import watch
from tables import PENSTOCK, machine, table

from penstock.tfx.load_config import load_config


def measure(config: Path, overrides=(), folder=None) -> dict:
    """Runs a config; returns what the tables show.

    Args:
        config: a config file.
        overrides: `key.path=value`.
        folder: the working directory, with the store; None for a temporary one.

    Returns:
        run; seconds, cpu_seconds; steps: {name: {status, seconds, examples}}, examples being None
        where the work does not grow with their number; training: the Trainer's own record;
        processes: [{name, steps, peak_mb, cpu_seconds}]; evaluation: as of `penstock run --json`.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return measure(config, overrides, temporary)
    folder, config = Path(folder), Path(config).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    done = watch([*PENSTOCK, "run", str(config), *overrides, "--json"], folder, errors=None)
    if done.code:
        sys.exit(f"penstock run ended with {done.code}:\n{done.output}")
    run = json.loads(done.output)
    with contextlib.chdir(folder):
        settings = load_config(config, overrides).pipeline
    shown = subprocess.run(
        [*PENSTOCK, "show", run["run"], "--json", "--store", str(settings.store.directory)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    outputs = {step["step"]: step["outputs"] for step in json.loads(shown.stdout)["steps"]}
    training = json.loads(Path(outputs["Trainer"]["model"]["path"], "training.json").read_text())
    splits = outputs["ExampleGen"]["examples"]["properties"]["splits"]
    everything = sum(splits.values())
    examples = dict.fromkeys(("ExampleGen", "StatisticsGen", "Transform"), everything)
    examples["Trainer"] = splits[settings.train.train_split] * training["epochs"]
    examples["Evaluator"] = splits[settings.evaluate.split]
    return {
        "run": run["run"],
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "steps": {
            name: {**step, "examples": examples.get(name)} for name, step in run["steps"].items()
        },
        "training": training,
        "processes": [
            {
                "name": "worker" if number else "orchestrator",
                "steps": process.steps,
                "peak_mb": process.peak_mb,
                "cpu_seconds": process.cpu_seconds,
            }
            for number, process in enumerate(done.processes)
        ],
        "evaluation": run["evaluation"],
    }


def report(measured: dict) -> str:
    """The tables, as Markdown."""
    steps = []
    for name, step in measured["steps"].items():
        cached = step["status"] == "cached"
        seconds, examples = None if cached else step["seconds"], step["examples"]
        speed = examples / seconds if seconds and examples else None
        steps.append([name, "cached" if cached else seconds, examples, speed])
    # A process that is forked to call another program has its parent's memory, for a moment.
    processes = [
        [process["name"], ", ".join(process["steps"]), process["cpu_seconds"], process["peak_mb"]]
        for process in measured["processes"]
        if process["steps"] or process["cpu_seconds"] >= 0.1
    ]
    training = measured["training"]
    total = f"Whole command: {measured['seconds']:.1f} s, {measured['cpu_seconds']:.1f} s of CPU."
    inside = (
        f"Training steps alone: {training['examples_per_second']:,.0f} examples/s, "
        f"{training['input_wait_share']:.1%} of the time waiting for input."
    )
    return "\n".join(
        [
            table(["step", "seconds", "examples", "examples/s"], steps),
            table(["process", "steps", "CPU seconds", "peak MB"], processes),
            f"{total} {inside}\n",
        ]
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--folder", type=Path, help="where to run; a temporary folder if missing")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    measured = measure(arguments.config, tuple(arguments.overrides), arguments.folder)
    if arguments.json:
        print(json.dumps(measured, indent=2))
        return
    print(f"{machine()}; run {measured['run']}\n\n{report(measured)}")
    for name, value in measured["evaluation"].get("metrics", {}).items():
        if "/" not in name:
            print(f"{name} {value:.4f}")


if __name__ == "__main__":
    main()
