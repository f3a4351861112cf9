"""Fixtures and options of all tests."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(autouse=True)
def restored_process():
    """Ends op determinism, which a test may have begun: no other test could look at TensorFlow's clock."""
    yield
    if "penstock.tfx.training.placement" in sys.modules:
        sys.modules["penstock.tfx.training.placement"].restore_process()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def made_runs():
    """The module `made_runs.py`: runs that are written without running anything."""
    return _module("made_runs")


@pytest.fixture(scope="session")
def made_data():
    """The module `made_data.py`: checks of data with every kind of feature, made likewise."""
    return _module("made_data")


@pytest.fixture(scope="session")
def made_answers():
    """The module `made_answers.py`: evaluations of tasks that answer with a text, made likewise."""
    return _module("made_answers")


def _module(name):
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
