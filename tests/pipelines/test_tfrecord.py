"""TFRecord framing against TensorFlow's own reader and writer."""

import pytest
import tensorflow as tf

from penstock.pipelines.tfrecord import read_records, write_records

RECORDS = [b"", b"a", bytes(range(256)) * 300]


def test_tensorflow_reads_what_is_written(tmp_path):
    assert write_records(tmp_path / "x", RECORDS) == (3, 0 + 1 + 76800)
    read = tf.data.TFRecordDataset(str(tmp_path / "x"))
    assert [record.numpy() for record in read] == RECORDS


def test_reads_what_tensorflow_writes(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(read_records(tmp_path / "x")) == RECORDS


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-3], "record 1: it is cut off"),
        (lambda data: data[:20], "record 1: its header is cut off"),
        (lambda data: data[:-6] + b"X" + data[-5:], "record 1: the checksum of its data"),
        (lambda data: b"\x02" + data[1:], "record 0: the checksum of its length"),
    ],
    ids=["end", "header", "flipped", "length"],
)
def test_damage_is_named(tmp_path, damage, message):
    path = tmp_path / "x"
    write_records(path, [b"a", b"bcd"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        list(read_records(path))
