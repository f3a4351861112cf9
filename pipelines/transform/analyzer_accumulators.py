"""What the analyzers collect: accumulators that merge in any order to the same result.

Comes in: what `analyzer_values.py` gives for a batch, as NumPy arrays. Goes out: JSON values, a
tuple of strings for a vocabulary, `Subwords` for a subword vocabulary. Neither TensorFlow nor Beam.
"""

import heapq
import math
from collections import Counter

import numpy as np

from penstock.pipelines.exact_sum import ExactMoments
from penstock.pipelines.features import MISSING_INT64
from penstock.pipelines.transform.analyzers import (
    ChannelMoments,
    Lengths,
    MinMax,
    Moments,
    Quantiles,
    SubwordVocabulary,
    ValueCounts,
    Vocabulary,
)
from penstock.pipelines.transform.mutual_information import LabelledStrings
from penstock.pipelines.transform.sorted_numbers import SortedNumbers
from penstock.pipelines.transform.spilled_counts import SpilledCounts

MAX_VOCABULARY = 2**21
"""Strings of a vocabulary without `top_k`: more would be no table for a model."""
MAX_VALUES = 2**16
"""Distinct values of `ValueCounts`."""
PERCENTILES = (50, 90, 95, 99, 99.9)
HISTOGRAM_BINS = 1024


def accumulator(analyzer, directory: str):
    """An empty accumulator with `add(values)`, `merge(other)` and `result(analyzer)`.

    Args:
        analyzer: one of `analyzers.py`; only what it is, not its `values`, is used.
        directory: for what does not fit into memory.
    """
    if isinstance(analyzer, Vocabulary) and analyzer.labels:
        return _LabelledVocabulary(directory)
    return _ACCUMULATORS[type(analyzer)](directory)


class _Strings:
    def __init__(self, directory):
        self._counts = SpilledCounts(directory)

    def add(self, values):
        self._counts.add(Counter(values.tolist()))

    def merge(self, other):
        self._counts.merge(other._counts)


class _Vocabulary(_Strings):
    def result(self, analyzer):
        return _ranked(((-count, value, count) for value, count in self._counts.items()), analyzer)


class _LabelledVocabulary:
    def __init__(self, directory):
        self._strings = LabelledStrings(directory)

    def add(self, values):
        self._strings.add(values["strings"], values["rows"], values["labels"])

    def merge(self, other):
        self._strings.merge(other._strings)

    def result(self, analyzer):
        items = self._strings.items(analyzer.min_count)
        return _ranked(((-bits, -count, value, count) for value, count, bits in items), analyzer)


def _ranked(rows, analyzer):
    """Rows that end in (string, count), sorted as they are -> the strings of a vocabulary."""
    kept = (row for row in rows if row[-1] >= analyzer.min_count)
    if analyzer.top_k is None:
        first = heapq.nsmallest(MAX_VOCABULARY + 1, kept)
        if len(first) > MAX_VOCABULARY:
            raise ValueError(
                f"a Vocabulary without `top_k` must have at most {MAX_VOCABULARY:,} distinct "
                "strings. Received: more. Set `top_k`, or raise `min_count`."
            )
    else:
        first = heapq.nsmallest(analyzer.top_k, kept)
    return tuple(_text(row[-2]) for row in first)


class _Subwords(_Strings):
    def result(self, analyzer):
        from penstock.pipelines.transform.subword_training import train

        return train(self._counts.items(), analyzer.size, analyzer.min_count)


class _ValueCounts:
    def __init__(self, directory):
        del directory
        self._counts = Counter()

    def add(self, values):
        self._add(Counter(values.tolist()))

    def merge(self, other):
        self._add(other._counts)

    def _add(self, counts):
        # One too many are kept to tell: what is above the limit stays so, whatever is added.
        if len(self._counts) <= MAX_VALUES:
            self._counts.update(counts)

    def result(self, analyzer):
        del analyzer
        if len(self._counts) > MAX_VALUES:
            raise ValueError(
                f"ValueCounts is for values of which there are few. Expected: at most {MAX_VALUES:,} "
                "distinct ones. Received: more. Use `Vocabulary` or `Quantiles`."
            )
        return {_text(value): count for value, count in sorted(self._counts.items())}


class _FiniteMoments(ExactMoments):
    """Of the finite ones among numbers."""

    def add(self, values):
        super().add(values if values.dtype.kind in "iub" else values[np.isfinite(values)])

    def found(self):
        return {"mean": self.mean(), "variance": self.variance(), "count": self.count}


class _Range:
    """Smallest and largest number."""

    def __init__(self):
        self._low = self._high = None

    def add(self, values):
        if values.size:
            # Plus 0: -0.0 and 0.0 are equal, and which of them was first must not show.
            self._take(values.min().item() + 0, values.max().item() + 0)

    def merge(self, other):
        if other._low is not None:
            self._take(other._low, other._high)

    def _take(self, low, high):
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)

    def found(self):
        return {"min": self._low, "max": self._high}


class _Components:
    """One of the above for each component of an example, or one for all.

    Comes in: [n, *shape]; shape () where components are not told apart.
    """

    part: type

    def __init__(self, directory):
        del directory
        self._shape = ()
        self._parts = None

    def add(self, values):
        if self._parts is None:
            self._shape = values.shape[1:]
            self._parts = [self.part() for _ in range(math.prod(self._shape))]
        columns = values.reshape(len(values), len(self._parts))
        for part, column in zip(self._parts, columns.T, strict=True):
            part.add(_present(column))

    def merge(self, other):
        if other._parts is None:
            return
        if self._parts is None:
            self._shape, self._parts = other._shape, [self.part() for _ in other._parts]
        for part, others in zip(self._parts, other._parts, strict=True):
            part.merge(others)

    def result(self, analyzer):
        del analyzer
        parts = [part.found() for part in self._parts]
        return {name: self._nested([part[name] for part in parts]) for name in parts[0]}

    def _nested(self, values):
        return np.array(values, object).reshape(self._shape).tolist()


class _Moments(_Components):
    part = _FiniteMoments


class _MinMax(_Components):
    part = _Range


class _Quantiles:
    def __init__(self, directory):
        self._numbers = SortedNumbers(directory)

    def add(self, values):
        self._numbers.add(_present(values))

    def merge(self, other):
        self._numbers.merge(other._numbers)

    def result(self, analyzer):
        fractions, count = list(analyzer.fractions), self._numbers.count
        found = self._numbers.quantiles(fractions).tolist() if count else [None] * len(fractions)
        return {"fractions": fractions, "values": found, "count": count}


class _Lengths:
    def __init__(self, directory):
        self._lengths = SortedNumbers(directory)
        self._total = 0

    def add(self, values):
        self._total += int(values.sum())
        self._lengths.add(values)

    def merge(self, other):
        self._total += other._total
        self._lengths.merge(other._lengths)

    def result(self, analyzer):
        del analyzer
        count = self._lengths.count
        fractions = [0, 1, *(percent / 100 for percent in PERCENTILES)]
        low, high, *found = map(int, self._lengths.quantiles(fractions))
        width = high // HISTOGRAM_BINS + 1
        last_of_bins = np.arange(width - 1, high + width, width)
        counts = np.diff(self._lengths.not_above(last_of_bins), prepend=0)
        return {
            "count": count,
            "mean": self._total / count,
            "min": low,
            "max": high,
            "percentiles": {str(p): value for p, value in zip(PERCENTILES, found, strict=True)},
            "histogram": {"bin_width": width, "counts": counts.tolist()},
        }


_ACCUMULATORS = {
    Vocabulary: _Vocabulary,
    SubwordVocabulary: _Subwords,
    ValueCounts: _ValueCounts,
    Moments: _Moments,
    MinMax: _MinMax,
    Quantiles: _Quantiles,
    Lengths: _Lengths,
    # Its values come as [pixels, channels].
    ChannelMoments: _Moments,
}


def _present(values):
    """Those that are not missing."""
    if values.dtype.kind == "f":
        return values[~np.isnan(values)]
    return values[values != MISSING_INT64] if values.dtype == np.int64 else values


def _text(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
