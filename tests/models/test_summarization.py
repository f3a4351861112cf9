"""Summarization: ROUGE by hand, extracts, several references, settings."""

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from rouge_score import rouge_scorer

from penstock.models.text.summarization import evaluation, extracts
from penstock.models.text.summarization.config import Config
from penstock.models.text.summarization.data import Data
from penstock.pipelines.features import Number, Sequence, Text

DOCUMENT = "A mill grinds corn.\nIt stands by the river.\nNobody lives there."


def columns(hypotheses, references, documents=None):
    documents = documents or [DOCUMENT] * len(hypotheses)
    found = evaluation.example_columns(documents, hypotheses, references, 1)
    return {**found, "complete": np.ones(len(hypotheses), bool)}


def test_rouge_by_hand():
    """the cat sat / the cat sat on the mat: 3 of 3 and of 6 words, 2 of 2 and of 5 pairs."""
    found = columns(["the cat sat"], [["the cat sat on the mat"]])
    assert found["rouge_1"][0] == pytest.approx(2 * 1.0 * 0.5 / 1.5)
    assert found["rouge_2"][0] == pytest.approx(2 * 1.0 * 0.4 / 1.4)
    assert found["rouge_l"][0] == pytest.approx(2 * 1.0 * 0.5 / 1.5)
    assert found["error_rate"][0] == pytest.approx(1 - 2 / 3)


def test_the_longest_common_subsequence_needs_the_order():
    """mat the on / on the mat: all three words, no pair, one word in order."""
    found = columns(["mat the on"], [["on the mat"]])
    assert [found[kind][0] for kind in evaluation.KINDS] == pytest.approx([1.0, 0.0, 1 / 3])


def test_of_several_references_the_one_with_the_highest_rouge_1_counts():
    """b a x d has three words in common and no pair; c d y z two, and one pair."""
    found = columns(["a b c d"], [["c d y z", "b a x d"]])
    assert found["rouge_1"][0] == pytest.approx(0.75)
    assert found["rouge_2"][0] == 0.0


def test_words_of_all_scripts_count_and_accents_too():
    found = columns(["Собака бежит.", "schön"], [["Собака спит."], ["schon"]])
    assert found["rouge_1"].tolist() == pytest.approx([0.5, 0.0])


def test_english_is_scored_as_rouge_score_itself_does():
    texts = ["The mills' wheels weren't turning, 3.5 times slower!", "Running water; ran dry."]
    references = ["A mill's wheel wasn't turned 3.5 times.", "Waters run dry in running mills."]
    peer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    found = columns(texts, [[one] for one in references])
    for row, (text, reference) in enumerate(zip(texts, references, strict=True)):
        expected = [score.fmeasure for score in peer.score(reference, text).values()]
        assert [found[kind][row] for kind in evaluation.KINDS] == pytest.approx(expected)


def test_words_are_stemmed_and_case_does_not_count():
    assert columns(["Mills grinding"], [["mill grinds"]])["rouge_2"][0] == pytest.approx(1.0)


def test_metrics_are_means_and_extracts_have_their_own():
    found = evaluation.summarise(columns(["a mill", "", "x"], [["a mill"], ["a b"], []]))
    assert found["rouge_1"] == pytest.approx(1 / 3)
    assert found["complete"] == 1.0
    # "A mill grinds corn" has both words of the first reference: P = 1/2, R = 1; one of the second.
    assert found["lead/rouge_1"] == pytest.approx((2 * 0.5 / 1.5 + 2 * 0.25 * 0.5 / 0.75) / 3)
    assert evaluation.summarise({"complete": np.zeros(0)}) == {}


def test_baselines_stand_beside_the_model():
    found = evaluation.baselines(columns(["a mill"], [["a mill"]]), 1)
    assert list(found) == ["lead-1", "random sentence"]
    assert found["lead-1"]["rouge_1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (DOCUMENT, ["A mill grinds corn.", "It stands by the river.", "Nobody lives there."]),
        (
            "It runs, e.g. at 3.5 knots. Does it? Yes! 12 do.",
            ["It runs, e.g. at 3.5 knots.", "Does it?", "Yes!", "12 do."],
        ),
        ("Ein Satz. Über einen anderen.", ["Ein Satz.", "Über einen anderen."]),
        ("Это т. е. так. Вот.", ["Это т. е. так.", "Вот."]),
        (
            "Hill et al. 2019 show it, see Fig. 2. So it is.",
            ["Hill et al. 2019 show it, see Fig. 2.", "So it is."],
        ),
        (
            "That is the final. 3 men own a ship. 2 do not. (Fig. 1) No.",
            ["That is the final.", "3 men own a ship.", "2 do not. (Fig. 1) No."],
        ),
        ("它转。它停！好", ["它转。", "它停！", "好"]),
        ("它转。ok", ["它转。", "ok"]),
        ("  \n\n ", []),
        ("", []),
    ],
)
def test_sentences(document, expected):
    assert extracts.sentences(document) == expected


def test_a_random_sentence_has_as_many_words_and_is_always_the_same():
    documents = [f"{DOCUMENT} {n}." for n in range(40)]
    found = [extracts.random_sentence(document, 3) for document in documents]
    assert found == [extracts.random_sentence(document, 3) for document in documents]
    assert {len(text.split()) for text in found} == {3}
    assert len({text.split()[0] for text in found}) == 3  # each of the three sentences begins some
    assert extracts.random_sentence("", 3) == ""
    assert extracts.random_sentence("one two", 9) == "one two"


def test_the_first_of_several_summaries_is_learned():
    data = Data(Config().prepare)
    several = tf.ragged.constant([["first", "second"], [], ["only"]])
    assert data.target_text({"target": several}).numpy().tolist() == [b"first", b"", b"only"]
    assert data.target_features({"target": Sequence(of=Text())})


def test_every_document_needs_its_summary():
    optional = {"target": Text(optional=True)}
    with pytest.raises(ValueError, match="`target`, which some examples lack"):
        Data(Config().prepare).target_features(optional)
    optional = {"target": Sequence(of=Text(), optional=True)}
    with pytest.raises(ValueError, match=r"\{target: \{kind: sequence, of: \{kind: text\}\}\}"):
        Data(Config().prepare).target_features(optional)


def test_numbers_are_no_summaries():
    with pytest.raises(ValueError, match="a sequence of kind number"):
        Data(Config().prepare).target_features({"target": Sequence(of=Number())})


def test_copying_needs_one_vocabulary():
    with pytest.raises(ValidationError, match="needs `prepare.vocabulary: shared`"):
        Config.model_validate({"prepare": {"vocabulary": "separate"}})
