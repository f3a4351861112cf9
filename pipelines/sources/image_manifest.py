"""Images that a table names, with the table's columns as features; see `reading/manifest.py`.

source:
  type: image_manifest
  rows: {type: csv, path: photos/labels.csv, label: species, key: path}
  file: '{path}'
"""

from typing import Literal

from penstock.pipelines.reading.manifest import Manifest
from penstock.pipelines.reading.media import Images


class Source(Images, Manifest):
    """Images with what a table says about each."""

    type: Literal["image_manifest"] = "image_manifest"
