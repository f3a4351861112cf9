"""Which examples a model did worst on: from the rows of an Evaluation, whatever their columns are.

The order is by the column `error_rate` (of an answer that is a text), or else `log_loss`, or else
`loss`, highest first; or by `probability_of_label`, lowest first. (No other names: the rows hold raw
features too, and a `weight_loss` may be one.)
Without either, the rows that are not `correct` are taken in the order of the file. Imports nothing
heavy: the report asks the same of the file as the Evaluator asks of its columns.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

SHOWN = 12
HIGHEST_FIRST = ("error_rate", "log_loss", "loss")


@dataclass(frozen=True)
class Worst:
    """What was found.

    Attributes:
        rows: the worst first, `SHOWN` at most.
        by: the column that they are ordered by; None for the order of the file.
        wrong: how many of all rows are no correct answers; None where rows do not say.
    """

    rows: list[dict]
    by: str | None
    wrong: int | None


def find(rows: Iterator[dict]) -> Worst:
    """Looks at every row once and keeps few; null, which stands for NaN, is the worst there is."""
    first = next(rows, None)
    if first is None:
        return Worst([], None, None)
    by = next((name for name in HIGHEST_FIRST if name in first), None)
    if by == "error_rate" and "hypothesis" not in first:  # a raw feature of that name
        by = next((name for name in HIGHEST_FIRST[1:] if name in first), None)
    counted = _Wrong()
    rows = counted.count(chain([first], rows))
    if by:
        chosen = heapq.nlargest(SHOWN, rows, key=lambda row: _number(row.get(by), float("inf")))
    elif "probability_of_label" in first:
        by = "probability_of_label"
        chosen = heapq.nsmallest(SHOWN, rows, key=lambda row: _number(row.get(by), float("-inf")))
    else:
        chosen = list(islice((row for row in rows if is_wrong(row)), SHOWN))
        deque(rows, maxlen=0)  # the others are counted, but not kept
    return Worst(chosen, by, counted.wrong if counted.known else None)


def is_wrong(row: dict) -> bool | None:
    """Whether the answer is no correct one; None where the row does not say."""
    if isinstance(row.get("correct"), bool):
        return not row["correct"]
    if "label" in row and "predicted" in row:
        return row["label"] != row["predicted"]
    if "hypothesis" in row and "error_rate" in row:
        return row["error_rate"] != 0
    return None


class _Wrong:
    """Counts rows that are no correct answers while they pass by."""

    def __init__(self):
        self.wrong, self.known = 0, False

    def count(self, rows: Iterator[dict]) -> Iterator[dict]:
        for row in rows:
            verdict = is_wrong(row)
            self.known |= verdict is not None
            self.wrong += verdict is True
            yield row


def _number(value, otherwise: float) -> float:
    return value if isinstance(value, int | float) else otherwise
