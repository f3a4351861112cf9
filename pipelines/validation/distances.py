"""Distances between two distributions, and how large chance alone makes them.

L-infinity for categories, Jensen-Shannon divergence (base 2, 0 to 1) for numbers: TFDV's two
measures (`anomalies/metrics.cc`), from the protos of the statistics. Two samples of one source are
never equal, so each measure comes with the bound that equal sources exceed with a probability of at
most `alpha`. A caller that makes many comparisons divides its `alpha` among them (Bonferroni).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics.statistics_files import VALUE_COUNTS, custom_stat

BINS = 20
"""Into which two distributions of numbers are divided at most."""
BUCKETS_OF_A_BIN = 5
"""Where the edges differ, the values inside a bucket are guesses; a bin is made of several buckets,
so that the guesses move a divergence by less than bins^2 / (8 ln(2) buckets^2) = 0.007."""
EXPECTED_COUNT = 5
"""Examples of the smaller sample that a bin must expect, for chi-squared to hold (Cochran 1954)."""


@dataclass(frozen=True)
class Distance:
    """How far two samples are apart. `chance`: what equal sources stay below."""

    value: float
    chance: float
    where: object = None
    """The category (with its two shares), or the (low, high) whose share has grown most."""


def sample_size(common: statistics_pb2.CommonStatistics) -> float:
    """How many independent values a feature has at least.

    Values of one example belong together. Kish's effective sample size of clusters of sizes l is
    (sum l)^2 / sum l^2 >= sum l / max l (Kish 1965, 8.2), which for equal sizes is the number of
    examples.
    """
    return common.tot_num_values / max(common.max_num_values, 1)


# Categories -----------------------------------------------------------------------------------


def chance_of_share(share: float, sizes: tuple[float, float], alpha: float) -> float:
    """What the difference of two samples' shares exceeds with a probability of at most `alpha`.

    Bernstein's inequality (Boucheron, Lugosi, Massart, "Concentration Inequalities", 2013, 2.10) for
    the difference of two means, which holds for rare categories and small samples too:
    P(|difference| >= b L / 3 + sqrt((b L / 3)^2 + 2 V L)) <= alpha, with L = ln(2 / alpha),
    V = share (1 - share) (1/n + 1/m) and b = max(1/n, 1/m). `share` is the two samples' together.
    """
    n, m = sizes
    log = math.log(2 / alpha)
    variance = max(share * (1 - share), 0.0) * (1 / n + 1 / m)  # shares may round to above 1
    reach = max(1 / n, 1 / m) * log / 3
    return reach + math.sqrt(reach**2 + 2 * variance * log)


def share_distance(left: float, right: float, sizes, alpha: float) -> Distance:
    """The difference of one share, as that of missing values."""
    n, m = sizes
    pooled = (left * n + right * m) / (n + m)
    return Distance(abs(left - right), chance_of_share(pooled, sizes, alpha))


def infinity_norm(left: dict, right: dict, sizes, alpha: float) -> Distance:
    """The largest difference of a category's shares.

    Args:
        left, right: category -> its share. What is in neither counts in no category.
        sizes: of the two samples.
        alpha: divided among the categories.

    Returns:
        The distance; `where` is (category, share in left, share in right), the one that is furthest
        beyond chance.
    """
    names = sorted(left.keys() | right.keys())
    worst = None
    for name in names:
        a, b = left.get(name, 0.0), right.get(name, 0.0)
        found = share_distance(a, b, sizes, alpha / len(names))
        if worst is None or found.value - found.chance > worst.value - worst.chance:
            worst = Distance(found.value, found.chance, (name, a, b))
    return worst or Distance(0.0, 0.0)


# Numbers --------------------------------------------------------------------------------------


def divergence(p, q) -> float:
    """Jensen-Shannon divergence of two vectors of shares, in bits: 0 (equal) to 1 (disjoint).

    Lin, "Divergence Measures Based on the Shannon Entropy", IEEE Trans. Inf. Theory 37 (1991), 4.1;
    `scipy.spatial.distance.jensenshannon(p, q, base=2) ** 2`.
    """
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(x > 0, x * np.log2(x / middle), 0.0).sum() for x in (p, q)]
    return float(min(max(sum(terms) / 2, 0.0), 1.0))


def chance_of_divergence(parts, alpha: float) -> float:
    """What a weighted sum of divergences exceeds with a probability of at most `alpha`.

    For two samples of one source, 8 ln(2) JS / (1/n + 1/m) is chi-squared with bins - 1 degrees of
    freedom for large n and m: to second order 8 ln(2) JS = sum (p - q)^2 / ((p + q) / 2), Pearson's
    statistic (Grosse et al., Phys. Rev. E 65 (2002) 041905, with equal weights). A sum of such terms
    is taken as a scaled chi-squared of the same mean and variance (Satterthwaite 1946).

    Args:
        parts: (weight, bins, n, m) of each divergence of the sum.
    """
    scales = [weight * (1 / n + 1 / m) / (8 * math.log(2)) for weight, _, n, m in parts]
    freedoms = [bins - 1 for _, bins, _, _ in parts]
    mean = sum(s * f for s, f in zip(scales, freedoms, strict=True))
    if not mean:
        return 0.0
    variance = sum(2 * s * s * f for s, f in zip(scales, freedoms, strict=True))
    scale, freedom = variance / (2 * mean), 2 * mean**2 / variance
    return float(scale * chdtri(freedom, alpha))


def jensen_shannon(left, right, sizes, alpha: float) -> Distance:
    """The divergence of two histograms on common edges; `where`: the bin that has grown most.

    Args:
        left, right: `statistics_pb2.Histogram`, of any and even of different buckets.
    """
    p, q, edges = on_common_edges(left, right, sizes)
    grown = int(np.argmax(np.asarray(q) - np.asarray(p))) if len(p) else 0
    where = (edges[grown], edges[grown + 1]) if len(p) else None
    chance = chance_of_divergence([(1.0, len(p), *sizes)], alpha) if len(p) else 0.0
    return Distance(divergence(p, q), chance, where)


def jensen_shannon_of_shares(left: dict, right: dict, sizes, alpha: float) -> Distance:
    """The divergence of two samples of categories: category -> its share."""
    names = sorted(left.keys() | right.keys())
    p, q = ([side.get(name, 0.0) for name in names] for side in (left, right))
    chance = chance_of_divergence([(1.0, len(names), *sizes)], alpha)
    return Distance(divergence(p, q), chance)


def histograms(left, right):
    """The two histograms to compare two `FeatureNameStatistics` of numbers by; None without any.

    Exact counts of integers where both have them; or else quantiles, whose buckets no outlier can
    stretch; or else the first that there is.
    """
    exact = [_exact_counts(statistics) for statistics in (left, right)]
    if all(exact):
        return exact
    chosen = [_best_histogram(statistics) for statistics in (left, right)]
    return chosen if all(chosen) else None


def _exact_counts(statistics):
    counts = custom_stat(statistics, VALUE_COUNTS)
    if counts is None:
        return None
    histogram = statistics_pb2.Histogram()
    for bucket in counts.rank_histogram.buckets:
        value = float(bucket.label)
        histogram.buckets.add(low_value=value, high_value=value, sample_count=bucket.sample_count)
    return histogram


def _best_histogram(statistics):
    found = [h for h in statistics.num_stats.histograms if h.buckets]
    quantiles = [h for h in found if h.type == statistics_pb2.Histogram.QUANTILES]
    return next(iter(quantiles + found), None)


def factor(left, right) -> float | None:
    """What the numbers on the right are multiplied by on the left; None if it is no one factor.

    From the quantiles of both where they are positive: nine of ten ratios are within 15 % of the
    median ratio, and the factor fits them at least twice as well as adding one number to all.
    """
    edges = []
    for statistics in (left, right):
        histogram = _best_histogram(statistics)
        if histogram is None or histogram.type != statistics_pb2.Histogram.QUANTILES:
            return None
        edges.append(np.array([bucket.high_value for bucket in histogram.buckets][:-1]))
    if len(edges[0]) != len(edges[1]) or not len(edges[0]):
        return None
    positive = (edges[0] > 0) & (edges[1] > 0)
    if 2 * positive.sum() < len(positive):
        return None
    here, there = (side[positive] for side in edges)
    ratios = here / there
    middle = float(np.median(ratios))
    added = here - there - np.median(here - there)
    fits = 2 * np.abs(here - middle * there).sum() < np.abs(added).sum()
    return middle if fits and np.mean(np.abs(ratios / middle - 1) < 0.15) >= 0.9 else None


def on_common_edges(left, right, sizes, most_bins: int = BINS):
    """Two histograms as shares of the same bins: (shares, shares, edges).

    As in TFDV, the edges of both are joined, the values of a bucket are spread evenly over it, and
    a bucket without width is all its count at one value. Then neighbouring bins are joined until
    each has its part of the two distributions together: fewer bins mean less noise, and joining
    bins can only make a divergence smaller (data processing inequality).
    """
    bounds = [{e for b in h.buckets for e in (b.low_value, b.high_value)} for h in (left, right)]
    edges = np.array([*sorted(bounds[0] | bounds[1]), math.inf], np.float64)
    p, q = (_shares(histogram, edges) for histogram in (left, right))
    bins = min(most_bins, min(sizes) // EXPECTED_COUNT)
    points = all(b.low_value == b.high_value for h in (left, right) for b in h.buckets)
    if bounds[0] != bounds[1] and not points:
        bins = min(bins, min(len(left.buckets), len(right.buckets)) // BUCKETS_OF_A_BIN)
    bins = max(bins, 2)
    starts, mass = [0], 0.0
    for index, share in enumerate((p + q) / 2):
        if mass >= 1 / bins - 1e-9:
            starts.append(index)
            mass = 0.0
        mass += share
    if len(starts) > 1 and mass < 0.5 / bins:
        starts.pop()
    ends = [*edges[starts].tolist(), math.inf]
    return np.add.reduceat(p, starts), np.add.reduceat(q, starts), ends


def _shares(histogram, edges):
    """The share of each bin [edge, next edge); the last is open."""
    low = np.array([b.low_value for b in histogram.buckets])
    high = np.array([b.high_value for b in histogram.buckets])
    counts = np.array([b.sample_count for b in histogram.buckets])
    if not counts.sum():
        return np.zeros(len(edges) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        width = high - low
        is_point = ~((width > 0) & np.isfinite(width))
        spread = np.clip((edges[:, np.newaxis] - low) / width, 0, 1)
        below = np.where(is_point, low < edges[:, np.newaxis], spread) @ counts
    below[-1] = counts.sum()
    return np.diff(below) / counts.sum()
