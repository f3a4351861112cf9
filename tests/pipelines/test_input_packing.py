"""Packing: first fit by hand, and what a packed batch holds."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines.inputs.input_config import Packing
from penstock.pipelines.inputs.input_packing import check_packable, first_fit, place, row_lengths
from penstock.pipelines.transform.tensor_spec import Tensor


def packed(lengths, room, window=10):
    members, splits = first_fit(np.array(lengths), np.array(room), window)
    return [part.tolist() for part in np.split(members, splits[1:-1])]


def test_first_fit():
    """Room 10: 6 opens row 0; 5 row 1; 4 fills row 0; 5 fills row 1; 7 opens row 2; 3 fills it."""
    assert packed([[6], [5], [4], [5], [7], [3]], [10]) == [[0, 2], [1, 3], [4, 5]]


def test_first_row_that_fits_not_the_best():
    """After 5 and 7, rows have 5 and 3 left: 3 goes into the first."""
    assert packed([[5], [7], [3]], [10]) == [[0, 2], [1]]


def test_the_oldest_row_is_closed():
    """One open row: 6, then 5 closes it, and 4 no longer finds the first."""
    assert packed([[6], [5], [4]], [10], window=1) == [[0], [1, 2]]
    assert packed([[6], [7], [8], [2], [4]], [10], window=2) == [[0], [1, 3], [2], [4]]


def test_an_example_fits_where_all_its_tensors_fit():
    """Rooms 10 and 4: the second example has room for its ids but not for its 3 targets."""
    assert packed([[4, 2], [4, 3], [2, 1], [3, 1]], [10, 4]) == [[0, 2, 3], [1]]


def test_examples_without_tokens_take_no_room():
    assert packed([[10], [0], [10]], [10]) == [[0, 1], [2]]
    assert packed(np.empty((0, 1), np.int64), [10]) == [[]]


def test_a_packed_batch():
    """The example in T5's and Grain's documentation: [8, 7, 1], [2, 3, 4, 1] -> targets alike."""
    ids = tf.ragged.constant([[8, 7, 1], [2, 3, 4, 1], [9]], tf.int64, row_splits_dtype=tf.int64)
    targets = tf.ragged.constant([[4, 1], [5, 6, 1], [7]], tf.int64, row_splits_dtype=tf.int64)
    weights = tf.cast(targets, tf.float32) / 2
    flat = {
        "key": tf.constant(["a", "b", "c"]),
        "inputs/ids": ids,
        "targets": targets,
        "sample_weight": weights,
    }
    lengths = {"inputs/ids": 8, "targets": 6, "sample_weight": 6}
    batch = place(flat, tf.constant([0, 2, 3], tf.int64), lengths, {"targets": -1})
    expected = {
        "inputs/ids": [[8, 7, 1, 2, 3, 4, 1, 0], [9, 0, 0, 0, 0, 0, 0, 0]],
        "inputs/ids_segment_ids": [[1, 1, 1, 2, 2, 2, 2, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
        "inputs/ids_positions": [[0, 1, 2, 0, 1, 2, 3, 0], [0, 0, 0, 0, 0, 0, 0, 0]],
        "targets": [[4, 1, 5, 6, 1, -1], [7, -1, -1, -1, -1, -1]],
        "inputs/targets_segment_ids": [[1, 1, 2, 2, 2, 0], [1, 0, 0, 0, 0, 0]],
        "inputs/targets_positions": [[0, 1, 0, 1, 2, 0], [0, 0, 0, 0, 0, 0]],
        "sample_weight": [[2, 0.5, 2.5, 3, 0.5, 0], [3.5, 0, 0, 0, 0, 0]],
    }
    assert batch.pop("key").to_list() == [[b"a", b"b"], [b"c"]]
    assert {name: value.numpy().tolist() for name, value in batch.items()} == expected


def test_features_of_tokens_are_packed_along():
    vectors = tf.RaggedTensor.from_row_lengths(tf.reshape(tf.range(12.0), [6, 2]), [1, 3, 2])
    batch = place({"inputs/x": vectors}, tf.constant([0, 2, 3]), {"inputs/x": 4}, {})
    assert batch["inputs/x"].shape == (2, 4, 2)
    assert batch["inputs/x"][1].numpy().tolist() == [[8, 9], [10, 11], [0, 0], [0, 0]]


RAGGED = Tensor("int64", (None,), 1)


@pytest.mark.parametrize(
    ("tensors", "received"),
    [
        ({"inputs": RAGGED, "targets": RAGGED}, "`inputs` that are one tensor"),
        ({"inputs/ids": RAGGED, "targets": Tensor("int64", ())}, "Received: targets"),
        ({"inputs/ids": Tensor("int64", (None, None), 2)}, "Received: inputs/ids"),
    ],
)
def test_what_cannot_be_packed_is_named(tensors, received):
    with pytest.raises(ValueError, match=received):
        check_packable(tensors)


def test_row_lengths():
    names, lengths = ["inputs/ids", "targets"], np.array([[3, 2], [8, 1]])
    assert row_lengths(Packing(length=8), names, lengths) == {"inputs/ids": 8, "targets": 8}
    own = Packing(length={"targets": 2, "inputs/ids": 9})
    assert list(row_lengths(own, names, lengths).items()) == [("inputs/ids", 9), ("targets", 2)]
    with pytest.raises(ValueError, match="Expected: inputs/ids, targets. Received: ids"):
        row_lengths(Packing(length={"ids": 8}), names, lengths)
    with pytest.raises(ValueError, match="at least 8 for `inputs/ids`. Received: 7"):
        row_lengths(Packing(length=7), names, lengths)
