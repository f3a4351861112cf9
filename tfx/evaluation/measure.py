"""Columns of examples -> metrics with confidence intervals, of the whole set and of each slice."""

from difflib import get_close_matches

import numpy as np

from penstock.tfx.evaluation.intervals import Columns, percentile, resampled, take, wilson

MAX_SLICES = 1000
"""A column with more values than this is no grouping."""
SLICE_WORK = 200_000_000
"""Rows that the resamples of one column's slices may draw in all: some ten seconds."""
RESAMPLE_OVERHEAD = 1000
"""What a resample costs beside its rows, in rows."""
FEWEST_RESAMPLES = 100
"""An interval of fewer says nothing, so there is none."""


class Measure:
    """Metrics of a task.

    Args:
        task, state: `task.summarise(columns, state)`, `task.summary_columns`, `task.proportions`.
        confidence: of the intervals; 0...1.
        resamples, seed: of the bootstrap.
    """

    def __init__(self, task, state, *, confidence: float, resamples: int, seed: int):
        self._task = task
        self._state = state
        self._confidence = confidence
        self._resamples = resamples
        self._seed = seed

    def metrics(self, columns: Columns, resamples: int | None = None) -> dict[str, dict]:
        """Metric -> {value, low, high, interval}; `interval` says by which method.

        A value that is NaN or infinite is None; so are the ends and the method of an interval
        that cannot be had.

        Args:
            resamples: in place of those of the bootstrap; 0 for no bootstrap.
        """
        resamples = self._resamples if resamples is None else resamples
        needed = self._needed(columns)
        count = len(columns["key"])
        values = self._summarise(needed)
        samples = {}
        if any(name not in self._task.proportions for name in values):
            samples = resampled(self._summarise, needed, resamples=resamples, seed=self._seed)
        measured = {}
        for name, value in values.items():
            method, (low, high) = self._interval(name, value, count, samples)
            measured[name] = {"value": finite(value), "low": low, "high": high, "interval": method}
        return measured

    def _interval(self, name, value, count, samples):
        if not np.isfinite(value):
            return None, (None, None)
        if name in self._task.proportions:
            return "wilson", wilson(value, count, self._confidence)
        drawn = samples.get(name, np.empty(0))
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return None, (None, None)
        return "bootstrap", percentile(drawn, self._confidence)

    def slices(self, columns: Columns, names: tuple[str, ...]) -> list[dict]:
        """[{column, value, examples, resamples, metrics}] for each value of each named column.

        The slices of a column are resampled less often than the whole set where there are many
        rows or many slices: `resamples` * (rows + slices * `RESAMPLE_OVERHEAD`) <= `SLICE_WORK`.
        Where that leaves fewer than `FEWEST_RESAMPLES`, metrics that need the bootstrap have no
        interval.

        Raises:
            ValueError: no such column, or one that is no grouping.
        """
        check_slices(columns, names)
        found = []
        for name in names:
            values, group, sizes = np.unique(columns[name], return_inverse=True, return_counts=True)
            resamples = self._affordable(len(group), len(values))
            rows_by_group = np.split(np.argsort(group, kind="stable"), np.cumsum(sizes)[:-1])
            for value, index in zip(values.tolist(), rows_by_group, strict=True):
                found.append(
                    {
                        "column": name,
                        "value": value,
                        "examples": len(index),
                        "resamples": resamples,
                        "metrics": self.metrics(take(columns, index), resamples),
                    }
                )
        return found

    def _affordable(self, rows, slices):
        """Resamples of each slice of a column."""
        affordable = SLICE_WORK // (rows + slices * RESAMPLE_OVERHEAD)
        return min(self._resamples, affordable) if affordable >= FEWEST_RESAMPLES else 0

    def difference(self, columns: Columns, baseline: Columns, metrics) -> dict[str, dict]:
        """Metric -> {value, baseline, difference, low, high}; equal rows must be the same example.

        Metrics that either side does not define are left out. What is NaN or infinite is None, and
        so is a difference to it.
        """
        ours, theirs = self._needed(columns), self._needed(baseline)
        value, other = self._summarise(ours), self._summarise(theirs)
        options = {"resamples": self._resamples, "seed": self._seed}
        samples = resampled(self._summarise, ours, **options)
        others = resampled(self._summarise, theirs, **options)
        found = {}
        for name in metrics:
            if name not in value or name not in other:
                continue
            entry = {"value": finite(value[name]), "baseline": finite(other[name])}
            known = None not in entry.values()
            entry["difference"] = value[name] - other[name] if known else None
            pairs = [drawn.get(name, np.empty(0)) for drawn in (samples, others)]
            # A metric that some resamples do not define has no pairs.
            if all(len(drawn) == self._resamples and np.isfinite(drawn).all() for drawn in pairs):
                entry["low"], entry["high"] = percentile(pairs[0] - pairs[1], self._confidence)
            found[name] = entry
        return found

    def _summarise(self, columns):
        return self._task.summarise(columns, self._state)

    def _needed(self, columns):
        """Resampling strings that nobody reads costs more than all else."""
        names = self._task.summary_columns
        return columns if names is None else {name: columns[name] for name in names}


def finite(value: float) -> float | None:
    """The value as JSON can hold it."""
    return float(value) if np.isfinite(value) else None


def check_slices(columns: Columns, names) -> None:
    """Raises ValueError for a slice that is no column, or has too many values."""
    for name in names:
        if name not in columns or columns[name].dtype == object:
            known = [n for n, column in columns.items() if column.dtype != object and n != "key"]
            near = get_close_matches(name, known, n=3) or known
            raise ValueError(
                f"`evaluate.slices` must name columns of the evaluation. Received: {name!r}. "
                f"Nearest known: {', '.join(near)}."
            )
        distinct = len(np.unique(columns[name]))
        if distinct > MAX_SLICES:
            raise ValueError(
                f"`evaluate.slices` must name columns with few values. Received: {name!r} with "
                f"{distinct} values (at most {MAX_SLICES}). Group the values in the source."
            )
