"""Parquet: types are carried over exactly, row group by row group."""

import contextlib
import datetime
import decimal
import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.reading import rows
from penstock.pipelines.sources import locate, parquet

INT, FLOAT = Number(dtype="int64"), Number()
DAY = 86_400 * 10**6
D = decimal.Decimal


@pytest.fixture
def read(tmp_path, rows_of):
    """`read({name: array}, **settings)`: (features, good, bad) of one file."""

    def read(columns, rows=2, **settings):
        path = tmp_path / "x.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=rows)
        return rows_of({"type": "parquet", "path": str(path), **settings})

    return read


@pytest.mark.parametrize(
    ("cells", "kind", "feature", "values"),
    [
        ([1, None, -3], pa.int8(), INT, [1, None, -3]),
        ([1, 2**63 - 1], pa.uint64(), INT, [1, 2**63 - 1]),
        ([1.5, None], pa.float64(), FLOAT, [1.5, None]),
        ([0.5, float("nan")], pa.float32(), FLOAT, [0.5, None]),
        ([0.5], pa.float16(), FLOAT, [0.5]),
        (["a", None, ""], pa.string(), Text(), ["a", None, ""]),
        (["a"], pa.large_string(), Text(), ["a"]),
        ([True, None, False], pa.bool_(), Label(names=("false", "true")), [1, None, 0]),
        (["y", "x", None], pa.dictionary(pa.int32(), pa.string()), Text(), ["y", "x", None]),
        ([[1, 2], [], None], pa.list_(pa.int32()), Sequence(of=INT), [[1, 2], [], None]),
        ([["a"], []], pa.large_list(pa.string()), Sequence(of=Text()), [["a"], []]),
        ([0, 1500], pa.timestamp("ms"), INT, [0, 1_500_000]),
        ([0, 2000], pa.timestamp("ns", "UTC"), INT, [0, 2]),
        ([datetime.date(1970, 1, 3), None], pa.date32(), INT, [2 * DAY, None]),
        ([datetime.date(1969, 12, 31)], pa.date64(), INT, [-DAY]),
        ([5], pa.time32("s"), INT, [5_000_000]),
        ([5], pa.duration("us"), INT, [5]),
        ([D("1.25"), None], pa.decimal128(8, 2), FLOAT, [1.25, None]),
        ([D("12"), D("-3")], pa.decimal128(8, 0), INT, [12, -3]),
        ([None, None], pa.null(), Text(), [None, None]),
    ],
)
def test_types(read, cells, kind, feature, values):
    features, good, bad = read({"x": pa.array(cells, kind)})
    assert bad == []
    expected = feature.model_copy(update={"optional": None in values})
    assert features == {"x": expected}
    assert [r.values["x"] for r in good] == values
    assert [r.key for r in good] == [f"x.parquet:{n}" for n in range(len(cells))]


def test_arrays_and_structs(read):
    features, good, _ = read(
        {
            "a": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
            "s": pa.array([{"x": 1, "t": {"y": "z"}}, None]),
        }
    )
    assert features == {
        "a": Number(shape=(2,)),
        "s.x": Number(dtype="int64", optional=True),
        "s.t.y": Text(optional=True),
    }
    np.testing.assert_array_equal(good[1].values["a"], np.array([3, 4], np.float32), strict=True)
    assert [(r.values["s.x"], r.values["s.t.y"]) for r in good] == [(1, "z"), (None, None)]


def test_what_does_not_fit_is_a_bad_record(read):
    _, good, bad = read(
        {
            "u": pa.array([1, 2**64 - 1, 3, 4, 5], pa.uint64()),
            "ns": pa.array([0, 0, 1, 0, 0], pa.timestamp("ns")),
            "f": pa.array([0.0, 0, 0, 1e300, 0]),
            "l": pa.array([[1], [1], [1], [1], [None]], pa.list_(pa.int64())),
        }
    )
    assert [r.index for r in good] == [0]
    assert {b.index: b.reason for b in bad} == {
        1: "The feature `u` is 18446744073709551615, which does not fit into an int64.",
        2: "The feature `ns` is a number with a fraction (0.001), but must be an integer.",
        3: "The feature `f` is 1e+300, which is not finite as a float32.",
        4: "The feature `l` has a missing part in its list.",
    }


def test_labels_images_and_refused_types(read):
    buffer = io.BytesIO()
    Image.new("L", (3, 2), 7).save(buffer, "PNG")
    columns = {
        "y": pa.array(["b", "a", "b"]).dictionary_encode(),
        "image": pa.array([buffer.getvalue(), b"no image", buffer.getvalue()]),
    }
    described = {"image": {"kind": "image", "channels": 1}}
    features, good, bad = read(columns, label="y", features=described)
    assert features["y"] == Label(names=("a", "b"))
    assert [(r.values["y"], r.values["image"]) for r in good] == [(1, buffer.getvalue())] * 2
    assert [b.reason for b in bad] == [
        "The feature `image` cannot be used: It is no image of a known format."
    ]
    with pytest.raises(ValueError, match="The column `image` has the type binary, for which there"):
        read(columns)
    with pytest.raises(ValueError, match="`data.source.label` names a column that is not there"):
        read(columns, label="z")


@pytest.mark.parametrize(
    ("cells", "settings", "said"),
    [
        (pa.array([[0]], pa.list_(pa.timestamp("s"))), {}, r"list<.*timestamp.*no feature"),
        (pa.array([[D("1.5")]]), {}, r"list<.*decimal.*no feature"),
        (pa.array([[0, 1]], pa.list_(pa.date32(), 2)), {}, r"fixed_size_list<.*no feature"),
        (pa.array([0], pa.date32()), {"label": "x"}, "label `x` has the type date32"),
        (pa.array([[1.5]]), {"label": "x"}, "label `x` has the type list<.*double"),
    ],
)
def test_types_of_which_no_row_could_be_read(read, cells, settings, said):
    with pytest.raises(ValueError, match=said):
        read({"x": cells}, **settings)


def test_a_day_that_no_int64_holds_and_keys_of_bytes(read):
    days = pa.array([1, 2**31 - 1], pa.date32())
    _, good, bad = read({"d": days, "k": pa.array([b"one", b"two"])}, key="k")
    assert [(r.key, r.values) for r in good] == [("one", {"d": DAY})]
    assert bad[0].reason.endswith("185542587100800000000, which does not fit into an int64.")


def test_columns_of_one_name(tmp_path, rows_of):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([{"b": 2}])], names=["a.b", "a"])
    pq.write_table(twice, tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="has several columns of the same name: a.b. Rename"):
        rows_of({"type": "parquet", "path": str(tmp_path / "x.parquet")})


def test_files_must_agree(tmp_path, rows_of):
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1.5], "b": [1]}), tmp_path / "2.parquet")
    with pytest.raises(ValueError, match="has other columns than .*. Different: a."):
        rows_of({"type": "parquet", "path": str(tmp_path)})


def write_groups(path, checksums):
    """A thousand rows in four row groups; the texts lie there in plain letters."""
    table = pa.table({"a": list(range(1000)), "t": [f"text {n}" for n in range(1000)]})
    pq.write_table(
        table,
        path,
        row_group_size=250,
        write_page_checksum=checksums,
        compression="none",
        use_dictionary=False,
    )


def flip(path, places):
    data = bytearray(path.read_bytes())
    for place in places:
        data[data.index(place) + len(place) - 1] ^= 0x80
    path.write_bytes(data)


def test_inside_an_archive_and_damaged(tmp_path, rows_of):
    path = tmp_path / "x.parquet"
    write_groups(path, checksums=True)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(path, "in/x.parquet")
    _, good, bad = rows_of({"type": "parquet", "path": str(tmp_path / "x.zip" / "in")})
    assert (len(good), bad) == (1000, [])
    flip(path, [b"text 600"])
    _, good, bad = rows_of({"type": "parquet", "path": str(path)})
    # The third row group: each of its rows is accounted for.
    assert [r.index for r in good] == [*range(500), *range(750, 1000)]
    assert [b.index for b in bad] == list(range(500, 750))
    assert bad[0].reason.startswith("The file is damaged in row group 2: ")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="It is no readable Parquet file"):
        rows_of({"type": "parquet", "path": str(path)})


@pytest.mark.parametrize("columns", [None, ["a", "t"], ["a"]])
def test_damage_that_shows_makes_all_rows_of_a_file_without_checksums_bad(
    tmp_path, rows_of, columns
):
    write_groups(tmp_path / "x.parquet", checksums=False)
    # No text any more in the third row group; another number, which nobody can see, in the first.
    flip(tmp_path / "x.parquet", [b"text 600", (7).to_bytes(8, "little")])
    _, good, bad = rows_of(
        {"type": "parquet", "path": str(tmp_path / "x.parquet"), "columns": columns}
    )
    if columns == ["a"]:  # Of the texts nothing was read.
        assert (len(good), bad) == (1000, [])
        return
    assert (good, [b.index for b in bad]) == ([], list(range(1000)))
    assert {b.reason for b in bad} == {bad[0].reason}
    assert bad[0].reason.startswith("The file is damaged in row group 2: ")
    assert bad[0].reason.endswith(" Its pages have no checksums, so no row of it is used.")


def test_a_footer_with_an_impossible_place_means_no_checksums(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    write_groups(path, checksums=True)
    [file] = locate.load({"type": "parquet", "path": str(path)}).data_files()
    assert parquet._has_checksums(file)
    chunk = SimpleNamespace(dictionary_page_offset=None, data_page_offset=-5)
    group = SimpleNamespace(column=lambda column: chunk)
    facts = SimpleNamespace(num_row_groups=1, num_columns=1, row_group=lambda group_: group)
    opened = contextlib.nullcontext(SimpleNamespace(metadata=facts))
    monkeypatch.setattr(parquet, "_opened", lambda file: opened)
    assert not parquet._has_checksums(file)


def test_a_file_that_is_replaced_while_it_is_read(tmp_path):
    path = tmp_path / "x.parquet"
    write_groups(path, checksums=True)
    source = locate.load({"type": "parquet", "path": str(path)})
    reader = rows.RowReader(source, source.features(), source.wanted())
    planned = list(rows.file_parts(source.data_files()[0], source))
    assert [len(list(reader.records(item))) for item in planned] == [250] * 4
    pq.write_table(pa.table({"a": [1], "t": ["x"]}), path)
    with pytest.raises(
        ValueError, match=r"x.parquet` was changed while it was read: it had [\d,]+"
    ):
        list(reader.records(planned[0]))
