"""Exact quantiles of any number of numbers in bounded memory, the same in any order.

Numbers are collected; when they are many, they are written to disk as a *run*: the distinct ones in
order, and how many are not above each. How many numbers of all are not above x is then a binary
search in each run, and a quantile a bisection over the 64 bits of x. (A quantile sketch would
need no disk, but those with a bounded rank error, KLL and REQ, draw random numbers, so that the same
data would give other buckets, another model and another cache key each time.)
"""

import uuid
from pathlib import Path

import numpy as np

HELD_NUMBERS = 2**18
_SIGN = np.uint64(1 << 63)


class SortedNumbers:
    """Numbers, without NaN, and their ranks.

    Args:
        directory: where runs are written; every worker must reach it, and whoever made it clears it.
    """

    def __init__(self, directory: str):
        self._directory = directory
        self._held: list[np.ndarray] = []
        self._num_held = 0
        self._runs: list[str] = []
        self.count = 0

    def add(self, numbers: np.ndarray) -> None:
        """Adds an array of numbers; NaN is left out."""
        numbers = np.asarray(numbers, np.float64).ravel()
        numbers = numbers[~np.isnan(numbers)]
        self.count += numbers.size
        self._hold(numbers)

    def merge(self, other: "SortedNumbers") -> None:
        """Adds another's numbers to this one's."""
        self.count += other.count
        self._runs += other._runs
        for numbers in other._held:
            self._hold(numbers)

    def _hold(self, numbers):
        self._held.append(numbers)
        self._num_held += numbers.size
        if self._num_held > HELD_NUMBERS:
            path = Path(self._directory) / uuid.uuid4().hex
            distinct, not_above = _ranks(self._held)
            np.save(f"{path}.numbers.npy", distinct)
            np.save(f"{path}.ranks.npy", not_above)
            self._runs.append(str(path))
            self._held, self._num_held = [], 0

    def _all_ranks(self):
        for path in self._runs:
            yield tuple(
                np.load(f"{path}.{name}.npy", mmap_mode="r") for name in ("numbers", "ranks")
            )
        yield _ranks(self._held)

    def not_above(self, numbers) -> np.ndarray:
        """For each of some numbers, how many of all are not above it, int64."""
        return _count_not_above(list(self._all_ranks()), np.asarray(numbers, np.float64))

    def quantiles(self, fractions) -> np.ndarray:
        """For each fraction the smallest number that at least this share of all is not above.

        Raises:
            ValueError: there are no numbers.
        """
        if not self.count:
            raise ValueError("Quantiles need numbers. Received: none.")
        ranks = list(self._all_ranks())
        # A rounding error in `fraction * count` must not ask for one number more.
        wanted = np.ceil(np.asarray(fractions, np.float64) * self.count * (1 - 1e-15))
        wanted = np.clip(wanted, 1, self.count).astype(np.int64)
        low = np.full(wanted.shape, _order(np.float64("-inf")))
        high = np.full(wanted.shape, _order(np.float64("inf")))
        while np.any(low < high):
            middle = low + (high - low) // np.uint64(2)
            enough = _count_not_above(ranks, _number(middle)) >= wanted
            high = np.where(enough, middle, high)
            low = np.where(enough, low, middle + np.uint64(1))
        # -0.0 and 0.0 are equal but not the same bits.
        return _number(high) + 0.0


def _ranks(parts):
    """Arrays of numbers -> the distinct ones in order, and how many are not above each."""
    numbers = np.concatenate(parts) if parts else np.empty(0)
    distinct, counts = np.unique(numbers, return_counts=True)
    return distinct, np.cumsum(counts)


def _count_not_above(ranks, numbers):
    total = np.zeros(numbers.shape, np.int64)
    for distinct, not_above in ranks:
        if distinct.size:
            places = np.searchsorted(distinct, numbers, "right")
            total += np.where(places > 0, not_above[np.maximum(places, 1) - 1], 0)
    return total


def _order(numbers):
    """float64 -> uint64 in the same order: the bits, of negative numbers turned round."""
    bits = np.asarray(numbers, np.float64).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _number(order):
    return np.where(order & _SIGN, order & ~_SIGN, ~order).view(np.float64)
