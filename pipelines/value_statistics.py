"""Accumulators of numbers, labels and texts; each turns into TFDV's protos.

All merge to the same result in any order (integers, exact sums, `sketches.py`), so identical data
give identical bytes.

Labels are shown by the names of their classes (type STRING), although the examples hold their ids:
a schema of names stays right when a class is added in between.
"""

from collections import Counter

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.exact_sum import ExactMoments
from penstock.pipelines.sketches import DistinctValues, Distribution
from penstock.pipelines.statistics_files import NUM_CLASSES

Type = statistics_pb2.FeatureNameStatistics
BUCKETS = 10
TOP_VALUES = 20


class NumberStatistics:
    """One number, or an array of fixed shape, in each example."""

    def __init__(self, is_integer: bool):
        self._type = Type.INT if is_integer else Type.FLOAT
        self._examples = self._values = self._nan = self._zeros = 0
        self._moments = ExactMoments()
        self._distribution = Distribution()
        self._min = self._lowest = float("inf")
        self._max = self._highest = float("-inf")

    def add(self, values) -> None:
        """Adds a batch: a list of numbers, or of arrays of equal shape."""
        array = np.asarray(values)
        self._examples += len(array)
        self._values += array.size
        numbers = array.ravel().astype(np.float64)
        present = numbers[~np.isnan(numbers)]
        finite = present[np.isfinite(present)]
        self._nan += numbers.size - present.size
        self._zeros += int(np.count_nonzero(present == 0))
        self._moments.add(finite)
        self._distribution.add(finite)
        if present.size:
            self._min = min(self._min, float(present.min()))
            self._max = max(self._max, float(present.max()))
        if finite.size:
            self._lowest = min(self._lowest, float(finite.min()))
            self._highest = max(self._highest, float(finite.max()))

    def merge(self, other: "NumberStatistics") -> None:
        """Adds another's examples to this one's."""
        for name in ("_examples", "_values", "_nan", "_zeros"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._moments.merge(other._moments)
        self._distribution.merge(other._distribution)
        self._min, self._max = min(self._min, other._min), max(self._max, other._max)
        self._lowest = min(self._lowest, other._lowest)
        self._highest = max(self._highest, other._highest)

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto; mean and quantiles are those of the finite numbers."""
        proto = new_proto(name, self._type)
        fill_common(proto.num_stats.common_stats, self._examples, examples, self._values)
        stats = proto.num_stats
        stats.num_zeros = self._zeros
        if self._values > self._nan:
            stats.min, stats.max = self._min, self._max
        if self._moments.count:
            stats.mean = self._moments.mean()
            stats.std_dev = float(np.sqrt(self._moments.variance()))
            stats.median = self._distribution.quantiles([0.5])[0]
            self._fill_histograms(stats)
        elif self._values:
            stats.histograms.add(num_nan=self._nan, type=statistics_pb2.Histogram.STANDARD)
        return [proto]

    def _fill_histograms(self, stats):
        items = self._distribution.items()
        values = np.clip([value for value, _ in items], self._lowest, self._highest)
        counts = np.array([count for _, count in items], np.float64)
        low, high = self._lowest, self._highest
        edges = np.linspace(low, high, BUCKETS + 1) if high > low else np.array([low, high])
        places = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
        standard = stats.histograms.add(num_nan=self._nan, type=statistics_pb2.Histogram.STANDARD)
        for index in range(len(edges) - 1):
            count = counts[places == index].sum()
            standard.buckets.add(
                low_value=edges[index], high_value=edges[index + 1], sample_count=count
            )
        quantiles = self._distribution.quantiles(np.arange(BUCKETS + 1) / BUCKETS)
        # The two ends are known exactly.
        quantiles[0], quantiles[-1] = low, high
        shown = stats.histograms.add(num_nan=self._nan, type=statistics_pb2.Histogram.QUANTILES)
        share = counts.sum() / BUCKETS
        for low_value, high_value in zip(quantiles, quantiles[1:], strict=False):
            shown.buckets.add(low_value=low_value, high_value=high_value, sample_count=share)


class LabelStatistics:
    """A class id in each example."""

    def __init__(self, names: tuple[str, ...]):
        self._names = names
        self._counts = np.zeros(len(names), np.int64)

    def add(self, values) -> None:
        """Adds a batch: a list of class ids."""
        self._counts += np.bincount(values, minlength=len(self._names))

    def merge(self, other: "LabelStatistics") -> None:
        """Adds another's examples to this one's."""
        self._counts += other._counts

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto; classes without examples are listed with a count of zero."""
        proto = new_proto(name, Type.STRING)
        pairs = zip(self._names, self._counts.tolist(), strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        total = int(self._counts.sum())
        stats = proto.string_stats
        fill_common(stats.common_stats, total, examples, total)
        stats.unique = int(np.count_nonzero(self._counts))
        lengths = sum(len(value.encode()) * count for value, count in ranked)
        stats.avg_length = lengths / total if total else 0.0
        fill_ranks(stats, ranked)
        proto.custom_stats.add(name=NUM_CLASSES, num=len(self._names))
        return [proto]


class TextStatistics:
    """A string in each example."""

    def __init__(self):
        self._distinct = DistinctValues()
        self._examples = self._bytes = 0
        self._words = NumberStatistics(is_integer=True)

    def add(self, values) -> None:
        """Adds a batch: a list of strings."""
        encoded = [value.encode() for value in values]
        self._examples += len(encoded)
        self._bytes += sum(map(len, encoded))
        self._distinct.add(Counter(encoded))
        self._words.add([len(value.split()) for value in values])

    def merge(self, other: "TextStatistics") -> None:
        """Adds another's examples to this one's."""
        self._examples += other._examples
        self._bytes += other._bytes
        self._distinct.merge(other._distinct)
        self._words.merge(other._words)

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto and `<name>/words`, the number of words between white space."""
        proto = new_proto(name, Type.STRING)
        stats = proto.string_stats
        fill_common(stats.common_stats, self._examples, examples, self._examples)
        stats.unique = self._distinct.distinct()
        stats.avg_length = self._bytes / self._examples if self._examples else 0.0
        top = self._distinct.top()[:TOP_VALUES]
        fill_ranks(stats, [(value.decode(errors="replace"), count) for value, count in top])
        return [proto, *self._words.protos(f"{name}/words", examples)]


def new_proto(name: str, feature_type):
    """An empty proto of a feature."""
    proto = statistics_pb2.FeatureNameStatistics(type=feature_type)
    proto.path.step.append(name)
    return proto


def fill_common(common, present: int, examples: int, values: int) -> None:
    """Counts of a feature of which each example that has it has equally many values."""
    common.num_non_missing = present
    common.num_missing = examples - present
    common.tot_num_values = values
    if present:
        per_example = values // present
        common.min_num_values = common.max_num_values = per_example
        common.avg_num_values = per_example


def fill_ranks(stats, ranked: list[tuple[str, int]]) -> None:
    """Top values and rank histogram of (value, count), most frequent first."""
    for value, count in ranked[:TOP_VALUES]:
        if count:
            stats.top_values.add(value=value, frequency=count)
    for rank, (value, count) in enumerate(ranked):
        stats.rank_histogram.buckets.add(
            low_rank=rank, high_rank=rank, label=value, sample_count=count
        )
