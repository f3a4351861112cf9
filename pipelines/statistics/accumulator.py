"""What the accumulators of statistics share: their contract, and the protos that all of them fill.

Of the Titanic's table every field that TFDV 1.16.1 fills has its value here, but for the histograms:
TFDV estimates the standard ones, and has ten quantiles. TFDV reads these protos, infers a schema from
them and shows them.
"""

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics.distribution import Distribution

Type = statistics_pb2.FeatureNameStatistics
TOP_VALUES, RANKS = 20, 1000
"""As in TFDV: strings in `top_values` and in `rank_histogram`."""
VALUES_BUCKETS = 10
"""As in TFDV: buckets of `num_values_histogram`."""


class Accumulator:
    """Statistics of one feature in one split or slice; memory does not grow with the data."""

    def measure(self, values):
        """What `add_measured` takes, an entry for each value: costly work that slices share."""
        return values

    def add(self, values) -> None:
        """Adds the values of a batch of examples, those that have one.

        Args:
            values: a list, as `example_codec.deserialise` gives them, or an array.
        """
        if len(values):
            self.add_measured(self.measure(values))

    def add_measured(self, values) -> None:
        """Adds what `measure` returned, or some entries of it; at least one."""
        raise NotImplementedError

    def merge(self, other) -> None:
        """Adds another's examples to this one's."""
        raise NotImplementedError

    def protos(self, name: str, examples: int) -> list:
        """TFDV's `FeatureNameStatistics` of the feature and of what is derived from it.

        Args:
            name: of the feature; derived ones are called `<name>/<part>`.
            examples: how many the split has, those without a value included.
        """
        raise NotImplementedError


class ValuesPerExample:
    """How many values the examples have that have the feature."""

    def __init__(self):
        self._total = 0
        self._lengths = Distribution(np.int64)

    @property
    def total(self) -> int:
        """How many values there were in all."""
        return self._total

    def add(self, lengths: np.ndarray) -> None:
        """Adds examples by their numbers of values."""
        self._total += int(lengths.sum())
        self._lengths.add(lengths)

    def add_equal(self, examples: int, length: int) -> None:
        """Adds examples of which each has `length` values."""
        self._total += examples * length
        self._lengths.add_repeated(length, examples)

    def merge(self, other: "ValuesPerExample") -> None:
        """Adds another's examples to this one's."""
        self._total += other._total
        self._lengths.merge(other._lengths)

    def fill(self, common, examples: int) -> None:
        """Fills a `CommonStatistics`; `examples` is how many there are with and without values."""
        present = self._lengths.count
        common.num_non_missing = present
        common.num_missing = examples - present
        common.tot_num_values = self._total
        if present:
            common.min_num_values, common.max_num_values = self._lengths.min, self._lengths.max
            common.avg_num_values = self._total / present
            fill_quantiles(common.num_values_histogram, self._lengths, VALUES_BUCKETS)


def new_proto(name: str, feature_type):
    """An empty proto of a feature."""
    proto = statistics_pb2.FeatureNameStatistics(type=feature_type)
    proto.path.step.append(name)
    return proto


def fill_quantiles(histogram, distribution: Distribution, buckets: int) -> None:
    """Fills a histogram of buckets that hold equally many; the two ends are exact."""
    histogram.type = statistics_pb2.Histogram.QUANTILES
    edges = distribution.quantiles(np.arange(buckets + 1) / buckets)
    edges[0], edges[-1] = float(distribution.min), float(distribution.max)
    for low, high in zip(edges, edges[1:], strict=False):
        histogram.buckets.add(
            low_value=low, high_value=high, sample_count=distribution.count / buckets
        )


def fill_ranks(histogram, ranked) -> None:
    """Fills a `RankHistogram` with (value, count), most frequent first."""
    for rank, (value, count) in enumerate(ranked):
        histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)


def fill_top(stats, ranked) -> None:
    """Fills the `top_values` of a `StringStatistics` with (value, count), most frequent first."""
    for value, count in ranked[:TOP_VALUES]:
        if count:
            stats.top_values.add(value=value, frequency=count)
