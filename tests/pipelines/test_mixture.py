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


def test_all_faults_name_their_place(section):
    section["sources"]["a"]["delimiter"] = 5
    del section["sources"]["b"]["path"]
    with pytest.raises(ValueError, match=r"(?s)sources.a.delimiter`.*sources.b.path`"):
        locate.load(section)
