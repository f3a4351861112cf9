"""A split whose prepared examples can be read: as Transform stored them, or prepared when read.

Comes in: a TransformedExamples directory, and where it holds only a description (`train.prepare:
on_the_fly`) the raw Examples and the preparation. Goes out: files of serialised records and one
function from records to prepared tensors. Both ways have the same examples in the same order, since
Transform keeps the order of the Examples.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from penstock.pipelines import examples
from penstock.pipelines.transform.prepare_function import prepare_function, read_features
from penstock.pipelines.transform.tensor_records import parse
from penstock.pipelines.transform.tensor_spec import (
    AS_INT64,
    Tensor,
    is_stored,
    read_spec,
    shard_path,
)

READ_BATCH = 1024


@dataclass(frozen=True)
class OnTheFly:
    """What prepares raw examples in tf.data.

    Attributes:
        directory: an Examples directory.
        preparation: the task (see `penstock/models/preparation.py`).
        state: the `State` that Transform wrote.
    """

    directory: Path
    preparation: object
    state: object

    @cached_property
    def _prepare(self):
        # On the CPU, where tf.data runs, also what it makes (lookup tables).
        with tf.device("/CPU:0"):
            return prepare_function(self.preparation, self.state)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The flat tensors of a prepared example, with its key."""
        return {**self._prepare[1], "key": Tensor("string", ())}

    @cached_property
    def _parsing_spec(self):
        return examples.parsing_spec(read_features(self.preparation, self.state.features))

    def decode(self, serialised, names) -> dict:
        """Raw records, string [n] -> flat prepared tensors."""
        features = tf.io.parse_example(serialised, self._parsing_spec)
        key = features.pop("key")
        prepared = {"key": key, **self._prepare[0](features)}
        return {name: prepared[name] for name in names}


@dataclass(frozen=True)
class PreparedSplit:
    """One split.

    Attributes:
        tensors: the flat tensors of an example, with its key.
        examples: how many there are.
        paths: TFRecord files of serialised examples.
        on_the_fly: what prepares them; None where they are stored as prepared.
        data_set: batches have only the examples whose key begins with this name and `/`; None: all.
            All else here is about the whole split.
    """

    tensors: dict[str, Tensor]
    examples: int
    paths: tuple[str, ...]
    on_the_fly: OnTheFly | None = None
    data_set: str | None = None

    def decode(self, serialised, names=None) -> dict:
        """Serialised examples, string [n] -> flat tensors with a batch axis.

        Args:
            names: the tensors wanted; None gives all.
        """
        wanted = self.tensors if names is None else {name: self.tensors[name] for name in names}
        if self.on_the_fly is None:
            return parse(serialised, wanted)
        prepared = self.on_the_fly.decode(serialised, wanted)
        for name, tensor in wanted.items():
            if not tensor.ragged_rank:
                shape = [*serialised.shape, *tensor.shape]
                prepared[name] = tf.ensure_shape(prepared[name], shape)
        return prepared

    def in_order(self, batch_size: int, names=None) -> tf.data.Dataset:
        """One pass in the order on disk: batches of flat tensors."""
        serialised = tf.data.TFRecordDataset(list(self.paths)).batch(batch_size)
        return serialised.map(
            lambda data: self.decode(data, names),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def rows(self) -> np.ndarray:
        """int64 [n]: the positions of the examples of `data_set`; takes a pass over the keys."""
        if self.data_set is None:
            return np.arange(self.examples)
        serialised = tf.data.TFRecordDataset(list(self.paths)).batch(READ_BATCH)
        spec = {"key": tf.io.FixedLenFeature((), tf.string)}
        raw = self.on_the_fly is not None
        keys = serialised.map(
            # Of raw examples the key alone, without preparing them.
            lambda data: tf.io.parse_example(data, spec) if raw else self.decode(data, ["key"])
        )
        prefix = f"{self.data_set}/".encode()
        found = [key.startswith(prefix) for part in keys for key in part["key"].numpy()]
        return np.flatnonzero(found)

    def decoded_bytes(self) -> int:
        """What the tensors take in memory: exact for dense ones.

        For others an upper bound by the size of the files, which do not tell more: an int64 list
        takes one byte on disk for a small number. On the fly, where files are raw, it is estimated
        from the first examples.
        """
        tensors = {name: tensor for name, tensor in self.tensors.items() if name != "key"}
        varying = {n: t for n, t in tensors.items() if t.ragged_rank or t.dtype == "string"}
        dense = [tensor for name, tensor in tensors.items() if name not in varying]
        of_example = sum(_item_bytes(tensor) * math.prod(tensor.shape) for tensor in dense)
        return self.examples * of_example + self._varying_bytes(varying)

    def _varying_bytes(self, varying):
        if not varying or not self.examples:
            return 0
        if self.on_the_fly is not None:
            return self._sampled_bytes(varying)
        # Growth from the file: a number takes at least one byte there; strings have headers in
        # memory.
        growth = max(_item_bytes(t) if t.dtype in AS_INT64 else 2 for t in varying.values())
        return growth * sum(Path(path).stat().st_size for path in self.paths)

    def _sampled_bytes(self, varying):
        for batch in self.in_order(min(READ_BATCH, self.examples), varying).take(1):
            return held_bytes(batch) * self.examples // min(READ_BATCH, self.examples)
        return 0

    @property
    def identity(self) -> list:
        """Tells this split's files from others; for what is kept of it in a scratch directory."""
        stats = [Path(path).stat() for path in self.paths]
        files = [(p, s.st_size, s.st_mtime_ns) for p, s in zip(self.paths, stats, strict=True)]
        return [files, {name: tensor.to_json() for name, tensor in sorted(self.tensors.items())}]


def identity_of(splits) -> str:
    """16 hexadecimal digits for several splits."""
    document = json.dumps([split.identity for split in splits])
    return hashlib.sha256(document.encode()).hexdigest()[:16]


def num_examples(directory, split: str) -> int:
    """How many examples a split has."""
    splits = read_spec(directory)[1]
    if split not in splits:
        raise ValueError(
            f"The transformed examples have no split {split!r}. Known splits: "
            f"{', '.join(splits)}. Set `data.splits` or name one of these."
        )
    return splits[split]


def prepared_split(directory, split: str, on_the_fly: OnTheFly | None = None) -> PreparedSplit:
    """Opens a split of TransformedExamples, or `split/name`: one data set of it.

    Args:
        directory: of the TransformedExamples.
        on_the_fly: needed where the directory holds only their description.

    Raises:
        ValueError: the split is unknown, its examples are not stored and `on_the_fly` is None, or
            the preparation gives other tensors than those described.
    """
    split, _, data_set = split.partition("/")
    data_set = data_set or None
    count = num_examples(directory, split)
    tensors, _, shards = read_spec(directory)
    if is_stored(directory):
        paths = [str(shard_path(directory, split, i, shards[split])) for i in range(shards[split])]
        return PreparedSplit(tensors, count, tuple(paths), data_set=data_set)
    if on_the_fly is None:
        raise ValueError(
            f"`{directory}` describes examples that are prepared on the fly and does not hold "
            "them. Set `train.prepare=stored` and run Transform again, or give `on_the_fly`."
        )
    if on_the_fly.tensors != tensors:
        raise ValueError(
            f"The preparation gives other tensors than `{directory}` describes. Expected: "
            f"{sorted(tensors)}. Received: {sorted(on_the_fly.tensors)}, or other shapes or dtypes. "
            "Run Transform again."
        )
    paths = tuple(str(path) for path in examples.shard_paths(on_the_fly.directory, split))
    return PreparedSplit(tensors, count, paths, on_the_fly, data_set)


def _item_bytes(tensor):
    return tf.as_dtype(tensor.dtype).size


def held_bytes(structure) -> int:
    """Bytes that eager tensors, ragged ones included, take in memory."""
    total = 0
    for tensor in tf.nest.flatten(structure, expand_composites=True):
        if tensor.dtype == tf.string:
            total += int(tf.reduce_sum(tf.strings.length(tensor) + 24))  # 24: a string's header
        else:
            total += tensor.dtype.size * int(tf.size(tensor))
    return total
