"""Reads some files of a source again, to see what of them can be used now; keeps nothing.

Comes in: the source and names of files, as the quarantine has them. Goes out: what ExampleGen would
say of these files. A record whose key another file has too is not found: that file is not read.
"""

import os
import tempfile
from pathlib import Path

import apache_beam as beam
from pydantic import PrivateAttr

from penstock.pipelines.features import Features
from penstock.pipelines.ingest.example_gen import generate
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.sources.source import Source


def replay(
    source: Source, files: frozenset[str], expand: str | None = None, expand_config=None
) -> dict:
    """Reads and checks the records of these files, in a temporary folder.

    Args:
        expand, expand_config: as in `example_gen.generate`.

    Returns:
        What `quarantine.summary` would say of a run over these files.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-replay-") as root:
        examples, scratch = Path(root) / "examples", Path(root) / "scratch"
        examples.mkdir()
        generated = generate(
            _SomeFiles(source, files),
            Splitter({"train": 1.0}),
            examples,
            scratch,
            expand=expand,
            expand_config=expand_config,
        )
        return generated.summary


class _SomeFiles(Source):
    """The records of a source that come from these files."""

    type: str = "some_files"

    def __init__(self, source: Source, files: frozenset[str]):
        super().__init__()
        self._source, self._files = source, files

    _source: Source = PrivateAttr()
    _files: frozenset[str] = PrivateAttr()

    def features(self) -> Features:
        return self._source.features()

    def read(self, pipeline):
        records = self._source.only(self._files).read(pipeline)
        return records | "OnlyTheseFiles" >> beam.Filter(_is_from, self._files)


def _is_from(record, files: frozenset[str]) -> bool:
    return os.fsdecode(record.file) in files
