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
from penstock.pipelines.ingest.sorted_runs import UNDECIDED, changes, save_index, undecided
from penstock.pipelines.ingest.splits import key_hashes

MISSING = 0
"""The stratum of the records without a label; of the others it is the class id and one."""


def check_stratify(name: str, features: Features) -> None:
    """Raises ValueError if the feature that `data.stratify` names is no label."""
    if isinstance(features.get(name), Label):
        return
    labels = [known for known, feature in features.items() if isinstance(feature, Label)]
    raise ValueError(
        "`data.stratify` must name a label of the source. "
        f"Received: {name!r}. Its labels: {', '.join(labels) or 'none'}. A column of a table is "
        "made one by `data.source.label`."
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
    order = np.lexsort((strata, units))
    units, strata = units[order], np.asarray(strata)[order]
    del order
    starts = np.flatnonzero(changes(units))
    distinct, sizes = units[starts], np.diff(np.append(starts, len(units)))
    has_groups = len(distinct) < len(units)
    of_unit = _most_frequent(units, strata) if has_groups else strata
    order = np.argsort(of_unit, kind="stable")  # by class, and within it by the hash of the unit
    split = np.empty(len(distinct), np.int16)
    for members in np.split(order, np.flatnonzero(changes(of_unit[order]))[1:]):
        if not len(members):
            continue
        size = sizes[members]
        before = np.cumsum(size) - size
        # Where a class begins to count is drawn by its hash: if all began at 0, what is left over of
        # many small classes would all fall into the last split.
        begin = _fraction(int(of_unit[members[0]]))
        place = (before + begin * size) / size.sum()
        split[members] = np.searchsorted(limits, place, side="right")
    return distinct, split


def _most_frequent(units, strata):
    """Of each distinct unit the stratum that most of its records have; of several the smallest.

    Args:
        units, strata: sorted by both.
    """
    starts = np.flatnonzero(changes(units) | changes(strata))
    times = np.diff(np.append(starts, len(units)))
    unit, stratum = units[starts], strata[starts]
    order = np.lexsort((stratum, -times, unit))
    return stratum[order][changes(unit[order])]


def _fraction(stratum: int) -> float:
    """In (0, 1), by the class."""
    return (key_hashes(f"stratum {stratum}")[0] + 0.5) / 2**64


def assign(runs: list[dict], directory: str, shares: dict[str, float]) -> list[dict]:
    """Divides the undecided records of all runs; gives back the runs with their splits.

    All of them are looked at together: some 70 bytes a record at the peak (measured with tracemalloc).
    """
    open_runs = [run for run in runs if UNDECIDED in run["splits"]]
    if not open_runs:
        return runs
    pairs = [np.array(undecided(directory, run["name"])[-2:]) for run in open_runs]
    units, strata = np.concatenate(pairs, axis=1)
    del pairs
    limits = np.cumsum(list(shares.values()))
    limits[max(i for i, share in enumerate(shares.values()) if share > 0) :] = 1.0
    distinct, split = decide(units, strata.astype(np.int32), limits)
    del units, strata
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
