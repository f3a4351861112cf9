"""Recordings that a table names, with the table's columns as features; see `reading/manifest.py`.

source:
  type: audio_manifest
  rows: {type: csv, path: vctk.zip/metadata.csv, delimiter: '|', quote: null, column_names: [id, text]}
  file: 'wavs/{id}.wav'
"""

from typing import Literal

from penstock.pipelines.reading.manifest import Manifest
from penstock.pipelines.reading.media import Recordings


class Source(Recordings, Manifest):
    """Recordings with what a table says about each."""

    type: Literal["audio_manifest"] = "audio_manifest"
