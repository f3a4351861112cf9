"""One axis for the distributions of a number in several data sets, so that they can be compared.

Comes in: `FeatureNameStatistics` of one feature, by split or slice. Goes out: common edges and the
share of the values between them. A few extreme values would press all others into one bin: they are
left out, and it is said how many they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics.statistics_files import VALUE_COUNTS, custom_stat
from penstock.tfx.report import formats

MOST_BINS, LEAST_BINS = 24, 8
MOST_INTEGERS = 30
"""Integers in a narrower range than this have a bin each."""
TAIL = 0.02
"""The share at each end that may be cut off."""
LONG_TAIL = 1.0
"""It is, where it is longer than this times the range of all other values."""
DECADES = 3
"""From so many powers of ten on, positive numbers have a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """Where distributions are drawn.

    Attributes:
        edges: of the bins, increasing.
        shares: name of a data set -> the share of its finite values in each bin.
        is_integer: whether all values are whole numbers.
        is_log: whether the bins are equally wide on a logarithmic axis.
        left_out: a sentence about what lies outside; empty where nothing does.
    """

    edges: np.ndarray
    shares: dict[str, np.ndarray]
    is_log: bool
    is_integer: bool
    left_out: str


@dataclass(frozen=True)
class _Buckets:
    """A histogram as arrays; a bucket without width has all its values at one place."""

    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray

    def share_below(self, edges: np.ndarray) -> np.ndarray:
        """The share of the values below each edge; in a bucket they are spread evenly."""
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.clip((edges[:, None] - self.low) / (self.high - self.low), 0, 1)
        below = np.where(self.high > self.low, spread, self.low < edges[:, None])
        return below @ self.counts / self.counts.sum()

    def quantile(self, rank: float) -> float:
        """The number that a share of `rank` is not above."""
        ends = np.cumsum(self.counts) / self.counts.sum()
        place = min(int(np.searchsorted(ends, rank - 1e-9)), len(ends) - 1)
        start = ends[place - 1] if place else 0.0
        part = (rank - start) / ((ends[place] - start) or 1.0)
        low, high = self.low[place], self.high[place]
        return float(low + np.clip(part, 0, 1) * (high - low))


def buckets(statistics: statistics_pb2.FeatureNameStatistics) -> _Buckets | None:
    """The most exact distribution that statistics of numbers have; None where they have none."""
    exact = custom_stat(statistics, VALUE_COUNTS)
    if exact is not None and exact.rank_histogram.buckets:
        found = sorted((float(b.label), b.sample_count) for b in exact.rank_histogram.buckets)
        values, counts = np.array(found).T
        return _Buckets(values, values, counts)
    histograms = [h for h in statistics.num_stats.histograms if h.buckets]
    is_quantiles = [h.type == statistics_pb2.Histogram.QUANTILES for h in histograms]
    if not histograms:
        return None
    chosen = histograms[is_quantiles.index(True) if any(is_quantiles) else 0].buckets
    found = [(b.low_value, b.high_value, b.sample_count) for b in chosen]
    low, high, counts = np.array(found, np.float64).T
    return _Buckets(low, high, counts) if counts.sum() else None


def quantiles(statistics: statistics_pb2.FeatureNameStatistics, ranks: Iterable[float]) -> list:
    """Numbers that these shares of the values are not above; None each where there are no values."""
    found = buckets(statistics)
    return [found.quantile(rank) if found else None for rank in ranks]


def common_axis(features: dict[str, statistics_pb2.FeatureNameStatistics]) -> Axis | None:
    """The axis for one feature of several data sets; None where all their values are equal."""
    known = {name: buckets(statistics) for name, statistics in features.items()}
    known = {name: found for name, found in known.items() if found}
    if not known:
        return None
    least = min(float(found.low.min()) for found in known.values())
    most = max(float(found.high.max()) for found in known.values())
    if not (least < most and np.isfinite([least, most]).all()):
        return None
    inner = (
        min(found.quantile(TAIL) for found in known.values()),
        max(found.quantile(1 - TAIL) for found in known.values()),
    )
    is_log = inner[0] > 0 and least > 0 and inner[1] / inner[0] >= 10**DECADES
    low, high = _range(least, most, inner, is_log)
    is_integer = all(s.type == statistics_pb2.FeatureNameStatistics.INT for s in features.values())
    count = max(float(found.counts.sum()) for found in known.values())
    edges = _edges(low, high, count, is_log, is_integer)
    below = {name: found.share_below(edges) for name, found in known.items()}
    # The last bin holds its upper edge too, where the greatest numbers are.
    ends = {name: _up_to(found, edges[-1]) for name, found in known.items()}
    shares = {name: np.diff(np.append(b[:-1], ends[name])) for name, b in below.items()}
    left_out = _left_out(below, ends, edges, (least, most))
    return Axis(edges, shares, is_log, is_integer, left_out)


def _range(least, most, inner, is_log):
    """From the least to the greatest value, or a part of it without long tails."""
    if is_log:
        return least, most
    reach = inner[1] - inner[0]
    if not reach:
        return least, most
    low = inner[0] if inner[0] - least > LONG_TAIL * reach else least
    high = inner[1] if most - inner[1] > LONG_TAIL * reach else most
    return low, high


def _edges(low, high, count, is_log, is_integer):
    bins = int(np.clip(np.ceil(2 * count ** (1 / 3)), LEAST_BINS, MOST_BINS))  # Rice's rule
    if is_log:
        return np.geomspace(low, high, bins + 1)
    if not is_integer:
        return np.linspace(low, high, bins + 1)
    low, high = np.floor(low), np.ceil(high)
    width = 1 if high - low < MOST_INTEGERS else np.ceil((high - low + 1) / bins)
    return low - 0.5 + width * np.arange(np.ceil((high - low + 1) / width) + 1)


def _up_to(found: _Buckets, edge: float) -> float:
    """The share of the values that are not above an edge."""
    points = (found.high <= found.low) & (found.low == edge)
    return float(
        found.share_below(np.array([edge]))[0] + found.counts[points].sum() / found.counts.sum()
    )


def _left_out(below, ends, edges, bounds) -> str:
    parts = []
    lower = max(float(share[0]) for share in below.values())
    if lower > 0 and bounds[0] < edges[0]:
        parts.append(_cut(lower, "below", edges[0], "down", bounds[0]))
    upper = max(1 - end for end in ends.values())
    if upper > 1e-12 and bounds[1] > edges[-1]:
        parts.append(_cut(upper, "above", edges[-1], "up", bounds[1]))
    return f"Not drawn: {' and '.join(parts)}." if parts else ""


def _cut(share, side, edge, direction, bound):
    most = f"at most {formats.percent(share)} of the values"
    return f"{most} {side} {formats.number(edge, 3)} ({direction} to {formats.number(bound, 3)})"
