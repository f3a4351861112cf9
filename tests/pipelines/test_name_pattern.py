"""What names say about files, and what is said about a pattern that cannot."""

import json

import pytest

from penstock.pipelines.features import Label, Text
from penstock.pipelines.reading.name_pattern import Named, NameFault, NamePattern, NameReader

NAMES = ["recordings/7_theo_10.wav", "recordings/0_jackson_3.wav", "recordings/10_theo_4.wav"]


def fields(**values):
    return NamePattern.model_validate_json(json.dumps(values))


def test_groups_become_labels_group_split_and_texts():
    pattern = fields(
        pattern=r"(?P<digit>\d+)_(?P<speaker>[a-z]+)_(?P<take>\d+)\.wav$",
        label="digit",
        group="speaker",
        split_patterns={"test": r"_[0-4]\.wav$", "train": ""},
    )
    assert pattern.pattern_faults() == []
    reader = NameReader(pattern, NAMES)
    assert reader.features() == {
        "digit": Label(names=("0", "10", "7")), "speaker": Text(), "take": Text()
    }  # fmt: skip
    assert reader.faults() == []
    values = {"digit": 2, "speaker": "theo", "take": "10"}
    assert reader.read(NAMES[0]) == Named(values, "train", "theo")
    values = {"digit": 0, "speaker": "jackson", "take": "3"}
    assert reader.read(NAMES[1]) == Named(values, "test", "jackson")


def test_the_names_of_groups_say_what_they_are_by_default():
    pattern = fields(pattern=r"^(?P<split>\w+)/(?P<label>\w+)/(?P<group>\w+)-(?P<note>\w+)")
    reader = NameReader(pattern, ["a/cat/p1-x.png"])
    assert reader.features() == {"label": Label(names=("cat",)), "note": Text()}
    assert reader.read("a/cat/p1-x.png") == Named({"label": 0, "note": "x"}, "a", "p1")


def test_several_labels_and_none():
    two = fields(pattern=r"(?P<digit>\d+)_(?P<who>[a-z]+)", label=["digit", "who"])
    reader = NameReader(two, NAMES)
    assert reader.classes == {"digit": ("0", "10", "7"), "who": ("jackson", "theo")}
    none = NameReader(fields(pattern=r"(?P<group>[a-z]+)_\d+\.wav"), NAMES)
    assert none.features() == {}
    assert none.read(NAMES[0]) == Named({}, None, "theo")


def test_what_does_not_match_is_a_fault_or_skipped():
    pattern = {"pattern": r"(?P<label>[a-z]+)_(?P<take>\d+)?"}
    reader = NameReader(fields(**pattern), ["cat_1"])
    with pytest.raises(NameFault, match="does not match `data.source.pattern`"):
        reader.read("7.wav")
    with pytest.raises(NameFault, match="Its name has no `take` by `data.source.pattern`"):
        reader.read("cat_")
    assert reader.takes("7.wav")
    assert not NameReader(fields(**pattern, unmatched="skip"), ["cat_1"]).takes("7.wav")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pattern": "(?P<label"}, r"`data.source.pattern` must be a regular expression"),
        (
            {"split_patterns": {"test": "*"}},
            r"`data.source.split_patterns.test` must be a regular expression",
        ),
        (
            {"pattern": r"(?P<digit>\d)", "label": "number"},
            r"`data.source.label` must name a group of `data.source.pattern`. Expected: one of digit"
            r". Received: number. Name the group in the pattern: `\(\?P<number>...\)`",
        ),
        (
            {"pattern": r"(?P<digit>\d)", "group": "speaker"},
            r"`data.source.group` must name a group",
        ),
        ({"pattern": r"(?P<digit>\d)", "split": "part"}, r"`data.source.split` must name a group"),
        ({"pattern": r"\d"}, r"has no named group, so it says nothing"),
        (
            {"pattern": r"(?P<split>\w+)/", "split_patterns": {"test": "x"}},
            r"The split of a file is said twice",
        ),
    ],
    ids=["pattern", "split-pattern", "label", "group", "split", "no-group", "twice"],
)
def test_faults_are_sentences(values, said):
    (fault,) = fields(**values).pattern_faults()
    with pytest.raises(ValueError, match=said):
        raise ValueError(fault)


def test_classes_that_cannot_be_stored_or_are_not_there():
    reader = NameReader(fields(pattern="(?P<label>.+)/"), ["cat /1", "dog/2"])
    (fault,) = reader.faults()
    assert "names that cannot be class names" in fault
    assert "Received: 'cat '." in fault
    (fault,) = NameReader(fields(pattern="(?P<label>.+)/"), ["cat"]).faults()
    assert "`data.source.pattern` matches no file's name" in fault
