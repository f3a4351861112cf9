"""All measurements with one command, as Markdown for `benchmarks/README.md`.

`python benchmarks/run_all.py [--quick]` prints each table as soon as it has it: start-up times and
the digits run (`timings.py`), the cost of a step (`overhead.py`), each component on generated
pictures (`measure_run.py`), training beside plain Keras (`training.py`), the training input beside
plain tf.data and libjpeg-turbo (`input_pipeline.py`). On two quiet cores it takes about twelve minutes;
`--quick` a quarter of that, for a look whether all of it still works.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import generated_images
import input_pipeline
import measure_run
import overhead
import timings
import training
from tables import machine

CONFIG = Path(__file__).parent / "generated.yaml"
FULL = {
    "repeats": 5,
    "steps": 50,
    "pictures": 60_000,
    "cnn": (20_000, 7),
    "mlp": (60_000, 9),
    "small_resnet": (10_000, 5),
    "text_gru": (20_000, 7),
    "speech_crnn": (2_000, 7),
    "input": (1.0, 2.0, 5),
}
QUICK = {
    "repeats": 1,
    "steps": 10,
    "pictures": 6_000,
    "cnn": (4_000, 2),
    "mlp": (20_000, 3),
    "small_resnet": (2_000, 2),
    "text_gru": (4_000, 2),
    "speech_crnn": (400, 1),
    "input": (0.1, 1.0, 1),
}
"""Repeats of commands; steps of a chain; pictures; of each network the examples and epochs; of the
training input the scale, the seconds of a turn and the turns."""


def sections(size: dict):
    """Yields (title, command, Markdown) of each measurement."""
    repeats, steps = size["repeats"], size["steps"]
    command = f"timings.py --repeats {repeats}"
    yield (
        "The digits run and start-up times (seconds)",
        command,
        timings.report(timings.measure(repeats)),
    )
    found = overhead.measure(steps, repeats)
    command = f"overhead.py --steps {steps} --repeats {repeats}"
    yield "What orchestration costs", command, overhead.report(found, steps)
    pictures = size["pictures"]
    yield f"Components on {pictures:,} pictures", "run_all.py", components(pictures)
    for kind in training.NETWORKS:
        count, epochs = size[kind]
        times = training.measure(kind, count, epochs)
        command = f"training.py --network {kind} --count {count} --epochs {epochs}"
        title = f"Training beside plain Keras: {kind}, {count:,} examples, {epochs} epochs"
        yield title, command, training.report(kind, count, times)
    scale, seconds, turns = size["input"]
    command = f"input_pipeline.py --scale {scale} --seconds {seconds} --turns {turns}"
    tables = input_pipeline.measure(scale, seconds, turns)
    yield "The training input beside plain tf.data", command, "\n".join(tables)


def components(pictures: int) -> str:
    """A run of `generated.yaml` in an empty store, and the same again from the cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generated_images.write_folders(folder / "pictures", pictures)
        first = measure_run.measure(CONFIG, folder=folder)
        second = measure_run.measure(CONFIG, folder=folder)
    steps = {step["status"] for step in second["steps"].values()}
    if steps != {"cached"}:
        raise RuntimeError(f"The second run was not all cached: {second['steps']}")
    again = f"The same run again, all cached: {second['seconds']:.1f} s."
    return f"{measure_run.report(first)}\n{again}\n"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; two minutes")
    size = QUICK if parser.parse_args().quick else FULL
    started = time.perf_counter()
    print(f"{machine()}. `python benchmarks/run_all.py{' --quick' * (size is QUICK)}`\n")
    for title, command, text in sections(size):
        print(f"## {title}\n\n`python benchmarks/{command}`\n\n{text}", flush=True)
        print(f"{time.perf_counter() - started:.0f} s: {title}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
