"""CSV: every row is read as Python's `csv` module reads it, or is a bad record with its reason."""

import ast
import csv
import gzip
import io
import random
import re
import zipfile

import pytest

from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.reading import delimited
from penstock.pipelines.reading.delimited import Dialect, parse
from penstock.pipelines.sources import locate

TEXT = {"kind": "text"}


@pytest.fixture
def read(tmp_path, rows_of):
    """`read(text or bytes, **settings)`: (features, good, bad) of one file `x.csv`."""

    def read(content, name="x.csv", **settings):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return rows_of({"type": "csv", "path": str(tmp_path / name), **settings})

    return read


def test_types_keys_and_positions(read):
    features, good, bad = read("name,age,weight\nann,5,2.5\n\nbob,,1e-3\n")
    assert bad == []
    assert features == {
        "name": Text(),
        "age": Number(dtype="int64", optional=True),
        "weight": Number(),
    }
    assert [(r.key, r.index, r.values) for r in good] == [
        ("x.csv:0", 0, {"name": "ann", "age": 5, "weight": 2.5}),
        ("x.csv:2", 2, {"name": "bob", "age": None, "weight": 0.001}),
    ]


@pytest.mark.parametrize(
    ("content", "settings", "rows"),
    [
        ('a,b\n"x, ""y""","1\n2"\n', {}, [("x, " + '"y"', "1\n2")]),
        ("a,b\r\nx,y\r\nz,w", {}, [("x", "y"), ("z", "w")]),
        ('a,b\r\n"x\r\ny",z\r\n', {}, [("x\r\ny", "z")]),
        ("\ufeffa,b\nx,y\n", {}, [("x", "y")]),
        ("a\tb\nx\ty,z\n", {"delimiter": "\t"}, [("x", "y,z")]),
        ("a;b\n'x;y';z\n", {"delimiter": ";", "quote": "'"}, [("x;y", "z")]),
        ('a,b\n"x\\"y",z\n', {"escape": "\\"}, [('x"y', "z")]),
        ('a,b\n"x,y"\n', {"quote": None}, [('"x', 'y"')]),
        ('a,b\n5" pipe,y\n', {}, [('5" pipe', "y")]),
        ("# note\na,b\n#x,y\nx,#y\n", {"comment": "#"}, [("x", "#y")]),
        ('# a "quoted\na,b\nx,"\n# no comment"\n', {"comment": "#"}, [("x", "\n# no comment")]),
        ("one\ntwo\na,b\nx,y\n", {"skip_rows": 2}, [("x", "y")]),
        ("x,y\n", {"column_names": ["a", "b"]}, [("x", "y")]),
        ("a,b\nx,y\n", {"column_names": ["a", "b"], "skip_rows": 1}, [("x", "y")]),
        ("a,b\nä,ß\n".encode("latin-1"), {"encoding": "latin-1"}, [("ä", "ß")]),
        ("a,b\n\u2028,\x85\n", {}, [("\u2028", "\x85")]),
        ('"a","b"\n"",x\n', {}, [(None, "x")]),
        ('"a\n1",b\nx,y\n', {"columns": {"a": "a\n1", "b": "b"}}, [("x", "y")]),
    ],
)
def test_dialects(read, content, settings, rows):
    optional = {"kind": "text", "optional": True}
    _, good, bad = read(content, features={"a": optional, "b": optional}, **settings)
    assert bad == []
    assert [(r.values["a"], r.values["b"]) for r in good] == rows


ROWS = b"a,b\ngood,1\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"x", "The row has 1 cells; there are 2 columns."),
        (b"x,1,2", "The row has 3 cells; there are 2 columns."),
        (b'"x"y,1', "The row cannot be parsed: ',' expected after '\"'."),
        (b'"x,1', "A quote is opened and not closed."),
        (b"x\xff,1", "The row is not valid UTF-8."),
        (b"x\0,1", "The row contains a zero byte."),
        (b"x\ry,1", "The row has a carriage return"),
        (b"x,1e5", "The feature `b` is '1e5', which is no integer."),
        (
            b"x,99999999999999999999",
            "The feature `b` is 99999999999999999999, which does not fit",
        ),
        (b"x,", "The feature `b` is missing."),
        (b",1", "The feature `a` is missing."),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"good,2\n", b'x"x,2\n'], ids=["last", "plain", "quote"])
def test_bad_rows(read, row, reason, behind):
    if row.startswith(b'"x,') and b'"' in behind:
        # The quote of the next row closes this one, so that both are bad.
        row, behind, reason = row + b"\n" + behind.strip(), b"", "The row cannot be parsed: "
    described = {"a": TEXT, "b": {"kind": "number", "dtype": "int64"}}
    _, good, bad = read(ROWS + row + b"\n" + behind, features=described)
    assert [r.values["b"] for r in good] == ([1, 2] if behind else [1])
    assert len(bad) == 1
    assert bad[0].reason.startswith(reason)
    assert (bad[0].index, bad[0].offset, bad[0].data) == (1, len(ROWS), row)
    assert bad[0].file.endswith("x.csv")


def test_a_quote_that_is_never_closed_costs_one_row(read, monkeypatch):
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 64)
    rows = [f"{n},{'x' * 20}" for n in range(200)]
    rows[50] = '50,"open'
    _, good, bad = read("\n".join(["a,b", *rows]))
    assert [r.values["a"] for r in good] == [n for n in range(200) if n != 50]
    assert [(r.index, r.data) for r in bad] == [(50, b'50,"open')]


def test_an_open_quote_is_closed_by_the_next_one_and_both_rows_are_bad(read):
    _, good, bad = read('a,b\n1,"open\n2,"x"\n3,y\n')
    assert [r.values["a"] for r in good] == [3]
    assert [(r.index, r.data) for r in bad] == [(0, b'1,"open\n2,"x"')]


def test_too_long_rows(read):
    long = "x" * (delimited.MAX_ROW_BYTES + 2 * 2**20)
    _, good, bad = read(f"a,b\n1,y\n2,{long}\n3,z\n")
    assert [r.values["a"] for r in good] == [1, 3]
    assert [r.index for r in bad] == [1]
    assert bad[0].reason == "The row is longer than 4,194,304 bytes."
    assert good[1].index == 2


def test_an_open_quote_does_not_collect_the_lines_behind_it():
    data = b'"abc\n' + b"x" * (6 * 2**20) + b"\n1,2\n"
    stream = io.BufferedReader(io.BytesIO(data))
    found = list(delimited.chunks(stream, 0, b"", Dialect(max_row_bytes=2**20)))
    assert [(chunk.offset, chunk.index, chunk.fault) for chunk in found] == [
        (0, 0, "A quote is opened and not closed."),
        (5, 1, "The row is longer than 1,048,576 bytes."),
        (5 + 6 * 2**20 + 1, 2, None),
    ]


def test_lines_that_each_open_a_quote_take_no_more_than_a_time_for_each():
    # A quote is open behind each of them, whether or not one was before.
    assert (
        parse(b'a",""",\n' * 30_000, Dialect()).cells
        == ["A quote is opened and not closed."] * 30_000
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('"a,b\n' + "12345,some text\n" * 5_000, "damaged. A quote is opened"),
        ("\n" * 70_000 + "a,b\n1,2\n", "does not end within the first 65,536 bytes"),
        ("a" * 70_000 + ",b\n1,2\n", "does not end within the first 65,536 bytes"),
    ],
    ids=["open quote", "blank", "long"],
)
def test_a_header_that_does_not_end(tmp_path, monkeypatch, content, said):
    monkeypatch.setattr(delimited, "HEADER_BYTES", 2**16)
    (tmp_path / "x.csv").write_text(content)
    (fault,) = locate.load({"type": "csv", "path": str(tmp_path / "x.csv")}).check()
    assert said in fault


def test_any_cut_into_chunks_gives_the_rows_of_the_whole(tmp_path, rows_of, monkeypatch):
    """Against Python's `csv`, with quotes, newlines and damage at random places."""
    random.seed(7)
    pieces = ["x", "1", ",", ",", "\n", "\n", '"', '""', "\r\n", "ä", ' "', "#"]
    path = tmp_path / "x.csv"
    compared = 0
    for _ in range(60):
        text = "a,b\n" + "".join(random.choices(pieces, k=random.randint(1, 120)))
        path.write_bytes(text.encode())
        section = {"type": "csv", "path": str(path), "missing": [], "column_names": ["a", "b"]}
        section |= {"features": {"a": TEXT, "b": TEXT}, "skip_rows": 1}
        outcomes = []
        for size in (2**20, 1, 7, 40):
            monkeypatch.setattr(delimited, "CHUNK_BYTES", size)
            _, good, bad = rows_of(section)
            outcomes.append(
                (
                    sorted((r.index, r.key, str(r.values)) for r in good),
                    sorted((b.index, b.reason, b.offset, b.data) for b in bad),
                )
            )
        assert all(outcome == outcomes[0] for outcome in outcomes), text
        try:
            rows = list(csv.reader(io.StringIO(text[4:], newline="\n"), strict=True))
        except csv.Error:
            continue
        compared += 1
        expected = [{"a": row[0], "b": row[1]} for row in rows if len(row) == 2]
        found = [ast.literal_eval(values) for _, _, values in outcomes[0][0]]
        assert found == expected
        assert len(outcomes[0][1]) == sum(len(row) not in (0, 2) for row in rows)
    assert compared > 10


def test_a_file_without_rows(read, tmp_path, rows_of):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.csv").write_text("")
    (tmp_path / "more" / "b.csv").write_text("a,b\n1,2\n")
    (tmp_path / "more" / "c.csv").write_text("b,a\n3,4\n")
    _, good, bad = rows_of({"type": "csv", "path": str(tmp_path / "more")})
    # Columns go by their names, not by their places.
    assert [r.values for r in good] == [{"a": 1, "b": 2}, {"a": 4, "b": 3}]
    assert bad == []
    (tmp_path / "empty.csv").write_text("")
    faults = locate.load({"type": "csv", "path": str(tmp_path / "empty.csv")}).check()
    assert faults == [f"`data.source.path`: No file of `{tmp_path / 'empty.csv'}` has a row."]


@pytest.mark.parametrize(
    ("files", "settings", "said"),
    [
        ({"a.csv": "x,y\n", "b.csv": "x,z\n"}, {}, "has other columns than .* Only there: ['z']"),
        ({"a.csv": "x,x\n"}, {}, "has several columns of the same name: x"),
        ({"a.csv": "x,y\n1,2"}, {"label": "yy"}, "`data.source.label` .* 'yy'. Did you mean 'y'?"),
        ({"a.csv": "x,y\n1,2"}, {"key": "k"}, "`data.source.key` names a column that is not there"),
        ({"a.csv": "x,y\n1,2"}, {"columns": ["x", "z"]}, "`data.source.columns` names a column"),
        (
            {"a.csv": "x"},
            {"split_patterns": {"a": "*"}},
            "`data.source.split_patterns.a` must be a",
        ),
        (
            {"a.csv": "x"},
            {"split_patterns": {"a b": "x"}},
            "A split's name must be letters, digits",
        ),
        (
            {"a.csv": "x"},
            {"split": "x", "split_patterns": {"a": "a"}},
            "is said twice: by the column",
        ),
        ({"a.csv": "x"}, {"delimiter": '"'}, "must be different letters"),
        ({"a.csv": "x"}, {"encoding": "utf-16"}, "must be one that Python knows and that extends"),
        ({"a.csv": "x"}, {"encoding": "utf-99"}, "must be one that Python knows"),
        ({"a.csv": "x"}, {"features": {"x": {"kind": "image"}}}, "must be one of the kinds"),
        (
            {"a.csv": "x,y"},
            {"columns": ["y"], "label": "x"},
            "`data.source.label` names 'x', which",
        ),
        (
            {"a.csv": "x,y"},
            {"columns": {"a": "y"}, "features": {"y": TEXT}},
            "`data.source.features` names 'y', which `data.source.columns` leaves out",
        ),
        ({"a.csv": "x"}, {"split_on": {"x": ""}}, "`data.source.split_on.x` must be the separator"),
        (
            {"a.csv": "x"},
            {"features": {"x": {"kind": "sequence", "of": TEXT}}},
            'Say how its parts are separated: `split_on: {x: "|"}`',
        ),
        (
            {"a.csv": "x"},
            {"features": {"x": {"kind": "number", "shape": [3]}}},
            "must be a single number: a cell has no shape. Received: the shape (3,)",
        ),
        ({"a.csv": "\ufeffx".encode("utf-16")}, {}, "The file is UTF-16"),
        ({"a.txt": "x"}, {}, "has no file to read. Expected: names that end in .csv"),
        ({"a.csv": 'x,"y\n1,2\n'}, {}, "The header is damaged. A quote is opened"),
        ({"a.csv.gz": b"no gzip"}, {}, "The gzip file is damaged"),
    ],
)
def test_faults_that_show_before_any_row_is_read(tmp_path, files, settings, said):

    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
    faults = locate.load({"type": "csv", "path": str(tmp_path), **settings}).check()
    assert len(faults) == 1
    pattern = re.escape(said).replace(r"\.\*", ".*")
    assert re.search(pattern, faults[0]), faults[0]


def test_rename_label_key_group_and_split(read):
    content = "id (x/y),kind,site,part,v\nr1,b,s1,train,1\nr2,a,s1,test,2\n"
    content += "r3,a,,,3\nr4,a,s2,te st,4\n,b,s1,,5\n"
    features, good, bad = read(
        content,
        columns={"class": "kind", "site": "site", "v": "v"},
        label="class",
        key="id (x/y)",
        group="site",
        split="part",
    )
    assert features["class"] == Label(names=("a", "b"))
    assert list(features) == ["class", "site", "v"]
    assert [(r.key, r.values["class"], r.group, r.split) for r in good] == [
        ("r1", 1, "s1", "train"),
        ("r2", 0, "s1", "test"),
        ("r3", 0, None, None),
    ]
    assert [b.reason for b in bad] == [
        "It names the split 'te st'; a split's name is letters, digits and `_`.",
        "The key's column `id (x/y)` has no value.",
    ]


def test_names_of_files_say_the_split(tmp_path, rows_of):
    for name in ("train-1", "train-2", "dev", "more"):
        (tmp_path / f"{name}.csv").write_text(f"x\n{name}\n")
    patterns = {"train": "^train-", "dev": r"^dev\.csv$"}
    _, good, bad = rows_of({"type": "csv", "path": str(tmp_path), "split_patterns": patterns})
    splits = {"dev": "dev", "more": None, "train-1": "train", "train-2": "train"}
    assert {r.values["x"]: r.split for r in good} == splits
    assert bad == []


def test_split_on_gives_sequences(read):
    features, good, _ = read(
        "t,n\na|b,1|2\n,3\n",
        split_on={"t": "|", "n": "|"},
        features={"n": {"kind": "sequence", "of": {"kind": "number", "dtype": "int64"}}},
    )
    assert features["t"] == Sequence(of=Text())
    assert [r.values for r in good] == [{"t": ["a", "b"], "n": [1, 2]}, {"t": [], "n": [3]}]


def test_keys_stay_when_rows_are_appended_and_files_are_added(tmp_path, rows_of):
    section = {"type": "csv", "path": str(tmp_path / "*.csv")}
    (tmp_path / "b.csv").write_text("x\n1\n2\n")
    before = {r.key: r.values for r in rows_of(section)[1]}
    (tmp_path / "b.csv").write_text("x\n1\n2\n3\n")
    (tmp_path / "a.csv").write_text("x\n9\n")
    after = {r.key: r.values for r in rows_of(section)[1]}
    assert {key: after[key] for key in before} == before
    assert set(after) - set(before) == {"a.csv:0", "b.csv:2"}


def test_a_damaged_compressed_file_is_one_bad_record(tmp_path, rows_of):
    """Its checksum stands at the end: no row in front of the damage can be trusted."""
    random.seed(1)
    rows = "".join(f"{n},{random.random()}\n" for n in range(5_000))
    whole = gzip.compress(f"a,b\n{rows}".encode())
    flipped = bytearray(whole)
    flipped[-20_000] ^= 4
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.csv.gz").write_bytes(flipped)
    (tmp_path / "good.csv.gz").write_bytes(whole)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.csv", f"a,b\n{rows}")
        archive.writestr("b.csv", "a,b\n1,2\n")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[1000] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    _, good, bad = rows_of({"type": "csv", "path": str(tmp_path / "*.csv.gz")})
    assert [r.values["a"] for r in good] == list(range(5_000))
    assert [r.file.rpartition("/")[2] for r in bad] == ["cut.csv.gz", "flipped.csv.gz"]
    assert bad[0].reason.startswith("The gzip file is damaged or cut off: Compressed file ended")
    described = {"a": TEXT, "b": TEXT}
    _, good, bad = rows_of({"type": "csv", "path": str(tmp_path / "x.zip"), "features": described})
    assert [r.key for r in good] == ["b.csv:0"]
    assert [r.reason for r in bad] == ["It is damaged in the archive: Bad CRC-32 for file 'a.csv'."]


def test_a_gzip_file_that_is_a_bomb_is_one_bad_record(tmp_path, rows_of):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n" + bytes(20 * 2**20)))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a\n2\n"))
    _, good, bad = rows_of({"type": "csv", "path": str(tmp_path)})
    assert [r.values["a"] for r in good] == [2]
    assert re.fullmatch(
        r"It unpacks from [\d,]+ to [\d,]+ bytes: a decompression bomb\? At .*", bad[0].reason
    )
    assert len(bad) == 1


def test_features_are_inferred_once(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    passes = []
    module = locate.source_class("csv")
    infer = module.infer
    monkeypatch.setattr(module, "infer", lambda *args: passes.append(1) or infer(*args))
    for _ in range(3):
        assert locate.load({"type": "csv", "path": str(path)}).features() == {
            "a": Number(dtype="int64")
        }
    assert len(passes) == 1
    path.write_text("a\nx\n1\n")
    assert locate.load({"type": "csv", "path": str(path)}).features() == {"a": Text()}
    assert len(passes) == 2
    described = {"a": {"kind": "text"}}
    locate.load({"type": "csv", "path": str(path), "features": described}).features()
    assert len(passes) == 2


def test_parse_alone():
    rows = parse(b'a,"b\nc"\nd', Dialect(), is_end=False)
    assert rows.cells == [["a", "b\nc"]]
    assert rows.size == 8
    assert parse(b"", Dialect()).cells == []


@pytest.mark.parametrize("letter", [";", "\t", "|"])
def test_a_header_with_another_delimiter_is_a_fault(tmp_path, read, letter):
    (tmp_path / "x.csv").write_text(f"a{letter}b\n1{letter}2\n")
    (fault,) = locate.load({"type": "csv", "path": str(tmp_path / "x.csv")}).check()
    assert f"has one column, whose name has {letter!r} in it: {f'a{letter}b'!r}. Set" in fault
    content = (tmp_path / "x.csv").read_text()
    features, good, bad = read(content, column_names=["text"], skip_rows=1)
    assert (features, bad) == ({"text": Text()}, [])
    assert len(good) == 1
