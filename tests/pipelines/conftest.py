"""Fixtures of the data tests: sources by their section of a config."""

import os
from pathlib import Path

import pytest

from penstock.pipelines import examples
from penstock.pipelines.ingest import example_gen
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.reading import rows
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.source import BadRecord, Record


@pytest.fixture
def generate():
    """`generate(tmp_path, section)`: (directory of the examples, what `example_gen` says)."""

    def generate(tmp_path, section, splits=None):
        directory = tmp_path / "examples"
        directory.mkdir()
        splitter = Splitter(splits or {"train": 0.5, "test": 0.5})
        source = locate.load(section)
        # In one process: the result is the same, and several take seconds to start.
        scratch = tmp_path / "scratch"
        return directory, example_gen.generate(source, splitter, directory, scratch, processes=1)

    return generate


@pytest.fixture
def key_parts():
    """`key_parts(section)`: what the cache key of ExampleGen has of a source."""

    def key_parts(section):
        source = locate.load(section)
        return source.files(), source.fingerprint()

    return key_parts


@pytest.fixture
def shared_data():
    """`shared_data(name)`: a folder of the real data sets, or the test is skipped."""

    def shared_data(name):
        beside = Path(__file__).parents[2].parent / "shared" / "data"
        folder = Path(os.environ.get("PENSTOCK_DATA", beside)) / name
        if not folder.is_dir():
            pytest.skip(f"no `{name}` under $PENSTOCK_DATA or ../shared/data")
        return folder

    return shared_data


@pytest.fixture
def examples_of():
    """`examples_of(directory, generated)`: key -> values of all examples that came out."""

    def examples_of(directory, generated):
        return {k: v for split in generated.splits for k, v in examples.records(directory, split)}

    return examples_of


@pytest.fixture
def rows_of():
    """`rows_of(section)`: (features, good records, bad ones) of a source of rows, without Beam."""

    def rows_of(section):
        source = locate.load(section)
        assert source.check() == []
        features = source.features()
        reader = rows.RowReader(source, features, source.wanted())
        items = [item for f in source.data_files() for item in rows.file_parts(f, source)]
        found = [record for item in items for record in reader.records(item)]
        good = [record for record in found if isinstance(record, Record)]
        return features, good, [record for record in found if isinstance(record, BadRecord)]

    return rows_of
