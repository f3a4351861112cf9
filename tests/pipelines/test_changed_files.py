"""Files that change between the planning of their parts and the reading of these."""

import gzip
import json
import os

import pytest

from penstock.pipelines.reading import rows
from penstock.pipelines.sources import locate, parallel_text, text_lines

TABLE = b"n,t\n" + b"".join(b"%d,text\n" % n for n in range(9))
OBJECTS = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(9))


def examples(path):
    """Nine records of `tf.train.Example`."""
    from tensorflow_datasets.proto import tf_example_pb2

    from penstock.pipelines.tfrecord import write_records

    example = tf_example_pb2.Example()
    example.features.feature["n"].int64_list.value.append(7)
    write_records(path, [example.SerializeToString()] * 9)


def zipped_examples(path):
    examples(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def table(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"n": range(9)}), path)


def rows_reader(path, kind):
    """(the planned parts, a function that reads one) of a table."""
    source = locate.load({"type": kind, "path": str(path)})
    reader = rows.RowReader(source, source.features(), source.wanted())
    return list(rows.file_parts(source.data_files()[0], source)), reader.records


def lines_reader(path, kind):
    source = locate.load({"type": kind, "path": str(path)})
    planned = list(text_lines.file_parts(source.data_files()[0], source.names))
    return planned, lambda item: text_lines.read_lines(item, source.names)


def pairs_reader(path, kind):
    del kind
    other = path.with_name("other.txt")
    other.write_bytes(path.read_bytes())
    return parallel_text.plan(None, {"a": other, "b": path}), parallel_text.read_part


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path):
    """By another file of the same size and time."""
    status = path.stat()
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes()[::-1])
    os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))
    beside.replace(path)


CASES = [
    ("csv", "data", TABLE, rows_reader),
    ("csv", "data.csv.gz", gzip.compress(TABLE), rows_reader),
    ("json_lines", "data", OBJECTS, rows_reader),
    ("json_lines", "data.jsonl.gz", gzip.compress(OBJECTS), rows_reader),
    ("tfrecord", "data", examples, rows_reader),
    ("tfrecord", "data.gz", zipped_examples, rows_reader),
    ("parquet", "data", table, rows_reader),
    ("text_lines", "data", TABLE, lines_reader),
    ("text_lines", "data.txt.gz", gzip.compress(TABLE), lines_reader),
    ("parallel_text", "data", TABLE, pairs_reader),
]


@pytest.mark.parametrize("change", [cut, grow, replace, os.remove])
@pytest.mark.parametrize(
    ("kind", "name", "content", "read"),
    CASES,
    ids=[f"{kind}-{name}" for kind, name, *_ in CASES],
)
def test_a_file_that_changes_while_it_is_read(tmp_path, kind, name, content, read, change):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    planned, records_of = read(path, kind)
    count = {"text_lines": 10, "parallel_text": 10}.get(kind, 9)
    assert len([record for item in planned for record in records_of(item)]) == count
    change(path)
    with pytest.raises(ValueError, match=f"{name}` was changed while it was read: it had") as error:
        list(records_of(planned[0]))
    assert str(error.value).endswith("Run again when nobody writes to it.")
