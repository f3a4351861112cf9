"""Texts in the rows of an evaluation. NumPy only."""

import numpy as np


def texts(values) -> list[str]:
    """UTF-8, bytes -> str; bytes that are none become U+FFFD."""
    return [value.decode("utf-8", "replace") for value in values]


def text_columns(**columns: list[str]) -> dict[str, np.ndarray]:
    """Columns of texts by name. Of objects: an array of strings is as wide as its longest text."""
    found = {}
    for name, values in columns.items():
        found[name] = np.empty(len(values), object)
        found[name][:] = values
    return found
