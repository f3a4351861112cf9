"""Summaries of bounded size that merge to the same result in any order.

`Distribution`: counts of numbers, exact up to a number of distinct values, then in buckets of equal
ratio (DDSketch, Masson et al., arXiv:1908.10693; quantiles within 0.5 % of the value).
`DistinctValues`: distinct strings with exact counts, exact up to K of them, then the K with the
smallest hashes (bottom-k sampling and the estimator of Bar-Yossef et al., RANDOM 2002; relative
standard error 1/sqrt(K-2), 1.6 %).
"""

import math
from hashlib import blake2b

import numpy as np

EXACT_NUMBERS = 1024
RATIO = 1.01
"""Of neighbouring bucket borders; a bucket's value is within (RATIO-1)/(RATIO+1) of its members."""

KEPT_STRINGS = 4096
KEPT_BYTES = 256
"""Of each string; longer ones are told apart by their hash."""


class Distribution:
    """Finite numbers and how often each (or each bucket) occurs."""

    def __init__(self):
        self._exact: dict[float, int] | None = {}
        self._buckets: dict[tuple[int, int], int] = {}

    def add(self, values: np.ndarray) -> None:
        """Adds an array of finite numbers."""
        unique, counts = np.unique(np.asarray(values, np.float64).ravel(), return_counts=True)
        self._add(dict(zip(unique.tolist(), counts.tolist(), strict=True)), {})

    def merge(self, other: "Distribution") -> None:
        """Adds another's numbers to this one's."""
        self._add(other._exact, other._buckets)

    def _add(self, exact, buckets):
        if exact is None or self._exact is None:
            self._to_buckets()
            for bucket, count in buckets.items():
                self._buckets[bucket] = self._buckets.get(bucket, 0) + count
            self._count_in_buckets(exact or {})
            return
        for value, count in exact.items():
            self._exact[value] = self._exact.get(value, 0) + count
        # More distinct values than this stay more whatever is added, so order does not matter.
        if len(self._exact) > EXACT_NUMBERS:
            self._to_buckets()

    def _to_buckets(self):
        exact, self._exact = self._exact, None
        self._count_in_buckets(exact or {})

    def _count_in_buckets(self, exact):
        for value, count in exact.items():
            bucket = (0, 0)
            if value:
                sign = 1 if value > 0 else -1
                bucket = (sign, math.ceil(math.log(abs(value)) / math.log(RATIO)))
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    @property
    def is_exact(self) -> bool:
        """Whether `items` are the numbers themselves and not the middles of buckets."""
        return self._exact is not None

    def items(self) -> list[tuple[float, int]]:
        """(number, count) in increasing order."""
        if self._exact is not None:
            return sorted(self._exact.items())
        middles = {
            sign * 2 * RATIO**power / (RATIO + 1): count
            for (sign, power), count in self._buckets.items()
        }
        return sorted(middles.items())

    def quantiles(self, fractions) -> list[float]:
        """For each fraction the smallest number that at least this share of all is not above."""
        items = self.items()
        values = [value for value, _ in items]
        cumulative = np.cumsum([count for _, count in items])
        places = np.searchsorted(cumulative, np.asarray(fractions) * cumulative[-1] - 1e-9)
        return [values[min(place, len(values) - 1)] for place in places]


class DistinctValues:
    """Strings and how often each occurs."""

    def __init__(self):
        self._kept: dict[int, list] = {}
        self._limit = 2**64

    def add(self, counts: dict[bytes, int]) -> None:
        """Adds strings with their counts."""
        for value, count in counts.items():
            hashed = int.from_bytes(blake2b(value, digest_size=8).digest(), "big")
            self._add(hashed, value[:KEPT_BYTES], count)
        self._prune(2 * KEPT_STRINGS)

    def merge(self, other: "DistinctValues") -> None:
        """Adds another's strings to this one's."""
        self._limit = min(self._limit, other._limit)
        for hashed, (value, count) in other._kept.items():
            self._add(hashed, value, count)
        self._prune(2 * KEPT_STRINGS)

    def _add(self, hashed, value, count):
        if hashed >= self._limit:
            return
        if hashed in self._kept:
            self._kept[hashed][1] += count
        else:
            self._kept[hashed] = [value, count]

    def _prune(self, allowed):
        if len(self._kept) <= allowed and all(h < self._limit for h in self._kept):
            return
        hashes = sorted(h for h in self._kept if h < self._limit)
        if len(hashes) > KEPT_STRINGS:
            # A string among the K smallest hashes of all is among the K smallest of every part, so
            # it was never dropped and its count is exact.
            self._limit = hashes[KEPT_STRINGS]
            hashes = hashes[:KEPT_STRINGS]
        self._kept = {hashed: self._kept[hashed] for hashed in hashes}

    @property
    def is_exact(self) -> bool:
        """Whether all strings are there."""
        return self._limit == 2**64 and len(self._kept) <= KEPT_STRINGS

    def distinct(self) -> int:
        """How many distinct strings there were, exact or estimated."""
        if self.is_exact:
            return len(self._kept)
        hashes = sorted(self._kept)[:KEPT_STRINGS]
        return round((len(hashes) - 1) / (hashes[-1] / 2**64))

    def top(self) -> list[tuple[bytes, int]]:
        """(string, count), most frequent first, of those that are kept."""
        hashes = sorted(self._kept)[:KEPT_STRINGS]
        kept = [tuple(self._kept[hashed]) for hashed in hashes]
        return sorted(kept, key=lambda pair: (-pair[1], pair[0]))
