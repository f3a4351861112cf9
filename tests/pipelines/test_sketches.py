"""Sums, distributions and distinct values against numpy, and in any order of merging."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from penstock.pipelines.exact_sum import ExactMoments, ExactSum
from penstock.pipelines.sketches import EXACT_NUMBERS, KEPT_STRINGS, DistinctValues, Distribution

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


def test_moments_of_nothing():
    moments = ExactMoments()
    moments.add(np.array([]))
    assert math.isnan(moments.mean())
    assert math.isnan(moments.variance())


FRACTIONS = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


def test_few_numbers_are_counted_exactly():
    values = RNG.integers(0, 50, 3000)
    distribution = Distribution()
    distribution.add(values)
    assert distribution.is_exact
    unique, counts = np.unique(values, return_counts=True)
    assert distribution.items() == list(zip(unique.tolist(), counts.tolist(), strict=True))
    expected = np.quantile(values, FRACTIONS, method="inverted_cdf")
    np.testing.assert_array_equal(distribution.quantiles(FRACTIONS), expected)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_quantiles_of_many_numbers_are_within_half_a_percent(scale):
    values = (
        np.concatenate([RNG.lognormal(size=9000), -RNG.lognormal(size=4000), [0.0] * 50]) * scale
    )
    distribution = Distribution()
    distribution.add(values)
    assert not distribution.is_exact
    expected = np.quantile(values, FRACTIONS, method="inverted_cdf")
    np.testing.assert_allclose(distribution.quantiles(FRACTIONS), expected, rtol=0.005)
    assert sum(count for _, count in distribution.items()) == 13050


def test_distributions_merge_in_any_order():
    parts = [RNG.integers(0, 900, 2000), np.arange(900, 950), RNG.standard_normal(EXACT_NUMBERS)]
    found = []
    for order in itertools.permutations(parts):
        merged = Distribution()
        for part in order:
            other = Distribution()
            other.add(part)
            merged.merge(other)
        found.append(merged.items())
    assert all(items == found[0] for items in found)
    at_once = Distribution()
    at_once.add(np.concatenate(parts))
    assert at_once.items() == found[0]


def test_few_strings_are_counted_exactly():
    distinct = DistinctValues()
    distinct.add({b"b": 2, b"a": 2, b"c": 5})
    assert distinct.is_exact
    assert distinct.distinct() == 3
    assert distinct.top() == [(b"c", 5), (b"a", 2), (b"b", 2)]


def test_many_strings_are_estimated():
    distinct = DistinctValues()
    for start in range(0, 100_000, 5000):
        distinct.add({f"s{i}".encode(): i % 7 + 1 for i in range(start, start + 5000)})
    assert not distinct.is_exact
    # Three standard errors: 3 / sqrt(4094) = 4.7 %.
    assert distinct.distinct() == pytest.approx(100_000, rel=0.047)
    assert len(distinct.top()) == KEPT_STRINGS
    for value, count in distinct.top()[:50] + distinct.top()[-50:]:
        assert count == int(value[1:]) % 7 + 1


def test_distinct_values_merge_in_any_order():
    parts = [
        {f"s{i}".encode(): 1 for i in range(7000)},
        {f"s{i}".encode(): 2 for i in range(3000, 9000)},
        {b"s1": 10, b"s8999": 3},
    ]
    found = set()
    for order in itertools.permutations(parts):
        merged = DistinctValues()
        for part in order:
            other = DistinctValues()
            other.add(part)
            merged.merge(other)
        found.add((merged.distinct(), tuple(merged.top())))
    assert len(found) == 1
