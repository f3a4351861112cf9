"""One image, mask or recording of a tree: read with a limit, checked and normalised.

Comes in: a `Tree` and a name in it. Goes out: bytes as `features.py` describes them, or a
`MediaFault` that has the reason and what was read. Sources read `FILES_AT_ONCE` files in one element
of a Beam pipeline: an element for each would cost more than reading it.
"""

import os
import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from penstock.pipelines.reading import spans
from penstock.pipelines.reading.tree import Entry, ReadFault, Tree
from penstock.pipelines.sources.source import KEPT_BYTES, BadRecord

FILES_AT_ONCE = 256
MAX_FILE_BYTES = 512 * 2**20
"""A larger file would only fill memory: Pillow's limit of 89 million pixels is 358 MB of 8-bit RGBA.

Of 16-bit RGBA it is 716 MB: such a picture is refused if it hardly compresses. A recording's own
limit is lower.
"""

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
AUDIO_ENDINGS = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".oga", ".opus")


class MediaFault(ValueError):
    """A file cannot be used: the message is the reason, a sentence; `data` what was read of it."""

    def __init__(self, reason: str, data: bytes = b""):
        super().__init__(reason)
        self.data = data[:KEPT_BYTES]


class MediaFile(NamedTuple):
    """One file to read: its key, and where it is."""

    key: str
    tree: Tree
    entry: Entry

    @property
    def where(self) -> str:
        """Where it is, for people."""
        return os.path.join(self.tree.path, self.entry.name)


class Reader(Protocol):
    """How one kind of file is read; picklable."""

    def read(self, tree: Tree, name: str) -> bytes:
        """The normalised content of a file; raises `MediaFault`."""


@dataclass(frozen=True)
class ImageReader:
    """Images, as `image_files.normalise` leaves them."""

    def read(self, tree: Tree, name: str) -> bytes:
        """See `Reader`."""
        from penstock.pipelines.media.image_files import ImageFault, normalise

        return _read(tree, name, normalise, ImageFault)


@dataclass(frozen=True)
class AudioReader:
    """Recordings, as `audio_files.normalise` leaves them.

    Of at most `max_seconds`, and of a rate and a number of channels unless those are None.
    """

    max_seconds: float
    sample_rate_hz: int | None = None
    channels: int | None = None

    def read(self, tree: Tree, name: str) -> bytes:
        """See `Reader`."""
        from penstock.pipelines.media.audio_files import AudioFault

        return _read(tree, name, self._normalised, AudioFault)

    def _normalised(self, data):
        from penstock.pipelines.media.audio_files import AudioFault, normalise, rate_and_channels

        normal = normalise(data, self.max_seconds)
        rate_hz, channels = rate_and_channels(normal)
        if self.sample_rate_hz not in (None, rate_hz):
            raise AudioFault(
                f"The recording has {rate_hz} samples a second; `data.source.sample_rate_hz` says "
                f"{self.sample_rate_hz}."
            )
        if self.channels not in (None, channels):
            raise AudioFault(
                f"The recording has {channels} channels; `data.source.channels` says "
                f"{self.channels}."
            )
        return normal


@dataclass(frozen=True)
class MaskReader:
    """Masks of `classes` classes, and pixels of the value `ignore`; see `mask_files.normalise`."""

    classes: int
    ignore: int | None

    def read(self, tree: Tree, name: str) -> bytes:
        """See `Reader`."""
        from penstock.pipelines.media.mask_files import ImageFault, normalise

        return _read(
            tree, name, lambda data: normalise(data, self.classes, self.ignore), ImageFault
        )


def read_part(reader: Reader, tree: Tree, name: str, called: str) -> bytes:
    """As `reader.read`, of a file that a record in another file names: its faults say which it is."""
    try:
        return reader.read(tree, name)
    except MediaFault as fault:
        raise MediaFault(f"The {called} {name!r}: {fault}", fault.data) from None


def trees_of(path: Path, found: list[Path]) -> list[tuple[str, Tree]]:
    """(prefix of keys, tree) of each folder or archive that a path stands for.

    Keys begin below a folder or archive that is named, but have what a wildcard matches.
    """
    base = f"{spans.fixed_part(path)}/".removeprefix("./")
    prefixes = ["" if one == path else f"{str(one).removeprefix(base)}/" for one in found]
    return list(zip(prefixes, map(Tree, found), strict=True))


def _read(tree, name, normalise, fault_type):
    try:
        data = tree.read(name, MAX_FILE_BYTES)
    except ReadFault as fault:
        raise MediaFault(str(fault)) from None
    try:
        return normalise(data)
    except fault_type as fault:
        raise MediaFault(str(fault), data) from None


class Part(NamedTuple):
    """Some items and the index of the first of them, packed.

    All parts are in memory at once, several times on their way through Beam: a name and what belongs
    to it take some 15 bytes here, and 250 as objects. A named tuple, because Beam looks at a plain
    one's items.
    """

    start: int
    packed: bytes

    @classmethod
    def of(cls, items: list, start: int = 0) -> "Part":
        """Packs items; they must be picklable."""
        return cls(start, zlib.compress(pickle.dumps(items), 1))

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """(index, item) of each."""
        return enumerate(pickle.loads(zlib.decompress(self.packed)), self.start)


def parts_of(items: list) -> list[Part]:
    """All items, `FILES_AT_ONCE` at a time."""
    return [
        Part.of(items[start : start + FILES_AT_ONCE], start)
        for start in range(0, len(items), FILES_AT_ONCE)
    ]


def bad_record(where: str, index: int, fault: ValueError, key: str) -> BadRecord:
    """The bad record of a fault, with what was read of the file."""
    return BadRecord(where, index, str(fault), key, data=getattr(fault, "data", b""))
