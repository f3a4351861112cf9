"""TFRecord files of `tf.train.Example`: what is read, what is inferred, what damage costs."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from penstock.pipelines.features import Image as ImageFeature
from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.sources import locate, tfrecord
from penstock.pipelines.tfrecord import masked_crc, write_records

INT = {"kind": "number", "dtype": "int64"}


def example(**features):
    """A serialised Example; texts are bytes, None is a feature without a value."""
    stored = {}
    for name, values in features.items():
        values = values if isinstance(values, list) else [values]
        if isinstance(values[0], bytes):
            kind = {"bytes_list": tf_feature_pb2.BytesList(value=values)}
        elif isinstance(values[0], int):
            kind = {"int64_list": tf_feature_pb2.Int64List(value=values)}
        elif isinstance(values[0], float):
            kind = {"float_list": tf_feature_pb2.FloatList(value=values)}
        else:
            kind = {}
        stored[name] = tf_feature_pb2.Feature(**kind)
    features = tf_feature_pb2.Features(feature=stored)
    return tf_example_pb2.Example(features=features).SerializeToString()


def encoded(kind, mode="L"):
    buffer = io.BytesIO()
    Image.new(mode, (4, 3), 9 if mode == "L" else (1, 2, 3)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path, rows_of):
    """`read(records, **settings)`: (features, good, bad) of one file."""

    def read(records, **settings):
        write_records(tmp_path / "x.tfrecord", records)
        return rows_of({"type": "tfrecord", "path": str(tmp_path / "x.tfrecord"), **settings})

    return read


def test_what_is_inferred(read):
    grey = encoded("PNG")
    records = [
        example(i=5, f=0.5, t=b"\xc3\xa4", image=grey, v=[1.0, 2.0], s=[b"a"], n=[1, 2], y=b"b"),
        example(
            i=-6, f=float("nan"), t=b"", image=grey, v=[3.0, 4.0], s=[b"c", b"d"], n=None, y=b"a"
        ),
    ]
    features, good, bad = read(records, label="y")
    assert bad == []
    assert features == {
        "f": Number(optional=True),
        "i": Number(dtype="int64"),
        "image": ImageFeature(channels=1),
        "n": Sequence(of=Number(dtype="int64")),
        "s": Sequence(of=Text()),
        "t": Text(),
        "v": Number(shape=(2,)),
        "y": Label(names=("a", "b")),
    }
    first, second = (record.values for record in good)
    np.testing.assert_array_equal(first.pop("v"), np.array([1, 2], np.float32), strict=True)
    assert first == {"f": 0.5, "i": 5, "image": grey, "n": [1, 2], "s": ["a"], "t": "ä", "y": 1}
    assert (second["f"], second["n"], second["s"], second["y"]) == (None, [], ["c", "d"], 0)


def test_kinds_of_images(read):
    assert read([example(x=encoded("JPEG", "RGB"))])[0] == {"x": ImageFeature(channels=3)}
    both = [example(x=encoded("PNG")), example(x=encoded("PNG", "RGB"))]
    assert read(both)[0] == {"x": ImageFeature(channels=3)}
    with pytest.raises(ValueError, match="several images in a record"):
        read([example(x=[encoded("PNG")] * 2)])
    with pytest.raises(ValueError, match="`x` has values that are no one kind: bytes 1."):
        read([example(x=b"\xff")])
    with pytest.raises(ValueError, match="no one kind: int64_list 1, text 1."):
        read([example(x=b"a"), example(x=1)])


def test_described_features_are_read_and_no_others(read):
    described = {
        "n": INT,
        "m": {"kind": "number", "shape": [2, 2]},
        "id": {"kind": "label", "names": ["zero", "one", "two"]},
        "name": {"kind": "label", "names": ["a", "b"], "optional": True},
    }
    records = [
        example(n=1, m=[1.0, 2.0, 3.0, 4.0], id=2, name=b"b", more=b"\xff"),
        example(n=1, m=[1.0, 2.0, 3.0, 4.0], id=0),
        example(n=[1, 2], m=[1.0, 2.0, 3.0, 4.0], id=0),
        example(n=1, m=[1.0, 2.0], id=0),
        example(n=1, m=[1.0, 2.0, 3.0, 4.0], id=3),
        example(n=b"1", m=[1.0, 2.0, 3.0, 4.0], id=1),
        example(m=[1.0, 2.0, 3.0, 4.0], id=1),
        b"\xff no example",
    ]
    features, good, bad = read(records, features=described)
    assert list(features) == ["n", "m", "id", "name"]
    assert [(r.values["id"], r.values["name"]) for r in good] == [(2, 1), (0, None)]
    np.testing.assert_array_equal(good[0].values["m"], np.float32([[1, 2], [3, 4]]), strict=True)
    assert {b.index: b.reason for b in bad} == {
        2: "The feature `n` has 2 values, but must have one.",
        3: "The feature `m` must have the shape (2, 2).",
        4: "The feature `id` is '3', which is none of its 3 classes (zero, one, two).",
        5: "The feature `n` is bytes (b'1'), but must be an integer.",
        6: "The feature `n` is missing.",
        7: "The record is no `tf.train.Example`.",
    }
    assert {b.index: b.data for b in bad} == {n: records[n] for n in range(2, 8)}


def frames(records):
    """(the bytes of a file, the offset of each record)."""
    data, offsets = b"", []
    for record in records:
        offsets.append(len(data))
        length = struct.pack("<Q", len(record))
        data += length + struct.pack("<I", masked_crc(length))
        data += record + struct.pack("<I", masked_crc(record))
    return bytearray(data), offsets


RECORDS = [example(n=n, t=b"x" * n) for n in range(10)]
TOO_LONG = (
    "The record claims 268,435,457 bytes; at most 268,435,456 are read, because it must be in memory "
    "as a whole. If it is not damaged, write it as several."
)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("damage", "numbers", "bad_index", "reason"),
    [
        ("data", [0, 1, 2, 4, 5, 6, 7, 8, 9], 3, "The checksum of the record's data does not fit."),
        ("length", [0, 1, 2], 3, "The checksum of the record's length does not fit, so neither"),
        ("cut", list(range(9)), 9, "The file is cut off"),
        ("cut header", list(range(9)), 9, "The file is cut off: the last record has no complete"),
        ("huge", [0, 1, 2], 3, TOO_LONG),
    ],
)
def test_damage(tmp_path, rows_of, monkeypatch, damage, numbers, bad_index, reason, compress):
    data, offsets = frames(RECORDS)
    if damage == "data":
        data[offsets[3] + 14] ^= 1
    elif damage == "length":
        data[offsets[3] + 1] ^= 1
    elif damage == "huge":
        length = struct.pack("<Q", 2**28 + 1)
        data[offsets[3] : offsets[3] + 12] = length + struct.pack("<I", masked_crc(length))
    else:
        data = data[: offsets[9] + (5 if damage == "cut header" else 20)]
    path = tmp_path / "x.tfrecord"
    path.write_bytes(gzip.compress(data) if compress else data)
    described = {"n": INT, "t": {"kind": "text"}}
    section = {"type": "tfrecord", "path": str(path), "features": described}
    for part_records in (tfrecord.PART_RECORDS, 2):
        monkeypatch.setattr(tfrecord, "PART_RECORDS", part_records)
        _, good, bad = rows_of(section)
        assert [r.values["n"] for r in good] == [r.index for r in good] == numbers
        assert [(b.index, b.reason[: len(reason)]) for b in bad] == [(bad_index, reason)]
        # Of damaged data the offset is where they begin, otherwise where the record does.
        assert bad[0].offset == offsets[bad_index] + (12 if damage == "data" else 0)
        assert bytes(data[bad[0].offset :]).startswith(bad[0].data[:20])


def test_inside_an_archive_by_name_or_by_content(tmp_path, rows_of):
    data, _ = frames(RECORDS)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.tfrecord", bytes(data))
        archive.writestr("b.tfrecord.gz", gzip.compress(data))
        archive.writestr("c.tfrecord", gzip.compress(data))
    section = {"type": "tfrecord", "path": str(tmp_path / "x.zip"), "key": "n", "columns": ["t"]}
    features, good, bad = rows_of(section)
    assert features == {"t": Text()}
    assert bad == []
    assert [r.key for r in good] == [str(n) for n in range(10)] * 3


def test_what_penstock_wrote_is_read_again(tmp_path, rows_of, generate, examples_of):
    """The examples of one run as the source of another."""
    directory, generated = generate(tmp_path, {"type": "sklearn", "dataset": "iris"})
    before = examples_of(directory, generated)
    path = str(directory / "examples-*.tfrecord-*")
    names = ["setosa", "versicolor", "virginica"]
    described = {"petal_width_cm": {"kind": "number"}, "label": {"kind": "label", "names": names}}
    _, good, bad = rows_of({"type": "tfrecord", "path": path, "key": "key", "features": described})
    assert bad == []
    assert {r.key for r in good} == set(before)
    for record in good:
        assert record.values["label"] == before[record.key]["label"]
        assert np.float32(record.values["petal_width_cm"]) == before[record.key]["petal_width_cm"]


def test_split_on_is_refused(tmp_path):
    write_records(tmp_path / "x.tfrecord", RECORDS)
    section = {"type": "tfrecord", "path": str(tmp_path / "x.tfrecord"), "split_on": {"t": "|"}}
    assert "here a sequence is a list of its own" in locate.load(section).check()[0]


def test_a_file_without_any_record_is_said(tmp_path, rows_of):
    (tmp_path / "x.tfrecord").write_bytes(b"this is a text, not a TFRecord file")
    with pytest.raises(ValueError, match="has no row that can be read as tfrecord"):
        rows_of({"type": "tfrecord", "path": str(tmp_path / "x.tfrecord")})
