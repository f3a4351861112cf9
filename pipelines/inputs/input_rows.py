"""Random access to prepared examples: `gather(rows)`, from memory, from disk or from the records.

All three give the same tensors for the same rows, so where they are kept changes no batch:
- memory: the split is read once into tensors; rows are one `tf.gather`.
- disk: read once into memory-mapped arrays in a scratch directory (`input_disk.py`). For examples
  that are dear to prepare and do not fit in memory.
- off: records are read at their offsets and parsed (or prepared) for each batch.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from penstock.pipelines.inputs.input_disk import DiskArrays
from penstock.pipelines.inputs.input_split import READ_BATCH, PreparedSplit, identity_of
from penstock.pipelines.inputs.record_index import RecordIndex


class MemoryRows:
    """Rows of some splits, one split after the other, held in tensors."""

    def __init__(self, splits: list[PreparedSplit], names: list[str]):
        # On the CPU, where tf.data runs: an accelerator's memory is the model's.
        with tf.device("/CPU:0"):
            parts = [part for split in splits for part in split.in_order(READ_BATCH, names)]
            # `pop`: the parts of one tensor are freed before the next tensor's are put together.
            self._columns = {
                name: tf.concat([part.pop(name) for part in parts], axis=0) for name in names
            }

    def lengths(self, names: list[str]) -> np.ndarray:
        """int64 [rows, names]: how long each row of these ragged tensors is."""
        return np.stack([self._columns[name].row_lengths().numpy() for name in names], axis=1)

    def gather(self, rows) -> dict:
        """int64 [n] -> flat tensors with a batch axis."""
        return {name: tf.gather(column, rows) for name, column in self._columns.items()}


class DiskRows:
    """Rows of some splits in memory-mapped arrays in `scratch`, written on the first use."""

    def __init__(self, splits: list[PreparedSplit], names: list[str], scratch: Path):
        self._tensors = {name: splits[0].tensors[name] for name in names}
        directory = Path(scratch) / f"prepared-{identity_of(splits)}-{len(names)}"
        needed = sum(split.decoded_bytes() for split in splits)
        batches = (batch for split in splits for batch in split.in_order(READ_BATCH, names))
        self._arrays = DiskArrays.open(directory, self._tensors, batches, needed)

    def lengths(self, names: list[str]) -> np.ndarray:
        """As `MemoryRows.lengths`."""
        return np.stack([self._arrays.lengths(name) for name in names], axis=1)

    def gather(self, rows) -> dict:
        """As `MemoryRows.gather`."""
        dtypes = []
        for tensor in self._tensors.values():
            dtypes += [tf.as_dtype(tensor.dtype)] + [tf.int64] * tensor.ragged_rank
        # Stateless: op determinism would run a stateful function one batch after the other.
        taken = iter(tf.numpy_function(self._arrays.take, [rows], dtypes, stateful=False))
        flat = {}
        for name, tensor in self._tensors.items():
            values = next(taken)
            splits = [next(taken) for _ in range(tensor.ragged_rank)]
            if splits:
                values.set_shape([None, *tensor.inner_shape])
                for part in splits:
                    part.set_shape([None])
                splits[0].set_shape([None if rows.shape[0] is None else rows.shape[0] + 1])
                values = tf.RaggedTensor.from_nested_row_splits(values, splits, validate=False)
            else:
                values.set_shape([*rows.shape, *tensor.shape])
            flat[name] = values
        return flat


class RecordRows:
    """Rows of some splits, read and parsed when they are asked for.

    Args:
        scratch: where lengths are kept for the next start, or None.
        advised_rows: see `RecordIndex`.
    """

    def __init__(self, splits: list[PreparedSplit], names: list[str], scratch, advised_rows: int):
        self._splits, self._names, self._scratch = splits, names, scratch
        paths = [path for split in splits for path in split.paths]
        self._index = RecordIndex(paths, advised_rows)
        expected = sum(split.examples for split in splits)
        if len(self._index) != expected:
            raise ValueError(
                f"The shards in `{Path(paths[0]).parent}` hold another number of examples than "
                f"their description says. Expected: {expected:,}. Received: "
                f"{len(self._index):,}. Run the step that wrote them again."
            )

    def lengths(self, names: list[str]) -> np.ndarray:
        """As `MemoryRows.lengths`; the first time it takes a pass over the data."""
        kept = self._scratch and Path(self._scratch) / f"lengths-{identity_of(self._splits)}.npy"
        if kept and kept.exists():
            return np.load(kept)
        parts = [
            np.stack([batch[name].row_lengths().numpy() for name in names], axis=1)
            for split in self._splits
            for batch in split.in_order(READ_BATCH, names)
        ]
        lengths = np.concatenate(parts)
        if kept:
            unfinished = kept.with_suffix(".unfinished.npy")
            np.save(unfinished, lengths)
            unfinished.replace(kept)
        return lengths

    def gather(self, rows) -> dict:
        """As `MemoryRows.gather`."""
        # Stateless: op determinism would run a stateful function one batch after the other.
        serialised = tf.numpy_function(self._index.read, [rows], tf.string, stateful=False)
        serialised.set_shape(rows.shape)
        return self._splits[0].decode(serialised, self._names)


def open_rows(splits, names, cache: str, scratch, shuffle_window: int | None):
    """The rows of some splits, one split after the other, under a decided `cache`.

    Args:
        splits: `PreparedSplit`s with equal tensors.
        names: the tensors wanted.
        cache: "memory", "disk" or "off".
        scratch: a directory for `disk`, and for lengths that took a pass to find.
        shuffle_window: examples that are shuffled among, None for all; decides how files are read.
    """
    from penstock.pipelines.inputs.input_plan import NEIGHBOURS

    if cache == "memory":
        return MemoryRows(splits, names)
    if cache == "disk":
        return DiskRows(splits, names, scratch)
    return RecordRows(splits, names, scratch, NEIGHBOURS if shuffle_window else 1)
