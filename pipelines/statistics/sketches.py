"""Distinct strings: exact for few, then by Apache DataSketches.

`DistinctValues`: strings and how often each occurs, exact for up to 4,096 different ones, then the
frequent ones (Misra, Gries; Anderson et al. 2017, arXiv:1705.07001). `DistinctCount`: how many
different values there are, by a theta sketch (Dasgupta et al. 2015, arXiv:1510.01455).

Whether counts are exact depends on the data alone, and so does a distinct count, which keeps the
values of the smallest hashes. Counts of frequent strings beyond the limit vary with the order, within
the error that is stated.
"""

from collections.abc import Mapping
from hashlib import blake2b

import datasketches

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
