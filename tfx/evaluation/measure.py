"""Columns of examples -> metrics with confidence intervals, of the whole set and of each slice."""

from difflib import get_close_matches

import numpy as np

from penstock.tfx.evaluation.intervals import Columns, percentile, resampled, take, wilson

MAX_SLICES = 1000
"""A column with more values than this is no grouping."""


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

    def metrics(self, columns: Columns) -> dict[str, dict]:
        """Metric -> {value, low, high, interval}; `interval` says by which method."""
        needed = self._needed(columns)
        count = len(columns["key"])
        values = self._summarise(needed)
        shares = [name for name in values if name in self._task.proportions]
        samples = {}
        if len(shares) < len(values):
            samples = resampled(self._summarise, needed, resamples=self._resamples, seed=self._seed)
        measured = {}
        for name, value in values.items():
            if name in shares:
                method, (low, high) = "wilson", wilson(value, count, self._confidence)
            else:
                method, (low, high) = "bootstrap", percentile(samples[name], self._confidence)
            measured[name] = {"value": float(value), "low": low, "high": high, "interval": method}
        return measured

    def slices(self, columns: Columns, names: tuple[str, ...]) -> list[dict]:
        """[{column, value, examples, metrics}] for each value of each named column.

        Raises:
            ValueError: no such column, or one that is no grouping.
        """
        check_slices(columns, names)
        found = []
        for name in names:
            values, group = np.unique(columns[name], return_inverse=True)
            for number, value in enumerate(values.tolist()):
                index = np.flatnonzero(group == number)
                found.append(
                    {
                        "column": name,
                        "value": value,
                        "examples": len(index),
                        "metrics": self.metrics(take(columns, index)),
                    }
                )
        return found

    def difference(self, columns: Columns, baseline: Columns, metrics) -> dict[str, dict]:
        """Metric -> {value, baseline, difference, low, high}; equal rows must be the same example.

        Metrics that either side does not define are left out.
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
            entry = {"value": value[name], "baseline": other[name]}
            entry["difference"] = value[name] - other[name]
            # A metric that some resamples do not define has no pairs.
            if len(samples[name]) == len(others[name]) == self._resamples:
                apart = samples[name] - others[name]
                entry["low"], entry["high"] = percentile(apart, self._confidence)
            found[name] = entry
        return found

    def _summarise(self, columns):
        return self._task.summarise(columns, self._state)

    def _needed(self, columns):
        """Resampling strings that nobody reads costs more than all else."""
        names = self._task.summary_columns
        return columns if names is None else {name: columns[name] for name in names}


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
