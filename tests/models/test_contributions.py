"""Word contributions of a model whose answer is known: a sum of weights, squashed."""

import re

import numpy as np
import pytest

from penstock.models.text.classification.contributions import Contribution, contributions, words

WEIGHTS = {"good": 2.0, "dull": -1.0, "don't": 0.5}


def logistic(weight):
    return 1 / (1 + np.exp(-weight))


def probabilities(texts):
    sums = [sum(WEIGHTS.get(word, 0.0) for word in re.findall(r"[\w']+", text)) for text in texts]
    return np.array([[logistic(-total), logistic(total)] for total in sums])


def test_the_words_that_mattered():
    """The whole text weighs 2 - 1 + 0.5; without a word it weighs that less."""
    found = contributions(probabilities, "Good: good, dull – don't!", label_id=1)
    assert [word.word for word in found] == ["Good", ":", "good", ",", "dull", "–", "don't", "!"]
    drops = {word.word: word.drop for word in found}
    assert drops["good"] == pytest.approx(logistic(1.5) - logistic(-0.5))
    assert drops["dull"] == pytest.approx(logistic(1.5) - logistic(2.5))
    assert drops["don't"] == pytest.approx(logistic(1.5) - logistic(1.0))
    assert {drops[word] for word in ("Good", ":", ",", "–", "!")} == {0.0}


def test_places_and_the_other_class():
    [first, second] = contributions(probabilities, "dull  good", label_id=0)
    assert first == Contribution(0, 4, "dull", pytest.approx(logistic(-1) - logistic(-2)))
    assert (second.start, second.end) == (6, 10)


CUTS = {
    "apostrophes": ("don't -so-called-", ["don't", "-", "so-called", "-"]),
    "combining accent": ("cafe\u0301 (nai\u0308f)", ["cafe\u0301", "(", "nai\u0308f", ")"]),
    # Vowel signs and the virama are marks; U+200D asks for the half form of a consonant.
    "hindi": ("अच्छी फ़िल्म, क्\u200dष।", ["अच्छी", "फ़िल्म", ",", "क्\u200dष", "।"]),
    "emoji": ("👩\u200d💻👍🏽 ❤\ufe0f\u200d🔥!", ["👩\u200d💻", "👍🏽", "❤\ufe0f\u200d🔥", "!"]),
    "chinese": ("好电影。OK", ["好", "电", "影", "。", "OK"]),
    "japanese": ("とてもカ\u3099好き", ["と", "て", "も", "カ\u3099", "好", "き"]),
    "underscores and sums": ("a_b 5$", ["a", "_", "b", "5", "$"]),
    "blanks": ("a\u3000b\x00\u00a0c", ["a", "b", "c"]),
}


@pytest.mark.parametrize(("text", "expected"), CUTS.values(), ids=CUTS)
def test_words_are_what_people_take_for_one(text, expected):
    assert [text[start:end] for start, end in words(text)] == expected


def test_neighbours_do_not_become_one_word():
    """Without "/" the text still has both words, and so the same answer."""
    found = contributions(probabilities, "good/dull", label_id=1)
    assert [word.word for word in found] == ["good", "/", "dull"]
    assert found[1].drop == 0.0


def test_a_word_that_stands_twice_counts_twice():
    found = contributions(probabilities, "good good", label_id=1)
    assert [word.drop for word in found] == [pytest.approx(logistic(4) - logistic(2))] * 2


def test_empty_and_long_texts():
    asked = []

    def ask(texts):
        asked.append(len(texts))
        return probabilities(texts)

    assert contributions(ask, " ", label_id=0) == []
    assert len(contributions(ask, "word " * 1_000, label_id=0, max_words=50)) == 50
    assert asked == [1, 51]
