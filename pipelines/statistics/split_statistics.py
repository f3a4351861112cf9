"""Statistics of all features of one split and of its slices, without Beam.

A slice is the examples that have one value of a column: `train: species=Adelie`.
"""

import difflib
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.features import Feature, Features, Label, Number, Sequence, Text
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.statistics.statistics_files import slice_name


def check_slices(columns: Iterable[str], features: Features) -> None:
    """Raises ValueError for a column that cannot be sliced by."""
    for name in columns:
        if name not in features:
            near = difflib.get_close_matches(name, features, 3) or list(features)
            raise ValueError(
                f"`data.statistics.slices` names {name!r}, which is no feature of the examples. "
                f"Expected: {', '.join(near)}. Correct the name, or leave it out."
            )
        if not _has_categories(features[name]):
            raise ValueError(
                f"`data.statistics.slices` names {name!r}, a feature of the kind "
                f"{features[name].kind!r}. Expected: a label, a text, an int64 number, or a "
                "sequence of these. Leave it out."
            )


MOST_SLICED_EXAMPLES = 200_000
MOST_SLICED_FEATURES = 2000
"""Up to so many examples, and features of all slices together, labels are sliced by without being
asked for. One label takes as long again as the statistics without it, or twice as long, and 2,000
features take at most 200 MB (measured)."""


def slices_by_default(features: Features, examples: int, max_slices: int) -> tuple[str, ...]:
    """The labels, which the check of the data needs of each class to see that they are exchanged.

    None where there are more than `MOST_SLICED_EXAMPLES`, no label of too many classes, and none
    with which there would be more than `MOST_SLICED_FEATURES`.
    """
    if examples > MOST_SLICED_EXAMPLES:
        return ()
    chosen, sliced = [], 0
    for name, feature in features.items():
        if isinstance(feature, Label) and len(feature.names) <= max_slices:
            of_label = len(feature.names) * len(features)
            if sliced + of_label <= MOST_SLICED_FEATURES:
                chosen.append(name)
                sliced += of_label
    return tuple(chosen)


def _has_categories(feature: Feature) -> bool:
    part = feature.of if isinstance(feature, Sequence) else feature
    is_integer = isinstance(part, Number) and part.dtype == "int64" and part.shape == ()
    return isinstance(part, Label | Text) or is_integer


Values = list | np.ndarray


class ExampleStatistics:
    """The accumulators of all features of some examples."""

    def __init__(self, features: Features):
        self._examples = 0
        self._by_name = {name: for_feature(feature) for name, feature in features.items()}

    def measure(self, rows: list[dict]) -> dict[str, tuple[list[int], Values]]:
        """Feature name -> (places of the rows that have it, what its accumulator takes of them)."""
        measured = {}
        for name, statistics in self._by_name.items():
            places = [place for place, row in enumerate(rows) if name in row]
            if places:
                values = statistics.measure([rows[place][name] for place in places])
                measured[name] = places, values
        return measured

    def add_measured(self, examples: int, measured: dict[str, tuple[list[int], Values]]) -> None:
        """Adds examples by what `measure` returned."""
        self._examples += examples
        for name, (_, values) in measured.items():
            self._by_name[name].add_measured(values)

    def merge(self, other: "ExampleStatistics") -> None:
        """Adds another's examples to this one's."""
        self._examples += other._examples
        for name, statistics in self._by_name.items():
            statistics.merge(other._by_name[name])

    def proto(self, name: str) -> statistics_pb2.DatasetFeatureStatistics:
        """A dataset of this name; features in the order of the description."""
        dataset = statistics_pb2.DatasetFeatureStatistics(name=name, num_examples=self._examples)
        for feature, statistics in self._by_name.items():
            dataset.features.extend(statistics.protos(feature, self._examples))
        return dataset


class SplitStatistics:
    """The statistics of a split and of its slices.

    Memory: the accumulators of `1 + len(slices) * max_slices` sets of examples, whatever the number
    of examples (an accumulator of numbers has 0.3 MB, one of texts 4 MB at most).

    Args:
        slices: columns, each value of which makes a slice; an example with several values (a
            sequence) is in several slices, one without a value in none.
        max_slices: a column with more values than this is refused.

    Raises:
        ValueError: a column cannot be sliced by, or (by `add` and `merge`) has too many values.
    """

    def __init__(self, features: Features, slices: Iterable[str] = (), max_slices: int = 50):
        check_slices(slices, features)
        self._features = features
        self._max_slices = max_slices
        self._all = ExampleStatistics(features)
        self._slices: dict[str, dict] = {column: {} for column in slices}

    def add(self, rows: list[dict]) -> None:
        """Adds a batch of examples: dicts of values as `example_codec.deserialise` gives them."""
        measured = self._all.measure(rows)
        self._all.add_measured(len(rows), measured)
        for column in self._slices:
            self._add_slices(column, rows, measured)

    def _add_slices(self, column, rows, measured):
        places: dict = {}
        for place, row in enumerate(rows):
            for value in _values(row.get(column)):
                places.setdefault(value, []).append(place)
        for value, of_value in places.items():
            chosen = _chosen(measured, of_value)
            self._slice(column, value).add_measured(len(of_value), chosen)

    def _slice(self, column, value):
        """The statistics of one slice."""
        slices = self._slices[column]
        if value not in slices:
            if len(slices) == self._max_slices:
                raise ValueError(
                    f"`data.statistics.slices` names {column!r}, which has more than "
                    f"{self._max_slices} values. Leave it out, or raise "
                    "`data.statistics.max_slices` (each slice takes memory)."
                )
            slices[value] = ExampleStatistics(self._features)
        return slices[value]

    def merge(self, other: "SplitStatistics") -> None:
        """Adds another's examples to this one's."""
        self._all.merge(other._all)
        for column, slices in other._slices.items():
            for value, statistics in slices.items():
                self._slice(column, value).merge(statistics)

    def proto(self, split: str) -> statistics_pb2.DatasetFeatureStatistics:
        """The split's dataset."""
        return self._all.proto(split)

    def slice_protos(self, split: str) -> list[statistics_pb2.DatasetFeatureStatistics]:
        """A dataset for each slice, by the order of the columns, then of their values."""
        return [
            slices[value].proto(slice_name(split, column, self._label(column, value)))
            for column, slices in self._slices.items()
            for value in sorted(slices)
        ]

    def _label(self, column, value):
        feature = self._features[column]
        part = feature.of if isinstance(feature, Sequence) else feature
        return part.names[value] if isinstance(part, Label) else str(value)


def _values(value) -> set:
    """The values that an example has in a column."""
    if value is None:
        return set()
    if isinstance(value, str):
        return {value}
    return set(np.asarray(value).ravel().tolist())


def _chosen(measured, places):
    """What was measured of some rows; features that none of them has are left out."""
    wanted, chosen = set(places), {}
    for name, (present, values) in measured.items():
        if present[-1] == len(present) - 1:  # no row before the last one lacks it
            kept = places[: bisect_left(places, len(present))]
            at = kept
        else:
            pairs = [(at, place) for at, place in enumerate(present) if place in wanted]
            at, kept = map(list, zip(*pairs, strict=True)) if pairs else ([], [])
        if kept:
            chosen[name] = kept, _at(values, at)
    return chosen


def _at(values: Values, places: list[int]) -> Values:
    return values[places] if isinstance(values, np.ndarray) else [values[at] for at in places]
