"""A SavedModel answers the raw examples of a split; the task judges each answer.

Comes in: a Model artifact, Examples, the task. Goes out: columns, name -> array [examples]: what
`task.evaluate_batch` says, the key, and raw features by which one may want to slice.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from penstock.pipelines import examples
from penstock.pipelines.features import Label, Number, Text

ROWS_AT_ONCE = 1024
"""Rows that are turned into plain values together."""


def columns_of(
    model: Path, data: Path, *, split: str, batch_size: int, task, state, slices=()
) -> dict[str, np.ndarray]:
    """Asks `serving_default` about every example of a split.

    Args:
        model: directory of the Model artifact.
        data: directory of the Examples artifact.
        task, state: judge the answers and make the targets.
        slices: columns that must be there.

    Raises:
        ValueError: the split is empty, or a column has no row for each example.
    """
    described = examples.features(data)
    asked = task.input_features(state.features)
    read = {**asked, **task.target_features(state.features)}
    raw = {name: feature for name, feature in described.items() if _is_slice(name, feature, slices)}
    loaded = tf.saved_model.load(str(model / "saved_model"))
    answer = loaded.signatures["serving_default"]
    targets_of = tf.function(
        lambda batch: task.prepare_targets(batch, state)[0],
        input_signature=[examples.request_signature(read)],
    )
    parts = []
    for batch in examples.raw_dataset(data, split, batch_size, {**raw, **read}):
        decoded = _numpy(answer(**{name: batch[name] for name in asked}))
        wanted = {name: batch[name] for name in read}
        targets = _numpy(targets_of(wanted))
        columns = task.evaluate_batch(decoded, targets, _numpy(wanted), state)
        _check_columns(columns, len(batch["key"]))
        added = {name: _raw_column(batch[name], feature) for name, feature in raw.items()}
        parts.append({"key": _text(batch["key"]), **added, **columns})
    if not parts:
        raise ValueError(
            f"The split {split!r} must hold at least one example to judge a model by. "
            "Received: none. Set `evaluate.split` or `data.splits`."
        )
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _check_columns(columns, count):
    for name, column in columns.items():
        is_array = isinstance(column, np.ndarray)
        if not is_array or column.shape[:1] != (count,):
            kind = type(column).__name__
            received = (
                f"an array of shape {column.shape}" if is_array else f"a {kind}, not an array"
            )
            raise ValueError(
                "`evaluate_batch` of the task must return NumPy arrays with a row for each example. "
                f"Expected: an array of {count} rows. Received: `{name}`, {received}."
            )


def features_at(places, data: Path, split: str, batch_size: int, names) -> dict[str, np.ndarray]:
    """The raw features of a few examples: name -> array [places].

    Args:
        places: numbers of examples in the order on disk, which is that of the columns; rising.
        names: of the features.
    """
    parts, start = [], 0
    for batch in examples.raw_dataset(data, split, batch_size, names):
        end = start + len(batch["key"])
        here = [place - start for place in places if start <= place < end]
        if here:
            parts.append(_numpy({name: tf.gather(batch[name], here) for name in names}))
        if end > places[-1]:
            break
        start = end
    return {name: _joined([part[name] for part in parts]) for name in names}


def rows_of(columns: dict[str, np.ndarray]) -> Iterator[dict]:
    """Yields a dict of plain values for each example; all of them at once may not fit."""
    count = len(next(iter(columns.values())))
    for start in range(0, count, ROWS_AT_ONCE):
        parts = [plain(column[start : start + ROWS_AT_ONCE]) for column in columns.values()]
        for values in zip(*parts, strict=True):
            yield dict(zip(columns, values, strict=True))


def plain(value):
    """Anything of NumPy's, nested in dicts and lists or not, as JSON; null for NaN and infinity."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray) and (
        value.dtype.kind in "biuU" or (value.dtype.kind == "f" and np.isfinite(value).all())
    ):
        return value.tolist()  # eight times as fast as value by value
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _is_slice(name, feature, slices):
    """Labels and single numbers always; texts, which may be long, where they are asked for."""
    if isinstance(feature, Number):
        return feature.shape == ()
    return isinstance(feature, Label) or (isinstance(feature, Text) and name in slices)


def _raw_column(tensor, feature):
    if isinstance(feature, Label):
        # Of a missing label, -1, the last: its slice is called "".
        return np.asarray([*feature.names, ""], np.str_)[tensor.numpy()]
    return _text(tensor) if isinstance(feature, Text) else tensor.numpy()


def _text(tensor):
    return np.array([value.decode("utf-8", "replace") for value in tensor.numpy()], np.str_)


def _numpy(structure):
    return tf.nest.map_structure(_array, structure)


def _array(tensor):
    """A ragged tensor is always an object array of arrays, also where its rows are equally long.

    `RaggedTensor.numpy` gives a dense array for those: a task would see now one, now the other.
    """
    if not isinstance(tensor, tf.RaggedTensor):
        return tensor.numpy()
    values, splits = _array(tensor.values), tensor.row_splits.numpy()
    return _objects([values[a:b] for a, b in zip(splits[:-1], splits[1:], strict=True)])


def _objects(values):
    """A list as an object array [len]; NumPy itself would look into lists of equal lengths."""
    objects = np.empty(len(values), object)
    for index, value in enumerate(values):
        objects[index] = value
    return objects


def _joined(arrays):
    if arrays[0].dtype == object:
        return _objects([value for array in arrays for value in array])
    return np.concatenate(arrays)
