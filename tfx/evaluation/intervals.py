"""Confidence intervals of metrics.

A share of examples (accuracy) has Wilson's score interval, which stays honest near 0 and 1 and for
few examples (Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1, eq. 4). Every other metric
has the percentile interval of the bootstrap: the quantiles of its values over resamples of the
examples with replacement (Efron and Tibshirani 1993, section 13.3).
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

Columns = dict[str, np.ndarray]


def wilson(share: float, count: int, confidence: float) -> tuple[float, float]:
    """Interval of a probability of which `share` of `count` trials succeeded."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    shrink = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / shrink
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / shrink
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def take(columns: Columns, index) -> Columns:
    """The rows `index` of every column."""
    return {name: column[index] for name, column in columns.items()}


def resampled(
    summarise: Callable[[Columns], dict[str, float]],
    columns: Columns,
    *,
    resamples: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Each metric's values over resamples (of those that define it).

    Two sets of columns about the same examples are resampled alike for equal seeds.
    """
    generator = np.random.default_rng(seed)
    count = len(next(iter(columns.values())))
    values: dict[str, list[float]] = {}
    for _ in range(resamples):
        for name, value in summarise(take(columns, generator.integers(0, count, count))).items():
            values.setdefault(name, []).append(value)
    return {name: np.asarray(list_of) for name, list_of in values.items()}


def percentile(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The central interval that holds `confidence` of the values."""
    low, high = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)
