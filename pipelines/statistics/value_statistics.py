"""Accumulators of numbers, labels and texts; each turns into TFDV's protos.

Counts, sums and what is exact (see `distribution.py` and `sketches.py`) are the same in whichever
order examples and parts come. Each takes one value an example (`add`), or any number (`add_flat`).

Labels are shown by the names of their classes (type STRING), although the examples hold their ids:
a schema of names stays right when a class is added in between.
"""

from collections import Counter

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.exact_sum import ExactMoments
from penstock.pipelines.statistics.accumulator import (
    RANKS,
    Accumulator,
    Type,
    ValuesPerExample,
    fill_quantiles,
    fill_ranks,
    fill_top,
    new_proto,
)
from penstock.pipelines.statistics.distribution import Distribution
from penstock.pipelines.statistics.sketches import DISTINCT_RELATIVE_ERROR, DistinctValues
from penstock.pipelines.statistics.statistics_files import (
    COUNTS_ERROR,
    NUM_CLASSES,
    NUM_INFINITE,
    QUANTILES_RANK_ERROR,
    UNIQUE,
    UNIQUE_RELATIVE_ERROR,
    VALUE_COUNTS,
)

STANDARD_BUCKETS = 10
"""Of equal width, as in TFDV."""
QUANTILES_BUCKETS = 100
"""Ten times TFDV's: enough for the Jensen-Shannon divergence of two splits."""
MOST_VALUE_COUNTS = 100
"""Integers with at most so many distinct values are counted as categories too."""


class NumberStatistics(Accumulator):
    """One number, or an array of fixed shape, in each example.

    Memory: 0.3 MB, or 1 MB where magnitudes are spread over hundreds of powers of ten.
    """

    def __init__(self, is_integer: bool):
        self._is_integer = is_integer
        self._values = ValuesPerExample()
        self._nan = self._zeros = self._low_infinities = self._high_infinities = 0
        self._moments = ExactMoments()
        self._distribution = Distribution(np.int64 if is_integer else np.float64)

    def measure(self, values) -> np.ndarray:
        """A list of numbers, or of arrays of equal shape, as one array, which slices divide faster."""
        return np.asarray(values)

    def add_measured(self, array: np.ndarray) -> None:
        """Adds a batch: an array whose first axis is that of examples."""
        self._values.add_equal(len(array), array.size // len(array))
        self._add(array)

    def add_flat(self, values: np.ndarray, lengths: np.ndarray) -> None:
        """Adds the values of a batch one after the other, `lengths[i]` of them from example i."""
        self._values.add(lengths)
        self._add(values)

    def _add(self, array):
        if self._is_integer:
            finite = array.ravel().astype(np.int64, copy=False)
        else:
            numbers = array.ravel() + np.float64(0)  # makes 0 of -0
            finite = numbers[np.isfinite(numbers)]
            if finite.size < numbers.size:
                self._nan += int(np.count_nonzero(np.isnan(numbers)))
                self._low_infinities += int(np.count_nonzero(numbers == -np.inf))
                self._high_infinities += int(np.count_nonzero(numbers == np.inf))
        self._zeros += finite.size - int(np.count_nonzero(finite))
        self._moments.add(finite)
        self._distribution.add(finite)

    def merge(self, other: "NumberStatistics") -> None:
        """Adds another's examples to this one's."""
        for name in ("_nan", "_zeros", "_low_infinities", "_high_infinities"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._values.merge(other._values)
        self._moments.merge(other._moments)
        self._distribution.merge(other._distribution)

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto; mean, median and histograms are those of the finite numbers."""
        proto = new_proto(name, Type.INT if self._is_integer else Type.FLOAT)
        stats = proto.num_stats
        self._values.fill(stats.common_stats, examples)
        stats.num_zeros = self._zeros
        if self._distribution.count:
            self._fill_finite(proto)
        elif self._values.total:
            stats.histograms.add(num_nan=self._nan, type=statistics_pb2.Histogram.STANDARD)
        if self._high_infinities:
            stats.max = float("inf")
            stats.min = stats.min if self._distribution.count else float("inf")
        if self._low_infinities:
            stats.min = float("-inf")
            stats.max = stats.max if self._distribution.count else float("-inf")
        infinite = self._low_infinities + self._high_infinities
        if infinite:
            proto.custom_stats.add(name=NUM_INFINITE, num=infinite)
        return [proto]

    def _fill_finite(self, proto):
        stats, distribution = proto.num_stats, self._distribution
        stats.min, stats.max = distribution.min, distribution.max
        stats.mean = self._moments.mean()
        stats.std_dev = float(np.sqrt(self._moments.variance()))
        stats.median = distribution.quantiles([0.5])[0]
        low, high = float(distribution.min), float(distribution.max)
        # Integers may be closer than floats of their size are to each other.
        edges = (
            np.unique(np.linspace(low, high, STANDARD_BUCKETS + 1)) if high > low else [low, high]
        )
        standard = stats.histograms.add(num_nan=self._nan, type=statistics_pb2.Histogram.STANDARD)
        counts = distribution.counts_between(np.asarray(edges))
        for start, end, count in zip(edges, edges[1:], counts, strict=False):
            standard.buckets.add(low_value=start, high_value=end, sample_count=count)
        fill_quantiles(stats.histograms.add(num_nan=self._nan), distribution, QUANTILES_BUCKETS)
        if not distribution.is_exact:
            proto.custom_stats.add(name=QUANTILES_RANK_ERROR, num=distribution.rank_error)
        self._fill_unique(proto)

    def _fill_unique(self, proto):
        distribution = self._distribution
        unique = distribution.distinct()
        if unique is None:
            return
        proto.custom_stats.add(name=UNIQUE, num=unique)
        if not distribution.is_exact:
            proto.custom_stats.add(name=UNIQUE_RELATIVE_ERROR, num=DISTINCT_RELATIVE_ERROR)
        elif self._is_integer and unique <= MOST_VALUE_COUNTS:
            ranked = sorted(distribution.items(), key=lambda pair: (-pair[1], pair[0]))
            counts = proto.custom_stats.add(name=VALUE_COUNTS).rank_histogram
            fill_ranks(counts, [(str(value), count) for value, count in ranked])


class LabelStatistics(Accumulator):
    """A class id in each example; memory grows with the number of classes only."""

    def __init__(self, names: tuple[str, ...]):
        self._names = names
        self._counts = np.zeros(len(names), np.int64)
        self._values = ValuesPerExample()

    def add_measured(self, values) -> None:
        """Adds a batch: a list of class ids."""
        self._values.add_equal(len(values), 1)
        self._counts += np.bincount(values, minlength=len(self._names))

    def add_flat(self, values: np.ndarray, lengths: np.ndarray) -> None:
        """Adds the ids of a batch one after the other, `lengths[i]` of them from example i."""
        self.add_counts(np.bincount(values, minlength=len(self._names)), lengths)

    def add_counts(self, counts: np.ndarray, lengths: np.ndarray) -> None:
        """Adds a batch by how often each class occurs in it, `lengths[i]` ids from example i."""
        self._values.add(lengths)
        self._counts += counts

    def merge(self, other: "LabelStatistics") -> None:
        """Adds another's examples to this one's."""
        self._counts += other._counts
        self._values.merge(other._values)

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto; classes without examples are listed with a count of zero."""
        proto = new_proto(name, Type.STRING)
        pairs = zip(self._names, self._counts.tolist(), strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        stats = proto.string_stats
        self._values.fill(stats.common_stats, examples)
        stats.unique = int(np.count_nonzero(self._counts))
        lengths = sum(len(value.encode()) * count for value, count in ranked)
        stats.avg_length = lengths / self._values.total if self._values.total else 0.0
        fill_top(stats, ranked)
        fill_ranks(stats.rank_histogram, ranked)
        proto.custom_stats.add(name=NUM_CLASSES, num=len(self._names))
        return [proto]


class StringStatistics(Accumulator):
    """A string in each example, without a look into it; at most 3 MB."""

    def __init__(self):
        self._distinct = DistinctValues()
        self._values = ValuesPerExample()
        self._bytes = 0

    def add_measured(self, values) -> None:
        """Adds a batch: a list of strings."""
        self.add_counts(Counter(values), np.ones(len(values), np.int64))

    def add_counts(self, counted: Counter, lengths: np.ndarray) -> None:
        """Adds a batch by how often each string occurs in it, `lengths[i]` from example i."""
        self._values.add(lengths)
        self._distinct.add(counted)
        self._bytes += sum(
            (len(value) if value.isascii() else len(value.encode())) * count
            for value, count in counted.items()
        )

    def merge(self, other: "StringStatistics") -> None:
        """Adds another's examples to this one's."""
        self._bytes += other._bytes
        self._distinct.merge(other._distinct)
        self._values.merge(other._values)

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto."""
        proto = new_proto(name, Type.STRING)
        stats = proto.string_stats
        self._values.fill(stats.common_stats, examples)
        stats.unique = self._distinct.distinct()
        stats.avg_length = self._bytes / self._values.total if self._values.total else 0.0
        ranked = self._distinct.top()[:RANKS]
        fill_top(stats, ranked)
        fill_ranks(stats.rank_histogram, ranked)
        if not self._distinct.is_exact:
            proto.custom_stats.add(name=UNIQUE_RELATIVE_ERROR, num=DISTINCT_RELATIVE_ERROR)
            proto.custom_stats.add(name=COUNTS_ERROR, num=self._distinct.count_error)
        return [proto]


class TextStatistics(Accumulator):
    """A text in each example; at most 4 MB."""

    def __init__(self):
        self._strings = StringStatistics()
        self._characters = NumberStatistics(is_integer=True)
        self._words = NumberStatistics(is_integer=True)

    def add_measured(self, values) -> None:
        """Adds a batch: a list of strings."""
        self.add_flat(values, np.ones(len(values), np.int64))

    def add_flat(self, values: list[str], lengths: np.ndarray) -> None:
        """Adds the strings of a batch one after the other, `lengths[i]` of them from example i."""
        counted = Counter(values)
        self._strings.add_counts(counted, lengths)
        # Texts that occur often are measured once; the order of the numbers does not matter.
        counts = np.fromiter(counted.values(), np.int64, len(counted))
        characters = np.fromiter(map(len, counted), np.int64, len(counted))
        words = np.fromiter((len(value.split()) for value in counted), np.int64, len(counted))
        self._characters.add_flat(np.repeat(characters, counts), lengths)
        self._words.add_flat(np.repeat(words, counts), lengths)

    def merge(self, other: "TextStatistics") -> None:
        """Adds another's examples to this one's."""
        for name in ("_strings", "_characters", "_words"):
            getattr(self, name).merge(getattr(other, name))

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto, `<name>/characters` and `<name>/words` (between white space)."""
        return [
            *self._strings.protos(name, examples),
            *self._characters.protos(f"{name}/characters", examples),
            *self._words.protos(f"{name}/words", examples),
        ]
