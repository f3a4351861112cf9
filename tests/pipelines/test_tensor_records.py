"""Every kind of tensor comes back from disk as it was prepared."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines.transform.tensor_records import encode, parse
from penstock.pipelines.transform.tensor_spec import (
    Tensor,
    flatten,
    from_type_specs,
    read_spec,
    unflatten,
    write_spec,
)

RAGGED = {
    "int64": tf.ragged.constant([[1, 2], [], [3]], dtype=tf.int64, row_splits_dtype=tf.int64),
    "uint8": tf.ragged.constant([[], [255, 0], [7]], dtype=tf.uint8, row_splits_dtype=tf.int64),
    "int16": tf.ragged.constant([[-32768, 32767], [], [-1]], tf.int16, row_splits_dtype=tf.int64),
    "string": tf.ragged.constant([["a"], ["", "\xe4b"], []], row_splits_dtype=tf.int64),
    "float64": tf.ragged.constant([[1 / 3], [], [2.0]], tf.float64, row_splits_dtype=tf.int64),
    "boxes": tf.RaggedTensor.from_row_lengths(
        tf.reshape(tf.range(12, dtype=tf.float32), [3, 4]), tf.constant([2, 0, 1], tf.int64)
    ),
    "nested": tf.ragged.constant(
        [[[1, 2], []], [], [[3], [4, 5, 6], [7]]], dtype=tf.int32, row_splits_dtype=tf.int64
    ),
    "deep": tf.ragged.constant(
        [[[[1], []], [[2, 3]]], [], [[[]]]], dtype=tf.uint8, row_splits_dtype=tf.int64
    ),
}
DENSE = {
    "uint8": tf.reshape(tf.range(24, dtype=tf.int32), [3, 2, 4, 1]),
    "int64": tf.constant([-(2**62), 0, 2**62], tf.int64),
    "int32": tf.constant([[-1, 2], [3, 4], [5, 6]], tf.int32),
    "int16": tf.constant([[-32768, 32767], [-1, 0], [1, 256]], tf.int16),
    "int8": tf.constant([-128, -1, 127], tf.int8),
    "uint16": tf.constant([0, 256, 65535], tf.uint16),
    "float32": tf.constant([[1 / 3], [np.inf], [-0.0]], tf.float32),
    "float16": tf.constant([0.1, 2.0, -3.0], tf.float16),
    "bfloat16": tf.cast(tf.constant([0.1, 2.0, -3.0]), tf.bfloat16),
    "bool": tf.constant([[True, False], [False, False], [True, True]]),
    "string": tf.constant([b"", b"\xff\x00", b"abc"]),
}
DENSE["uint8"] = tf.cast(DENSE["uint8"], tf.uint8)


def _round_trip(name, value):
    flat = {name: value}
    tensors = from_type_specs({name: tf.type_spec_from_value(value)})
    parse_batch = tf.function(lambda serialised: parse(serialised, tensors))
    return tensors[name], parse_batch(tf.constant(encode(flat, tensors)))[name]


@pytest.mark.parametrize("kind", DENSE)
def test_dense_round_trip(kind):
    _, back = _round_trip("inputs", DENSE[kind])
    assert back.dtype == DENSE[kind].dtype
    assert back.shape == DENSE[kind].shape
    np.testing.assert_array_equal(back.numpy(), DENSE[kind].numpy())


@pytest.mark.parametrize("kind", RAGGED)
def test_ragged_round_trip(kind):
    tensor, back = _round_trip("inputs/x", RAGGED[kind])
    assert back.dtype == RAGGED[kind].dtype
    assert back.to_list() == RAGGED[kind].to_list()
    assert tensor.type_spec(3).is_compatible_with(back)


def test_a_waveform_takes_two_bytes_a_sample():
    """As an int64 list each negative number would take ten."""
    waveforms = tf.fill([1, 1000], tf.constant(-1, tf.int16))
    tensors = from_type_specs({"inputs": tf.type_spec_from_value(waveforms)})
    [stored] = encode({"inputs": waveforms}, tensors)
    assert 2000 < len(stored) < 2050


def test_static_shapes_follow_the_batch():
    tensors = {"x": Tensor("uint8", (2, 2)), "y": Tensor("int32", (3,))}
    dataset = tf.data.Dataset.from_tensor_slices([b""] * 4).batch(2, drop_remainder=True)
    spec = dataset.map(lambda serialised: parse(serialised, tensors)).element_spec
    assert spec["x"].shape == [2, 2, 2]
    assert spec["y"].shape == [2, 3]


def test_nested_names_round_trip():
    nested = {"ids": 1, "mask": {"left": 2, "right": 3}}
    flat = {**flatten(nested, "inputs"), **flatten(4, "targets")}
    assert flat == {"inputs/ids": 1, "inputs/mask/left": 2, "inputs/mask/right": 3, "targets": 4}
    assert unflatten(flat, "inputs") == nested
    assert unflatten(flat, "targets") == 4
    assert unflatten(flat, "sample_weight") == {}


def test_a_name_with_a_slash_is_refused():
    with pytest.raises(ValueError, match=r"without `/` and `#`\. Received: 'a/b'"):
        flatten({"a/b": 1}, "inputs")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (tf.TensorSpec([None, None], tf.int64), ValueError, "unknown size that is not ragged"),
        (tf.TensorSpec([], tf.int64), ValueError, "must have a batch axis"),
        (tf.TensorSpec([None], tf.complex64), TypeError, "cannot be stored: complex64"),
        (tf.SparseTensorSpec([None, 3]), TypeError, "dense or a ragged tensor"),
    ],
    ids=["unknown-size", "scalar", "complex", "sparse"],
)
def test_what_cannot_be_stored_is_refused(spec, error, message):
    with pytest.raises(error, match=message):
        from_type_specs({"inputs": spec})


def test_spec_file_round_trip(tmp_path):
    tensors = {"inputs/a": Tensor("int64", (None, 4), 1), "targets": Tensor("float32", ())}
    write_spec(tmp_path, tensors, {"train": 5}, {"train": 2})
    assert read_spec(tmp_path) == (tensors, {"train": 5}, {"train": 2})


def test_another_format_is_refused(tmp_path):
    (tmp_path / "spec.json").write_text('{"format_version": 99}')
    with pytest.raises(ValueError, match="format_version 2. Received: 99"):
        read_spec(tmp_path)
