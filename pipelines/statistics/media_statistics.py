"""Accumulators of encoded data: images, masks, recordings.

What TFDV's `FeatureNameStatistics` has no place for becomes derived features with a path-like name
(`image/height`; the table is in `feature_statistics.py`). TFDV and Facets then show histograms and
quantiles of these, which they would not of `custom_stats`. An example that cannot be decoded counts
as one that lacks them.
"""

from dataclasses import dataclass

import numpy as np

from penstock.pipelines.example_codec import SIGNATURES
from penstock.pipelines.features import Mask
from penstock.pipelines.media import audio_files, image_files
from penstock.pipelines.media.audio_files import AudioFault
from penstock.pipelines.media.image_files import ImageFault
from penstock.pipelines.statistics.accumulator import Accumulator, Type, ValuesPerExample, new_proto
from penstock.pipelines.statistics.statistics_files import NUM_UNDECODABLE, NUM_UNKNOWN_PIXELS
from penstock.pipelines.statistics.value_statistics import (
    LabelStatistics,
    NumberStatistics,
    StringStatistics,
)


@dataclass(frozen=True)
class Measured:
    """The size of encoded data in bytes and what decoding it showed; None if it cannot be decoded."""

    size: int
    found: dict | None


class EncodedStatistics(Accumulator):
    """Encoded data in each example, decoded here; an accumulator for each part that is measured.

    Args:
        parts: name of a part -> its accumulator.
    """

    def __init__(self, parts: dict[str, Accumulator]):
        self._values = ValuesPerExample()
        self._bytes = self._max = self._undecodable = 0
        self._min = float("inf")
        self._parts = parts

    def decode(self, value: bytes) -> dict:
        """What there is to measure of encoded data.

        Raises:
            ImageFault, AudioFault: it cannot be decoded.
        """
        raise NotImplementedError

    def measure(self, values) -> list[Measured]:
        """Decodes a list of bytes."""
        return [Measured(len(value), self._decoded(value)) for value in values]

    def _decoded(self, value):
        try:
            return self.decode(value)
        except (ImageFault, AudioFault):
            return None

    def add_measured(self, values) -> None:
        """Adds a batch: a list of `Measured`."""
        sizes = [measured.size for measured in values]
        self._values.add_equal(len(sizes), 1)
        self._bytes += sum(sizes)
        self._min, self._max = min(self._min, *sizes), max(self._max, *sizes)
        found = [measured.found for measured in values if measured.found is not None]
        self._undecodable += len(values) - len(found)
        if found:
            self.add_found(found)

    def add_found(self, found: list[dict]) -> None:
        """Adds what `decode` returned for a batch."""
        for name, part in self._parts.items():
            part.add([one[name] for one in found])

    def merge(self, other: "EncodedStatistics") -> None:
        """Adds another's examples to this one's."""
        self._values.merge(other._values)
        self._bytes += other._bytes
        self._undecodable += other._undecodable
        self._min, self._max = min(self._min, other._min), max(self._max, other._max)
        for name, part in self._parts.items():
            part.merge(other._parts[name])

    def protos(self, name: str, examples: int) -> list:
        """The proto of the encoded data and those of `<name>/<part>`."""
        proto = new_proto(name, Type.BYTES)
        stats = proto.bytes_stats
        self._values.fill(stats.common_stats, examples)
        if self._values.total:
            stats.avg_num_bytes = self._bytes / self._values.total
            stats.min_num_bytes = self._min
            stats.max_num_bytes = self._max
            stats.max_num_bytes_int = self._max
        proto.custom_stats.add(name=NUM_UNDECODABLE, num=self._undecodable)
        derived = [part.protos(f"{name}/{key}", examples) for key, part in self._parts.items()]
        return [proto, *(proto for protos in derived for proto in protos)]


class ImageStatistics(EncodedStatistics):
    """An encoded image in each example."""

    def __init__(self):
        integers = ("height", "width", "channels")
        parts = {name: NumberStatistics(is_integer=True) for name in integers}
        parts |= {name: NumberStatistics(is_integer=False) for name in ("brightness", "contrast")}
        super().__init__(parts | {"format": StringStatistics()})

    def decode(self, value: bytes) -> dict:
        """`image_files.measure` and the `format`: png, jpeg or other."""
        kinds = (kind for kind in ("png", "jpeg") if value.startswith(SIGNATURES[kind]))
        return image_files.measure(value) | {"format": next(kinds, "other")}


class AudioStatistics(EncodedStatistics):
    """An encoded recording in each example."""

    def __init__(self):
        integers = ("sample_rate_hz", "channels")
        floats = ("seconds", "level_dbfs", "peak", "clipped_fraction", "silent_fraction")
        parts = {name: NumberStatistics(is_integer=True) for name in integers}
        super().__init__(parts | {name: NumberStatistics(is_integer=False) for name in floats})

    def decode(self, value: bytes) -> dict:
        """`audio_files.measure`."""
        return audio_files.measure(value)


class MaskStatistics(EncodedStatistics):
    """The class of each pixel in each example; `<name>/class` counts pixels."""

    def __init__(self, mask: Mask):
        parts = {name: NumberStatistics(is_integer=True) for name in ("height", "width", "classes")}
        super().__init__(parts | {"ignored_fraction": NumberStatistics(is_integer=False)})
        self._mask = mask
        self._pixels = LabelStatistics(mask.names)
        self._unknown = 0

    def decode(self, value: bytes) -> dict:
        """Size, number of classes, share of ignored pixels, and how often each value 0..255 occurs."""
        image = image_files.open_image(value)
        if image.mode != "L":
            raise ImageFault(f"A mask has one channel of 8 bits; this has the mode {image.mode}.")
        counts = np.bincount(np.asarray(image).ravel(), minlength=256)
        ignored = 0 if self._mask.ignore is None else int(counts[self._mask.ignore])
        return {
            "height": image.height,
            "width": image.width,
            "classes": np.count_nonzero(counts[: len(self._mask.names)]),
            "ignored_fraction": ignored / (image.height * image.width),
            "counts": counts,
            "ignored": ignored,
        }

    def add_found(self, found: list[dict]) -> None:
        """Adds what `decode` returned for a batch."""
        super().add_found(found)
        counts = np.array([one["counts"] for one in found])
        known = counts[:, : len(self._mask.names)]
        self._pixels.add_counts(known.sum(axis=0), known.sum(axis=1))
        ignored = sum(one["ignored"] for one in found)
        self._unknown += int(counts.sum() - known.sum()) - ignored

    def merge(self, other: "MaskStatistics") -> None:
        """Adds another's examples to this one's."""
        super().merge(other)
        self._pixels.merge(other._pixels)
        self._unknown += other._unknown

    def protos(self, name: str, examples: int) -> list:
        """The proto of the encoded mask, those of its parts and that of `<name>/class`."""
        protos = super().protos(name, examples)
        protos[0].custom_stats.add(name=NUM_UNKNOWN_PIXELS, num=self._unknown)
        return protos + self._pixels.protos(f"{name}/class", examples)
