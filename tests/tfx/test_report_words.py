"""Texts with the words marked that an answer rests on, from a made evaluation."""

import html
import json
import re

import pytest

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import Label, Text
from penstock.tfx.report import words, write
from penstock.tfx.report.collect import Run

FEATURES = {"text": Text(), "label": Label(names=("bad", "good"))}
TEXT = "Good: <b>dull</b>\nand \x07 grim"
WORDS = [[0, 4, 0.4], [9, 13, -0.1], [18, 21, 0.001], [24, 28, 0.19]]
"""Good, dull, and, grim."""


def test_marks_and_numbers():
    """Of four strengths 0.4 is the fourth, 0.19 the second (1.9), 0.1 the first; 0.001 is none."""
    found = words.marked(TEXT, WORDS)
    assert found["pieces"] == [
        ("Good", "for s4", "+0.40"),
        (": <b>", "", ""),
        ("dull", "against s1", "−0.10"),
        ("</b> and \ufffd ", "", ""),
        ("grim", "for s2", "+0.19"),
    ]
    assert found["strongest"] == [("Good", "+0.40"), ("grim", "+0.19"), ("dull", "−0.10")]
    assert (found["cut"], found["tried"]) == (False, None)


def test_words_that_matter_little_are_not_marked_beside_each_other():
    found = words.marked("so so", [[0, 2, 0.004], [3, 5, -0.002]])
    assert found["pieces"] == [("so so", "", "")]
    assert found["strongest"] == []


def test_long_texts_end_and_say_how_much_was_tried():
    text = "word " * 200 + "gem rest"
    found = words.marked(text, [[0, 4, 0.1], [1000, 1003, 0.5]])
    assert "".join(piece for piece, _, _ in found["pieces"]) == text[: words.LONGEST]
    assert found["cut"]
    assert found["strongest"][0] == ("gem", "+0.50")
    assert found["tried"] == 2


@pytest.mark.parametrize(
    "damaged",
    [None, {}, [3], [[0, 99, 0.5]], [[3, 1, 0.5]], [[0, 2, None]], [["0", 2, 0.5]], [[-2, 2, 0.5]]],
)
def test_what_fits_no_place_is_ignored(damaged):
    assert words.marked("a text", damaged)["pieces"] == [("a text", "", "")]


def _run(folder, explanations):
    values = [{"text": TEXT, "label": 0}, {"text": "plain & simple", "label": 1}]
    records = [example_codec.serialise(str(i), v, FEATURES) for i, v in enumerate(values)]
    tfrecord.write_records(folder / examples.shard_name("test", 0, 1), records)
    examples.write_description(folder, FEATURES, {"test": 2}, {"test": 1})
    rows = [
        {"key": str(i), "label": "bad", "predicted": "good", "log_loss": 2.0 - i} for i in range(2)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = {"split": "test", "examples": 2, "overall": {}, "slices": []}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "explanations.json").write_text(json.dumps(explanations))
    artifacts = {"Evaluation": folder, "Examples": folder}
    return Run("r", "p", "COMPLETE", None, None, 0.0, 1.0, {}, "", {}, artifacts)


def test_the_page_marks_the_words_and_escapes_them(tmp_path):
    page = write.render(_run(tmp_path, {"examples": {"0": {"text": WORDS}}}))
    _, shown = page.split('<figure class="mistakes">')
    (said,) = re.findall(r'<p class="said" dir="auto">(.*?)</p>', shown)
    assert '<mark class="for s4" title="+0.40">Good</mark>: &lt;b&gt;<mark' in said
    assert html.unescape(re.sub(r"</?mark[^>]*>", "", said)) == "Good: <b>dull</b> and \ufffd grim"
    assert "<bdi>Good</bdi> +0.40, <bdi>grim</bdi> +0.19, <bdi>dull</bdi> −0.10.</p>" in shown
    assert "<dd>plain &amp; simple</dd>" in shown  # nothing is known of its words
    assert shown.count("<dt>text</dt>") == 1
    assert "how much the probability of the given answer drops when the word is left out" in shown


@pytest.mark.parametrize("explanations", [[], {"examples": 3}, {"examples": {"0": [1]}}])
def test_a_damaged_file_marks_nothing(tmp_path, explanations):
    page = write.render(_run(tmp_path, explanations))
    assert "<mark" not in page
    assert page.count("<dt>text</dt>") == 2
