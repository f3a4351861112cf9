"""The training input pipeline beside a plain hand-tuned tf.data chain on the same files.

`python benchmarks/input_pipeline.py [--scale 1.0] [--seconds 4] [--turns 5] [--only pictures]`
prints, for small pictures, photos prepared on the fly and ragged texts, examples a second and the
ratio to the plain chain (`plain_input.py`), and how fast JPEG is decoded beside libjpeg-turbo through
Pillow in as many processes as there are cores. All ways of a table run in one process, in turns: a
fresh iterator, half a second to fill its buffers, then `seconds` of counting. Ratios are those of the
same turn. "Penstock : plain" above 1 means that Penstock is the faster one.
"""

import argparse
import io
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from tables import machine, spread, table

BATCH_SIZE = 128
SHARDS = 8
PHOTO_SIZE, PREPARED_SIZE = 256, 128
WARM_UP_SECONDS = 0.5


# Data -------------------------------------------------------------------------------------------


def write_transformed(directory: Path, tensors: dict, count: int, batch) -> None:
    """TransformedExamples of `count` examples; `batch(rows)` gives their flat tensors."""
    from penstock.pipelines import tensor_spec, tfrecord
    from penstock.pipelines.tensor_records import encode

    directory.mkdir()
    for shard, rows in enumerate(np.array_split(np.arange(count), SHARDS)):
        parts = np.array_split(rows, max(1, len(rows) // 1024))
        records = (record for part in parts for record in encode(batch(part), tensors))
        tfrecord.write_records(tensor_spec.shard_path(directory, "train", shard, SHARDS), records)
    tensor_spec.write_spec(directory, tensors, {"train": count}, {"train": SHARDS})


def write_pictures(directory: Path, count: int) -> None:
    """Grey pixels of 28x28 and their classes."""
    import tensorflow as tf
    from generated_images import SIZE, pixels_of

    from penstock.pipelines.tensor_spec import Tensor

    images, labels = pixels_of(count)
    tensors = {
        "inputs": Tensor("uint8", (SIZE, SIZE, 1)),
        "key": Tensor("string", ()),
        "targets": Tensor("int64", ()),
    }

    def batch(rows):
        return {
            "inputs": tf.constant(images[rows][..., None]),
            "key": tf.constant([f"{row:06d}" for row in rows]),
            "targets": tf.constant(labels[rows]),
        }

    write_transformed(directory, tensors, count, batch)


def write_texts(directory: Path, count: int) -> None:
    """Ids and targets of 4 to 64 tokens, most of them short, as sentences are."""
    import tensorflow as tf

    from penstock.pipelines.tensor_spec import Tensor

    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(2.0, 8.0, count).astype(np.int64), 4, 64)
    ragged = Tensor("int64", (None,), 1)
    tensors = {"inputs": ragged, "key": Tensor("string", ()), "targets": ragged}

    def batch(rows):
        def ids():
            values = generator.integers(1, 8000, lengths[rows].sum())
            return tf.RaggedTensor.from_row_lengths(values, lengths[rows])

        keys = tf.constant([f"{row:06d}" for row in rows])
        return {"inputs": ids(), "key": keys, "targets": ids()}

    write_transformed(directory, tensors, count, batch)


def photo_bytes(count: int) -> list[bytes]:
    """JPEG of 256x256, quality 90: coloured noise, smooth at first and ever rougher."""
    from PIL import Image

    generator, encoded = np.random.default_rng(0), []
    for index in range(count):
        stream = io.BytesIO()
        coarse = generator.integers(0, 256, (8 << index % 3, 8 << index % 3, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((PHOTO_SIZE, PHOTO_SIZE), Image.BICUBIC)
        picture.save(stream, "JPEG", quality=90)
        encoded.append(stream.getvalue())
    return encoded


def write_photos(directory: Path, encoded: list[bytes], described: Path, preparation):
    """Raw Examples in `directory`, the description of prepared ones in `described`."""
    from penstock.pipelines import example_codec, examples, tensor_spec, tfrecord
    from penstock.pipelines.features import Image, Label
    from penstock.pipelines.inputs import OnTheFly
    from penstock.pipelines.state import State

    features = {"image": Image(encoding="jpeg"), "label": Label(names=("a", "b"))}
    directory.mkdir()
    for shard, rows in enumerate(np.array_split(np.arange(len(encoded)), SHARDS)):
        records = (
            example_codec.serialise(f"{r:06d}", {"image": encoded[r], "label": r % 2}, features)
            for r in rows.tolist()
        )
        tfrecord.write_records(directory / examples.shard_name("train", shard, SHARDS), records)
    splits, shards = {"train": len(encoded)}, {"train": SHARDS}
    examples.write_description(directory, features, splits, shards)
    way = OnTheFly(directory, preparation, State(features))
    described.mkdir()
    tensor_spec.write_spec(described, way.tensors, splits, {"train": 0}, stored=False)
    return way


def classification():
    """The preparation of the task `vision.classification`."""
    from penstock.models import locate

    size = f'{{"height": {PREPARED_SIZE}, "width": {PREPARED_SIZE}, "channels": 3}}'
    section = locate.config_class("vision.classification").model_fields["prepare"].annotation
    return locate.data_class("vision.classification")(section.model_validate_json(size))


class DecodeOnly:
    """Photos of equal size as they are."""

    def input_features(self, source):
        return {"image": source["image"]}

    def target_features(self, source):
        return {"label": source["label"]}

    def prepare_inputs(self, features, state):
        import tensorflow as tf

        return tf.map_fn(
            lambda data: tf.ensure_shape(
                tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE"),
                [PHOTO_SIZE, PHOTO_SIZE, 3],
            ),
            features["image"],
            fn_output_signature=tf.TensorSpec([PHOTO_SIZE, PHOTO_SIZE, 3], tf.uint8),
        )

    def prepare_targets(self, features, state):
        return features["label"], None


# Measuring --------------------------------------------------------------------------------------


def rate(batches, seconds: float) -> float:
    """Examples a second of a fresh iterator."""
    iterator = iter(batches)
    begun = time.perf_counter()
    while time.perf_counter() - begun < WARM_UP_SECONDS:
        next(iterator)
    begun, seen = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        seen += len(next(iterator)[1])
    return seen / (time.perf_counter() - begun)


def in_turns(ways: dict, seconds: float, turns: int) -> dict[str, list[float]]:
    """Way -> examples a second of each turn; the order changes from turn to turn."""
    rates = {name: [] for name in ways}
    for turn in range(turns):
        names = list(ways)
        for name in names if turn % 2 == 0 else reversed(names):
            measured = ways[name]
            rates[name].append(measured(seconds) if callable(measured) else rate(measured, seconds))
    return rates


def report(rates: dict[str, list[float]], columns=("way", "plain")) -> str:
    """A table with the ratio to the first way."""
    peer = np.array(next(iter(rates.values())))
    rows = []
    for index, (name, found) in enumerate(rates.items()):
        low, median, high = spread((np.array(found) / peer).tolist())
        ratio = None if index == 0 else f"{median:.2f} ({low:.2f}–{high:.2f})"
        rows.append([name, float(np.median(found)), ratio])
    return table([columns[0], "examples/s", f"Penstock : {columns[1]}"], rows)


def measure_pictures(folder: Path, scale: float, **turns) -> str:
    """Stored pixels of 28x28."""
    import plain_input

    from penstock.pipelines import inputs

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
    bounded = inputs.training_batches(
        directory, "train", batch_size=BATCH_SIZE, seed=0, cache="off"
    )
    ways["Penstock, off, `train.input_memory_mb=16`"] = inputs.tuned(bounded, 16)
    title = f"Stored pictures: {count:,} of 28x28, batches of {BATCH_SIZE}"
    return f"### {title}\n\n{report(in_turns(ways, **turns))}"


def measure_texts(folder: Path, scale: float, **turns) -> str:
    """Ragged ids, padded."""
    import plain_input

    from penstock.pipelines import inputs
    from penstock.pipelines.input_config import Buckets

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
        ways[name] = inputs.tuned(opened.training())
        shares.append(opened.padding_share)
        boundaries = opened.boundaries
    ways["plain tf.data, `bucket_by_sequence_length`"] = plain_input.bucketed_texts(
        paths, boundaries, BATCH_SIZE
    )
    title = f"Ragged texts: {count:,} of 4 to 64 tokens, batches of {BATCH_SIZE}"
    note = f"Padding in the buckets ({', '.join(map(str, boundaries))}): {shares[0]:.1%}.\n"
    return f"### {title}\n\n{report(in_turns(ways, **turns))}\n{note}"


def measure_photos(folder: Path, scale: float, **turns) -> str:
    """JPEG decoded and resized on the fly."""
    import plain_input

    from penstock.pipelines import inputs

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
    """JPEG decoded only, beside libjpeg-turbo in Pillow."""
    import plain_input
    from PIL import features

    from penstock.pipelines import inputs

    encoded = photo_bytes(round(2_000 * scale))
    raw = folder / "to_decode"
    way = write_photos(raw, encoded, folder / "decoded", DecodeOnly())
    paths = sorted(str(path) for path in raw.glob("*tfrecord*"))
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(cores, _keep, (encoded,)) as pool:
        ways = {
            f"libjpeg-turbo through Pillow, {cores} processes": lambda seconds: sum(
                pool.map(_decode_for, [seconds] * cores, chunksize=1)
            ),
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
        found = report(in_turns(ways, **turns), ("way", "libjpeg-turbo"))
    turbo = features.check("libjpeg_turbo") and features.version("libjpeg_turbo")
    title = f"Decoding JPEG of {PHOTO_SIZE}x{PHOTO_SIZE}, INTEGER_ACCURATE"
    return f"### {title}\n\n{found}\nPillow's libjpeg-turbo: {turbo}.\n"


_kept: list[bytes] = []


def _keep(encoded):
    _kept[:] = encoded


def _decode_for(seconds):
    from PIL import Image

    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        Image.open(io.BytesIO(_kept[count % len(_kept)])).load()
        count += 1
    return count / (time.perf_counter() - begun)


MEASUREMENTS = {
    "pictures": measure_pictures,
    "photos": measure_photos,
    "texts": measure_texts,
    "decoding": measure_decoding,
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the amounts of data")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", choices=tuple(MEASUREMENTS), action="append")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    for name in arguments.only or MEASUREMENTS:
        with tempfile.TemporaryDirectory() as folder:
            turns = {"seconds": arguments.seconds, "turns": arguments.turns}
            print(MEASUREMENTS[name](Path(folder), arguments.scale, **turns), flush=True)


if __name__ == "__main__":
    main()
