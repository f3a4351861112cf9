"""The plan of batches: complete, repeatable, mixed by weight, in buckets, shared among hosts."""

from collections import Counter

import numpy as np
import pytest

from penstock.pipelines.inputs.input_config import Buckets, Packing
from penstock.pipelines.inputs.input_layout import Batching, lay_out
from penstock.pipelines.inputs.input_plan import (
    NEIGHBOURS,
    Plan,
    Pool,
    apportion,
    ranges,
    shuffled,
)

LENGTHS = np.array([3, 9, 1, 4, 12, 8, 2, 16, 5, 7, 11, 6, 4])
"""13 examples: 6 of at most 5 tokens (3, 1, 4, 2, 5, 4), 3 of 6 to 8, 4 of 9 to 16."""


def batches_of(steps):
    return [part.tolist() for part in np.split(steps.rows, steps.splits[1:-1])]


def plain(count, batch_size=4, **options):
    return Plan([[Pool(np.arange(count), count)]], [batch_size], **{"seed": 0, **options})


def test_an_epoch_is_a_permutation_and_no_two_are_alike():
    plan = plain(10)
    epochs = [batches_of(plan.epoch(epoch)) for epoch in range(5)]
    assert all([len(batch) for batch in epoch] == [4, 4, 2] for epoch in epochs)
    assert all(sorted(sum(epoch, [])) == list(range(10)) for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == 5
    assert batches_of(plain(10).epoch(3)) == epochs[3]
    assert batches_of(plain(10, seed=1).epoch(3)) != epochs[3]


def test_every_permutation_is_as_likely():
    """6 permutations of 3 rows, 600 seeds: 100 each; chi-square with 5 degrees, 0.1 % is 20.5."""
    seen = Counter(tuple(plain(3, seed=s).epoch(0).rows.tolist()) for s in range(600))
    assert sum((count - 100) ** 2 / 100 for count in seen.values()) < 20.5
    assert len(seen) == 6


def test_no_seed_keeps_the_order():
    assert batches_of(plain(6, seed=None).epoch(0)) == [[0, 1, 2, 3], [4, 5]]
    assert batches_of(plain(6, seed=None, drop_remainder=True).epoch(0)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("hosts", [2, 3])
def test_hosts_share_the_batches_of_one(hosts):
    whole = plain(22, batch_size=6).epoch(1)
    parts = [batches_of(plain(22, batch_size=6, host=(i, hosts)).epoch(1)) for i in range(hosts)]
    joined = [sum(of_step, []) for of_step in zip(*parts, strict=True)]
    assert joined == batches_of(whole)
    assert {len(part[0]) for part in parts} == {6 // hosts}


def test_near_shuffle_keeps_long_runs_together():
    count, window = 40 * NEIGHBOURS + 17, 4 * NEIGHBOURS
    rows = shuffled(count, np.random.default_rng(0), window)
    assert sorted(rows.tolist()) == list(range(count))
    # A window of 4 runs touches 5 of them at most, where one of the runs is the short one.
    touched = [len(set(rows[i : i + window] // NEIGHBOURS)) for i in range(0, count, window)]
    assert max(touched) <= 5
    assert not np.array_equal(rows, np.sort(rows))


def test_shares_add_up():
    assert apportion(10, [3, 1]) == [8, 2]  # 7.5 and 2.5: the first of equal remainders
    assert apportion(7, [1, 1, 1]) == [3, 2, 2]
    assert apportion(5, [0, 2, 0]) == [0, 5, 0]


def test_ranges():
    assert ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]


def test_a_mixture_draws_by_weight_and_leaves_nothing_out():
    """12 and 4 examples at 1:3: 16 an epoch, 4 of the first split and 12 of the second."""
    layout = lay_out([(12, 1.0), (4, 3.0)], Batching(4), 0, None, [])
    assert layout.plan.steps == 4
    epochs = [layout.plan.epoch(epoch).rows for epoch in range(3)]
    assert [int((rows < 12).sum()) for rows in epochs] == [4, 4, 4]
    # Three epochs of 4 are the 12 examples of the first split, each once.
    assert sorted(row for rows in epochs for row in rows if row < 12) == list(range(12))
    # 12 draws of 4 examples: each three times in every epoch.
    for rows in epochs:
        assert Counter(row for row in rows.tolist() if row >= 12) == dict.fromkeys(range(12, 16), 3)
    firsts = [batches_of(layout.plan.epoch(e))[0] for e in range(3)]
    assert any(0 < sum(row < 12 for row in first) < 4 for first in firsts)  # mixed, not in turn


def bucketed(buckets, batch_size=2, parts=((13, 1.0),), seed=0, **batching):
    batching = Batching(batch_size, buckets=buckets, **batching)
    return lay_out(parts, batching, seed, LENGTHS[:, None], ["inputs/ids"])


def test_buckets_hold_similar_lengths():
    """6 + 3 + 4 examples in twos: 3 batches, 1 and a rest of 1, which begins the third bucket's."""
    layout = bucketed(Buckets(boundaries=(5, 8, 16)))
    for epoch in range(4):
        steps = layout.plan.epoch(epoch)
        assert sorted(steps.rows.tolist()) == list(range(13))
        assert sorted(steps.buckets.tolist()) == [0, 0, 0, 1, 2, 2, 2]
        lengths = [LENGTHS[batch].tolist() for batch in batches_of(steps)]
        for bucket, of_batch in zip(steps.buckets, lengths, strict=True):
            assert max(of_batch) <= (5, 8, 16)[bucket]
        assert sum(min(of_batch) <= 8 < max(of_batch) for of_batch in lengths) <= 1
        assert [len(of_batch) for of_batch in lengths] == [2] * 6 + [1]
    orders = [layout.plan.epoch(epoch).buckets.tolist() for epoch in range(4)]
    assert len(set(map(str, orders))) > 1
    # 3 batches of 2 x 5, 1 of 2 x 8, 2 of 2 x 16 and one of 16: 126 places for 88 tokens.
    assert LENGTHS.sum() == 88
    assert layout.padding_share == pytest.approx(1 - 88 / 126)


def test_a_budget_of_tokens_sizes_the_batches():
    """Budget 16: 3 of 5 tokens, 2 of 8, 1 of 16."""
    layout = bucketed(Buckets(boundaries=(5, 8, 16), tokens_per_batch=16))
    steps = layout.plan.epoch(0)
    pairs = zip(steps.buckets.tolist(), np.diff(steps.splits).tolist(), strict=True)
    # 6 examples in threes; 3 in twos, the rest of 1 goes up to the 4 longest.
    assert sorted(pairs) == [(0, 3)] * 2 + [(1, 2)] + [(2, 1)] * 5


def test_boundaries_are_found_in_the_data():
    """Halves of the sorted lengths end at 6 (7th of 13) and 16: rounded up to multiples of 8."""
    layout = bucketed(Buckets(count=2))
    assert np.sort(LENGTHS)[6] == 6
    assert layout.bounds == [{"inputs/ids": 8}, {"inputs/ids": 16}]
    assert bucketed(Buckets(), bounds=[{"inputs/ids": 8}]).bounds == layout.bounds


def test_a_mixture_in_buckets_has_equal_epochs():
    layout = bucketed(Buckets(boundaries=(5, 16)), parts=((7, 1.0), (6, 2.0)), host=(0, 2))
    counts = [layout.plan.epoch(epoch).buckets.tolist() for epoch in range(5)]
    assert len({str(sorted(buckets)) for buckets in counts}) == 1


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        (Buckets(boundaries=(4, 11)), r"longest example \(16\). Received: 11.* 2 examples"),
        (Buckets(boundaries=(16,), tokens_per_batch=15), r"bucket \(16\) for each of 1 host"),
    ],
)
def test_what_does_not_fit_is_named(buckets, message):
    with pytest.raises(ValueError, match=message):
        bucketed(buckets)


def test_packed_rows_are_planned_by_themselves():
    batching = Batching(2, packing=Packing(length=16))
    layout = lay_out([(13, 1.0)], batching, 0, LENGTHS[:, None], ["inputs/ids"])
    members, splits = layout.members
    assert sorted(members.tolist()) == list(range(13))
    totals = np.add.reduceat(LENGTHS[members], splits[:-1])
    assert totals.max() <= 16
    rows = len(splits) - 1
    assert layout.plan.steps == -(-rows // 2)
    assert layout.padding_share == pytest.approx(1 - 88 / (16 * rows))
    orders = [layout.plan.epoch(epoch).rows.tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(rows)) for order in orders)
    assert orders[0] != orders[1]
