"""JSON lines: values with the types that they have; what does not fit is a bad record."""

import json

import pytest

from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.reading import delimited, inference
from penstock.pipelines.sources import json_lines, locate


@pytest.fixture
def read(tmp_path, rows_of):
    """`read(lines, **settings)`: (features, good, bad)."""

    def read(lines, **settings):
        path = tmp_path / "x.jsonl"
        path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
        return rows_of({"type": "json_lines", "path": str(path), **settings})

    return read


def test_types(read):
    rows = [
        {"i": 1, "f": 1.5, "t": "ä\n", "b": True, "l": ["x", "y"], "n": {"a": {"b": [1, 2]}}},
        {"i": 2**60, "f": 2, "t": "", "b": False, "l": [], "n": {"a": {"b": []}}, "late": 1},
    ]
    features, good, bad = read(map(json.dumps, rows))
    assert bad == []
    assert features == {
        "i": Number(dtype="int64"),
        "f": Number(),
        "t": Text(),
        "b": Label(names=("false", "true")),
        "l": Sequence(of=Text()),
        "n.a.b": Sequence(of=Number(dtype="int64")),
        "late": Number(dtype="int64", optional=True),
    }
    assert good[0].values == {
        "i": 1,
        "f": 1.5,
        "t": "ä\n",
        "b": 1,
        "l": ["x", "y"],
        "n.a.b": [1, 2],
        "late": None,
    }
    assert good[1].values["i"] == 2**60
    assert good[1].values["late"] == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "The line is no JSON object as expected: Expecting ',' delimiter"),
        (b"[1]", "The line is no JSON object as expected: it is of the type list."),
        (b'{"a": 1, "a": 2}', "a name occurs twice in an object"),
        (b'{"a.b": 1, "a": {"b": 2}}', "the name 'a.b' occurs twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": 1, "t": "\\ud800"}', "surrogates not allowed"),
        (b'{"a": \xff}', "invalid start byte"),
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"a": "1"}', "The feature `a` is a text ('1'), but must be an integer."),
        (
            b'{"a": 1.0}',
            "The feature `a` is a number with a fraction (1.0), but must be an integer.",
        ),
        (b'{"a": 9223372036854775808}', "which does not fit into an int64."),
        (b'{"a": true}', "The feature `a` is a boolean (True), but must be an integer."),
        (b'{"a": null}', "The feature `a` is missing."),
        (b"{}", "The feature `a` is missing."),
    ],
)
def test_bad_lines(tmp_path, rows_of, line, reason):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 7}\n' + line + b'\n\n{"a": 8}')
    described = {"a": {"kind": "number", "dtype": "int64"}}
    section = {"type": "json_lines", "path": str(path), "columns": ["a"], "features": described}
    _, good, bad = rows_of(section)
    assert [(r.values["a"], r.index) for r in good] == [(7, 0), (8, 3)]
    assert len(bad) == 1
    assert reason in bad[0].reason
    assert (bad[0].index, bad[0].offset, bad[0].data) == (1, 9, line)


def test_kinds_are_decided_by_all_rows(read):
    rows = [{"a": n, "b": "x"} for n in range(300)] + [{"a": "x", "b": 5}]
    for order in (rows, rows[::-1]):
        features, good, bad = read(map(json.dumps, order))
        assert features == {"a": Number(dtype="int64"), "b": Text()}
        assert (len(good), len(bad)) == (300, 1)


def test_columns_that_are_nothing(read):
    with pytest.raises(ValueError, match="`a` has values that are no one kind: integer 1, text 1."):
        read(['{"a": 1}', '{"a": "x"}'])
    with pytest.raises(ValueError, match="`a` has lists of lists"):
        read(['{"a": [[1]]}'])
    _, good, _ = read(['{"a": [[1]], "b": 2}'], columns=["b"])
    assert good[0].values == {"b": 2}
    described = {"a": {"kind": "number", "dtype": "int64", "shape": [1, 1]}}
    _, good, _ = read(['{"a": [[5]]}'], features=described)
    assert good[0].values["a"].tolist() == [[5]]
    with pytest.raises(ValueError, match="`data.source.label` names a column that is not there"):
        read(['{"a": 1}'], label="b")


def test_labels_keys_and_names(read):
    rows = [{"id": 7, "y": "b", "who": "p"}, {"id": 8, "y": "a", "who": "q"}]
    features, good, _ = read(
        map(json.dumps, rows), columns={"class": "y"}, label="class", key="id", group="who"
    )
    assert features == {"class": Label(names=("a", "b"))}
    assert [(r.key, r.group, r.values) for r in good] == [
        ("7", "p", {"class": 1}),
        ("8", "q", {"class": 0}),
    ]


def test_values_as_names_are_refused_and_sparse_rows_are_read(read, monkeypatch):
    lines = [json.dumps({f"user{n % 40}": n}) for n in range(90)]
    monkeypatch.setattr(json_lines, "CELLS_AT_ONCE", 300)
    _, good, bad = read(lines)
    assert bad == []
    assert [r.values[f"user{n % 40}"] for n, r in enumerate(good)] == list(range(90))
    monkeypatch.setattr(inference, "MAX_COLUMNS", 39)
    with pytest.raises(ValueError, match="more than 39 different names, such as 'user0'"):
        read([*lines, "{}"])


def test_chunks_do_not_matter(read, monkeypatch):
    lines = [json.dumps({"a": n, "t": "x" * (n % 50)}) for n in range(500)]
    lines[77] = "{"
    whole = read(lines)
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 100)
    assert read(lines) == whole
    assert [b.index for b in whole[2]] == [77]


def test_split_on_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text("{}")
    path = str(tmp_path / "x.jsonl")
    section = {"type": "json_lines", "path": path, "split_on": {"a": "|"}}
    assert "here a sequence is a list of its own" in locate.load(section).check()[0]


def test_lists_of_texts_are_joined_where_that_is_asked_for(read):
    lines = [
        '{"s": ["a\\nb.", "c"], "t": ["x"]}',
        '{"s": "one", "t": []}',
        '{"s": [], "t": ["y", "z"]}',
    ]
    features, good, bad = read([*lines, '{"s": [1], "t": []}'], join={"s": "\n"})
    assert features == {"s": Text(), "t": Sequence(of=Text())}
    assert [r.values["s"] for r in good] == ["a b.\nc", "one", ""]
    assert [r.values["t"] for r in good] == [["x"], [], ["y", "z"]]
    assert [(r.index, "'s', which is to be joined, is no list" in r.reason) for r in bad] == [
        (3, True)
    ]


def test_a_column_to_be_joined_that_is_not_there_is_said(read):
    with pytest.raises(ValueError, match=r"`data\.source\.join` .*: s, t\. Received: sentences"):
        read(['{"s": ["a"], "t": "b"}'], join={"sentences": "\n"})
