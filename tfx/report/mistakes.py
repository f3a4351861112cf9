"""The examples that the model did worst on (`tfx/evaluation/worst.py` says which), as cards.

With their pictures, recordings and other features, what the rows of the Evaluation say of them, and
what an answer rests on, where the task explains answers: words are marked, attention is drawn, and
spoken words stand at their times. An answer that is a text stands beside what it should have been.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from penstock.tfx.evaluation import worst
from penstock.tfx.report import (
    attention,
    formats,
    samples,
    sentences,
    sounds,
    spoken,
    words,
)
from penstock.tfx.report.collect import Run

MOST_FACTS = 6
SEEN_BY_NAME = ("key", "label", "predicted", "correct")
SAID_OF_SENTENCES = ("error_rate", "score", "complete")
"""Of the numbers that stand beside a text; the others are counts that metrics are made of."""


def section(run: Run, split: str) -> dict | None:
    """The rows to show, worst first, with their examples; None where there is nothing to order by.

    Returns:
        rows: [{key, example, label, predicted, is_wrong, facts, texts, sentences, attention,
        spoken}]; order: a sentence's end;
        wrong: how many of all rows are no correct answers, None where rows do not say.
    """
    chosen = worst.find(_rows(run.artifacts["Evaluation"] / "rows.jsonl"))
    if not chosen.rows:
        return None
    keys = {str(row.get("key")) for row in chosen.rows}
    try:
        found = samples.find(run.artifacts["Examples"], split, keys)
    except (KeyError, OSError, ValueError):
        found = {}
    said = _explanations(run)
    rows = [
        _row(row, found.get(key), said.get(key))
        for row, key in ((row, str(row.get("key"))) for row in chosen.rows)
    ]
    sounds.limit_played([row["example"] and row["example"]["sound"] for row in rows])
    return {
        "rows": rows,
        "order": _order(chosen.by),
        "wrong": chosen.wrong,
        "shown_wrong": sum(row["is_wrong"] is True for row in rows),
        "has_images": any(row["example"] and row["example"]["image"] for row in rows),
        "has_marks": any(row["texts"] for row in rows),
        "has_sentences": any(row["sentences"] for row in rows),
        "has_attention": any(row["attention"] for row in rows),
        "has_spoken": any(row["spoken"] for row in rows),
        "not_found": sum(row["example"] is None for row in rows),
    }


def _order(by: str | None) -> str:
    if by is None:
        return "in the order of the examples"
    if by == "probability_of_label":
        return "lowest probability of the label first"
    return f"highest {formats.label(by).replace('_', ' ')} first"


def _explanations(run: Run) -> dict:
    """Key -> what the task said of this example (`Task.explain`); empty where there is nothing."""
    document = run.document("Evaluation", "explanations.json") or {}
    found = document.get("examples")
    return found if isinstance(found, dict) else {}


def _rows(path: Path) -> Iterator[dict]:
    """Yields the rows of a file; none where it is gone, up to the first damaged one where it is."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, ValueError):
        return


def _row(row: dict, example: dict | None, said: dict | None) -> dict:
    answer, said = sentences.of_row(row), said if isinstance(said, dict) else {}
    facts = [
        (formats.label(name), formats.label(formats.value(entry), 80))
        for name, entry in row.items()
        if name not in SEEN_BY_NAME and not name.endswith("_id")
        if not answer or _says_something(name, entry)
    ][:MOST_FACTS]
    sound = example and example["sound"]
    return {
        "key": formats.label(row.get("key"), 60),
        "label": formats.label(row["label"]) if "label" in row else None,
        "predicted": formats.label(row["predicted"]) if "predicted" in row else None,
        "is_wrong": worst.is_wrong(row),
        "facts": facts,
        "example": example,
        "texts": _marked(example, said),
        "sentences": answer,
        "attention": attention.section(said.get("attention")),
        "spoken": spoken.picture(said.get("times"), sound["seconds"]) if sound else None,
        "described": _described(example, answer, facts),
    }


def _says_something(name: str, entry) -> bool:
    """Whether a column stands beside a compared text: its numbers are mostly counts."""
    return name in SAID_OF_SENTENCES or (isinstance(entry, str) and name not in sentences.COLUMNS)


def _described(example: dict | None, answer: dict | None, facts: list) -> list[tuple[str, str]]:
    """The features of an example that its card does not show otherwise.

    The texts of an example whose answer is a text are those that are compared.
    """
    if not example or example["image"]:
        return []
    shown = {formats.label(name) for name in example["texts"]} if answer else set()
    shown |= set(example["recordings"]) if example["sound"] else set()
    return [fact for fact in example["facts"] if fact[0] not in shown and fact not in facts]


def _marked(example: dict | None, said: dict) -> dict[str, dict]:
    """Name of a text as the page has it -> the text with its words marked."""
    texts = example["texts"] if example else {}
    return {
        formats.label(name): words.marked(text, said[name])
        for name, text in texts.items()
        if name in said
    }
