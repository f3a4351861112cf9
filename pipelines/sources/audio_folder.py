"""Recordings in a folder or an archive, by default a folder for each class.

As `image_folder`, with recordings: WAV, FLAC, AIFF, Ogg of any rate and number of channels, which
become 16-bit PCM WAV of their own rate and channels (`audio_files.py`). Often the name says what a
recording is: `pattern: '(?P<digit>\\d)_(?P<speaker>[a-z]+)_'` with `label: digit` and
`group: speaker` keeps each speaker's recordings in one split (`reading/name_pattern.py`).
"""

from typing import Annotated, Literal

from pydantic import Field

from penstock.pipelines.features import Audio
from penstock.pipelines.reading.class_files import ClassFiles
from penstock.pipelines.reading.media_files import AUDIO_ENDINGS, AudioReader


class Source(ClassFiles):
    """Recordings with classes.

    `sample_rate_hz` and `channels` say what all of them have, if that is known; a recording of
    another kind is then a bad record. A longer one than `max_seconds` always is.
    """

    type: Literal["audio_folder"] = "audio_folder"
    extensions: tuple[str, ...] = AUDIO_ENDINGS
    sample_rate_hz: Annotated[int, Field(gt=0)] | None = None
    channels: Annotated[int, Field(gt=0)] | None = None
    max_seconds: Annotated[float, Field(gt=0)] = 600.0

    libraries = ("soundfile",)
    medium = "audio"

    def medium_feature(self) -> Audio:
        return Audio(sample_rate_hz=self.sample_rate_hz, channels=self.channels)

    def reader(self) -> AudioReader:
        return AudioReader(self.max_seconds, self.sample_rate_hz, self.channels)
