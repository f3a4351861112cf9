"""Quality by length: every example once, in bins of about as many."""

import numpy as np

from penstock.models.by_length import by_length, words_of


def found(lengths, measured=lambda part: len(part["n"])):
    columns = {"n": np.arange(len(lengths))}
    return by_length(columns, lengths, measured, unit="words", metric="count")


def test_each_example_is_in_one_bin():
    bins = found([1, 1, 2, 3, 5, 8, 13, 21])["bins"]
    assert sum(part["examples"] for part in bins) == 8
    assert all(part["value"] == part["examples"] for part in bins)
    assert (bins[0]["from"], bins[-1]["to"]) == (1, 21)
    assert all(a["to"] < b["from"] for a, b in zip(bins, bins[1:], strict=False))


def test_a_metric_is_that_of_the_examples_of_the_bin():
    """Two bins at most where there are two lengths: of 3 the examples 0 and 2, of 9 the other."""
    assert found([3, 9, 3], lambda part: part["n"].sum()) == {
        "unit": "words",
        "metric": "count",
        "bins": [
            {"from": 3, "to": 3, "examples": 2, "value": 2.0},
            {"from": 9, "to": 9, "examples": 1, "value": 1.0},
        ],
    }


def test_no_examples_and_no_metric_have_no_bins():
    assert found([])["bins"] == []
    assert found([1, 2], lambda part: None)["bins"] == []


def test_words_are_counted_at_white_space():
    assert words_of(["a b", "", " c\n d\te "]) == [2, 0, 3]
