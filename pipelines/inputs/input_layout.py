"""How the examples of some splits are laid out in batches: mixing, buckets, packing, hosts.

Comes in: how many examples each split has, and their lengths where these count. Goes out: a `Plan`
(`input_plan.py`), the members of packed rows, and the share of padding. NumPy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from penstock.pipelines.inputs import input_packing, input_padding
from penstock.pipelines.inputs.input_config import Buckets, Packing
from penstock.pipelines.inputs.input_plan import Plan, Pool, apportion, shuffled
from penstock.pipelines.transform.tensor_spec import Tensor


@dataclass(frozen=True)
class Batching:
    """How examples become batches.

    Attributes:
        batch_size: examples (rows, when packed) of all hosts together.
        drop_remainder: leaves out the smaller batch at the end of an epoch; sizes are static.
        buckets, packing: see `input_config.py`; at most one of them.
        padding: what padding holds, by flat name of a tensor (`targets`, `inputs/ids`); 0 by
            default.
        bounds: those of buckets that were laid out before (`Layout.bounds`), which are kept.
        shuffle_window: shuffle among so many neighbours instead of among all examples.
        host: (index, number of hosts). Host i gets the i-th part of each batch and plans the same
            order as all others; with `cache="off"` it reads nothing else.
        keys: batches are `(inputs, targets, sample_weight, key)`, for whoever must tell examples
            apart; sample_weight is None where all are one.
    """

    batch_size: int
    drop_remainder: bool = False
    buckets: Buckets | None = None
    packing: Packing | None = None
    padding: dict[str, int | float | str] = field(default_factory=dict)
    bounds: Sequence[dict[str, int]] | None = None
    shuffle_window: int | None = None
    host: tuple[int, int] = (0, 1)
    keys: bool = False


@dataclass(frozen=True)
class Layout:
    """See `lay_out`.

    Attributes:
        plan: which rows each batch has; rows are packed rows when packed.
        bounds: of each bucket, ascending, to what length each ragged tensor is padded; the longest
            of these is the bucket's boundary. None without buckets.
        members: (example rows, splits) of the packed rows; None without packing.
        row_lengths: length of a packed row by tensor.
        padding_share: part of the places of ragged tensors that is padding, in the first epoch;
            None without buckets or packing.
        totals: of each ragged tensor, the sum of its lengths in the first epoch; empty without
            buckets or packing.
    """

    plan: Plan
    bounds: list[dict[str, int]] | None = None
    members: tuple[np.ndarray, np.ndarray] | None = None
    row_lengths: dict[str, int] = field(default_factory=dict)
    padding_share: float | None = None
    totals: dict[str, int] = field(default_factory=dict)


def ragged_names(tensors: dict[str, Tensor], batching: Batching) -> list[str]:
    """The tensors whose lengths are needed, none without buckets and packing.

    Raises:
        ValueError: the tensors cannot be bucketed or packed.
    """
    if batching.packing:
        input_packing.check_packable(tensors)
    return input_padding.ragged_names(tensors) if batching.buckets or batching.packing else []


def lay_out(
    parts: Sequence[tuple[int, float]],
    batching: Batching,
    seed: int | None,
    lengths: np.ndarray | None,
    ragged: list[str],
) -> Layout:
    """Plans the batches of splits that stand one after the other.

    Args:
        parts: (examples, weight) of each split.
        seed: of all shuffling; None keeps the order.
        lengths: int64 [examples of all splits, ragged tensors] with buckets or packing.
        ragged: the names of these tensors.

    Raises:
        ValueError: no batch comes out, or an example is longer than the settings allow.
    """
    ends = np.cumsum([0, *(examples for examples, _ in parts)])
    rows_of = [np.arange(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
    weights = [weight for _, weight in parts]
    if batching.packing:
        return _packed(rows_of, weights, batching, seed, lengths, ragged)
    if batching.buckets:
        return _bucketed(rows_of, weights, batching, seed, lengths, ragged)
    pools = [Pool(*pair) for pair in zip(rows_of, _draws(rows_of, weights), strict=True)]
    return Layout(_plan([pools], [batching.batch_size], batching, seed))


def _draws(rows_of, weights):
    return apportion(sum(map(len, rows_of)), weights)


def _bucketed(rows_of, weights, batching, seed, lengths, ragged):
    known = batching.bounds and np.array([[b[name] for name in ragged] for b in batching.bounds])
    bounds = input_padding.bounds_of(lengths, batching.buckets, known)
    boundaries = bounds.max(axis=1)
    bucket_of = np.searchsorted(boundaries, lengths.max(axis=1))
    buckets = [[] for _ in bounds]
    for rows, draws in zip(rows_of, _draws(rows_of, weights), strict=True):
        found = [rows[bucket_of[rows] == bucket] for bucket in range(len(bounds))]
        # The draws of a split are spread over the buckets as its rows are.
        for pools, part, drawn in zip(
            buckets, found, apportion(draws, list(map(len, found))), strict=True
        ):
            pools.append(Pool(part, drawn))
    sizes = input_padding.batch_sizes(
        boundaries.tolist(), batching.buckets, batching.batch_size, batching.host[1]
    )
    plan = _plan(buckets, sizes, batching, seed)
    steps = plan.epoch(0, host=(0, 1))
    places = int((np.diff(steps.splits) * bounds.sum(axis=1)[steps.buckets]).sum())
    drawn = lengths[steps.rows]
    return Layout(
        plan,
        [dict(zip(ragged, bound, strict=True)) for bound in bounds.tolist()],
        padding_share=input_padding.padding_share(drawn, places),
        totals=dict(zip(ragged, drawn.sum(axis=0).tolist(), strict=True)),
    )


def _packed(rows_of, weights, batching, seed, lengths, ragged):
    """Packs each split by itself; the plan is one of packed rows."""
    row_lengths = input_packing.row_lengths(batching.packing, ragged, lengths)
    room = np.array(list(row_lengths.values()))
    members, splits, packed_of = [], [np.zeros(1, np.int64)], []
    count = 0
    for index, rows in enumerate(rows_of):
        order = rows
        if seed is not None:
            generator = np.random.Generator(np.random.PCG64((seed, index)))
            order = rows[shuffled(len(rows), generator, batching.shuffle_window)]
        found, ends = input_packing.first_fit(lengths[order], room, batching.packing.window)
        members.append(order[found])
        splits.append(splits[-1][-1] + ends[1:])
        packed_of.append(np.arange(count, count + len(ends) - 1))
        count += len(ends) - 1
    draws = _draws(packed_of, weights)
    pools = [Pool(*pair) for pair in zip(packed_of, draws, strict=True)]
    plan = _plan([pools], [batching.batch_size], batching, seed)
    members, splits = np.concatenate(members), np.concatenate(splits)
    upto = np.concatenate([np.zeros((1, len(ragged)), np.int64), lengths[members].cumsum(axis=0)])
    of_rows = upto[splits[1:]] - upto[splits[:-1]]
    drawn = of_rows[plan.epoch(0, host=(0, 1)).rows]
    return Layout(
        plan,
        members=(members, splits),
        row_lengths=row_lengths,
        padding_share=input_padding.padding_share(lengths, count * int(room.sum())),
        totals=dict(zip(ragged, drawn.sum(axis=0).tolist(), strict=True)),
    )


def _plan(buckets, sizes, batching, seed):
    plan = Plan(
        buckets,
        sizes,
        seed=seed,
        drop_remainder=batching.drop_remainder,
        host=batching.host,
        window=batching.shuffle_window,
    )
    if not plan.steps:
        examples = sum(len(pool.rows) for pools in buckets for pool in pools)
        what = "packed rows" if batching.packing else "examples"
        raise ValueError(
            f"The split gives no batch. Expected: at least one of {min(sizes)}. "
            f"Received: {examples} {what}. Lower `train.batch_size`."
        )
    return plan
