"""Each ingredient of the cache key changes it, once and alone."""

import itertools
from importlib import metadata as distributions

import pytest

from penstock.pipelines.config import Config
from penstock.tfx import cache
from penstock.tfx.artifacts import Artifact, Examples
from penstock.tfx.code_fingerprint import locate
from penstock.tfx.component import Component, Environment, Input
from penstock.tfx.pipeline import Step


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A step with every kind of ingredient, and the means to change each."""
    module = tmp_path / "user_code.py"
    module.write_text("STEPS = 1\n")
    data = tmp_path / "data.csv"
    data.write_text("1,2\n")
    monkeypatch.syspath_prepend(tmp_path)
    locate.cache_clear()

    class Out(Artifact):
        """An output."""

    class Work(Component):
        inputs = {"examples": Examples}
        outputs = {"out": Out}
        device = "cpu"

        class Parameters(Config):
            rate: float = 0.1
            extra: str | None = None

        @classmethod
        def modules(cls, parameters):
            return ("user_code",)

        @classmethod
        def libraries(cls, parameters):
            return ("numpy",)

        @classmethod
        def files(cls, parameters):
            return [data]

        @classmethod
        def environment(cls, parameters):
            return Environment(devices=cls.device)

    Work.__module__ = "penstock.tfx.component"
    names = itertools.count()

    def key(parameters=None, digest="a"):
        # A new index each time: files changed within the clock's resolution are read again anyway.
        fingerprints = cache.Fingerprints(tmp_path / f"index-{next(names)}")
        inputs = {"examples": Input(tmp_path, "Examples", digest)}
        step = Step("Work", Work, parameters or Work.Parameters())
        code = cache.code_of(step, fingerprints)
        return cache.key_of(cache.ingredients(step, inputs, code, fingerprints))

    yield key, Work, Out, module, data, monkeypatch
    locate.cache_clear()


def test_nothing_changed_gives_the_same_key(recipe):
    key = recipe[0]
    assert key() == key()


def _parameter(key, work, out, module, data, patch):
    return key(work.Parameters(rate=0.2))


def _default(key, work, out, module, data, patch):
    class Parameters(Config):
        rate: float = 0.3
        extra: str | None = None

    work.Parameters = Parameters
    return key()


def _input(key, work, out, module, data, patch):
    return key(digest="b")


def _output(key, work, out, module, data, patch):
    out.format_version = 2
    return key()


def _code(key, work, out, module, data, patch):
    module.write_text("STEPS = 2\n")
    return key()


def _library(key, work, out, module, data, patch):
    patch.setattr(cache.distributions, "version", lambda name: "0.0.1")
    return key()


def _python(key, work, out, module, data, patch):
    patch.setattr(cache.sys, "version_info", (3, 99))
    return key()


def _file(key, work, out, module, data, patch):
    data.write_text("1,3\n")
    return key()


def _fact(key, work, out, module, data, patch):
    work.facts = classmethod(lambda cls, parameters: {"classes": ["cat", "dog"]})
    return key()


def _environment(key, work, out, module, data, patch):
    work.device = "auto"
    return key()


def _component(key, work, out, module, data, patch):
    work.__qualname__ = "Other"
    return key()


CHANGES = {
    "parameter": _parameter,
    "default": _default,
    "input content": _input,
    "output format": _output,
    "code": _code,
    "library": _library,
    "python": _python,
    "source file": _file,
    "fact": _fact,
    "environment": _environment,
    "component": _component,
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_ingredient_changes_the_key(name, recipe):
    key, *rest = recipe
    before = key()
    assert CHANGES[name](key, *rest) != before


def test_the_versions_are_those_installed():
    versions = cache._versions(("numpy", "no-such-distribution"))
    assert versions["numpy"] == distributions.version("numpy")
    assert versions["no-such-distribution"] == "not installed"


def test_the_docstring_lists_every_ingredient(recipe):
    key, work, *_ = recipe
    step = Step("Work", work, work.Parameters())
    found = cache.ingredients(step, {}, {}, cache.Fingerprints(recipe[3].parent / "index"))
    # Two changes each are made to parameters (given, default) and libraries (one, Python's).
    assert len(found) == len(CHANGES) - 2
    assert all(f"- `{name}`" in cache.__doc__ for name in found)
