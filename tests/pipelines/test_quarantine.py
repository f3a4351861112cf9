"""Quarantine: files and the limit."""

import json

import pytest

from penstock.pipelines import quarantine
from penstock.pipelines.sources.source import BadRecord

BAD = [
    BadRecord("b.png", 2, "The file is empty.", "b"),
    BadRecord("a.png", 1, "The file is empty.", "a"),
    BadRecord("a.png", 0, "It is no image of a known format."),
]


def test_files_are_sorted_and_counted(tmp_path):
    quarantine.write(tmp_path, BAD, good=7)
    lines = (tmp_path / "bad_records.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]
    assert json.loads(lines[1]) == {
        "file": "a.png",
        "index": 1,
        "key": "a",
        "reason": "The file is empty.",
    }
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "bad": 3,
        "good": 7,
        "reasons": {"It is no image of a known format.": 1, "The file is empty.": 2},
    }
    assert quarantine.read(tmp_path) == sorted(BAD, key=lambda r: (r.file, r.index))


@pytest.mark.parametrize(
    ("good", "limit", "stops"),
    [(7, 0.3, False), (7, 0.29, True), (0, 1.0, False), (0, 0.99, True)],
    ids=["at-limit", "over", "all-allowed", "all-bad"],
)
def test_limit(good, limit, stops):
    # 3 of 10 are 30 %.
    assert (quarantine.too_many(BAD, good, limit) is not None) == stops


def test_sentence_names_the_most_frequent_reason():
    sentence = quarantine.too_many(BAD, 7, 0.01)
    assert sentence.startswith("3 of 10 records (30.0%) cannot be used; at most 1.0% may be bad")
    assert "(2 times): The file is empty. First in `b.png`, index 2" in sentence


def test_no_records_are_not_too_many():
    assert quarantine.too_many([], 0, 0.0) is None
