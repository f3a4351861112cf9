"""What a user's own package may get wrong, and what is said of it."""

import shutil
import sys

import numpy as np
import pytest
import yaml

from penstock.models import locate
from penstock.models.preparation import Preparation
from penstock.pipelines.features import Number
from penstock.pipelines.ingest.example_gen import WriteRuns
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.quarantine.quarantine import Limits
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.transform import prepare_function
from penstock.tfx.load_config import ConfigError, load_config
from penstock.tfx.standard_pipeline import standard_pipeline
from penstock.tfx.worker import sentence


@pytest.fixture
def mine(tmp_path, monkeypatch, repository):
    """The example package as `own_clinic`, importable, with a config; `mine(file, old, new)` edits it."""
    shutil.copytree(repository / "tests" / "examples" / "clinic", tmp_path / "own_clinic")
    for path in (tmp_path / "own_clinic").rglob("*.py"):
        path.write_text(path.read_text().replace("from clinic.", "from own_clinic."))
    (tmp_path / "t.csv").write_text("size,diagnosis\n1.0,benign\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    document = yaml.safe_load((repository / "tests" / "examples" / "tumours.yaml").read_text())
    document |= {"task": "own_clinic.diagnosis", "prepare": {"columns": ["size"]}}
    document["data"]["source"] |= {"type": "own_clinic.table", "path": "t.csv"}
    document["steps"]["LabelReport"]["component"] = "own_clinic.label_report:LabelReport"

    def edit(file=None, old=None, new=None, **changes):
        if file is not None:
            path = tmp_path / "own_clinic" / file
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(document | changes))
        return standard_pipeline(load_config(tmp_path / "c.yaml"))

    yield edit
    for name in [n for n in sys.modules if n.startswith("own_clinic")]:
        del sys.modules[name]


def test_the_example_is_a_pipeline(mine):
    assert "LabelReport" in [step.name for step in mine().steps]


def test_a_section_that_is_the_pipelines_own(mine):
    with pytest.raises(ConfigError) as caught:
        mine("diagnosis/config.py", "    model: Model", "    train: Model", model={})
    assert caught.value.faults[0] == (
        "`own_clinic.diagnosis.config.Config` has a section `train`, which is the pipeline's own. "
        "Give it another name. Taken: data, evaluate, infra, name, push, runner, seed, steps, "
        "store, task, train."
    )


def test_a_task_without_one_of_its_modules(mine, tmp_path):
    (tmp_path / "own_clinic" / "diagnosis" / "data.py").unlink()
    with pytest.raises(ConfigError, match="must have the modules `config`, `data` and `task`") as e:
        mine()
    assert "Received: one without `data`." in str(e.value)


def test_a_module_without_its_class(mine):
    mine("diagnosis/task.py", "class Task", "class Tusk")
    message = r"'own_clinic.diagnosis.task' must define `class Task`. Received: one without it"
    with pytest.raises(ValueError, match=message):
        locate.task_class("own_clinic.diagnosis")


COMPONENTS = {
    "no name": ("own_clinic.label_report", "`component` must read `module:name`. Received: 'own"),
    "no such name": (
        "own_clinic.label_report:LabelRepot",
        "module 'own_clinic.label_report' has no 'LabelRepot'. Components there: LabelReport.",
    ),
    "no such module": (
        "own_clinic.reports:LabelReport",
        "the module 'own_clinic.reports' must be importable. Received: ModuleNotFoundError: "
        "No module named 'own_clinic.reports'. It must lie in the current folder or on PYTHONPATH.",
    ),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_that_is_not_there(name, mine):
    component, message = COMPONENTS[name]
    with pytest.raises(ValueError, match="`steps.LabelReport`") as caught:
        mine(steps={"LabelReport": {"component": component}})
    assert message in str(caught.value)


OWN = """
def divide(a, b):
    return a / b

def check(value):
    if value < 0:
        raise ValueError(
            f"`value` must be positive. Received: {value}.")
    return float(value)
"""


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    (tmp_path / "own_code.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield __import__("own_code")
    del sys.modules["own_code"]


def said(function, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any kind
        function(*arguments)
    # The frames of this test are a user's, too; those of the called module lie below.
    error = caught.value
    return sentence(error.with_traceback(error.__traceback__.tb_next))


def test_a_failure_in_a_users_code_names_its_line(own_code):
    assert said(own_code.divide, 1, 0) == (
        "ZeroDivisionError: division by zero (own_code.py, line 3)"
    )
    assert said(own_code.divide, 1, "x").endswith("'int' and 'str' (own_code.py, line 3)")


def test_a_sentence_that_a_user_raised_stays_as_it_is(own_code):
    assert said(own_code.check, -1) == "`value` must be positive. Received: -1."


def test_a_failure_in_penstock_names_no_line():
    assert sentence(KeyError("x")) == "KeyError: 'x'"


def test_evaluate_batch_must_give_a_row_for_each_example():
    from penstock.tfx.evaluation.predictions import _check_columns

    _check_columns({"label": np.zeros(3)}, 3)
    for column, received in (
        (np.zeros(2), "`label`, an array of shape (2,)."),
        (np.array(1.0), "`label`, an array of shape ()."),
        ([1, 2, 3], "`label`, a list, not an array."),
        (1.0, "`label`, a float, not an array."),
    ):
        with pytest.raises(ValueError, match="Expected: an array of 3 rows") as caught:
            _check_columns({"label": column}, 3)
        assert str(caught.value).endswith(received)


class NoPair(Preparation):
    """Forgets the weights."""

    def input_features(self, source):
        return source

    def target_features(self, source):
        return {}

    def prepare_inputs(self, features, state):
        return features["size"]

    def prepare_targets(self, features, state):
        return features["size"]


def test_prepare_targets_must_give_a_pair():
    state = State({"size": Number()})
    with pytest.raises(ValueError, match="must return the pair `targets, sample_weight`; None for"):
        prepare_function(NoPair(None), state)


def test_a_source_must_yield_records(tmp_path):
    splitter = Splitter({"train": 1.0})
    writer = WriteRuns({"size": Number()}, splitter, str(tmp_path), Limits(), stratify=None)
    writer.start_bundle()
    with pytest.raises(TypeError, match="must yield `Record` or `BadRecord`.* Received: dict"):
        writer.process({"size": 1.0})
