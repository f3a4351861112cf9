"""Fixtures of the data tests: sources by their section of a config."""

import pytest

from penstock.pipelines import example_gen
from penstock.pipelines.sources import locate
from penstock.pipelines.splits import Splitter


@pytest.fixture
def generate():
    """`generate(tmp_path, section)`: (directory of the examples, what `example_gen` says)."""

    def generate(tmp_path, section, splits=None):
        directory = tmp_path / "examples"
        directory.mkdir()
        splitter = Splitter(splits or {"train": 0.5, "test": 0.5})
        source = locate.load(section)
        return directory, example_gen.generate(source, splitter, directory, tmp_path / "scratch")

    return generate


@pytest.fixture
def key_parts():
    """`key_parts(section)`: what the cache key of ExampleGen has of a source."""

    def key_parts(section):
        source = locate.load(section)
        return source.files(), source.fingerprint()

    return key_parts
