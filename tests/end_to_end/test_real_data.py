"""Configs of `configs/data` on the real data sets, by the command line: counts are the published ones.

Two quick ones of different kinds (tables are `tests/pipelines/test_real_tables.py`'s);
`python benchmarks/real_data.py` runs all of them in the same way.
"""

import importlib
import os
from pathlib import Path

import pytest

QUICK = ("bccd", "scitldr")


@pytest.fixture(scope="module")
def real_data(repository):
    """The module `benchmarks/real_data.py`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "benchmarks"))
        yield importlib.import_module("real_data")


@pytest.fixture
def data(repository):
    """The folder of all data sets."""
    folder = Path(os.environ.get("PENSTOCK_DATA", repository.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no data sets under $PENSTOCK_DATA or ../shared/data")
    return folder.resolve()


def test_every_config_is_in_the_sweep(real_data, repository):
    configs = {path.stem for path in (repository / "configs" / "data").glob("*.yaml")}
    assert {one.config or name for name, one in real_data.DATA_SETS.items()} == configs


@pytest.mark.parametrize("name", QUICK)
def test_counts_are_the_published_ones(real_data, name, data, tmp_path):
    if not (data / real_data.DATA_SETS[name].folder).is_dir():
        pytest.skip(f"no data set {name}")
    done, found = real_data.check(name, data, tmp_path)
    assert found is not None, done.errors
    assert found.faults == []
    assert found.bad == 0


def test_other_counts_are_told(real_data):
    published = real_data.DataSet("x", {"a": 2, "b": 1}, {"kind": {"p": 3}}, {"age": 1})
    as_published = {"a": 2, "b": 1}, {"kind": {"p": 3, "q": 0}}, {"age": 1, "kind": 0}
    assert list(real_data.differences(published, *as_published)) == []
    assert list(real_data.differences(published, {"a": 3}, {"kind": {"p": 2}}, {})) == [
        "examples {'a': 3}, published {'a': 2, 'b': 1}",
        "`kind` {'p': 2}, published {'p': 3}",
        "`age` is missing in None, published 1",
    ]
    total = real_data.DataSet("x", 4)
    assert list(real_data.differences(total, {"a": 3}, {}, {})) == ["3 examples, published 4"]
