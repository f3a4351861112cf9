"""A user's own components in a config, and the standard pipeline that they join."""

import json

import pytest
import yaml

from penstock.tfx.load_config import load_config
from penstock.tfx.standard_pipeline import standard_pipeline

STEP = """
from penstock.tfx.artifacts import Artifact, Evaluation
from penstock.tfx.component import ExecutionContext, Input, Output
from penstock.tfx.function_component import component


@component
def FairnessGate(
    evaluation: Input[Evaluation], verdict: Output[Artifact], context: ExecutionContext, limit: float = 0.1
) -> None:
    context.stop("never run here")


NOT_A_COMPONENT = 3
"""


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """`pipeline(steps)`: the digits pipeline with these extra steps."""
    (tmp_path / "my_gates.py").write_text(STEP)
    monkeypatch.syspath_prepend(tmp_path)

    def make(steps=None, **changes):
        document = {
            "name": "digits",
            "task": "vision.classification",
            "data": {"source": {"type": "sklearn", "dataset": "digits"}},
            "prepare": {"height": 8, "width": 8, "channels": 1},
            "push": {"destination": "served"},
            "steps": steps or {},
        }
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(document | changes))
        return standard_pipeline(load_config(tmp_path / "c.yaml"))

    return make


GATE = {
    "component": "my_gates:FairnessGate",
    "inputs": {"evaluation": "Evaluator.evaluation"},
    "parameters": {"limit": 0.2},
    "before": ["Pusher"],
}


def test_a_gate_of_ones_own_stands_before_the_pusher(pipeline):
    found = pipeline({"FairnessGate": GATE})
    assert found.step("Pusher").upstream() >= {"FairnessGate", "Evaluator", "InfraValidator"}
    assert found.step("FairnessGate").parameters.limit == 0.2
    names = [step.name for step in found.steps]
    assert names.index("FairnessGate") < names.index("Pusher")


def test_without_push_there_is_no_pusher(pipeline):
    assert "Pusher" not in [step.name for step in pipeline(push=None).steps]


def test_without_baseline_limits_no_other_model_is_an_input(pipeline):
    assert "baseline" not in pipeline().step("Evaluator").inputs
    compared = pipeline(evaluate={"baseline": {"accuracy": {"max_drop": 0.01}}})
    assert "baseline" in compared.step("Evaluator").inputs


def test_training_waits_for_the_validation_of_the_data(pipeline):
    assert "ExampleValidator" in pipeline().step("Trainer").upstream()


FAULTS = {
    "no such component": (
        {"component": "my_gates:FairnesGate"},
        r"`steps.Own`: `component`: the module 'my_gates' has no 'FairnesGate'. Components there: Fair",
    ),
    "no such module": (
        {"component": "no_such:Gate"},
        r"the module 'no_such' must be importable. Received: ModuleNotFoundError: No module named",
    ),
    "no component": (
        {"component": "my_gates:NOT_A_COMPONENT"},
        r"is no component. Expected: a class",
    ),
    "parameter": ({"parameters": {"limt": 1}}, r"Unknown key `limt`. Did you mean: `limit`\?"),
    "input": (
        {"inputs": {"evaluation": "Evaluator"}},
        r"an input must read `Step.output`. Received: 'Evaluator'",
    ),
    "output": (
        {"inputs": {"evaluation": "Evaluator.evaluatio"}},
        r"names no output. Received: 'Evaluator.evaluatio'. Known: Evaluator.evaluation",
    ),
    "before": (
        {"before": ["Push"]},
        r"`steps.Own.before` names an unknown step. Received: 'Push'. Known: .*Pusher",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(name, pipeline):
    change, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        pipeline({"Own": GATE | change})


def test_a_name_that_is_taken(pipeline):
    with pytest.raises(
        ValueError, match="`steps.Pusher`: this name belongs to a step of the pipeline"
    ):
        pipeline({"Pusher": GATE})


def test_the_plan_has_json_parameters(pipeline):
    for step in pipeline({"FairnessGate": GATE}).steps:
        assert json.loads(json.dumps(step.parameters.model_dump(mode="json"))) is not None
