"""Sums, distributions and distinct values against numpy, and in any order of merging."""

import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from penstock.pipelines.exact_sum import ExactMoments, ExactSum
from penstock.pipelines.statistics.distribution import EXACT_NUMBERS, Distribution
from penstock.pipelines.statistics.sketches import (
    DISTINCT_RELATIVE_ERROR,
    EXACT_STRINGS,
    DistinctCount,
    DistinctValues,
)

RNG = np.random.default_rng(7)


def test_sum_is_exact():
    # math.fsum gives the correctly rounded sum.
    values = RNG.standard_normal(5000) * 10.0 ** RNG.integers(-200, 200, 5000)
    total = ExactSum()
    total.add(values)
    assert float(total.total()) == math.fsum(values)


def test_sum_of_cancelling_numbers():
    total = ExactSum()
    total.add(np.array([1e300, 1.0, -1e300, 5e-324, -0.0]))
    assert total.total() == 1 + Fraction(5e-324)


def test_sums_merge_in_any_order():
    parts = [RNG.standard_normal(n).astype(np.float32) for n in (1, 100, 1000)]
    found = set()
    for order in itertools.permutations(parts):
        moments = ExactMoments()
        for part in order:
            other = ExactMoments()
            other.add(part)
            moments.merge(other)
        found.add((moments.mean(), moments.variance(), moments.count))
    assert len(found) == 1
    ((mean, variance, count),) = found
    together = np.concatenate(parts).astype(np.float64)
    assert count == 1101
    assert mean == pytest.approx(together.mean(), rel=1e-14)
    assert variance == pytest.approx(together.var(), rel=1e-13)


def test_variance_does_not_cancel():
    moments = ExactMoments()
    # Mean 2**24 + 1, variance (1 + 0 + 1) / 3.
    moments.add(np.array([2**24, 2**24 + 1, 2**24 + 2], np.float64))
    assert moments.variance() == 2 / 3


@pytest.mark.parametrize(
    "values",
    [
        1e9 + RNG.standard_normal(1000),
        np.array([1e300, -1e-300, 5e-324, 3.0]),
        RNG.integers(-(2**53), 2**53, 1000),
    ],
    ids=["large mean", "extremes", "large integers"],
)
def test_variance_is_exact_where_squares_are_rounded(values):
    # By rational numbers.
    numbers = [Fraction(value) for value in values.tolist()]
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
    moments = ExactMoments()
    moments.add(values)
    try:
        assert moments.variance() == float(variance)
    except OverflowError:
        assert moments.variance() == math.inf


def test_moments_of_nothing():
    moments = ExactMoments()
    moments.add(np.array([]))
    assert math.isnan(moments.mean())
    assert math.isnan(moments.variance())


FRACTIONS = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


def merged(make, parts):
    """The merger of an accumulator for each part, which travels pickled as Beam sends it."""
    together = make()
    for part in parts:
        other = make()
        other.add(part)
        together.merge(pickle.loads(pickle.dumps(other)))
    return together


def largest_rank_error(values, fractions, quantiles):
    """By how much the rank of each quantile misses its fraction, as a share of all values."""
    ordered = np.sort(values)
    low = np.searchsorted(ordered, quantiles, "left") / len(ordered)
    high = np.searchsorted(ordered, quantiles, "right") / len(ordered)
    return np.maximum(np.maximum(low - fractions, fractions - high), 0).max()


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_few_numbers_are_counted_exactly(dtype):
    values = RNG.integers(0, 50, 3000).astype(dtype)
    distribution = Distribution(dtype)
    for part in np.array_split(values, 7):
        distribution.add(part)
    assert distribution.is_exact
    assert distribution.rank_error == 0
    unique, counts = np.unique(values, return_counts=True)
    assert distribution.items() == list(zip(unique.tolist(), counts.tolist(), strict=True))
    assert distribution.distinct() == len(unique)
    assert (distribution.min, distribution.max) == (values.min(), values.max())
    expected = np.quantile(values, FRACTIONS, method="inverted_cdf")
    np.testing.assert_array_equal(distribution.quantiles(FRACTIONS), expected)
    edges = np.linspace(values.min(), values.max(), 8)
    assert distribution.counts_between(edges) == np.histogram(values, edges)[0].tolist()


def test_large_integers_stay_apart():
    distribution = Distribution(np.int64)
    distribution.add(np.array([2**53, 2**53 + 1, 2**53 + 1]))
    assert distribution.items() == [(2**53, 1), (2**53 + 1, 2)]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_quantiles_of_many_numbers_keep_the_stated_rank_error(scale):
    values = np.concatenate([RNG.lognormal(size=30000), -RNG.lognormal(size=14000), [0] * 500])
    values *= scale
    RNG.shuffle(values)
    distribution = merged(Distribution, np.array_split(values, 5))
    assert not distribution.is_exact
    assert distribution.distinct() is None
    assert 0 < distribution.rank_error < 0.0014
    quantiles = distribution.quantiles(FRACTIONS)
    assert largest_rank_error(values, FRACTIONS, quantiles) <= 2 * distribution.rank_error
    assert quantiles[0] >= values.min() == distribution.min
    assert quantiles[-1] <= values.max() == distribution.max
    edges = np.linspace(values.min(), values.max(), 11)
    counts, _ = np.histogram(values, edges)
    np.testing.assert_allclose(distribution.counts_between(edges), counts, atol=0.004 * len(values))


def test_a_number_that_is_repeated_weighs_as_much():
    distribution = Distribution()
    distribution.add_repeated(5.0, 200_000)
    distribution.add(np.arange(100_000.0) / 10_000)  # 0 to 10: half of them below 5
    assert not distribution.is_exact
    assert distribution.count == 300_000
    # Ranks 1/6 to 5/6 are the fives.
    assert distribution.quantiles([0.17, 0.5, 0.83]) == [5.0, 5.0, 5.0]


def test_distinct_integers_are_estimated():
    values = RNG.integers(0, 2**40, 50_000)
    distribution = merged(lambda: Distribution(np.int64), np.array_split(values, 4))
    assert distribution.distinct() == pytest.approx(
        len(np.unique(values)), rel=DISTINCT_RELATIVE_ERROR
    )


def test_distributions_are_exact_or_not_in_any_order():
    # Of 900 numbers and 124 others all are counted; one more is too many.
    parts = [RNG.integers(0, 900, 20_000), np.arange(800, 1000), np.arange(900, EXACT_NUMBERS)]
    orders = list(itertools.permutations(parts))
    items = [merged(Distribution, order).items() for order in orders]
    assert all(found == items[0] for found in items)
    assert not any(merged(Distribution, [*order, np.array([-1])]).is_exact for order in orders)


def test_distinct_counts_do_not_depend_on_the_order():
    values = [f"s{i}" for i in range(30_000)]
    found = {
        merged(DistinctCount, order).estimate()
        for order in itertools.permutations([values[:9000], values[8000:25000], values[20000:]])
    }
    at_once = DistinctCount()
    at_once.add(values)
    assert found == {at_once.estimate()}
    assert at_once.estimate() == pytest.approx(30_000, rel=DISTINCT_RELATIVE_ERROR)


def test_few_strings_are_counted_exactly():
    distinct = DistinctValues()
    distinct.add({"b": 2, "a": 2, "c": 5})
    assert distinct.is_exact
    assert distinct.count_error == 0
    assert distinct.distinct() == 3
    assert distinct.top() == [("c", 5), ("a", 2), ("b", 2)]


def test_frequent_ones_of_many_strings_are_found():
    # Zipf's law: the string of rank r has the share 1/r of the first.
    counts = {f"s{rank}": 100_000 // rank for rank in range(1, 20_001)}
    names = list(counts)
    RNG.shuffle(names)
    parts = [{name: counts[name] for name in part} for part in np.array_split(names, 6)]
    distinct = merged(DistinctValues, parts)
    assert not distinct.is_exact
    assert distinct.distinct() == pytest.approx(20_000, rel=DISTINCT_RELATIVE_ERROR)
    # 3.5 / 2**13 of all.
    assert 0 < distinct.count_error <= 3.5 / 2**13 * sum(counts.values())
    top = distinct.top()
    assert {f"s{rank}" for rank in range(1, 101)} <= {value for value, _ in top}
    for value, count in top:
        assert counts[value] <= count <= counts[value] + distinct.count_error


def test_no_string_is_called_frequent_without_being():
    distinct = DistinctValues()
    distinct.add({f"s{i}": 1 for i in range(100_000)})
    assert distinct.top() == []


def test_long_strings_are_told_apart_but_cut():
    long = "é" * 5000
    distinct = merged(DistinctValues, [{long + "a": 2, long + "b": 1}, {long + "a": 1}])
    assert distinct.distinct() == 2
    shown, count = distinct.top()[0]
    assert count == 3
    assert shown == "é" * 108 + "…"  # 216 bytes are kept


def test_distinct_values_are_the_same_in_any_order():
    parts = [
        {f"s{i}": 1 for i in range(3000)},
        {f"s{i}": 2 for i in range(2000, 4000)},
        {"s1": 10, f"s{EXACT_STRINGS - 1}": 3},
    ]
    found = {
        (part.is_exact, part.distinct(), tuple(part.top()))
        for part in (merged(DistinctValues, order) for order in itertools.permutations(parts))
    }
    assert len(found) == 1
    is_exact, distinct, top = found.pop()
    assert is_exact
    assert distinct == 4001
    assert top[:3] == (("s1", 11), ("s2000", 3), ("s2001", 3))
