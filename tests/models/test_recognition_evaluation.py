"""Error rates by hand."""

import numpy as np
import pytest

from penstock.models.speech.recognition import evaluation

# Reference, hypothesis; words, errors of words, characters, errors of characters.
CASES = {
    "right": ("one two", "one two", 2, 0, 7, 0),
    "substituted": ("one two", "one too", 2, 1, 7, 1),
    "left-out": ("one two", "one", 2, 1, 7, 4),
    "added": ("one", "one one", 1, 1, 3, 4),
    # Both words are others; of the characters a blank is missing.
    "joined": ("one two", "onetwo", 2, 2, 7, 1),
    "nothing-heard": ("one two", "", 2, 2, 7, 7),
    "nothing-said": ("", "one", 0, 1, 0, 3),
    "silence": ("", "", 0, 0, 0, 0),
}


@pytest.fixture(scope="module")
def columns():
    references, hypotheses = zip(*(case[:2] for case in CASES.values()), strict=True)
    return evaluation.example_columns(list(hypotheses), list(references))


@pytest.mark.parametrize("case", CASES)
def test_errors_are_counted(columns, case):
    row = list(CASES).index(case)
    reference, hypothesis, *counts = CASES[case]
    found = [columns[n][row] for n in ("words", "word_errors", "characters", "character_errors")]
    assert found == counts
    assert (columns["reference"][row], columns["hypothesis"][row]) == (reference, hypothesis)
    assert columns["error_rate"][row] == pytest.approx(counts[1] / max(counts[0], 1))
    assert columns["correct"][row] == (reference == hypothesis)


def test_rates_are_errors_of_all_over_parts_of_all(columns):
    """8 errors in 11 words, 20 in 38 characters; 2 of 8 without an error."""
    found = evaluation.summarise(columns)
    assert found == pytest.approx({"wer": 8 / 11, "cer": 20 / 38, "exact_match": 2 / 8})
    none = {name: column[:0] for name, column in columns.items()}
    assert evaluation.summarise(none) == {}
    assert evaluation.example_columns([], [])["error_rate"].tolist() == []


def test_silence_alone_has_no_rate():
    assert evaluation.summarise(evaluation.example_columns([""], [""])) == {"exact_match": 1.0}


def test_error_rates_by_length():
    """Of texts of 1 to 12 words, ten of each, those of more than 6 words lack the last."""
    texts = [" ".join(["a"] * n) for n in range(1, 13) for _ in range(10)]
    heard = [text[:-2] if len(text) > 12 else text for text in texts]
    found = evaluation.by_words(evaluation.example_columns(heard, texts))
    assert (found["unit"], found["metric"]) == ("words of the reference", "wer")
    ranges = [(b["from"], b["to"], b["examples"]) for b in found["bins"]]
    assert ranges == [(1, 2, 20), (3, 4, 20), (5, 6, 20), (7, 8, 20), (9, 10, 20), (11, 12, 20)]
    expected = [0, 0, 0, 2 / 15, 2 / 19, 2 / 23]
    assert [b["value"] for b in found["bins"]] == pytest.approx(expected)


def test_one_length_is_one_range():
    found = evaluation.by_words(evaluation.example_columns(["a b"] * 3, ["a c"] * 3))
    assert found["bins"] == [{"from": 2, "to": 2, "examples": 3, "value": 0.5}]
    assert np.isfinite(found["bins"][0]["value"])
