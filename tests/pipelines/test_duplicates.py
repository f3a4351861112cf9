"""Contents that are there twice are counted, and named where they are in several splits."""

import json

import numpy as np
import pytest

from penstock.pipelines import examples
from penstock.pipelines.example_codec import Encoder
from penstock.pipelines.features import Image, Label, Number, Sequence, Text
from penstock.pipelines.ingest import duplicates, example_gen, sorted_runs
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import Record

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
    assert found["conflicts"] == 1  # "c" says yes, "a" and "b" say no
    assert found["shown"] == [
        {
            "count": 3,
            "splits": ["test", "train"],
            "has_conflict": True,
            "examples": [
                {"key": "a", "file": "a.txt", "split": "train", "label": "no"},
                {"key": "b", "file": "b.txt", "split": "test", "label": "no"},
                {"key": "c", "file": "c.txt", "split": "train", "label": "yes"},
            ],
        },
        {
            "count": 2,
            "splits": ["train"],
            "has_conflict": False,
            "examples": [
                {"key": "d", "file": "d.txt", "split": "train", "label": "no"},
                {"key": "e", "file": "e.txt", "split": "train", "label": "no"},
            ],
        },
    ]
    assert sum(examples.splits(tmp_path / "examples").values()) == 7  # all of them stay
    assert duplicates.leakage(found) == (
        "1 content is in several splits at once, so that the evaluation comes out too good: 'a' "
        "(train) and 'b' (test) are equal. Take the copies out of the source; `duplicates.json` in "
        "the quarantine's folder, which `penstock show` lists, names them."
    )
    assert duplicates.conflict(found) == (
        "1 content has several labels: 'a' ('no') and 'c' ('yes') are equal. Labels are wrong, or "
        "the features do not tell the classes apart; `duplicates.json` in the quarantine's folder, "
        "which `penstock show` lists, names them."
    )
    sentences = f"{duplicates.leakage(found)} {duplicates.conflict(found)}"
    assert duplicates.warning(found) == sentences


def test_one_content_under_two_labels_in_one_split(tmp_path):
    same = [record(f"k{i:02}", "same", "train", label=int(i == 70)) for i in range(80)]
    unlike = [record("u", "unlike", "train"), record("v", "unlike", "train")]
    found = generate(tmp_path, [*same, *unlike]).duplicates
    assert (found["conflicts"], found["leaks"], found["repeats"]) == (1, 0, 80)
    first, second = found["shown"][0]["examples"][:2]
    assert {first["label"], second["label"]} == {"no", "yes"}
    assert "k70" in (first["key"], second["key"])
    assert duplicates.leakage(found) is None


def test_a_missing_label_contradicts_none(tmp_path, monkeypatch):
    described = {"text": Text(), "label": Label(names=("no", "yes"), optional=True)}
    monkeypatch.setitem(globals(), "FEATURES", described)
    found = generate(tmp_path, [record("a", "x", "train", 1), record("b", "x", "train", None)])
    assert (found.duplicates["repeats"], found.duplicates["conflicts"]) == (1, 0)


@pytest.mark.parametrize("second", [("x", 1), ("x", 0), ("x", None), (None, None)])
def test_several_labels_count_together(second):
    features = {
        "a": Label(names=("x", "y")),
        "b": Sequence(of=Label(names=("x", "y")), optional=True),
    }
    hashed = duplicates.LabelHash(features)
    values = {"a": 0, "b": [1, 0]}
    assert hashed.of(values) == hashed.of({"a": np.int64(0), "b": np.array([1, 0])})
    a, b = second
    other = {"a": None if a is None else 1, "b": None if b is None else [b]}
    assert hashed.of(other) != hashed.of(values)
    assert (hashed.of(other) == 0) == (second == (None, None))


def test_a_conflict_of_several_labels_is_told_without_them(tmp_path, monkeypatch):
    label = Label(names=("no", "yes"))
    monkeypatch.setitem(globals(), "FEATURES", {"text": Text(), "label": label, "more": label})
    records = [
        Record(key, {"text": "x", "label": 0, "more": more}, "train", "x", 0)
        for more, key in enumerate("ab")
    ]
    found = generate(tmp_path, records).duplicates
    assert [example.keys() for example in found["shown"][0]["examples"]] == [
        {"key", "file", "split"},
        {"key", "file", "split"},
    ]
    assert duplicates.warning(found).startswith("1 content has several labels. Labels are wrong,")


def test_one_key_in_two_splits_leaks(tmp_path):
    """Only within a split is the second record of a key a bad one."""
    generated = generate(tmp_path, [record("a", "5", "train"), record("a", "5", "test")])
    assert generated.splits == {"train": 1, "test": 1}
    found = generated.duplicates
    assert (found["repeats"], found["leaks"]) == (1, 1)
    assert {(e["key"], e["split"]) for e in found["shown"][0]["examples"]} == {
        ("a", "train"),
        ("a", "test"),
    }


def test_one_key_with_two_contents_in_two_splits_is_said(tmp_path):
    records = [record(key, f"{key} {split}", split) for key in "abc" for split in ("train", "test")]
    found = generate(tmp_path, [*records, record("d", "d", "train")]).duplicates
    assert (found["keys"], found["leaks"], found["repeats"]) == (3, 0, 0)
    assert found["shown_keys"][0] == [
        {"key": "a", "file": "a.txt", "split": "test"},
        {"key": "a", "file": "a.txt", "split": "train"},
    ]
    assert duplicates.leakage(found).startswith(
        "3 keys are in several splits at once: 'a' is in test and train. A key must name one record"
    )


def test_an_example_of_each_split_is_shown_first(tmp_path):
    many = [record(f"a{i:02}", "same", "train") for i in range(50)]
    found = generate(tmp_path, [*many, record("z", "same", "test")]).duplicates
    (content,) = found["shown"]
    assert content["count"] == 51
    assert len(content["examples"]) == duplicates.SHOWN_EXAMPLES
    assert [example["split"] for example in content["examples"]] == ["train", "test"] + 8 * [
        "train"
    ]
    assert " (train) and 'z' (test) are equal." in duplicates.warning(found)


def test_a_content_that_very_many_share_keeps_few_rows(tmp_path, monkeypatch):
    """No range of hashes divides it: a blank picture would fill the memory of one task."""
    monkeypatch.setattr(sorted_runs, "RUN_BYTES", 30_000)
    rows, load = [], sorted_runs.contents_in_range

    def counted(*arguments):
        part = load(*arguments)
        rows.append(part.shape[1])
        return part

    monkeypatch.setattr(sorted_runs, "contents_in_range", counted)
    blank = [record(f"k{i}", "blank", "train") for i in range(2000)]
    generated = generate(tmp_path, [*blank, record("x", "blank", "test")])
    assert generated.splits == {"train": 2000, "test": 1}
    found = generated.duplicates
    assert (found["repeats"], found["leaks"], found["shown"][0]["count"]) == (2000, 1, 2001)
    assert len(rows) > 2
    assert max(rows) <= sorted_runs.ROWS_OF_A_CONTENT


def test_labels_alone_are_no_content(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "FEATURES", {"label": FEATURES["label"]})
    records = [Record(f"{i}", {"label": 0}, "train", f"{i}.txt", 0) for i in range(3)]
    generated = generate(tmp_path, records)
    assert generated.splits["train"] == 3
    assert generated.duplicates["repeats"] == 0


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
    counts = dict.fromkeys(("repeats", "leaks", "conflicts", "keys"), 0)
    assert written == {"format_version": 2, **counts, "shown": [], "shown_keys": []}
    assert duplicates.warning(found) is None


def test_what_counts_as_content():
    features = {"image": Image(), "size": Number(shape=(2,)), "label": Label(names=("a", "b"))}
    values = {"image": b"png", "size": [1, 2.5], "label": 0}

    def hashed(**changes):
        return duplicates.content_hash(Encoder(features).encode("key", values | changes)[1])

    assert hashed(label=1, size=(1.0, 2.5)) == hashed()
    assert len({hashed(), hashed(image=b"pnG"), hashed(size=[1, 2.6])}) == 3
    texts = Encoder({"a": Text(), "b": Text()})
    first, second = (
        texts.encode("key", {"a": a, "b": b})[1] for a, b in (("xy", "z"), ("x", "yz"))
    )
    assert duplicates.content_hash(first) != duplicates.content_hash(second)
