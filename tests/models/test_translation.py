"""Translation: BLEU and chrF from rows, quality by length, maps of attention, settings."""

import numpy as np
import pytest
import sacrebleu
from pydantic import ValidationError

from penstock.models.text.translation import evaluation
from penstock.models.text.translation.config import Config

REFERENCES = [
    "Ein Mann schläft in einem grünen Raum auf einem Sofa.",
    "Ein Junge mit Kopfhörern sitzt auf den Schultern einer Frau.",
    "Zwei Männer bauen eine blaue Eisfischerhütte auf einem zugefrorenen See auf.",
    "Ja!",
]
HYPOTHESES = [
    "Ein Mann schläft auf einem Sofa in einem grünen Zimmer.",
    "Ein Junge trägt Kopfhörer und sitzt auf den Schultern einer Frau.",
    "",
    "Ja!",
]

METRICS = evaluation.Metrics()


@pytest.fixture(scope="module")
def columns():
    found = METRICS.example_columns(HYPOTHESES, REFERENCES)
    return {**found, "complete": np.array([True, True, False, True])}


def test_metrics_of_rows_are_those_of_the_corpus(columns):
    found = METRICS.summarise(columns)
    bleu = sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES])
    assert found["bleu"] == pytest.approx(bleu.score, abs=1e-9)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score)
    assert found["length_ratio"] == pytest.approx(bleu.sys_len / bleu.ref_len)
    assert found["complete"] == 0.75


@pytest.mark.parametrize("rows", [[0], [0, 0, 3], [2], [1, 2, 3, 3, 3]])
def test_metrics_of_any_part_and_of_resamples(columns, rows):
    part = {name: column[rows] for name, column in columns.items()}
    texts, references = ([side[row] for row in rows] for side in (HYPOTHESES, REFERENCES))
    found = METRICS.summarise(part)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, [references]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)


def test_the_error_rate_of_a_sentence_is_what_its_chrf_lacks(columns):
    for row in range(4):
        chrf = sacrebleu.sentence_chrf(HYPOTHESES[row], [REFERENCES[row]]).score
        assert columns["error_rate"][row] == pytest.approx(1 - chrf / 100)
    assert columns["error_rate"][2:].tolist() == pytest.approx([1.0, 0.0])


def test_an_empty_answer_to_an_empty_reference_is_right():
    found = METRICS.example_columns(["", "a"], ["", ""])
    assert found["error_rate"].tolist() == [0.0, 1.0]


def test_texts_without_blanks_have_a_tokenizer_of_their_own():
    """13a takes a sentence for one word: one wrong character is all wrong."""
    texts, references = ["小狗在雪地里玩耍和奔跑"], ["小狗在雪地里玩耍与奔跑"]
    found = {}
    for name in ("13a", "zh"):
        metrics = evaluation.Metrics(name)
        columns = metrics.example_columns(texts, references) | {"complete": np.ones(1, bool)}
        found[name] = metrics.summarise(columns)["bleu"]
        assert f"tok:{name}" in metrics.signatures()["bleu"]
    assert found["13a"] == 0.0
    assert found["zh"] == pytest.approx(
        sacrebleu.corpus_bleu(texts, [references], tokenize="zh").score
    )


def test_capitals_do_not_count_where_texts_are_lower_case():
    metrics = evaluation.Metrics(lowercase=True)
    columns = metrics.example_columns(["ein haus am see"], ["Ein Haus am See"])
    found = metrics.summarise(columns | {"complete": np.ones(1, bool)})
    assert (found["bleu"], found["chrf"]) == (pytest.approx(100.0), pytest.approx(100.0))
    assert "case:lc" in metrics.signatures()["bleu"]


def test_no_rows_have_no_metrics(columns):
    assert METRICS.summarise({name: column[:0] for name, column in columns.items()}) == {}


def test_signatures_name_settings_and_version():
    found = METRICS.signatures()
    version = sacrebleu.__version__
    assert found["bleu"] == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"
    assert found["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": {"type": "transformer", "dim": 30, "num_heads": 4}}, "must divide `dim`"),
        ({"prepare": {"vocabulary_size": 260}}, "greater than or equal to 261"),
        ({"decode": {"beam_size": 0}}, "greater than or equal to 1"),
        ({"decode": {"max_seconds": 9}}, "greater than or equal to 10"),
        ({"model": {"type": "gru", "attention": "dot"}}, "'additive' or 'multiplicative'"),
    ],
)
def test_settings_that_cannot_work_are_refused(config, message):
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(config)
