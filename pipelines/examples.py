"""The Examples directory: a TFDS dataset and `penstock.json`.

`tfds.builder_from_directory` opens it. `penstock.json` holds {format_version, features, splits:
{name: number of examples}, shards: {name: number of files}}. Everything but `raw_dataset`,
`parsing_spec` and `request_signature` runs without TensorFlow.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from penstock.pipelines.features import (
    FEATURES,
    MISSING_INT64,
    MISSING_LABEL,
    Boxes,
    Features,
    Label,
    Number,
    Sequence,
    is_optional,
)
from penstock.pipelines.tfrecord import read_records

FORMAT_VERSION = 1
DATASET = "examples"
"""The name of the TFDS dataset, part of its file names."""


def shard_name(split: str, index: int, count: int) -> str:
    """TFDS's default name of a shard."""
    return f"{DATASET}-{split}.tfrecord-{index:05d}-of-{count:05d}"


def write_description(directory, features: Features, splits, shards) -> None:
    """Writes `penstock.json`."""
    document = {
        "format_version": FORMAT_VERSION,
        "features": json.loads(FEATURES.dump_json(features)),
        "splits": splits,
        "shards": shards,
    }
    (Path(directory) / "penstock.json").write_text(json.dumps(document, indent=1) + "\n")


def description(directory) -> dict:
    """The contents of `penstock.json`."""
    path = Path(directory) / "penstock.json"
    document = json.loads(path.read_text())
    if document.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"`{path}` has a format this version cannot read. Expected: format_version "
            f"{FORMAT_VERSION}. Received: {document.get('format_version')!r}. "
            "Run ExampleGen again."
        )
    return document


def features(directory) -> Features:
    """What an example consists of."""
    return FEATURES.validate_json(json.dumps(description(directory)["features"]))


def splits(directory) -> dict[str, int]:
    """Name -> number of examples."""
    return description(directory)["splits"]


def num_examples(directory, split: str) -> int:
    """How many examples a split has."""
    known = splits(directory)
    if split not in known:
        raise ValueError(
            f"The examples have no split {split!r}. Known splits: {', '.join(known)}. "
            "Set `data.splits` or name one of these."
        )
    return known[split]


def shard_paths(directory, split: str) -> list[Path]:
    """The files of a split, in order."""
    num_examples(directory, split)
    count = description(directory)["shards"][split]
    return [Path(directory) / shard_name(split, index, count) for index in range(count)]


def records(directory, split: str) -> Iterator[tuple[str, dict]]:
    """Yields (key, values) in the order on disk; values as `example_codec.deserialise` says."""
    from penstock.pipelines.example_codec import deserialise

    described = features(directory)
    for path in shard_paths(directory, split):
        for data in read_records(path):
            yield deserialise(data, described)


def content_digest(directory) -> str:
    """What the examples are: features and, for each split, the sorted digests of its records.

    How records are spread over shards does not count. 32 bytes of memory for each record.
    """
    digest = hashlib.sha256(json.dumps(description(directory)["features"]).encode())
    for split in sorted(splits(directory)):
        digest.update(f"\0{split}\0".encode())
        hashes = bytearray()
        for path in shard_paths(directory, split):
            for data in read_records(path):
                hashes += hashlib.sha256(data).digest()
        # In place, as bytes of fixed length: as Python's objects they take twice the memory.
        np.frombuffer(hashes, "S32").sort()
        digest.update(hashes)
    return digest.hexdigest()


def parsing_spec(described: Features) -> dict:
    """What `tf.io.parse_example` needs to parse these features and the key."""
    import tensorflow as tf

    spec = {"key": tf.io.FixedLenFeature((), tf.string)}
    for name, tensor in request_signature(described).items():
        spec[name] = _parsed_as(described[name], tensor)
    return spec


def _parsed_as(feature, tensor):
    import tensorflow as tf

    if isinstance(tensor, tf.RaggedTensorSpec):
        partitions = [tf.io.RaggedFeature.UniformRowLength(size) for size in tensor.shape[2:]]
        return tf.io.RaggedFeature(tensor.dtype, None, partitions, row_splits_dtype=tf.int64)
    default = missing_value(feature) if is_optional(feature) else None
    return tf.io.FixedLenFeature(tensor.shape[1:], tensor.dtype, default)


def missing_value(feature):
    """What stands for a missing value in the raw form (see `features.py`), without a batch axis."""
    if isinstance(feature, Label):
        return MISSING_LABEL
    if isinstance(feature, Number):
        number = MISSING_INT64 if feature.dtype == "int64" else float("nan")
        return np.full(feature.shape, number, feature.dtype)
    return ""


def raw_dataset(directory, split: str, batch_size: int, features=None):
    """The raw features of a split in the order on disk, batch by batch.

    Args:
        features: names to read (a `Features` dict will do); None reads all.

    Returns:
        `tf.data.Dataset` of dicts: name -> tensor with a batch axis (see `features.py`), and
        "key", string [batch].
    """
    import tensorflow as tf

    described = FEATURES.validate_json(json.dumps(description(directory)["features"]))
    wanted = described if features is None else _chosen(described, features)
    spec = parsing_spec(wanted)
    paths = [str(path) for path in shard_paths(directory, split)]
    dataset = tf.data.TFRecordDataset(paths).batch(batch_size)
    return dataset.map(
        lambda data: tf.io.parse_example(data, spec),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).prefetch(tf.data.AUTOTUNE)


def _chosen(described, names):
    for name in names:
        if name not in described:
            raise ValueError(
                f"The examples have no feature {name!r}. Known features: {', '.join(described)}."
            )
    return {name: described[name] for name in names}


def request_signature(features: Features) -> dict:
    """The raw form with a batch axis: name -> `tf.TensorSpec`, named for a SavedModel signature.

    What is ragged has a `tf.RaggedTensorSpec` [batch, None, ...].
    """
    return {name: _raw_form(name, feature) for name, feature in features.items()}


def _raw_form(name, feature):
    import tensorflow as tf

    if isinstance(feature, Boxes):
        return tf.RaggedTensorSpec([None, None, 4], tf.float32, 1, tf.int64)
    if isinstance(feature, Sequence):
        part = _raw_form(name, feature.of)
        return tf.RaggedTensorSpec([None, None, *part.shape[1:]], part.dtype, 1, tf.int64)
    shape, dtype = (), tf.string
    if isinstance(feature, Label):
        dtype = tf.int64
    elif isinstance(feature, Number):
        shape, dtype = feature.shape, tf.as_dtype(feature.dtype)
    return tf.TensorSpec([None, *shape], dtype, name=name)
