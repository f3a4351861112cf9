"""Accumulators of features with any number of values in an example: sequences and boxes."""

from itertools import chain

import numpy as np

from penstock.pipelines.features import Label, Sequence, Text
from penstock.pipelines.statistics.accumulator import Accumulator
from penstock.pipelines.statistics.statistics_files import NUM_ZERO_AREA
from penstock.pipelines.statistics.value_statistics import (
    LabelStatistics,
    NumberStatistics,
    TextStatistics,
)


class SequenceStatistics(Accumulator):
    """A list of texts, class ids or numbers in each example.

    The statistics of the feature are those of all entries together, whatever example they are of.
    """

    def __init__(self, feature: Sequence):
        self._of = feature.of
        self._lengths = NumberStatistics(is_integer=True)
        if isinstance(feature.of, Text):
            self._entries = TextStatistics()
        elif isinstance(feature.of, Label):
            self._entries = LabelStatistics(feature.of.names)
        else:
            self._entries = NumberStatistics(feature.of.dtype == "int64")

    def add_measured(self, values) -> None:
        """Adds a batch: a list of lists of str or int, or of arrays [n, *shape]."""
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self._lengths.add(lengths)
        if isinstance(self._of, Text):
            self._entries.add_flat(list(chain.from_iterable(values)), lengths)
        elif isinstance(self._of, Label):
            ids = np.fromiter(chain.from_iterable(values), np.int64, int(lengths.sum()))
            self._entries.add_flat(ids, lengths)
        elif values:
            size = int(np.prod(self._of.shape, dtype=np.int64))
            numbers = [np.asarray(value, self._of.dtype).ravel() for value in values]
            self._entries.add_flat(np.concatenate(numbers), lengths * size)

    def merge(self, other: "SequenceStatistics") -> None:
        """Adds another's examples to this one's."""
        self._lengths.merge(other._lengths)
        self._entries.merge(other._entries)

    def protos(self, name: str, examples: int) -> list:
        """The proto of the entries, what is derived from them, and `<name>/length`."""
        return self._entries.protos(name, examples) + self._lengths.protos(
            f"{name}/length", examples
        )


_PARTS = ("area_fraction", "width_fraction", "height_fraction", "aspect_ratio")


class BoxesStatistics(Accumulator):
    """The boxes of an image in each example."""

    def __init__(self):
        self._lengths = NumberStatistics(is_integer=True)
        self._numbers = NumberStatistics(is_integer=False)
        self._parts = {name: NumberStatistics(is_integer=False) for name in _PARTS}
        self._zero_area = 0

    def add_measured(self, values) -> None:
        """Adds a batch: a list of float32 [n, 4]: ymin, xmin, ymax, xmax as fractions."""
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self._lengths.add(lengths)
        flat = [np.asarray(value, np.float32).reshape(-1, 4) for value in values]
        boxes = np.concatenate([np.empty((0, 4), np.float32), *flat]).astype(np.float64)
        self._numbers.add_flat(boxes.ravel(), 4 * lengths)
        heights, widths = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        real = (heights > 0) & (widths > 0)
        self._zero_area += int(np.count_nonzero(~real))
        self._parts["area_fraction"].add_flat(heights * widths, lengths)
        self._parts["width_fraction"].add_flat(widths, lengths)
        self._parts["height_fraction"].add_flat(heights, lengths)
        owners = np.repeat(np.arange(len(lengths)), lengths)[real]
        self._parts["aspect_ratio"].add_flat(
            widths[real] / heights[real], np.bincount(owners, minlength=len(lengths))
        )

    def merge(self, other: "BoxesStatistics") -> None:
        """Adds another's examples to this one's."""
        self._zero_area += other._zero_area
        self._lengths.merge(other._lengths)
        self._numbers.merge(other._numbers)
        for name, part in self._parts.items():
            part.merge(other._parts[name])

    def protos(self, name: str, examples: int) -> list:
        """The proto of the four numbers of all boxes, `<name>/length` and those of the parts."""
        protos = self._numbers.protos(name, examples)
        protos[0].custom_stats.add(name=NUM_ZERO_AREA, num=self._zero_area)
        protos += self._lengths.protos(f"{name}/length", examples)
        for key, part in self._parts.items():
            protos += part.protos(f"{name}/{key}", examples)
        return protos
