"""How good answers are by the length of what they answer: a part of `details` of an evaluation.

NumPy only. The report draws it (`tfx/report/`).
"""

from collections.abc import Callable

import numpy as np

BINS = 6


def by_length(
    columns: dict[str, np.ndarray],
    lengths,
    measured: Callable[[dict], float | None],
    *,
    unit: str,
    metric: str,
) -> dict:
    """A metric for examples of like lengths, about as many in each bin as lengths allow.

    Args:
        columns: of an evaluation.
        lengths: of each example, int [examples].
        measured: columns of a part -> its metric; None leaves the bin out.
        unit: of the lengths, as people read it.
        metric: its name.

    Returns:
        {"unit", "metric", "bins": [{"from": length, "to": length, "examples": count, "value": metric}]},
        shortest first.
    """
    lengths = np.asarray(lengths, np.int64)
    found = {"unit": unit, "metric": metric, "bins": []}
    if not len(lengths):
        return found
    ends = np.unique(np.quantile(lengths, np.arange(1, BINS + 1) / BINS, method="inverted_cdf"))
    places = np.searchsorted(ends, lengths)
    for place in np.unique(places):
        rows = np.flatnonzero(places == place)
        value = measured({name: column[rows] for name, column in columns.items()})
        if value is not None:
            here = lengths[rows]
            part = {"from": int(here.min()), "to": int(here.max()), "examples": len(rows)}
            found["bins"].append({**part, "value": float(value)})
    return found


def words_of(texts) -> list[int]:
    """How many words each text has, cut at white space."""
    return [len(text.split()) for text in texts]
