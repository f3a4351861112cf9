"""Packing: several short examples in one row of fixed length.

As in T5 (Raffel et al., arXiv:1910.10683, section 2.1.2) and Grain's `FirstFitPackIterDataset`,
whose names for segment ids and positions are used. First fit with a bounded number of open rows;
the row that has been open longest is closed when another must be opened (Grain closes all of them).
The examples are packed once, in an order that depends on the seed, and the rows shuffled in each
epoch: so every epoch has as many steps as any other, and any step can be found by arithmetic.
"""

import numpy as np

from penstock.pipelines.inputs.input_config import Packing
from penstock.pipelines.transform.tensor_spec import Tensor


def first_fit(lengths: np.ndarray, room: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Packs examples in the order given.

    Args:
        lengths: int64 [examples, tensors].
        room: int64 [tensors]: the length of a row of each tensor; no example may be longer.
        window: rows that are open at a time.

    Returns:
        `members` int64 [examples] and `splits` int64 [rows + 1]: row r holds the examples
        `members[splits[r] : splits[r + 1]]`, in the order in which they were put there.
    """
    free = np.empty((window, len(room)), np.int64)
    opened = np.empty(window, np.int64)
    row_of = np.empty(len(lengths), np.int64)
    rows = count = 0
    for example, needed in enumerate(lengths):
        fits = (free[:count] >= needed).all(axis=1)
        place = int(fits.argmax()) if count else 0
        if not count or not fits[place]:
            if count == window:
                free[:-1], opened[:-1] = free[1:].copy(), opened[1:].copy()
                count -= 1
            place = count
            free[place], opened[place] = room, rows
            rows, count = rows + 1, count + 1
        free[place] -= needed
        row_of[example] = opened[place]
    splits = np.concatenate([[0], np.cumsum(np.bincount(row_of, minlength=rows))])
    return np.argsort(row_of, kind="stable"), splits.astype(np.int64)


def row_lengths(packing: Packing, names: list[str], lengths: np.ndarray) -> dict[str, int]:
    """The length of a row of each tensor.

    Args:
        names: the ragged tensors.
        lengths: int64 [examples, names].

    Raises:
        ValueError: the settings name other tensors, or an example is longer than a row.
    """
    length = packing.length
    if isinstance(length, int):
        length = dict.fromkeys(names, length)
    if sorted(length) != sorted(names):
        raise ValueError(
            "`train.packing.length` must be one number, or one for each ragged tensor. Expected: "
            f"{', '.join(sorted(names))}. Received: {', '.join(sorted(length))}."
        )
    for name, longest in zip(names, lengths.max(axis=0, initial=0).tolist(), strict=True):
        if longest > length[name]:
            raise ValueError(
                f"`train.packing.length` must hold the longest example. Expected: at least "
                f"{longest} for `{name}`. Received: {length[name]}. Raise it, or cut examples in "
                "the task's preparation."
            )
    return {name: length[name] for name in names}


def check_packable(tensors: dict[str, Tensor]) -> None:
    """Raises ValueError where a preparation's tensors cannot be packed."""
    dense = [name for name, tensor in tensors.items() if name != "key" and not tensor.ragged_rank]
    deep = [name for name, tensor in tensors.items() if tensor.ragged_rank > 1]
    if dense or deep or "inputs" in tensors:
        raise ValueError(
            "`train.packing` needs inputs that are a dict, and every tensor ragged in its first "
            "axis and nowhere else (one entry for each token). Received: "
            f"{', '.join(dense + deep) or '`inputs` that are one tensor'}. Return a dict of "
            "`tf.RaggedTensor`s from `prepare_inputs` and ragged targets and weights from "
            "`prepare_targets`, or leave packing off."
        )


def place(flat: dict, row_splits, length_of: dict, padding: dict) -> dict:
    """Puts the examples of a batch into their rows (TensorFlow).

    Args:
        flat: tensors of the examples, in the order of their rows.
        row_splits: int64 [rows + 1], how many examples each row has.
        length_of: length of a row, by tensor.
        padding: what stands where nothing is, by tensor; 0 by default.

    Returns:
        The flat tensors [rows, length, ...]; beside each of the inputs `<name>_segment_ids` (int32
        [rows, length]: 1 for the first example of a row, 2 for the next; 0 is padding) and
        `<name>_positions` (int32: 0, 1, ... in each example). Those of targets are inputs too, as
        `inputs/targets_segment_ids` or `inputs/targets_<name>_segment_ids`. `key` is ragged.
    """
    import tensorflow as tf

    from penstock.pipelines.inputs.input_padding import padded

    examples_of_row = row_splits[1:] - row_splits[:-1]
    number = tf.ragged.range(examples_of_row).flat_values + 1  # of each example in its row
    placed = {}
    for name, value in flat.items():
        if name == "key":
            placed[name] = tf.RaggedTensor.from_row_splits(value, row_splits, validate=False)
            continue
        lengths = value.row_lengths()
        splits = tf.gather(value.row_splits, row_splits)

        def in_rows(tokens, default, splits=splits, name=name):
            ragged = tf.RaggedTensor.from_row_splits(tokens, splits, validate=False)
            return padded(ragged, length_of[name], default)

        placed[name] = in_rows(value.flat_values, padding.get(name, 0))
        if not name.startswith("sample_weight"):
            into = beside(name)
            segments = tf.repeat(tf.cast(number, tf.int32), lengths)
            placed[f"{into}_segment_ids"] = in_rows(segments, 0)
            positions = tf.cast(tf.ragged.range(lengths).flat_values, tf.int32)
            placed[f"{into}_positions"] = in_rows(positions, 0)
    return placed


def beside(name: str) -> str:
    """Flat name of a tensor -> what the names of its segment ids and positions begin with."""
    if name.startswith("inputs/"):
        return name
    return "inputs/" + name.replace("/", "_")
