"""Which rows each batch of an epoch consists of: index arithmetic in NumPy, no data is read.

Comes in: pools of rows, batch sizes, a seed. Goes out: for any epoch, the rows of all its batches.
Epoch *e*, step *s* names the same rows on every host and after every restart, and every epoch has
as many steps as any other. Nothing depends on where the rows are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 256
"""Rows that stay together where a shuffle must keep near to the order on disk."""

_DRAW, _MERGE, _BATCHES = range(3)
"""What a random generator is for; part of its seed, so that no two draw the same numbers."""


@dataclass(frozen=True)
class Pool:
    """Rows to draw from; each is drawn once before any is drawn again.

    Attributes:
        rows: int64 [n].
        draws: rows drawn in each epoch, n of them unless data sets are mixed by weight.
    """

    rows: np.ndarray
    draws: int


@dataclass(frozen=True)
class Steps:
    """Batch s of an epoch has the rows `rows[splits[s] : splits[s + 1]]`, of bucket `buckets[s]`."""

    rows: np.ndarray
    splits: np.ndarray
    buckets: np.ndarray


class Plan:
    """The batches of every epoch.

    A bucket's last rows that fill no batch begin a batch of the next larger bucket, so that only the
    very last batch of an epoch can be smaller than the others of its bucket.

    Args:
        buckets: for each bucket, by ascending length, the pools of its rows; one bucket where
            lengths do not count.
        batch_sizes: of all hosts together, one for each bucket.
        seed: of all shuffling; None keeps the order of the pools.
        drop_remainder: leaves out the smaller batch at the end.
        host: (index, number of hosts): this host gets its part of each batch.
        window: shuffle only among about so many neighbours (see `shuffled`); None among all.

    Attributes:
        steps: batches in each epoch.
        sizes: examples of each batch of all hosts together, in the order of planning.
    """

    def __init__(
        self,
        buckets: Sequence[Sequence[Pool]],
        batch_sizes: Sequence[int],
        *,
        seed: int | None,
        drop_remainder: bool = False,
        host: tuple[int, int] = (0, 1),
        window: int | None = None,
    ):
        self._buckets, self._seed, self._host, self._window = buckets, seed, host, window
        counts = [sum(pool.draws for pool in pools) for pools in buckets]
        self.sizes, self._bucket_of = _layout(counts, batch_sizes)
        self._last_is_small = bool(len(self.sizes)) and (
            self.sizes[-1] < batch_sizes[self._bucket_of[-1]]
        )
        if drop_remainder and self._last_is_small:
            self.sizes, self._bucket_of = self.sizes[:-1], self._bucket_of[:-1]
            self._last_is_small = False
        self.steps = len(self.sizes)

    def epoch(self, epoch: int, host: tuple[int, int] | None = None) -> Steps:
        """The rows of one epoch: this host's, or those of the `host` given."""
        drawn = [self._drawn(bucket, epoch) for bucket in range(len(self._buckets))]
        rows = np.concatenate(drawn)
        starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)[:-1]
        order = self._order(epoch)
        starts, sizes = starts[order], self.sizes[order]
        index, hosts = host or self._host
        first, last = sizes * index // hosts, sizes * (index + 1) // hosts
        places = ranges(starts + first, last - first)
        splits = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
        return Steps(rows[places], splits, self._bucket_of[order])

    def _order(self, epoch):
        """Batches of different buckets come in random order; the small one stays last."""
        order = np.arange(self.steps)
        if self._seed is not None and len(self._buckets) > 1:
            full = self.steps - self._last_is_small
            order[:full] = _generator(self._seed, _BATCHES, epoch).permutation(full)
        return order

    def _drawn(self, bucket, epoch):
        parts = [
            self._draw(pool, (bucket, index), epoch)
            for index, pool in enumerate(self._buckets[bucket])
        ]
        if len(parts) == 1:
            return parts[0]
        # Merged at random, the order within each part kept: parts may be near to the order on disk.
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        if self._seed is not None:
            owner = _generator(self._seed, _MERGE, bucket, epoch).permutation(owner)
        merged = np.empty(len(owner), np.int64)
        for index, part in enumerate(parts):
            merged[owner == index] = part
        return merged

    def _draw(self, pool, place, epoch):
        """Draws [epoch * draws, (epoch + 1) * draws) of an endless row of permutations."""
        count = len(pool.rows)
        if not count:
            return pool.rows
        first, last = epoch * pool.draws, (epoch + 1) * pool.draws
        parts = []
        for turn in range(first // count, -(-last // count)):
            rows = pool.rows
            if self._seed is not None:
                generator = _generator(self._seed, _DRAW, *place, turn)
                rows = rows[shuffled(count, generator, self._window)]
            parts.append(rows[max(first - turn * count, 0) : last - turn * count])
        return np.concatenate(parts or [pool.rows[:0]])


def _layout(counts, batch_sizes):
    """(examples, bucket) of each batch: slices of the rows of all buckets one after the other."""
    sizes, buckets, waiting, bucket = [], [], 0, 0
    for bucket_of, (count, size) in enumerate(zip(counts, batch_sizes, strict=True)):
        if not count:
            continue
        bucket, waiting = bucket_of, waiting + count
        sizes += [size] * (waiting // size)
        buckets += [bucket] * (waiting // size)
        waiting %= size
    if waiting:
        sizes.append(waiting)
        buckets.append(bucket)
    return np.array(sizes, np.int64), np.array(buckets, np.int64)


def shuffled(count: int, generator: np.random.Generator, window: int | None = None) -> np.ndarray:
    """A permutation of `range(count)`, int64.

    With a `window`, runs of `NEIGHBOURS` are put in random order and then shuffled among `window`
    at a time: random enough for most data, and a disk reads long stretches.
    """
    if window is None or window >= count:
        return generator.permutation(count)
    runs = generator.permutation(-(-count // NEIGHBOURS))
    rows = (runs[:, None] * NEIGHBOURS + np.arange(NEIGHBOURS)).ravel()
    rows = rows[rows < count]
    for start in range(0, count, window):
        generator.shuffle(rows[start : start + window])
    return rows


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `weights` that add up to `total` (largest remainders)."""
    shares = np.asarray(weights, np.float64) * (total / sum(weights))
    whole = np.floor(shares).astype(np.int64)
    missing = total - int(whole.sum())
    for index in np.argsort(whole - shares, kind="stable")[:missing].tolist():
        whole[index] += 1
    return whole.tolist()


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`start, start + 1, ...` for each start, one after the other: int64 [sum of lengths]."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)


def _generator(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
