"""Splits with the same share of each class: exact, together by group, few moved by new data."""

from collections import Counter, defaultdict
from math import ceil, floor, sqrt

import numpy as np
import pytest

from penstock.pipelines import examples
from penstock.pipelines.features import Label, Number, Text
from penstock.pipelines.ingest import example_gen, sorted_runs
from penstock.pipelines.ingest.splits import Splitter, key_hashes
from penstock.pipelines.ingest.stratified_splits import decide, stratum
from penstock.pipelines.sources import locate, source
from penstock.pipelines.sources.source import Record

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
LIMITS = np.array([0.8, 0.9, 1.0])
FEATURES = {"text": Text(), "label": Label(names=("a", "b", "c"), optional=True)}


def divide(keys_and_classes, limits=LIMITS):
    """Key -> number of its split, for records without groups."""
    units = np.array([key_hashes(key)[0] for key, _ in keys_and_classes], np.uint64)
    strata = np.array([number for _, number in keys_and_classes])
    distinct, split = decide(units, strata, limits)
    found = dict(zip(distinct.tolist(), split.tolist(), strict=True))
    return {key: found[int(unit)] for (key, _), unit in zip(keys_and_classes, units, strict=True)}


def rows(**sizes):
    return [(f"{name}{i}", ord(name)) for name, size in sizes.items() for i in range(size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 37, 1000])
def test_each_class_has_its_share_in_each_split(size):
    records = rows(a=size, b=1234)
    found = divide(records)
    counts = Counter(found[key] for key, _ in records if key.startswith("a"))
    for number, share in enumerate(SHARES.values()):
        # In whole numbers, so that 0.1 * 10 is 1.
        exact = size * round(10 * share) / 10
        assert floor(exact) <= counts[number] <= ceil(exact)


def test_many_small_classes_fill_every_split():
    """Of 5 examples 0.5 belong to the test split: of 200 such classes 100, give or take."""
    records = [(f"{number}/{i}", number) for number in range(200) for i in range(5)]
    counts = Counter(divide(records).values())
    # Each class adds 0 or 1: a standard deviation of sqrt(200 / 4) = 7.1; four of them.
    assert counts[1] == pytest.approx(100, abs=29)
    assert counts[2] == pytest.approx(100, abs=29)


def test_order_does_not_matter():
    records = rows(a=300, b=40)
    assert divide(records) == divide(records[::-1])


def test_new_data_move_few_old_examples():
    old = rows(a=4000)
    new = [(f"new{i}", ord("a")) for i in range(400)]
    before, after = divide(old), divide(old + new)
    moved = sum(before[key] != after[key] for key, _ in old)
    # sqrt(f (1 - f) m n / (n + m)) at 0.8 and at 0.9: 7.6 and 5.7; four of both.
    expected = sum(sqrt(f * (1 - f) * 400 * 4000 / 4400) for f in (0.8, 0.9))
    assert moved < 4 * expected
    # A hash of the key alone moves none; without new data nothing moves here either.
    assert divide(old) == before


def test_a_group_stays_together_and_is_of_its_most_frequent_class():
    """60 groups of 10 of class 1 and 60 of 5 of class 2, each with one stranger."""
    units, strata = [], []
    for group in range(120):
        size, own = (10, 1) if group < 60 else (5, 2)
        units += [key_hashes(f"group {group}")[0]] * (size + 1)
        strata += [own] * size + [3 - own]
    units, strata = np.array(units, np.uint64), np.array(strata)
    distinct, split = decide(units, strata, LIMITS)
    assert len(distinct) == 120
    own = {key_hashes(f"group {group}")[0]: 1 + (group >= 60) for group in range(120)}
    counts = Counter((own[int(unit)], number) for unit, number in zip(distinct, split, strict=True))
    # 80 %, 10 % and 10 % of 60 groups of one size.
    assert counts == {(c, n): size for c in (1, 2) for n, size in enumerate((48, 6, 6))}


def test_a_tie_goes_to_the_smaller_class():
    units = np.array([key_hashes("one")[0]] * 2 + [key_hashes("two")[0]], np.uint64)
    same = decide(units, np.array([4, 2, 2]), LIMITS)
    expected = decide(units, np.array([2, 2, 2]), LIMITS)
    assert all(np.array_equal(a, b) for a, b in zip(same, expected, strict=True))


def test_no_records():
    distinct, split = decide(np.array([], np.uint64), np.array([], np.int64), LIMITS)
    assert len(distinct) == len(split) == 0


class Listed(source.Source):
    """Gives the records of a list."""

    type: str = "list"
    given: list = []
    described: dict = FEATURES

    def features(self):
        return self.described

    def read(self, pipeline):
        import apache_beam as beam

        return pipeline | beam.Create(self.given, reshuffle=False)


def generate(folder, records, **options):
    (folder / "examples").mkdir(parents=True)
    listed = Listed.model_construct(given=records, **options)
    splitter = Splitter(SHARES, split_from="train")
    return example_gen.generate(
        listed, splitter, folder / "examples", folder / "scratch", stratify="label"
    )


def labels_by_split(folder):
    return {
        split: Counter(v.get("label") for _, v in examples.records(folder / "examples", split))
        for split in examples.splits(folder / "examples")
    }


def test_through_example_gen(tmp_path, monkeypatch):
    """Own splits are kept and do not count; the one of `split_from` is divided with the rest."""
    labels = [0] * 200 + [1] * 30 + [None] * 10
    records = [
        Record(f"k{i}", {"text": f"text {i}", "label": label}, "train" if i % 2 else None, "f", i)
        for i, label in enumerate(labels)
    ]
    own = [Record(f"own{i}", {"text": f"own {i}", "label": 2}, "test", "f", i) for i in range(9)]
    generated = generate(tmp_path / "one", [*records, *own, records[0]])
    found = labels_by_split(tmp_path / "one")
    assert found["train"] == {0: 160, 1: 24, None: 8}
    assert found["validation"] == {0: 20, 1: 3, None: 1}
    assert found["test"] == {0: 20, 1: 3, None: 1, 2: 9}
    # The second record of a key is a bad one, and counts as one of its group until then.
    assert generated.summary["bad"] == 1
    assert generated.summary["read"] == 250
    monkeypatch.setattr(sorted_runs, "RUN_BYTES", 2000)
    generate(tmp_path / "many", [*own, records[0], *records[::-1]])
    assert examples.content_digest(tmp_path / "one" / "examples") == examples.content_digest(
        tmp_path / "many" / "examples"
    )


def test_groups_through_example_gen(tmp_path):
    records = [
        Record(f"p{i % 40}/{i}", {"text": f"text {i}", "label": i % 2}, None, "f", i, f"p{i % 40}")
        for i in range(400)
    ]
    generate(tmp_path, records)
    groups = defaultdict(set)
    for split in SHARES:
        for key, _ in examples.records(tmp_path / "examples", split):
            groups[key.split("/")[0]].add(split)
    assert len(groups) == 40
    assert all(len(splits) == 1 for splits in groups.values())
    # Ten records a group, twenty groups a class: 160, 20 and 20 of each.
    found = labels_by_split(tmp_path)
    assert [found[split][label] for split in SHARES for label in (0, 1)] == [
        160,
        160,
        20,
        20,
        20,
        20,
    ]


@pytest.mark.parametrize("described", [{"text": Text()}, {"label": Number(dtype="int64")}])
def test_what_is_no_label_is_refused(tmp_path, described):
    with pytest.raises(ValueError, match="must name a label of the source. Received: 'label'"):
        generate(tmp_path, [], described=described)


def test_the_stratum_of_a_missing_label_is_one_of_its_own():
    assert [stratum(value) for value in (None, 0, 7)] == [0, 1, 8]


@pytest.mark.parametrize(
    ("more", "labels"),
    [
        # Whether `sex` is text or true and false shows only in the data.
        ({"label": "kind"}, ["kind", "sex"]),
        (
            {"features": {"kind": {"kind": "text"}, "sex": {"kind": "label", "names": ["f"]}}},
            ["sex"],
        ),
        ({"columns": ["sex"], "key": "kind"}, ["sex"]),
    ],
    ids=["inferred", "described", "chosen"],
)
def test_labels_that_show_before_the_data_are_read(tmp_path, more, labels):
    (tmp_path / "a.csv").write_text("kind,sex\na,f\n")
    section = {"type": "csv", "path": str(tmp_path / "a.csv"), **more}
    assert locate.load(section).early_labels() == labels
    manifest = {"type": "image_manifest", "rows": section, "file": "{sex}.png"}
    kept = [name for name in labels if name != "sex" or name in more.get("features", {})]
    assert locate.load(manifest).early_labels() == kept


def test_of_rows_that_tell_their_columns_no_label_shows_before(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"kind": "a"}\n')
    assert locate.load({"type": "json_lines", "path": str(tmp_path)}).early_labels() is None
