"""Summaries of bounded size that merge in any order: exact for few values, then Apache DataSketches.

| class            | exact up to              | beyond                                                  |
|------------------|--------------------------|---------------------------------------------------------|
| `Distribution`   | 1,024 distinct numbers   | KLL (Karnin, Lang, Liberty 2016, arXiv:1603.05346)      |
| `DistinctValues` | 4,096 distinct strings   | frequent items (Misra, Gries; Anderson et al. 2017)     |
| `DistinctCount`  | -                        | theta sketch (Dasgupta et al. 2015, arXiv:1510.01455)   |

Whether a summary is exact depends on the data alone, and so does a distinct count, which keeps the
values of the smallest hashes. Quantiles of KLL (which draws random numbers) and counts of frequent
items vary with the order, within the error that they state.
"""

from collections.abc import Mapping
from hashlib import blake2b

import datasketches
import numpy as np

EXACT_NUMBERS = 1024
KLL_K = 2048
"""A rank error of 0.14 % for a quantile and 0.18 % for a bucket (99 % of the time), in 48 KB."""
_REPEATED = 65_536

EXACT_STRINGS = 4096
FREQUENT_LG_SIZE = 13
"""Error of a count: at most 3.5 / 2**13 = 0.043 % of the number of strings."""
KEPT_BYTES = 256
"""Of each string; longer ones are told apart by their hash."""

THETA_LG_K = 12
DISTINCT_RELATIVE_ERROR = 2 / 2 ** (THETA_LG_K / 2)
"""Of a distinct count: two standard errors, 3.1 %."""


class DistinctCount:
    """An estimate of how many distinct values there were, in at most 64 KB."""

    def __init__(self):
        self._new = datasketches.update_theta_sketch(THETA_LG_K)
        self._merged = datasketches.theta_union(THETA_LG_K)

    def add(self, values) -> None:
        """Adds Python numbers or strings."""
        update = self._new.update
        for value in values:
            update(value)

    def merge(self, other: "DistinctCount") -> None:
        """Adds another's values to this one's."""
        self._merged.update(other._compact())

    def _compact(self):
        # A union keeps the k smallest hashes and no others, in whichever order they came.
        self._merged.update(self._new)
        self._new.reset()
        return self._merged.get_result()

    def estimate(self) -> int:
        """The number of distinct values, within `DISTINCT_RELATIVE_ERROR`."""
        return round(self._compact().get_estimate())

    def __getstate__(self):
        return self._compact().serialize()

    def __setstate__(self, state):
        self.__init__()
        self._merged.update(datasketches.compact_theta_sketch.deserialize(state))


class Distribution:
    """Finite numbers and how often each occurs; at most 48 KB, 112 KB for integers.

    Args:
        dtype: float64, or int64. Integers stay apart beyond 2**53 while they are exact, and the
            distinct ones are always counted.
    """

    def __init__(self, dtype=np.float64):
        self.count = 0
        self._values: np.ndarray | None = np.empty(0, dtype)
        self._counts = np.empty(0, np.int64)
        self._kll = self._distinct = None
        self._min = self._max = None

    def add(self, values: np.ndarray) -> None:
        """Adds an array of finite numbers."""
        if not len(values):
            return
        self.count += len(values)
        self._note(values.min(), values.max())
        if self._values is None:
            self._kll.update(values.astype(np.float64, copy=False))
            if self._distinct is not None:
                self._distinct.add(np.unique(values).tolist())
            return
        if len(self._values):
            places = np.minimum(np.searchsorted(self._values, values), len(self._values) - 1)
            known = self._values[places] == values
            self._counts += np.bincount(places[known], minlength=len(self._values))
            values = values[~known]
        if len(values):
            self._add_counts(*np.unique(values, return_counts=True))

    def add_repeated(self, value: float, count: int) -> None:
        """Adds the same number `count` times."""
        if count:
            self.count += count
            self._note(value, value)
            self._add_counts(np.array([value]), np.array([count]))

    def merge(self, other: "Distribution") -> None:
        """Adds another's numbers to this one's."""
        if not other.count:
            return
        self.count += other.count
        self._note(other._min, other._max)
        if other._values is not None:
            self._add_counts(other._values, other._counts)
        else:
            self._to_sketch()
            self._kll.merge(other._kll)
            if self._distinct is not None:
                self._distinct.merge(other._distinct)

    def _note(self, low, high):
        self._min = low if self._min is None else min(self._min, low)
        self._max = high if self._max is None else max(self._max, high)

    def _add_counts(self, values, counts):
        if self._values is None:
            self._sketch(values, counts)
            return
        together = np.concatenate([self._values, values.astype(self._values.dtype)])
        self._values, places = np.unique(together, return_inverse=True)
        # As integers: bincount's weights are float64, exact only up to 2**53.
        summed = np.zeros(len(self._values), np.int64)
        np.add.at(summed, places, np.concatenate([self._counts, counts]))
        self._counts = summed
        # More distinct values than this stay more whatever is added, so order does not matter.
        if len(self._values) > EXACT_NUMBERS:
            self._to_sketch()

    def _to_sketch(self):
        if self._values is not None:
            values, counts = self._values, self._counts
            self._values = self._counts = None
            self._kll = datasketches.kll_doubles_sketch(KLL_K)
            if values.dtype == np.int64:
                self._distinct = DistinctCount()
            self._sketch(values, counts)

    def _sketch(self, values, counts):
        if self._distinct is not None:
            self._distinct.add(values.tolist())
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            for start in range(0, count, _REPEATED):
                self._kll.update(np.full(min(_REPEATED, count - start), value, np.float64))

    @property
    def is_exact(self) -> bool:
        """Whether all numbers are there."""
        return self._values is not None

    @property
    def rank_error(self) -> float:
        """By how much the rank of a quantile may be off, as a fraction of all (99 % of the time)."""
        return 0.0 if self.is_exact else self._kll.normalized_rank_error(False)

    def distinct(self) -> int | None:
        """How many distinct numbers there were: exact, or of integers an estimate, else None."""
        if self.is_exact:
            return len(self._values)
        return None if self._distinct is None else self._distinct.estimate()

    @property
    def min(self):
        """The smallest number; None without numbers."""
        return self._min

    @property
    def max(self):
        """The largest number; None without numbers."""
        return self._max

    def items(self) -> list[tuple[float, int]]:
        """(number, count) in increasing order, of an exact distribution."""
        return list(zip(self._values.tolist(), self._counts.tolist(), strict=True))

    def quantiles(self, fractions) -> list[float]:
        """For each fraction the smallest number that at least this share of all is not above."""
        if not self.is_exact:
            found = self._kll.get_quantiles(np.asarray(fractions).tolist(), True)
            return np.clip(found, float(self._min), float(self._max)).tolist()
        cumulative = np.cumsum(self._counts)
        places = np.searchsorted(cumulative, np.asarray(fractions) * cumulative[-1] - 1e-9)
        return self._values[np.minimum(places, len(cumulative) - 1)].astype(np.float64).tolist()

    def counts_between(self, edges: np.ndarray) -> list[float]:
        """How many numbers lie in each bucket: from its lower edge on, the last with both edges.

        Args:
            edges: increasing, from the smallest to the largest number.
        """
        if not self.is_exact:
            shares = self._kll.get_pmf(edges[1:-1].tolist(), False)
            return [share * self.count for share in shares]
        places = np.searchsorted(edges, self._values, "right") - 1
        counts = np.zeros(len(edges) - 1, np.int64)
        np.add.at(counts, np.clip(places, 0, len(edges) - 2), self._counts)
        return counts.tolist()

    def __getstate__(self):
        return self.__dict__ | {"_kll": self._kll and self._kll.serialize()}

    def __setstate__(self, state):
        self.__dict__.update(state)
        if state["_kll"]:
            self._kll = datasketches.kll_doubles_sketch.deserialize(state["_kll"])


class DistinctValues:
    """Strings and how often each occurs; at most 2.5 MB."""

    def __init__(self):
        self._exact: dict[str, int] | None = {}
        self._frequent = None
        self._distinct = None

    def add(self, counts: Mapping[str, int]) -> None:
        """Adds strings with their counts."""
        if len(max(counts, key=len, default="")) > KEPT_BYTES // 4:
            counts = {_shortened(value): count for value, count in counts.items()}
        self._add(counts)

    def _add(self, counts):
        if self._exact is None:
            self._distinct.add(counts)
            for value, count in counts.items():
                self._frequent.update(value, count)
            return
        for value, count in counts.items():
            self._exact[value] = self._exact.get(value, 0) + count
        # More distinct values than this stay more whatever is added, so order does not matter.
        if len(self._exact) > EXACT_STRINGS:
            self._to_sketch()

    def _to_sketch(self):
        if self._exact is not None:
            exact, self._exact = self._exact, None
            self._frequent = datasketches.frequent_strings_sketch(FREQUENT_LG_SIZE)
            self._distinct = DistinctCount()
            self._add(exact)

    def merge(self, other: "DistinctValues") -> None:
        """Adds another's strings to this one's."""
        if other._exact is not None:
            self._add(other._exact)
        else:
            self._to_sketch()
            self._distinct.merge(other._distinct)
            self._frequent.merge(other._frequent)

    @property
    def is_exact(self) -> bool:
        """Whether all strings are there."""
        return self._exact is not None

    def distinct(self) -> int:
        """How many distinct strings there were, exact or within `DISTINCT_RELATIVE_ERROR`."""
        return self._distinct.estimate() if self._exact is None else len(self._exact)

    @property
    def count_error(self) -> int:
        """By how much the counts of `top` may be too high; 0 if they are exact."""
        if self._exact is not None:
            return 0
        return self._frequent.get_upper_bound("") - self._frequent.get_lower_bound("")

    def top(self) -> list[tuple[str, int]]:
        """(string, count), most frequent first, equal counts in the order of the strings.

        Beyond the exact limit: all strings that occur more often than `count_error`, and no others.
        """
        if self._exact is not None:
            found = self._exact.items()
        else:
            sure = datasketches.frequent_items_error_type.NO_FALSE_POSITIVES
            found = [(item[0], item[1]) for item in self._frequent.get_frequent_items(sure)]
        return sorted(((_shown(value), n) for value, n in found), key=lambda pair: (-pair[1], pair))

    def __getstate__(self):
        return self.__dict__ | {"_frequent": self._frequent and self._frequent.serialize()}

    def __setstate__(self, state):
        self.__dict__.update(state)
        if state["_frequent"]:
            sketch = datasketches.frequent_strings_sketch
            self._frequent = sketch.deserialize(state["_frequent"])


_CUT = "…\0"


def _shortened(value):
    data = value.encode()
    if len(data) <= KEPT_BYTES:
        return value
    kept = data[: KEPT_BYTES - 40].decode(errors="ignore")
    return f"{kept}{_CUT}{blake2b(data, digest_size=16).hexdigest()}"


def _shown(value):
    """Without the hash of a string that was cut."""
    place = len(value) - 32 - len(_CUT)
    return value[: place + 1] if place > 0 and value[place:].startswith(_CUT) else value
