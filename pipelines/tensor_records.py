"""Prepared batches <-> serialised `tf.train.Example`s, one for each example.

Storage follows `tensor_spec.py`. A ragged tensor is its flat values and, from the second ragged
axis on, the row lengths of axis k as `<name>#k`. Parsing is one `tf.io.parse_example` for a whole
batch, some ten times cheaper than example by example.
"""

import numpy as np
import tensorflow as tf

from penstock.pipelines.tensor_spec import AS_BYTES, AS_INT64, Tensor


def encode(flat: dict, tensors: dict[str, Tensor]) -> list[bytes]:
    """One batch of eager tensors (flat names) -> one serialised example for each row."""
    columns = [_column(name, flat[name], tensor) for name, tensor in sorted(tensors.items())]
    serialised = []
    for row in zip(*columns, strict=True):
        features = {}
        for parts in row:
            features.update(parts)
        example = tf.train.Example(features=tf.train.Features(feature=features))
        serialised.append(example.SerializeToString(deterministic=True))
    return serialised


def _column(name, value, tensor):
    """Yields, for each row of the batch, `{stored name: tf.train.Feature}`."""
    feature = _feature_of(tensor.dtype)
    if not tensor.ragged_rank:
        rows = value.numpy()
        # Slices: one row of a string vector is `bytes`, off which numpy cuts trailing NULs.
        for row in range(len(rows)):
            yield {name: feature(rows[row : row + 1])}
        return
    splits = [part.numpy() for part in value.nested_row_splits]
    values = value.flat_values.numpy()
    for row in range(len(splits[0]) - 1):
        start, stop = splits[0][row], splits[0][row + 1]
        parts = {}
        for axis, inner in enumerate(splits[1:], start=1):
            parts[f"{name}#{axis}"] = _int64_feature(np.diff(inner[start : stop + 1]))
            start, stop = inner[start], inner[stop]
        parts[name] = feature(values[start:stop])
        yield parts


def _feature_of(dtype):
    if dtype in AS_BYTES:
        return _raw_feature
    if dtype in AS_INT64:
        return _int64_feature
    return _string_feature if dtype == "string" else _float_feature


def _raw_feature(array):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.tobytes()]))


def _int64_feature(array):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=array.ravel().tolist()))


def _float_feature(array):
    return tf.train.Feature(float_list=tf.train.FloatList(value=array.ravel().tolist()))


def _string_feature(array):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=array.ravel().tolist()))


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
