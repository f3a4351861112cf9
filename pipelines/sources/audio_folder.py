"""Recordings in a folder or an archive, by default a folder for each class.

As `image_folder`, with recordings: WAV, FLAC, AIFF, Ogg of any rate and number of channels, which
become 16-bit PCM WAV of their own rate and channels (`audio_files.py`). Often the name says what a
recording is: `pattern: '(?P<digit>\\d)_(?P<speaker>[a-z]+)_'` with `label: digit` and
`group: speaker` keeps each speaker's recordings in one split (`reading/name_pattern.py`).
"""

from typing import Literal

from penstock.pipelines.reading.class_files import ClassFiles
from penstock.pipelines.reading.media import Recordings


class Source(Recordings, ClassFiles):
    """Recordings with classes."""

    type: Literal["audio_folder"] = "audio_folder"
