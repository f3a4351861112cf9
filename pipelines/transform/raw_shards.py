"""Shards of Examples as batches of raw tensors, in a Beam worker (without tf.data)."""

from collections.abc import Iterator
from itertools import islice

from penstock.pipelines.examples import parsing_spec
from penstock.pipelines.features import Features
from penstock.pipelines.tfrecord import read_records

BATCH = 256


def raw_batches(path: str, features: Features) -> Iterator[tuple]:
    """Yields (keys: string [batch], dict of raw features with a batch axis) of one shard."""
    import tensorflow as tf

    spec = parsing_spec(features)
    records = read_records(path)
    while batch := list(islice(records, BATCH)):
        raw = tf.io.parse_example(tf.constant(batch), spec)
        yield raw.pop("key"), raw
