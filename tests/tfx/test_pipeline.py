"""A pipeline checks itself when it is made."""

import pytest

from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Examples, Model, Statistics
from penstock.tfx.component import Component
from penstock.tfx.pipeline import OutputOf, Pipeline, Step


class Make(Component):
    outputs = {"examples": Examples}


class Count(Component):
    inputs = {"examples": Examples}
    outputs = {"statistics": Statistics}


class Compare(Component):
    inputs = {"statistics": Statistics, "model": Model}
    optional_inputs = frozenset({"model"})


def step(name, component, after=(), **inputs):
    sources = {key: OutputOf(*value.split(".")) for key, value in inputs.items()}
    return Step(name, component, Config(), sources, after)


def test_steps_are_put_into_an_order_in_which_they_can_run():
    steps = (
        step("Compare", Compare, statistics="Count.statistics"),
        step("Count", Count, examples="Make.examples"),
        step("Make", Make),
    )
    assert [s.name for s in Pipeline("p", steps).steps] == ["Make", "Count", "Compare"]


FAULTS = {
    "unknown output": (
        [step("Make", Make), step("Count", Count, examples="Make.exmples")],
        r"Step `Count`: input `examples` names no output. Received: 'Make.exmples'. Known: Make.examples",
    ),
    "wrong type": (
        [step("Make", Make), step("Compare", Compare, statistics="Make.examples")],
        r"input `statistics` must be of type Statistics. Received: Make.examples of type Examples",
    ),
    "missing": ([step("Count", Count)], r"Step `Count` needs the input `examples` \(Examples\)"),
    "no such input": (
        [step("Make", Make, data="Make.examples")],
        r"Step `Make` has no input `data`. Its inputs: none",
    ),
    "a name that is a path": (
        [step("../../evil", Make)],
        r"A step's name must be letters, digits and underscores: .* Received: '../../evil'",
    ),
    "after an unknown step": (
        [step("Make", Make, after=("Mkae",)), step("Count", Count, examples="Make.examples")],
        r"Step `Make` waits for an unknown step. Received: 'Mkae'. Known: Make",
    ),
    "circle": (
        [step("A", Make, after=("B",)), step("B", Make, after=("A",))],
        r"wait for each other in a circle: A, B",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(name):
    steps, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        Pipeline("p", tuple(steps))
