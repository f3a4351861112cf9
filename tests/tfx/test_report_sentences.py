"""Answers that are texts: differences, attention, spoken words, baselines, quality by length."""

import html
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from penstock.tfx.report import attention, details, plots, sentences, spoken, write

SVG = "{http://www.w3.org/2000/svg}"


def elements(markup, tag):
    text = str(markup)
    if "xmlns" not in text:
        text = text.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1)
    return list(ET.fromstring(text).iter(SVG + tag))


def texts(markup):
    return [element.text for element in elements(markup, "text")]


def test_words_that_differ_are_marked():
    """A word too much, one too few, and one in place of another."""
    answer, reference = sentences.compared("the the cat sat on mat", "the cat lay on the mat")
    assert answer == [
        ("the", "added"), (" ", ""), ("the cat", ""), (" ", ""), ("sat", "added"), (" ", ""),
        ("on", ""), (" ", ""), ("mat", ""),
    ]  # fmt: skip
    assert [piece for piece in reference if piece[1]] == [("lay", "lacking"), ("the", "lacking")]
    assert "".join(text for text, _ in reference) == "the cat lay on the mat"


def test_without_blanks_characters_are_compared():
    answer, reference = sentences.compared("猫が座る", "犬が座る")
    assert answer == [("猫", "added"), ("が座る", "")]
    assert reference == [("犬", "lacking"), ("が座る", "")]


@pytest.mark.parametrize("character", ["\N{GRINNING FACE}", "한국"], ids=["emoji", "Korean"])
def test_wide_characters_alone_leave_words_as_they_are(character):
    answer, reference = sentences.compared(f"a cat {character}", f"a car {character}")
    assert [piece for piece in answer if piece[1]] == [("cat", "added")]
    assert [piece for piece in reference if piece[1]] == [("car", "lacking")]


@pytest.mark.parametrize(("answer", "reference"), [("", ""), ("a", ""), ("", "a b")])
def test_nothing_is_compared_with_nothing(answer, reference):
    found = sentences.compared(answer, reference)
    assert found == ([(answer, "added")] * bool(answer), [(reference, "lacking")] * bool(reference))


def test_long_texts_end():
    row = {"source": "w\n" * 500, "hypothesis": "short", "reference": "v " * 301}
    found = sentences.of_row(row)
    assert found["source"].startswith("w w w")
    assert len(found["source"]) == sentences.LONGEST
    assert found["cut"] == ["source", "reference"]
    assert sentences.of_row({"hypothesis": "a", "reference": None}) is None
    assert sentences.of_row({"hypothesis": "a", "reference": "b"})["source"] is None


WEIGHTS = [[0.75, 0.25, 0.0], [0.01, 0.49, 0.5]]


def test_attention_is_drawn_token_by_token():
    """Of the strongest field, 0.75, the others are 0.33, 0.65 and 0.67; 0.01 is none."""
    said = {"source": ["the", "<cat>", "sat"], "target": ["die", "Katze"], "weights": WEIGHTS}
    found = attention.section(said)
    assert texts(found["svg"]) == ["the", "<cat>", "sat", "die", "Katze"]
    fields = elements(found["svg"], "rect")
    assert [field.get("fill-opacity") for field in fields] == ["1.00", "0.33", "0.65", "0.67"]
    columns = [float(field.get("x")) for field in fields]
    assert [(x - columns[0]) / attention.FIELD for x in columns] == [0, 1, 1, 2]
    assert {field.get("y") for field in fields[:2]} != {field.get("y") for field in fields[2:]}
    (drawn,) = elements(found["svg"], "svg")
    assert drawn.get("aria-label") == (
        "Attention of 2 tokens of the answer to 3 tokens of the source; "
        "most look die at the (0.75), Katze at sat (0.50), Katze at <cat> (0.49)."
    )
    assert not found["cut"]


def test_large_attention_is_cut():
    weights = np.full((40, 70), 1 / 70).tolist()
    tokens = [f"t{i}" for i in range(70)]
    found = attention.section({"source": tokens, "target": tokens[:40], "weights": weights})
    assert found["cut"]
    assert len(elements(found["svg"], "rect")) == attention.MOST_TOKENS**2
    assert len(str(found["svg"])) < 60_000


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"source": [], "target": [], "weights": []},
        {"source": ["a"], "target": ["b"]},
        {"source": ["a"], "target": ["b"], "weights": [[0.5, 0.5]]},
        {"source": ["a"], "target": ["b"], "weights": [["x"]]},
        {"source": ["a"], "target": ["b", "c"], "weights": [[1.0], []]},
        {"source": ["a"], "target": ["b"], "weights": [[None]]},
    ],
)
def test_damaged_attention_is_not_drawn(said):
    assert attention.section(said) is None


def test_words_stand_at_their_times():
    """4 s on 240 pixels: 60 a second. The long words that overlap stand in two lines."""
    times = [["a", 0.0, 0.5], ["considerable", 1.0, 1.25], ["difficulties", 1.5, 2.0]]
    found = spoken.picture(times, 4.0)
    bars = [(float(b.get("x")), float(b.get("width"))) for b in elements(found, "rect")]
    assert bars == [(0.0, 30.0), (60.0, 15.0), (90.0, 30.0)]
    assert texts(found) == ["a", "considerable", "difficulties"]
    lines = [float(text.get("y")) for text in elements(found, "text")]
    assert lines[0] == lines[1] < lines[2]
    assert 'begin: a at 0.00 s, considerable at 1.00 s, difficulties at 1.50 s"' in found


@pytest.mark.parametrize(
    "times", [None, 3, [], [["a", 1.0]], [["a", 2.0, 1.0]], [["a", 9.0, 9.5]], [[1, 0.0, 1.0]]]
)
def test_times_that_do_not_fit_are_not_drawn(times):
    assert spoken.picture(times, 4.0) is None


def test_a_table_of_baselines():
    found = details.baselines(
        {"baselines": {"lead-1": {"rouge": 0.2112, "bleu": 9.5}, "random": {"rouge": 0.1}}},
        {"bleu": {"value": 34.126}, "rouge": {"value": 0.25}},
    )
    assert found["metrics"] == ["rouge", "bleu"]
    assert [(row["name"], row["cells"]) for row in found["rows"]] == [
        ("this model", ["0.2500", "34.13"]),
        ("lead-1", ["0.2112", "9.50"]),
        ("random", ["0.1000", "–"]),
    ]
    for damaged in ({}, {"baselines": []}, {"baselines": {"a": 3}}, {"baselines": {"a": {}}}):
        assert details.baselines(damaged, {}) is None


def test_quality_by_length(made_answers):
    found = details.by_length(made_answers.DETAILS)
    assert found["rows"] == [("1–8", "93", "61.2"), ("9", "1,200", "40.0"), ("10+", "0", "–")]
    shown = {text for element in elements(found["svg"], "text") for text in element.itertext()}
    assert {"1–8", "93", "9", "1,200", "10+", "chrF"} <= shown
    many = [{"from": i, "to": i, "examples": 3, "value": 0.5} for i in range(30)]
    assert len(details.by_length({"by_length": {"bins": many}})["rows"]) == details.MOST_BINS
    assert plots.by_length("p", "WER", "words", [{"label": "1", "examples": 0, "value": None}])
    for damaged in ([], {"bins": 3}, {"bins": [{"from": 1}]}, {"bins": [{"from": "1", "to": 2}]}):
        assert details.by_length({"by_length": damaged}) is None


def test_the_page_of_a_translator(made_answers, tmp_path):
    page = write.render(made_answers.translator(tmp_path))
    _, shown = page.split('<figure class="mistakes">')
    _, first, second = re.split(r'<div class="card(?: wrong)?">', shown)
    assert "dogs &amp; cats" in first  # the worst
    assert '<mark class="added">&lt;i&gt;Hunde</mark>' in first
    assert '<mark class="lacking">Hunde und Katzen</mark>' in first
    assert "<dt>error rate</dt><dd>0.75</dd>" in first
    assert "matches" not in shown
    assert "<dt>de</dt>" not in shown
    assert first.count('class="attention"') == 1
    assert "looked at, the first 30</summary>" in first
    assert "a &lt;b&gt;cat" in second
    assert "<mark" not in second.partition("<figcaption>")[0]
    caption = html.unescape(re.sub(r"<[^>]+>", "", shown.partition("<figcaption>")[2]))
    assert "highest error rate first. 1 of 2 examples differs from its reference." in caption
    assert "<code>nrefs:1|tok:13a</code>" in page
    assert '<td class="n">34.12</td><td class="n">9.90 to 40.00</td>' in page
    assert '<tr><th scope="row">source copied</th><td class="n">3.00</td></tr>' in page
    assert 'chrF of 3 ranges of words."' in page


def test_the_page_of_a_recogniser(made_answers, tmp_path):
    page = write.render(made_answers.recogniser(tmp_path))
    _, shown = page.split('<figure class="mistakes">')
    assert shown.count('class="spoken"') == 1
    # From the middle of the second on, 240 pixels wide.
    assert '<rect x="120.0" width="72.0"' in shown
    assert ">&lt;two&gt;</text>" in shown
    assert "Under a spectrogram stand the words" in shown
    assert "<dt>source</dt>" not in shown
    assert "<dt>audio</dt>" not in shown
    # It is a feature, and a column of the rows.
    assert shown.count("<dt>speaker</dt><dd>ann</dd>") == 1
