"""What evaluations of tasks that answer with a text share: quality by length. NumPy only."""

from collections.abc import Callable, Iterable

import numpy as np

BINS = 6


def texts(values: Iterable[bytes]) -> list[str]:
    """UTF-8 -> str; bytes that are none become U+FFFD."""
    return [value.decode("utf-8", "replace") for value in values]


def by_length(
    columns: dict[str, np.ndarray], measured: Callable[[dict], float], name: str = "source"
) -> list[dict]:
    """A metric for examples of like lengths, as many in each bin as lengths allow.

    Args:
        columns: of an evaluation; `name` is that of the texts whose words are counted.
        measured: columns of a part -> its metric.

    Returns:
        [{"from": words, "to": words, "examples": count, "value": metric}], shortest first.
    """
    lengths = np.array([len(text.split()) for text in columns[name].tolist()], np.int64)
    if not len(lengths):
        return []
    shares = np.arange(1, BINS + 1) / BINS
    ends = np.unique(np.quantile(lengths, shares, method="higher"))
    bins, begin = [], 0
    for end in ends.tolist():
        rows = np.flatnonzero((lengths >= begin) & (lengths <= end))
        if len(rows):
            part = {column: values[rows] for column, values in columns.items()}
            place = {"from": int(lengths[rows].min()), "to": int(end), "examples": len(rows)}
            bins.append({**place, "value": float(measured(part))})
        begin = end + 1
    return bins
