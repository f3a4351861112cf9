"""Splits with the same share of each class: decided when all records are known.

A hash alone (`splits.py`) gives each class its share only on average: of 20 examples of a rare class
the test split may get none. Here the groups of a class (a record without a group is one of its own)
stand in the order of their hash and are cut at the exact shares. The contract:

- exact: the number of a class's examples in a split is the class's share of it, rounded up or down;
  with groups it is as near as the sizes of the groups allow;
- a group stays together; its class is the one that most of its records have;
- deterministic: order of reading and number of processes do not count;
- adding data moves few: the cuts move, and with them the examples between the old and the new cut.
  When m examples are added to n of a class, about sqrt(f (1 - f) m n / (n + m)) of the n move at a
  cut at the share f (the standard deviation of an empirical quantile). Where none may move, do
  without `data.stratify`, or give the splits in the source;
- the source's own splits are kept, but for `split_from`, and do not count.
"""

import numpy as np

from penstock.pipelines.features import Features, Label
from penstock.pipelines.sorted_runs import UNDECIDED, save_index, undecided
from penstock.pipelines.splits import key_hashes

MISSING = 0
"""The stratum of the records without a label; of the others it is the class id and one."""


def check_stratify(name: str, features: Features) -> None:
    """Raises ValueError if the feature that `data.stratify` names is no label."""
    if isinstance(features.get(name), Label):
        return
    labels = [known for known, feature in features.items() if isinstance(feature, Label)]
    raise ValueError(
        "`data.stratify` must name a label of the source. "
        f"Received: {name!r}. Its labels: {', '.join(labels) or 'none'}."
    )


def stratum(value) -> int:
    """The stratum of a record by the value of its label."""
    return MISSING if value is None else int(value) + 1


def decide(units, strata, limits) -> tuple[np.ndarray, np.ndarray]:
    """Divides groups among splits.

    Args:
        units: uint64 [records], the hash of each record's group or key.
        strata: int [records].
        limits: float [splits], the cumulative shares; the last is 1.

    Returns:
        The distinct units, ascending, and of each the number of its split.
    """
    distinct, of_record, sizes = np.unique(units, return_inverse=True, return_counts=True)
    of_unit = _most_frequent(of_record, strata, len(distinct))
    order = np.lexsort((distinct, of_unit))
    stratum, size = of_unit[order], sizes[order]
    starts = np.flatnonzero(np.append(True, stratum[1:] != stratum[:-1])[: len(stratum)])
    lengths = np.diff(np.append(starts, len(stratum)))
    before = np.cumsum(size) - size
    before -= np.repeat(before[starts], lengths)
    total = np.repeat(np.add.reduceat(size, starts) if len(starts) else size, lengths)
    # Where each class begins to count is drawn by its hash: if all began at 0, what is left over of
    # many small classes would all fall into the last split.
    begin = np.repeat([_fraction(int(stratum[start])) for start in starts], lengths)
    split = np.empty(len(distinct), np.int64)
    split[order] = np.searchsorted(limits, (before + begin * size) / total, side="right")
    return distinct, split


def _most_frequent(of_record, strata, count):
    """Of each unit the stratum that most of its records have; of several the smallest."""
    order = np.lexsort((strata, of_record))
    unit, stratum = of_record[order], np.asarray(strata)[order]
    is_first = np.append(True, (unit[1:] != unit[:-1]) | (stratum[1:] != stratum[:-1]))[: len(unit)]
    starts = np.flatnonzero(is_first)
    times = np.diff(np.append(starts, len(unit)))
    unit, stratum = unit[starts], stratum[starts]
    best = np.lexsort((stratum, -times, unit))
    is_best = np.append(True, unit[best][1:] != unit[best][:-1])[: len(best)]
    found = np.zeros(count, np.int64)
    found[unit[best][is_best]] = stratum[best][is_best]
    return found


def _fraction(stratum: int) -> float:
    """In (0, 1), by the class."""
    return (key_hashes(f"stratum {stratum}")[0] + 0.5) / 2**64


def assign(runs: list[dict], directory: str, shares: dict[str, float]) -> list[dict]:
    """Divides the undecided records of all runs; gives back the runs with their splits.

    All of them are looked at together: some 60 bytes a record at the peak.
    """
    open_runs = [run for run in runs if UNDECIDED in run["splits"]]
    if not open_runs:
        return runs
    pairs = [undecided(directory, run["name"])[-2:] for run in open_runs]
    units, strata = np.concatenate(pairs, axis=1)
    limits = np.cumsum(list(shares.values()))
    limits[max(i for i, share in enumerate(shares.values()) if share > 0) :] = 1.0
    distinct, split = decide(units, strata.astype(np.int64), limits)
    del units, strata, pairs
    decided = [_write_splits(run, directory, list(shares), distinct, split) for run in open_runs]
    return [*decided, *[run for run in runs if UNDECIDED not in run["splits"]]]


def _write_splits(run, directory, names, distinct, split):
    """Writes the indexes of a run, all of whose records were undecided; the run with its splits."""
    columns = undecided(directory, run["name"])
    numbers = split[np.searchsorted(distinct, columns[-2])]
    splits = {}
    for number, name in enumerate(names):
        chosen = columns[:5, numbers == number]
        if chosen.shape[1]:
            save_index(directory, run["name"], name, chosen)
            splits[name] = {"examples": chosen.shape[1], "bytes": int(chosen[2].sum())}
    return {**run, "splits": splits}
