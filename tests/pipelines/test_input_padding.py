"""Bounds of buckets: each tensor by its own length, boundaries by examples or by least padding."""

from itertools import combinations

import numpy as np
import pytest

from penstock.pipelines.inputs.input_config import Buckets
from penstock.pipelines.inputs.input_layout import Batching, lay_out
from penstock.pipelines.inputs.input_padding import bounds_of

PAIRS = np.array([[30, 3], [38, 5], [12, 10], [100, 9], [90, 25], [16, 2], [75, 1], [4, 11]])
"""Source and target: the longest are 11, 12, 16, 30, 38, 75, 90 and 100."""


def test_each_tensor_has_its_own_bound():
    """Halves end at 38 (5th of 8) and 100. Targets: 11 at most in the first, 25 in the second."""
    found = bounds_of(PAIRS, Buckets(count=2))
    assert found.tolist() == [[40, 16], [104, 32]]


def test_boundaries_that_are_given_are_kept():
    """The longest tensor of a bucket is padded to its boundary, no other above it."""
    found = bounds_of(PAIRS, Buckets(boundaries=(18, 20, 50, 110)))
    # Nothing is as long as 19 or 20: those bounds are as if the first bucket's went on.
    assert found.tolist() == [[18, 16], [20, 16], [50, 16], [110, 32]]
    assert bounds_of(PAIRS[:1], Buckets(boundaries=(10, 30))).tolist() == [[10, 10], [30, 8]]


def test_tensors_of_equal_lengths_have_equal_bounds():
    lengths = PAIRS[:, [0, 0, 1]]
    for buckets in (Buckets(count=3), Buckets(boundaries=(21, 103)), Buckets(chosen_by="padding")):
        found = bounds_of(lengths, buckets)
        assert np.array_equal(found[:, 0], found[:, 1])


def test_what_goes_up_from_a_smaller_bucket_fits():
    """5 short ones in fours: one of them begins the next batch, whose own targets have 1 token."""
    lengths = np.array([[4, 8]] * 5 + [[16, 1]] * 3)
    layout = lay_out([(8, 1.0)], Batching(4, buckets=Buckets(count=2)), 0, lengths, ["a", "b"])
    assert layout.bounds == [{"a": 8, "b": 8}, {"a": 16, "b": 8}]
    # 4 x 16 and 4 x 24 places for 5 x 12 + 3 x 17 tokens.
    assert layout.padding_share == pytest.approx(1 - 111 / 160)


def test_no_bound_is_empty():
    assert bounds_of(np.array([[9, 0]]), Buckets()).tolist() == [[16, 8]]
    assert bounds_of(np.array([[0, 0]]), Buckets(chosen_by="padding")).tolist() == [[1, 1]]


def test_further_examples_keep_the_buckets_and_have_what_they_need():
    known = bounds_of(PAIRS, Buckets(count=2))
    assert bounds_of(PAIRS[:2], Buckets(count=2), known).tolist() == known.tolist()
    longer = np.array([[20, 18], [7, 2], [130, 3]])
    found = bounds_of(longer, Buckets(count=2), known)
    assert found.tolist() == [[40, 24], [104, 32], [136, 24]]


def places(lengths, boundaries):
    return np.array(boundaries)[np.searchsorted(boundaries, lengths)].sum()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 30])
def test_least_padding_is_the_least_of_all_choices(count):
    """All sets of boundaries that reach to the longest, tried one by one."""
    lengths = np.random.default_rng(1).geometric(0.15, 300).clip(1, 15)
    found = bounds_of(lengths[:, None], Buckets(count=count, chosen_by="padding"))[:, 0]
    assert len(found) == min(count, 15)
    tried = combinations(range(1, 15), min(count, 15) - 1)
    assert places(lengths, found) == min(places(lengths, [*some, 15]) for some in tried)


def test_short_lengths_are_rounded_up_by_less_than_an_eighth():
    """To multiples of 1 below 16, of 2 below 32, of 4 below 64, of 8 from there on."""
    lengths = np.array([15, 17, 33, 65, 400])
    found = bounds_of(lengths[:, None], Buckets(chosen_by="padding"))
    assert found[:, 0].tolist() == [15, 18, 36, 72, 400]


def test_many_different_lengths_are_weighed_quickly():
    """Recordings: 40,000 samples are weighed in 500 steps of 80."""
    lengths = np.random.default_rng(0).integers(5_000, 40_001, 20_000)
    found = bounds_of(lengths[:, None], Buckets(count=4, chosen_by="padding"))[:, 0]
    # Evenly spread lengths are best cut evenly: each bucket 8,750 wide but the first, which is
    # cheaper by the places that its shorter rows do not have.
    assert found[-1] == 40_000
    even = places(lengths, [13_750, 22_500, 31_250, 40_000])
    assert places(lengths, found) <= even
    assert places(lengths, found) >= 0.99 * even


def test_pairs_of_sentences_have_little_padding():
    """Lengths as of Multi30k in subwords: 9 to 25 at most, differing by 2.6 (standard deviation)."""
    random = np.random.default_rng(0)
    source = random.gamma(9, 15 / 9, 20_000)
    pairs = np.stack([source, source + random.normal(0, 2.6, 20_000)], axis=1)
    pairs = pairs.round().astype(np.int64).clip(3, 55)

    def share(**options):
        batching = Batching(64, buckets=Buckets(**options))
        return lay_out([(20_000, 1.0)], batching, 0, pairs, ["a", "b"]).padding_share

    assert share(chosen_by="padding") < 0.15
    assert share(chosen_by="padding", count=12) < 0.12
    assert share() > 0.2
