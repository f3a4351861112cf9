"""Prepared batches <-> serialised `tf.train.Example`s, one for each example.

Storage follows `tensor_spec.py`. A ragged tensor is its flat values and, from the second ragged
axis on, the row lengths of axis k as `<name>#k`. Parsing is one `tf.io.parse_example` for a whole
batch, some ten times cheaper than example by example.
"""

import itertools

import numpy as np
import tensorflow as tf

from penstock.pipelines import example_wire as wire
from penstock.pipelines.transform.tensor_spec import AS_BYTES, AS_INT64, Tensor

_ROW_LENGTHS = Tensor("int64", ())


def encode(flat: dict, tensors: dict[str, Tensor]) -> list[bytes]:
    """One batch of eager tensors (flat names) -> one serialised example for each row."""
    columns = {}
    for name, tensor in tensors.items():
        columns.update(_columns(name, flat[name], tensor))
    in_order = [columns[name] for name in sorted(columns, key=wire.order)]
    return [wire.example(entries) for entries in zip(*in_order, strict=True)]


def _columns(name, value, tensor):
    """{stored name: the entry of each row}."""
    if not tensor.ragged_rank:
        rows = value.numpy()
        return {name: _entries(name, rows, range(len(rows) + 1), tensor)}
    columns = {}
    rows, *inner = [splits.numpy() for splits in value.nested_row_splits]
    for axis, splits in enumerate(inner, start=1):
        stored = f"{name}#{axis}"
        columns[stored] = _entries(stored, np.diff(splits), rows.tolist(), _ROW_LENGTHS)
        rows = splits[rows]
    columns[name] = _entries(name, value.flat_values.numpy(), rows.tolist(), tensor)
    return columns


def _entries(name, values, splits, tensor):
    """Row r has `values[splits[r]:splits[r + 1]]`: the entry of each row."""
    size = int(np.prod(values.shape[1:], dtype=np.int64))
    if tensor.dtype in AS_BYTES or tensor.dtype == "float32":
        entry = (wire.bytes_entry if tensor.dtype in AS_BYTES else wire.float_entry)(name)
        values, size = values.tobytes(), size * values.itemsize
    else:
        entry = (wire.several_bytes_entry if tensor.dtype == "string" else wire.int64_entry)(name)
        values = values.ravel().tolist()
    return [entry(values[i * size : j * size]) for i, j in itertools.pairwise(splits)]


def parse(serialised, tensors: dict[str, Tensor]) -> dict:
    """string [batch] -> flat dict of tensors with a batch axis, as `tensors` says."""
    parsed = tf.io.parse_example(serialised, _parsing_spec(tensors))
    batch_size = tf.shape(serialised, tf.int64)[0]
    flat = {}
    for name, tensor in tensors.items():
        if tensor.ragged_rank:
            flat[name] = _ragged(parsed, name, tensor)
        elif tensor.dtype in AS_BYTES:
            values = tf.io.decode_raw(parsed[name], tensor.dtype)
            values = tf.reshape(values, [batch_size, *tensor.shape])
            flat[name] = tf.ensure_shape(values, [*serialised.shape, *tensor.shape])
        else:
            flat[name] = _cast(parsed[name], tensor.dtype)
    return flat


def _parsing_spec(tensors):
    spec = {}
    for name, tensor in tensors.items():
        if tensor.ragged_rank:
            dtype = _stored_dtype(tensor.dtype)
            spec[name] = tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
            for axis in range(1, tensor.ragged_rank):
                spec[f"{name}#{axis}"] = tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
        elif tensor.dtype in AS_BYTES:
            spec[name] = tf.io.FixedLenFeature((), tf.string)
        else:
            spec[name] = tf.io.FixedLenFeature(tensor.shape, _stored_dtype(tensor.dtype))
    return spec


def _stored_dtype(dtype):
    if dtype in AS_INT64:
        return tf.int64
    return tf.float32 if dtype == "float32" else tf.string


def _ragged(parsed, name, tensor):
    column = parsed[name]
    if len(tensor.shape) == 1 and tensor.dtype not in AS_BYTES:
        # It is what it shall be; the operations below would cost as much as a short text's parsing.
        return column.with_values(_cast(column.values, tensor.dtype))
    inner_size = int(np.prod(tensor.inner_shape, dtype=np.int64))
    if tensor.dtype in AS_BYTES:
        # Rows differ in length, which `decode_raw` refuses, so the batch is decoded as one string.
        values = tf.io.decode_raw(tf.strings.reduce_join(column.flat_values), tensor.dtype)
        item_bytes = tf.as_dtype(tensor.dtype).size
        row_bytes = tf.strings.length(column.flat_values, unit="BYTE")
        lengths = tf.cast(row_bytes, tf.int64) // (inner_size * item_bytes)
    else:
        values = _cast(column.flat_values, tensor.dtype)
        lengths = column.row_lengths() // inner_size
    values = tf.reshape(values, [-1, *tensor.inner_shape])
    for axis in range(tensor.ragged_rank - 1, 0, -1):
        partition = parsed[f"{name}#{axis}"]
        values = tf.RaggedTensor.from_row_lengths(values, partition.flat_values, validate=False)
        lengths = partition.row_lengths()
    return tf.RaggedTensor.from_row_lengths(values, lengths, validate=False)


def _cast(values, dtype):
    return values if values.dtype.name == dtype else tf.cast(values, dtype)
