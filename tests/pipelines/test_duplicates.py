"""Contents that are there twice are counted, and named where they are in several splits."""

import json

import pytest

from penstock.pipelines import duplicates, example_gen, examples, sorted_runs
from penstock.pipelines.features import Image, Label, Number, Text
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import Record
from penstock.pipelines.splits import Splitter

FEATURES = {"text": Text(), "label": Label(names=("no", "yes"))}
SPLITTER = Splitter({"train": 0.5, "test": 0.5})


class Listed(source.Source):
    """Gives the records of a list."""

    type: str = "list"
    given: list = []

    def features(self):
        return FEATURES

    def read(self, pipeline):
        import apache_beam as beam

        return pipeline | beam.Create(self.given, reshuffle=False)


def record(key, text, split, label=0):
    return Record(key, {"text": text, "label": label}, split, f"{key}.txt", 0)


RECORDS = [
    record("a", "leaks", "train"),
    record("b", "leaks", "test"),
    record("c", "leaks", "train", label=1),  # labels do not count
    record("d", "twice", "train"),
    record("e", "twice", "train"),
    record("f", "once", "train"),
    record("g", "other", "test"),
    record("g", "other", "test"),  # a second record of one key is a bad one, and no copy
]


def generate(folder, records):
    (folder / "examples").mkdir(parents=True)
    listed = Listed.model_construct(given=records)
    return example_gen.generate(listed, SPLITTER, folder / "examples", folder / "scratch")


def test_copies_are_counted_and_leaks_are_named(tmp_path):
    generated = generate(tmp_path, RECORDS)
    found = generated.duplicates
    # "leaks" is there three times, "twice" two times: 2 + 1 repeats.
    assert (found["repeats"], found["leaks"]) == (3, 1)
    assert found["shown"] == [
        {
            "count": 3,
            "splits": ["test", "train"],
            "examples": [
                {"key": "a", "file": "a.txt", "split": "train"},
                {"key": "b", "file": "b.txt", "split": "test"},
                {"key": "c", "file": "c.txt", "split": "train"},
            ],
        },
        {
            "count": 2,
            "splits": ["train"],
            "examples": [
                {"key": "d", "file": "d.txt", "split": "train"},
                {"key": "e", "file": "e.txt", "split": "train"},
            ],
        },
    ]
    assert sum(examples.splits(tmp_path / "examples").values()) == 7  # all of them stay
    assert duplicates.warning(found) == (
        "1 content is in several splits at once, so that the evaluation comes out too good: 'a', "
        "'b' are equal and in `test` and `train`. Take the copies out of the source; "
        "`duplicates.json` in the quarantine's folder, which `penstock show` lists, names them."
    )


def test_runs_ranges_and_order_do_not_change_what_is_found(tmp_path, monkeypatch):
    records = RECORDS + [record(f"k{i}", f"text {i % 150}", None) for i in range(400)]
    at_once = generate(tmp_path / "one", records).duplicates
    # Of 400 texts 150 are new; of each there are two or three, in either of two splits.
    assert at_once["repeats"] == 3 + 250
    assert 50 < at_once["leaks"] < 150
    monkeypatch.setattr(sorted_runs, "RUN_BYTES", 2000)
    monkeypatch.setattr(duplicates, "EXAMPLES_AT_ONCE", 50)
    in_parts = generate(tmp_path / "many", records[::-1]).duplicates
    assert {k: in_parts[k] for k in ("repeats", "leaks")} == {
        k: at_once[k] for k in ("repeats", "leaks")
    }
    assert len(in_parts["shown"]) == duplicates.SHOWN_CONTENTS
    assert all(len(content["splits"]) == 2 for content in in_parts["shown"][:50])


@pytest.mark.parametrize("records", [[], RECORDS[5:7]], ids=["nothing", "all-different"])
def test_without_copies_there_is_no_warning(tmp_path, records):
    found = generate(tmp_path, records).duplicates
    duplicates.write(tmp_path, found)
    written = json.loads((tmp_path / "duplicates.json").read_text())
    assert written == {"format_version": 1, "repeats": 0, "leaks": 0, "shown": []}
    assert duplicates.warning(found) is None


def test_what_counts_as_content():
    features = {"image": Image(), "size": Number(shape=(2,)), "label": Label(names=("a", "b"))}
    values = {"image": b"png", "size": [1, 2.5], "label": 0}

    def hashed(**changes):
        return duplicates.content_hash(values | changes, features)

    assert hashed(label=1, size=(1.0, 2.5)) == hashed()
    assert len({hashed(), hashed(image=b"pnG"), hashed(size=[1, 2.6])}) == 3
    texts = {"a": Text(), "b": Text()}
    first = duplicates.content_hash({"a": "xy", "b": "z"}, texts)
    assert first != duplicates.content_hash({"a": "x", "b": "yz"}, texts)
