"""Several data sets as one."""

import pytest

from penstock.pipelines import examples
from penstock.pipelines.ingest.example_gen import generate
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.quarantine.replay import replay
from penstock.pipelines.sources import locate


@pytest.fixture
def section(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\ngood,pos\nbad\n")
    (tmp_path / "b.jsonl").write_text('{"text": "so", "label": "mid"}\n')
    a = {"type": "csv", "path": str(tmp_path / "a.csv"), "label": "label"}
    b = {"type": "json_lines", "path": str(tmp_path / "b.jsonl"), "label": "label"}
    return {"type": "mixture", "sources": {"a": a, "b": b}}


def test_keys_begin_with_the_data_set_and_classes_are_united(section, tmp_path):
    source = locate.load(section)
    (tmp_path / "out").mkdir()
    generate(source, Splitter({"train": 1.0}), tmp_path / "out", tmp_path)
    assert source.features()["label"].names == ("mid", "pos")
    found = {
        key.split("/")[0]: v["label"] for key, v in examples.records(tmp_path / "out", "train")
    }
    assert found == {"a": 1, "b": 0}
    summary = replay(source, frozenset([section["sources"]["a"]["path"]]))
    assert (summary["good"], summary["bad"]) == (1, 1)


def test_other_features_are_refused(section):
    section["sources"]["a"]["columns"] = ["label"]
    with pytest.raises(ValueError, match="`a` has: label. `b` has: label, text"):
        locate.load(section).features()


def test_what_may_be_missing_in_one_may_be_missing_in_all(tmp_path):
    (tmp_path / "a.csv").write_text("n,tag,label\n1,x,pos\n,,neg\n3,y,\n")
    (tmp_path / "b.csv").write_text("n,tag,label\n4,z,mid\n")
    sources = {
        name: {"type": "csv", "path": str(tmp_path / f"{name}.csv"), "label": "label"}
        for name in "ba"
    }
    source = locate.load({"type": "mixture", "sources": sources})
    found = source.features()
    assert [found[name].optional for name in ("n", "tag", "label")] == [True, True, True]
    assert found["label"].names == ("mid", "neg", "pos")
    (tmp_path / "out").mkdir()
    generated = generate(source, Splitter({"train": 1.0}), tmp_path / "out", tmp_path)
    assert generated.summary["bad"] == 0
    rows = dict(examples.records(tmp_path / "out", "train"))
    assert {key: values.get("n") for key, values in rows.items()} == {
        "a/a.csv:0": 1,
        "a/a.csv:1": None,
        "a/a.csv:2": 3,
        "b/b.csv:0": 4,
    }
    assert rows["a/a.csv:1"].get("tag") is rows["a/a.csv:2"].get("label") is None
    assert (rows["a/a.csv:1"]["label"], rows["b/b.csv:0"]["label"]) == (1, 0)


def test_kinds_that_differ_are_refused_as_they_are(section):
    for name, kind in (("a", "text"), ("b", "number")):
        section["sources"][name]["features"] = {"text": {"kind": kind, "optional": name == "a"}}
    with pytest.raises(ValueError, match=r"`a` has: Text\(.*optional=True\). `b` has: Number\("):
        locate.load(section).features()


def test_all_faults_name_their_place(section):
    section["sources"]["a"]["delimiter"] = 5
    del section["sources"]["b"]["path"]
    with pytest.raises(ValueError, match=r"(?s)sources.a.delimiter`.*sources.b.path`"):
        locate.load(section)
