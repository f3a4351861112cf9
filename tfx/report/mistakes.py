"""Which examples the model did worst on: from the Evaluation's rows, whatever their columns are.

The order is by the column `log_loss`, or the first whose name ends in `loss`, highest first; or by
`probability_of_label`, lowest first. Without either, the rows that are not `correct` are taken in
the order of the file.
"""

import heapq
import json
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from penstock.tfx.report import formats, samples, sounds
from penstock.tfx.report.collect import Run

SHOWN = 12
MOST_FACTS = 6
SEEN_BY_NAME = ("key", "label", "predicted", "correct")


def section(run: Run, split: str) -> dict | None:
    """The rows to show, worst first, with their examples; None where there is nothing to order by.

    Returns:
        rows: [{key, example, label, predicted, is_wrong, facts}]; order: a sentence's end; wrong:
        how many of all rows are no correct answers, None where rows do not say.
    """
    chosen, order, wrong = _worst(run.artifacts["Evaluation"] / "rows.jsonl")
    if not chosen:
        return None
    keys = {str(row.get("key")) for row in chosen}
    try:
        found = samples.find(run.artifacts["Examples"], split, keys)
    except (KeyError, OSError, ValueError):
        found = {}
    rows = [_row(row, found.get(str(row.get("key")))) for row in chosen]
    sounds.limit_played([row["example"] and row["example"]["sound"] for row in rows])
    return {
        "rows": rows,
        "order": order,
        "wrong": wrong,
        "shown_wrong": sum(row["is_wrong"] is True for row in rows),
        "has_images": any(row["example"] and row["example"]["image"] for row in rows),
        "not_found": sum(row["example"] is None for row in rows),
    }


def _worst(path: Path) -> tuple[list[dict], str, int | None]:
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        return [], "", None
    counted = _Wrong()
    rows = counted.count(_chained(first, rows))
    losses = [name for name in first if name == "log_loss" or name.endswith("loss")]
    loss = "log_loss" if "log_loss" in losses else next(iter(losses), None)
    if loss:
        chosen = heapq.nlargest(SHOWN, rows, key=lambda row: _number(row.get(loss), float("inf")))
        order = f"highest {formats.label(loss)} first"
    elif "probability_of_label" in first:
        name = "probability_of_label"
        chosen = heapq.nsmallest(SHOWN, rows, key=lambda row: _number(row.get(name), float("-inf")))
        order = "lowest probability of the label first"
    else:
        chosen = list(islice((row for row in rows if _is_wrong(row)), SHOWN))
        deque(rows, maxlen=0)  # the others are counted, but not kept
        order = "in the order of the examples"
    return chosen, order, counted.wrong if counted.known else None


class _Wrong:
    """Counts rows that are no correct answers while they pass by."""

    def __init__(self):
        self.wrong, self.known = 0, False

    def count(self, rows: Iterator[dict]) -> Iterator[dict]:
        for row in rows:
            verdict = _is_wrong(row)
            self.known |= verdict is not None
            self.wrong += verdict is True
            yield row


def _is_wrong(row: dict) -> bool | None:
    """Whether the answer is no correct one; None where the row does not say."""
    if isinstance(row.get("correct"), bool):
        return not row["correct"]
    if "label" in row and "predicted" in row:
        return row["label"] != row["predicted"]
    return None


def _number(value, otherwise: float) -> float:
    """A column that is NaN or infinite is null in the file: the worst there is."""
    return value if isinstance(value, int | float) else otherwise


def _chained(first: dict, rows: Iterator[dict]) -> Iterator[dict]:
    yield first
    yield from rows


def _rows(path: Path) -> Iterator[dict]:
    """Yields the rows of a file; none where it is gone, up to the first damaged one where it is."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, ValueError):
        return


def _row(row: dict, example: dict | None) -> dict:
    facts = [
        (name, formats.label(formats.value(entry), 80))
        for name, entry in row.items()
        if name not in SEEN_BY_NAME and not name.endswith("_id")
    ]
    return {
        "key": formats.label(row.get("key"), 60),
        "label": formats.label(row["label"]) if "label" in row else None,
        "predicted": formats.label(row["predicted"]) if "predicted" in row else None,
        "is_wrong": _is_wrong(row),
        "facts": facts[:MOST_FACTS],
        "example": example,
    }
