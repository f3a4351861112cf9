"""The examples that the model did worst on (`tfx/evaluation/worst.py` says which), as cards.

With their pictures, recordings and other features, what the rows of the Evaluation say of them, and
the words marked that an answer rests on, where the task explains answers.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from penstock.tfx.evaluation import worst
from penstock.tfx.report import formats, samples, sounds, words
from penstock.tfx.report.collect import Run

MOST_FACTS = 6
SEEN_BY_NAME = ("key", "label", "predicted", "correct")


def section(run: Run, split: str) -> dict | None:
    """The rows to show, worst first, with their examples; None where there is nothing to order by.

    Returns:
        rows: [{key, example, label, predicted, is_wrong, facts, texts}]; order: a sentence's end;
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
        "not_found": sum(row["example"] is None for row in rows),
    }


def _order(by: str | None) -> str:
    if by is None:
        return "in the order of the examples"
    if by == "probability_of_label":
        return "lowest probability of the label first"
    return f"highest {formats.label(by)} first"


def _explanations(run: Run) -> dict:
    """Key -> name of a text feature -> words that mattered; empty where there are none."""
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
    facts = [
        (name, formats.label(formats.value(entry), 80))
        for name, entry in row.items()
        if name not in SEEN_BY_NAME and not name.endswith("_id")
    ]
    return {
        "key": formats.label(row.get("key"), 60),
        "label": formats.label(row["label"]) if "label" in row else None,
        "predicted": formats.label(row["predicted"]) if "predicted" in row else None,
        "is_wrong": worst.is_wrong(row),
        "facts": facts[:MOST_FACTS],
        "example": example,
        "texts": _marked(example, said),
    }


def _marked(example: dict | None, said: dict | None) -> dict[str, dict]:
    """Name of a text as the page has it -> the text with its words marked."""
    texts = example["texts"] if example else {}
    said = said if isinstance(said, dict) else {}
    return {
        formats.label(name): words.marked(text, said[name])
        for name, text in texts.items()
        if name in said
    }
