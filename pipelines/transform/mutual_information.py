"""How much "this string occurs in the example" tells about the example's class.

Counts (string, class) pairs and classes of examples; merges in any order.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np

from penstock.pipelines.transform.spilled_counts import SpilledCounts


class LabelledStrings:
    """In how many examples of each class each string occurs.

    Args:
        directory: see `SpilledCounts`.
    """

    def __init__(self, directory: str):
        self._pairs = SpilledCounts(directory)
        self._examples: Counter[int] = Counter()

    def add(self, strings: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch.

        Args:
            strings: bytes objects [n].
            rows: int64 [n], the example of each string.
            labels: int64 [batch]; negative ones are missing.
        """
        labels = labels.tolist()
        self._examples.update(label for label in labels if label >= 0)
        # An example counts once for a string, however often the string occurs in it.
        present = set(zip(rows.tolist(), strings.tolist(), strict=True))
        self._pairs.add(
            Counter(_pair(string, labels[row]) for row, string in present if labels[row] >= 0)
        )

    def merge(self, other: "LabelledStrings") -> None:
        """Adds another's examples to this one's."""
        self._examples.update(other._examples)
        self._pairs.merge(other._pairs)

    def items(self, min_count: int) -> Iterator[tuple[bytes, int, float]]:
        """(string, examples with it, mutual information in bits) in byte order.

        Args:
            min_count: leave out strings that fewer examples have.
        """
        pairs = ((*_unpair(key), count) for key, count in self._pairs.items())
        for string, group in groupby(pairs, key=itemgetter(0)):
            present = {label: count for _, label, count in group}
            count = sum(present.values())
            if count >= min_count:
                yield string, count, mutual_information(present, self._examples)


def mutual_information(present: dict[int, int], examples: dict[int, int]) -> float:
    """Of "the string occurs" and the class, in bits.

    sum over e in {present, absent} and classes c of N_ec / N * log2(N N_ec / (N_e N_c)), Manning,
    Raghavan, Schütze (2008), Introduction to Information Retrieval, equation 13.17, for any number
    of classes.

    Args:
        present: class -> number of examples with the string.
        examples: class -> number of all examples.
    """
    total, with_string = sum(examples.values()), sum(present.values())
    terms = []
    for label, of_class in examples.items():
        here = present.get(label, 0)
        for both, marginal in ((here, with_string), (of_class - here, total - with_string)):
            if both:
                terms.append(both / total * math.log2(total * both / (marginal * of_class)))
    # `fsum` does not depend on the order of the classes.
    return max(0.0, math.fsum(terms))


def _pair(string, label):
    """One key for both, so that equal strings are neighbours in byte order whatever is in them."""
    return string.replace(b"\0", b"\0\1") + b"\0\0" + label.to_bytes(8, "big")


def _unpair(key):
    return key[:-10].replace(b"\0\1", b"\0"), int.from_bytes(key[-8:], "big")
