"""Hand-made bytes of Examples against those of the proto library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_datasets.proto import tf_example_pb2

from penstock.pipelines import example_wire as wire
from penstock.pipelines.example_codec import Encoder, deserialise, fault_of, serialise
from penstock.pipelines.features import Boxes, Image, Label, Number, Sequence, Text

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text().filter(lambda text: text.isprintable())


def as_proto(lists):
    """Deterministic bytes of {name: (kind, values)} by the library."""
    example = tf_example_pb2.Example()
    for name, (kind, values) in lists.items():
        getattr(example.features.feature[name], kind).value.extend(values)
        getattr(example.features.feature[name], kind).SetInParent()
    return example.SerializeToString(deterministic=True)


@settings(deadline=None, max_examples=100)
@given(
    key=TEXT.filter(len),
    number=st.floats(),
    integer=INT64,
    integers=st.lists(INT64),
    floats=st.lists(st.floats(width=32)),
    texts=st.lists(TEXT),
    image=st.binary(),
    label=st.integers(0, 299),
)
def test_bytes_are_those_of_the_proto_library(
    key, number, integer, integers, floats, texts, image, label
):
    names = tuple(f"class {index}" for index in range(300))
    features = {
        "number": Number(),
        "integer": Number(dtype="int64"),
        "a list": Sequence(of=Number(dtype="int64")),
        "zoo": Sequence(of=Number()),
        "k": Sequence(of=Text()),
        "\u00e4": Image(),
        "label": Label(names=names),
        "labels": Sequence(of=Label(names=names)),
    }
    values = {
        "number": number,
        "integer": integer,
        "a list": np.array(integers, np.int64),
        "zoo": floats,
        "k": texts,
        "\u00e4": image,
        "label": np.int64(label),
        "labels": [label] * (label % 3),
    }
    with np.errstate(over="ignore"):
        as_float32 = np.float32(number).item()
    expected = as_proto(
        {
            "key": ("bytes_list", [key.encode()]),
            "number": ("float_list", [as_float32]),
            "integer": ("int64_list", [integer]),
            "a list": ("int64_list", integers),
            "zoo": ("float_list", floats),
            "k": ("bytes_list", [text.encode() for text in texts]),
            "\u00e4": ("bytes_list", [image]),
            "label": ("int64_list", [label]),
            "labels": ("int64_list", [label] * (label % 3)),
        }
    )
    assert Encoder(features).encode(key, values)[0] == expected


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 70_000])
def test_lengths_of_every_width(size):
    value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    found = wire.example([wire.bytes_entry("name")(value)])
    assert found == as_proto({"name": ("bytes_list", [value])})
    # The second time the head comes from memory.
    entry = wire.float_entry("name")
    packed = np.arange(size, dtype="<f4").tobytes()
    assert entry(packed) == entry(packed)
    assert wire.example([entry(packed)]) == as_proto({"name": ("float_list", range(size))})


def test_a_missing_value_leaves_no_entry_and_counts_as_content():
    encoder = Encoder({"a": Text(optional=True), "b": Label(names=("x",), optional=True)})
    data, content = encoder.encode("k", {"a": None})
    assert data == as_proto({"key": ("bytes_list", [b"k"])})
    assert content == b""
    assert encoder.encode("k", {"a": ""})[1] != content
    assert encoder.encode("other", {"b": 0})[1] == content


def test_a_signalling_nan_is_stored_without_a_warning():
    (signalling,) = np.frombuffer(b"\x01\x00\xa0\x7f", "<f4")
    data = serialise("k", {"x": signalling}, {"x": Number()})
    assert np.isnan(deserialise(data, {"x": Number()})[1]["x"])


def test_boxes_are_stored_row_by_row():
    features = {"boxes": Boxes()}
    data, _ = Encoder(features).encode("k", {"boxes": [[0, 0.25, 0.5, 1], [0, 0, 1, 1]]})
    boxes = deserialise(data, features)[1]["boxes"]
    assert boxes.tolist() == [[0, 0.25, 0.5, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("value", "dtype", "fault"),
    [
        (1.5, "float32", None),
        (float("nan"), "float32", None),
        (2, "float32", None),
        (2**63 - 1, "int64", None),
        (2**63, "int64", "has 9223372036854775808, which does not fit into an int64"),
        (True, "int64", "must be of dtype int64, not bool"),
        (1.0, "int64", "must be of dtype int64, not float64"),
        ("1", "float32", "must be of dtype float32, not <U1"),
    ],
)
def test_pythons_own_numbers_are_checked_like_arrays(value, dtype, fault):
    found = fault_of("k", {"x": value}, {"x": Number(dtype=dtype)})
    assert found == (fault and f"The feature `x` {fault}.")
