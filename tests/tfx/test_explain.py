"""What changed between two executions, in sentences."""

from penstock.tfx.explain import differences, flatten

BEFORE = {
    "component": "m:Work",
    "parameters": {"train": {"epochs": 3, "rate": 0.1}, "task_config": {"model": {"units": 4}}},
    "inputs": {"examples": "a" * 64},
    "code": {"m.networks": "1", "m.old": "2"},
    "libraries": {"keras": "3.15.0"},
    "files": {"count": 2, "digest": "x", "named": {"a.csv": "1", "b.csv": "2"}},
    "facts": {"classes": ["cat"]},
    "outputs": {"model": "Model 1"},
    "environment": {"devices": "cpu"},
}


def test_equal_ingredients_have_no_differences():
    assert differences(BEFORE, BEFORE) == []


def test_each_difference_is_one_sentence_with_what_a_person_can_read():
    now = {
        "component": "m:Work",
        "parameters": {
            "train": {"epochs": 5, "rate": 0.1},
            "task_config": {"model": {"units": 8}},
            "seed": 1,
        },
        "inputs": {"examples": "b" * 64},
        "code": {"m.networks": "3"},
        "libraries": {"keras": "3.15.1"},
        "files": {"count": 2, "digest": "y", "named": {"a.csv": "1", "c.csv": "2"}},
        "facts": {"classes": ["cat", "dog"]},
        "outputs": {"model": "Model 1"},
        "environment": {"devices": "auto"},
    }
    assert differences(BEFORE, now) == [
        "parameter `model.units` changed: 4 -> 8",
        "parameter `seed` is new",
        "parameter `train.epochs` changed: 3 -> 5",
        "input `examples` changed",
        "code `m.networks` changed",
        "code `m.old` is gone",
        "library `keras` changed: '3.15.0' -> '3.15.1'",
        "file `b.csv` is gone",
        "file `c.csv` is new",
        "fact `classes` changed: ['cat'] -> ['cat', 'dog']",
        "environment `devices` changed: 'cpu' -> 'auto'",
    ]


def test_many_files_are_counted_not_listed():
    now = BEFORE | {"files": {"count": 9000, "digest": "y", "named": {}}}
    assert differences(BEFORE, now) == ["the source files changed (2 -> 9000 files)"]


def test_flatten_keeps_lists_and_empty_sections():
    assert flatten({"a": {"b": [1], "c": {}}}) == {"a.b": [1], "a.c": {}}
