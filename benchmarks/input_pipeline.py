"""The training input pipeline beside a plain hand-tuned tf.data chain on the same files.

`python benchmarks/input_pipeline.py [--scale 1.0] [--seconds 4] [--turns 5] [--only pictures]`
prints, for small pictures, photos prepared on the fly and ragged texts, examples a second and the
ratio to the plain chain (`plain_input.py`), and how fast JPEG is decoded beside libjpeg-turbo in as
many processes as there are cores: its own rate through `simplejpeg` where that is installed (`pip
install simplejpeg`; no dependency of ours), which hands the library's pixels on, and through Pillow,
which copies them to four bytes a pixel. All ways of a table run in one process, in turns: a
fresh iterator, a second to fill its buffers, then `seconds` of counting. Ratios are those of the
same turn. "this : plain" above 1 means that Penstock is the faster one; the last column says the same
of CPU time.
"""

import argparse
import importlib.util
import io
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from input_data import (
    PHOTO_SIZE,
    PREPARED_SIZE,
    DecodeOnly,
    classification,
    photo_bytes,
    write_photos,
    write_pictures,
    write_texts,
)
from tables import machine, spread, table

BATCH_SIZE = 128
WARM_UP_SECONDS = 1.0


def rate(batches, seconds: float) -> tuple[float, float]:
    """(examples a second, CPU seconds an example) of a fresh iterator."""
    iterator = iter(batches)
    begun = time.perf_counter()
    while time.perf_counter() - begun < WARM_UP_SECONDS:
        next(iterator)
    begun, cpu, seen = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        seen += len(next(iterator)[1])
    return seen / (time.perf_counter() - begun), (time.process_time() - cpu) / seen


def in_turns(ways: dict, seconds: float, turns: int) -> dict[str, list[tuple[float, float]]]:
    """Way -> what `rate` says of each turn; the order changes from turn to turn."""
    rates = {name: [] for name in ways}
    for turn in range(turns):
        names = list(ways)
        for name in names if turn % 2 == 0 else reversed(names):
            measured = ways[name]
            rates[name].append(measured(seconds) if callable(measured) else rate(measured, seconds))
    return rates


def report(rates: dict[str, list[tuple[float, float]]], peer: str = "plain") -> str:
    """A table with the ratios to the first way: of the rates, and of CPU time, which noise spares."""
    first = np.array(next(iter(rates.values())))
    rows = []
    for index, (name, found) in enumerate(rates.items()):
        found = np.array(found)
        row = [name, float(np.median(found[:, 0]))]
        row.append(_ratio(found[:, 0] / first[:, 0]) if index else None)
        row.append(float(np.median(found[:, 1]) * 1e6))
        row.append(_ratio(first[:, 1] / found[:, 1]) if index else None)
        rows.append(row)
    columns = ["way", "examples/s", f"this : {peer}", "CPU µs an example", f"{peer} : this"]
    return table(columns, rows)


def _ratio(ratios):
    low, median, high = spread(ratios.tolist())
    return f"{median:.2f} ({low:.2f}–{high:.2f})"


def measure_pictures(folder: Path, scale: float, **turns) -> str:
    """Stored pixels of 28x28."""
    import plain_input

    from penstock.pipelines.inputs import inputs

    count = round(60_000 * scale)
    directory = folder / "pictures"
    write_pictures(directory, count)
    paths = sorted(str(path) for path in directory.glob("*.tfrecord"))
    ways = {"plain tf.data": plain_input.pictures(paths, 28, BATCH_SIZE)}
    for cache in ("memory", "disk", "off"):
        ways[f"Penstock, `train.cache={cache}`"] = inputs.training_batches(
            directory, "train", batch_size=BATCH_SIZE, seed=0, cache=cache, scratch=folder
        )
    ways["Penstock, off, `train.shuffle_buffer=10000`"] = inputs.training_batches(
        directory, "train", batch_size=BATCH_SIZE, seed=0, cache="off", shuffle_buffer=10_000
    )
    split = inputs.prepared_split(directory, "train")
    opened = inputs.open_batches([(split, 1.0)], inputs.Batching(BATCH_SIZE), cache="off", seed=0)
    ways["Penstock, off, `train.input_memory_mb=1`"] = inputs.tuned(
        lambda parallel: opened.training(parallel=parallel), 1
    )
    title = f"Stored pictures: {count:,} of 28x28, batches of {BATCH_SIZE}"
    return f"### {title}\n\n{report(in_turns(ways, **turns))}"


def measure_texts(folder: Path, scale: float, **turns) -> str:
    """Ragged ids, padded."""
    import plain_input

    from penstock.pipelines.inputs import inputs
    from penstock.pipelines.inputs.input_config import Buckets

    count, directory = round(200_000 * scale), folder / "texts"
    write_texts(directory, count)
    paths = sorted(str(path) for path in directory.glob("*.tfrecord"))
    ways = {"plain tf.data, padded to each batch's longest": plain_input.texts(paths, BATCH_SIZE)}
    shares = []
    for cache in ("memory", "off"):
        split = inputs.prepared_split(directory, "train")
        batching = inputs.Batching(BATCH_SIZE, buckets=Buckets(count=6))
        opened = inputs.open_batches([(split, 1.0)], batching, cache=cache, seed=0)
        name = f"Penstock, 6 buckets, `train.cache={cache}`"
        ways[name] = inputs.tuned(lambda parallel, own=opened: own.training(parallel=parallel))
        shares.append(opened.padding_share)
        boundaries = [max(bound.values()) for bound in opened.bounds]
    ways["plain tf.data, `bucket_by_sequence_length`"] = plain_input.bucketed_texts(
        paths, boundaries, BATCH_SIZE
    )
    title = f"Ragged texts: {count:,} of 4 to 64 tokens, batches of {BATCH_SIZE}"
    note = f"Padding in the buckets ({', '.join(map(str, boundaries))}): {shares[0]:.1%}.\n"
    return f"### {title}\n\n{report(in_turns(ways, **turns))}\n{note}"


def measure_photos(folder: Path, scale: float, **turns) -> str:
    """JPEG decoded and resized on the fly."""
    import plain_input

    from penstock.pipelines.inputs import inputs

    encoded = photo_bytes(round(4_000 * scale))
    raw = folder / "photos"
    way = write_photos(raw, encoded, folder / "described", classification())
    paths = sorted(str(path) for path in raw.glob("*tfrecord*"))
    ways = {
        "plain tf.data": plain_input.photos(paths, PREPARED_SIZE, BATCH_SIZE),
        "Penstock, `train.prepare=on_the_fly`": inputs.training_batches(
            folder / "described",
            "train",
            batch_size=BATCH_SIZE,
            seed=0,
            cache="off",
            on_the_fly=way,
        ),
    }
    title = (
        f"Photos on the fly: {len(encoded):,} JPEG of {PHOTO_SIZE}x{PHOTO_SIZE} to "
        f"{PREPARED_SIZE}x{PREPARED_SIZE}, batches of {BATCH_SIZE}"
    )
    return f"### {title}\n\n{report(in_turns(ways, **turns))}"


def measure_decoding(folder: Path, scale: float, **turns) -> str:
    """JPEG decoded only, beside libjpeg-turbo."""
    import plain_input

    from penstock.pipelines.inputs import inputs

    encoded = photo_bytes(round(2_000 * scale))
    raw = folder / "to_decode"
    way = write_photos(raw, encoded, folder / "decoded", DecodeOnly())
    paths = sorted(str(path) for path in raw.glob("*tfrecord*"))
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(cores, _keep, (encoded,)) as pool:

        def libjpeg_turbo(through):
            name = f"libjpeg-turbo through {through}, {cores} processes"
            return name, lambda seconds: _together(
                pool.starmap(_decode_for, [(through, seconds)] * cores, chunksize=1)
            )

        libraries = ["simplejpeg"] if importlib.util.find_spec("simplejpeg") else []
        ways = {
            **dict(map(libjpeg_turbo, [*libraries, "Pillow"])),
            "Penstock, decoding on the fly": inputs.training_batches(
                folder / "decoded",
                "train",
                batch_size=32,
                seed=0,
                cache="off",
                on_the_fly=way,
            ),
            "plain tf.data": plain_input.photos(paths, None, 32),
        }
        found = report(in_turns(ways, **turns), "libjpeg-turbo")
    title = f"Decoding JPEG of {PHOTO_SIZE}x{PHOTO_SIZE}, INTEGER_ACCURATE"
    return f"### {title}\n\n{found}"


_kept: list[bytes] = []


def _keep(encoded):
    _kept[:] = encoded


def _decoder(through):
    if through == "simplejpeg":
        import simplejpeg

        return simplejpeg.decode_jpeg
    from PIL import Image

    return lambda data: Image.open(io.BytesIO(data)).load()


def _decode_for(through, seconds):
    decode = _decoder(through)
    begun, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        decode(_kept[count % len(_kept)])
        count += 1
    return count / (time.perf_counter() - begun), (time.process_time() - cpu) / count


def _together(found):
    """What several processes did at the same time."""
    rates, costs = zip(*found, strict=True)
    return sum(rates), sum(costs) / len(costs)


MEASUREMENTS = {
    "pictures": measure_pictures,
    "photos": measure_photos,
    "texts": measure_texts,
    "decoding": measure_decoding,
}


def measure(scale: float, seconds: float, turns: int, only=tuple(MEASUREMENTS)):
    """Yields the table of each measurement."""
    for name in only:
        with tempfile.TemporaryDirectory() as folder:
            yield MEASUREMENTS[name](Path(folder), scale, seconds=seconds, turns=turns)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the amounts of data")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", choices=tuple(MEASUREMENTS), action="append")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    only = arguments.only or tuple(MEASUREMENTS)
    for found in measure(arguments.scale, arguments.seconds, arguments.turns, only):
        print(found, flush=True)


if __name__ == "__main__":
    main()
