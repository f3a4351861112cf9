"""Accumulators of encoded data: images.

What TFDV's `FeatureNameStatistics` has no place for becomes a derived numeric feature with a
path-like name: `image/height`, `image/width`, `image/channels`, `image/brightness`,
`image/contrast`. TFDV and Facets then show histograms and quantiles of these, which they would not
of `custom_stats`.
"""

from penstock.pipelines.image_files import ImageFault, measure
from penstock.pipelines.statistics_files import NUM_UNDECODABLE
from penstock.pipelines.value_statistics import NumberStatistics, Type, fill_common, new_proto


class BytesStatistics:
    """Encoded data in each example."""

    def __init__(self):
        self._examples = self._bytes = self._max = 0
        self._min = None

    def add(self, values) -> None:
        """Adds a batch: a list of bytes."""
        sizes = [len(value) for value in values]
        self._examples += len(sizes)
        self._bytes += sum(sizes)
        if sizes:
            smallest = min(sizes)
            self._min = smallest if self._min is None else min(self._min, smallest)
            self._max = max(self._max, *sizes)

    def merge(self, other: "BytesStatistics") -> None:
        """Adds another's examples to this one's."""
        self._examples += other._examples
        self._bytes += other._bytes
        self._max = max(self._max, other._max)
        sizes = [size for size in (self._min, other._min) if size is not None]
        self._min = min(sizes, default=None)

    def protos(self, name: str, examples: int) -> list:
        """The feature's proto."""
        proto = new_proto(name, Type.BYTES)
        stats = proto.bytes_stats
        fill_common(stats.common_stats, self._examples, examples, self._examples)
        if self._examples:
            stats.avg_num_bytes = self._bytes / self._examples
            stats.min_num_bytes = self._min
            stats.max_num_bytes = self._max
            stats.max_num_bytes_int = self._max
        return [proto]


class ImageStatistics:
    """An encoded image in each example, decoded here."""

    def __init__(self):
        self._encoded = BytesStatistics()
        self._undecodable = 0
        self._measured = {
            "height": NumberStatistics(is_integer=True),
            "width": NumberStatistics(is_integer=True),
            "channels": NumberStatistics(is_integer=True),
            "brightness": NumberStatistics(is_integer=False),
            "contrast": NumberStatistics(is_integer=False),
        }

    def add(self, values) -> None:
        """Adds a batch: a list of encoded images."""
        self._encoded.add(values)
        measured = []
        for value in values:
            try:
                measured.append(measure(value))
            except ImageFault:
                self._undecodable += 1
        for name, statistics in self._measured.items():
            statistics.add([image[name] for image in measured])

    def merge(self, other: "ImageStatistics") -> None:
        """Adds another's examples to this one's."""
        self._encoded.merge(other._encoded)
        self._undecodable += other._undecodable
        for name, statistics in self._measured.items():
            statistics.merge(other._measured[name])

    def protos(self, name: str, examples: int) -> list:
        """The proto of the encoded image and those of `<name>/height` and so on."""
        protos = self._encoded.protos(name, examples)
        protos[0].custom_stats.add(name=NUM_UNDECODABLE, num=self._undecodable)
        for part, statistics in self._measured.items():
            protos += statistics.protos(f"{name}/{part}", examples)
        return protos
