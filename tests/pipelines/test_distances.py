"""Distances against scipy, by hand and by simulation."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics.value_statistics import NumberStatistics
from penstock.pipelines.validation import distances


def histogram(*buckets, kind=statistics_pb2.Histogram.QUANTILES):
    """Buckets of (low, high, count)."""
    made = statistics_pb2.Histogram(type=kind)
    for low, high, count in buckets:
        made.buckets.add(low_value=low, high_value=high, sample_count=count)
    return made


def numbers(values):
    statistics = NumberStatistics(is_integer=False)
    statistics.add(np.asarray(values))
    return statistics.protos("x", len(values))[0]


@pytest.mark.parametrize("seed", range(5))
def test_divergence_is_scipys(seed):
    random = np.random.default_rng(seed)
    p, q = random.dirichlet(np.full(7, 0.5), 2)
    p[0] = q[1] = 0  # scipy normalises
    p, q = p / p.sum(), q / q.sum()
    assert distances.divergence(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, rel=1e-12)


def test_divergence_by_hand():
    assert distances.divergence([1, 0], [0, 1]) == 1
    assert distances.divergence([0.5, 0.5], [0.5, 0.5]) == 0
    # The middle is (3/4, 1/4): (1 log2(4/3) + 1/2 log2(2/3) + 1/2 log2 2) / 2
    # = (0.4150375 - 0.2924813 + 0.5) / 2.
    assert distances.divergence([1, 0], [0.5, 0.5]) == pytest.approx(0.3112781, abs=1e-7)


def test_common_edges_by_hand():
    """Values are spread evenly over their bucket: half of [0, 2) is below 1."""
    left = histogram((0, 2, 100), (2, 4, 100))
    right = histogram((1, 3, 100), (3, 5, 100))
    # Few buckets: two bins, cut where half of both together is reached, at 3: below it lie
    # 100 + 50 of 200 on the left and 100 of 200 on the right.
    p, q, edges = distances.on_common_edges(left, right, (200, 200))
    assert (p.tolist(), q.tolist()) == ([0.75, 0.25], [0.5, 0.5])
    assert edges == [0, 3, math.inf]


def test_equal_edges_stay_as_they_are():
    left, right = (histogram((0, 1, a), (1, 2, b), (2, 3, c)) for a, b, c in [(6, 2, 2), (2, 2, 6)])
    found = distances.jensen_shannon(left, right, (100, 100), 0.01)
    expected = jensenshannon([0.6, 0.2, 0.2], [0.2, 0.2, 0.6], base=2) ** 2
    assert found.value == pytest.approx(expected)
    assert found.where == (2, math.inf)


def test_points_are_values_of_their_own():
    """A bucket without width: 0.5 at 0 and 0.5 at 1, against everything at 1."""
    left = histogram((0, 0, 50), (1, 1, 50))
    right = histogram((1, 1, 100))
    found = distances.jensen_shannon(left, right, (100, 100), 0.01)
    assert found.value == pytest.approx(0.3112781, abs=1e-7)


def test_an_outlier_does_not_stretch_the_bins():
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 2000))
    right[0] = 1e9
    found = distances.jensen_shannon(
        *distances.histograms(numbers(left), numbers(right)), (2000, 2000), 0.01
    )
    assert found.value < found.chance


def test_close_to_the_divergence_of_the_samples():
    """Two normal distributions a standard deviation apart, against numerical integration."""
    grid = np.linspace(-10, 11, 40_000)
    p, q = np.exp(-(grid**2) / 2), np.exp(-((grid - 1) ** 2) / 2)
    expected = jensenshannon(p, q, base=2) ** 2
    random = np.random.default_rng(0)
    left, right = random.normal(size=20_000), random.normal(1, size=20_000)
    found = distances.jensen_shannon(
        *distances.histograms(numbers(left), numbers(right)), (20_000, 20_000), 0.01
    )
    assert found.value == pytest.approx(expected, abs=0.01)
    assert found.value <= expected + found.chance  # bins can only make it smaller


DRAWS = {
    "normal": lambda random, n: random.normal(size=n),
    "heavy tails": lambda random, n: random.exponential(size=n) ** 3,
    "few values": lambda random, n: random.integers(0, 4, n).astype(float),
    "many zeros": lambda random, n: np.where(random.random(n) < 0.6, 0, random.normal(size=n)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("sizes", [(60, 60), (1430, 180), (1500, 1500)], ids=str)
def test_chance_explains_two_samples_of_one_source(draw, sizes):
    """At 5 %, 40 pairs exceed the bound 2 times on average; 8 or more with probability 0.001."""
    random, alarms = np.random.default_rng(1), 0
    for _ in range(40):
        pair = [numbers(draw(random, size)) for size in sizes]
        found = distances.jensen_shannon(*distances.histograms(*pair), sizes, 0.05)
        alarms += found.value > found.chance
    assert alarms < 8


def test_chance_of_divergence_is_chi_squared():
    # 8 ln(2) JS / (1/n + 1/m) of 5 bins has 4 degrees of freedom, whose 95 % quantile is 9.4877.
    expected = 9.4877 * (1 / 100 + 1 / 50) / (8 * math.log(2))
    assert distances.chance_of_divergence([(1.0, 5, 100, 50)], 0.05) == pytest.approx(
        expected, rel=1e-4
    )
    # The mean of two equal terms: 8 degrees of freedom (15.5073), each half of the weight.
    expected = 15.5073 / 2 * (1 / 100 + 1 / 50) / (8 * math.log(2))
    parts = [(0.5, 5, 100, 50)] * 2
    assert distances.chance_of_divergence(parts, 0.05) == pytest.approx(expected, rel=1e-4)
    assert distances.chance_of_divergence([(1.0, 1, 100, 50)], 0.05) == 0


def test_infinity_norm_by_hand():
    left, right = {"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.5, "c": 0.3}
    found = distances.infinity_norm(left, right, (1000, 1000), 0.01)
    assert found.value == pytest.approx(0.3)
    # Of two equally large differences that of the rarer category is further beyond chance.
    assert found.where == ("c", 0.0, 0.3)
    # Bernstein: L = ln(2 / (0.01 / 3)) = 6.397, V = 0.15 * 0.85 * 0.002, b = 0.001.
    reach = 0.001 * 6.3969 / 3
    assert found.chance == pytest.approx(
        reach + math.sqrt(reach**2 + 2 * 0.000255 * 6.3969), rel=1e-4
    )
    assert distances.infinity_norm({}, {}, (1, 1), 0.01).value == 0


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
@pytest.mark.parametrize("sizes", [(1000, 30), (200, 200)], ids=str)
def test_bernsteins_bound_holds(share, sizes):
    """At 1 %, and it is a bound: 4,000 pairs exceed it at most 40 times on average."""
    random = np.random.default_rng(2)
    shares = [random.binomial(size, share, 4000) / size for size in sizes]
    pooled = sum(s * size for s, size in zip(shares, sizes, strict=True)) / sum(sizes)
    alarms = sum(
        abs(a - b) > distances.chance_of_share(both, sizes, 0.01)
        for a, b, both in zip(*shares, pooled, strict=True)
    )
    assert alarms <= 60


def test_values_of_one_example_count_once():
    """Kish: 10 examples of 4 equal values each are 10 independent ones, not 40."""
    common = statistics_pb2.CommonStatistics(num_non_missing=10, tot_num_values=40)
    common.min_num_values = common.max_num_values = 4
    assert distances.sample_size(common) == 10
    # Sizes 1 and 9: Kish's (1 + 9)^2 / (1 + 81) is 1.22; the bound (1 + 9) / 9 is 1.11.
    assert distances.sample_size(
        statistics_pb2.CommonStatistics(tot_num_values=10, max_num_values=9)
    ) == pytest.approx(1.11, abs=0.01)


def test_a_common_factor_is_found():
    random = np.random.default_rng(3)
    miles = random.exponential(size=3000) ** 2
    other = random.exponential(size=3000) ** 2
    found = distances.factor(numbers(1.609 * miles), numbers(miles))
    assert found == pytest.approx(1.609, rel=0.01)
    assert distances.factor(numbers(3.28 * other), numbers(miles)) == pytest.approx(3.28, rel=0.1)
    assert distances.factor(numbers(miles + 5), numbers(miles)) is None
    narrow = random.normal(100, 5, size=3000)
    assert distances.factor(numbers(narrow + 40), numbers(narrow)) is None
    assert distances.factor(numbers(narrow * 1.4), numbers(narrow)) == pytest.approx(1.4, rel=0.01)
    assert distances.factor(numbers(-miles), numbers(miles)) is None
