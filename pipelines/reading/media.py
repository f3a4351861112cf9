"""What a file of images or recordings is: the fields, the feature and the reader of each medium.

A source of media derives from one of these and from what says where the files are: `ClassFiles`
(a folder or an archive) or `Manifest` (a table that names them).
"""

from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penstock.pipelines.config import Config
from penstock.pipelines.features import Audio, Feature, Image
from penstock.pipelines.reading.media_files import (
    AUDIO_ENDINGS,
    IMAGE_ENDINGS,
    AudioReader,
    ImageReader,
    Reader,
)


class Medium(Config):
    """Base of the media. `extensions`: endings of the files that are read, in any case."""

    extensions: tuple[str, ...]

    medium: ClassVar[str]
    """The name of the feature with the file's content."""
    medium_libraries: ClassVar[tuple[str, ...]]
    """Distributions whose version changes what a file's content becomes."""

    def medium_feature(self) -> Feature:
        """What the content of a file is."""
        raise NotImplementedError

    def reader(self) -> Reader:
        """How a file is read."""
        raise NotImplementedError

    def has_ending(self, name: str) -> bool:
        """Whether a file's name ends as those that are read."""
        return name.lower().endswith(self._endings)

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple(ending.lower() for ending in self.extensions)


class Images(Medium):
    """Images. `channels` says how they are shown: an image of a file keeps its own."""

    extensions: tuple[str, ...] = IMAGE_ENDINGS
    channels: Literal[1, 3] = 3

    medium_libraries: ClassVar = ("pillow",)
    medium: ClassVar = "image"

    def medium_feature(self) -> Image:
        return Image(channels=self.channels, encoding="any")

    def reader(self) -> ImageReader:
        return ImageReader()


class Recordings(Medium):
    """Recordings.

    `sample_rate_hz` and `channels` say what all of them have, if that is known; a recording of
    another kind is then a bad record. A longer one than `max_seconds` always is.
    """

    extensions: tuple[str, ...] = AUDIO_ENDINGS
    sample_rate_hz: Annotated[int, Field(gt=0)] | None = None
    channels: Annotated[int, Field(gt=0)] | None = None
    max_seconds: Annotated[float, Field(gt=0)] = 600.0

    medium_libraries: ClassVar = ("soundfile",)
    medium: ClassVar = "audio"

    def medium_feature(self) -> Audio:
        return Audio(sample_rate_hz=self.sample_rate_hz, channels=self.channels)

    def reader(self) -> AudioReader:
        return AudioReader(self.max_seconds, self.sample_rate_hz, self.channels)
