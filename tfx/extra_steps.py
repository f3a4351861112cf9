"""A user's own components, named in the `steps` section of a config.

```yaml
steps:
  LabelReport:
    component: my_package.reports:label_report
    inputs: {examples: ExampleGen.examples}
    parameters: {top: 5}
```
"""

import importlib
import json
from dataclasses import replace

from pydantic import ValidationError

from penstock.tfx.component import Component
from penstock.tfx.config import ExtraStep
from penstock.tfx.config_faults import describe_all
from penstock.tfx.pipeline import OutputOf, Step


def with_extra_steps(known: list[Step], sections: dict[str, ExtraStep]) -> tuple[Step, ...]:
    """The steps of a pipeline and a user's own.

    Raises:
        ValueError: a component cannot be found, a name is taken or parameters do not fit.
    """
    taken = {step.name for step in known}
    faults, steps = [], []
    for name, section in sections.items():
        if name in taken:
            faults.append(
                f"`steps.{name}`: this name belongs to a step of the pipeline. Choose another."
            )
            continue
        try:
            steps.append(_step(name, section))
        except ValueError as error:
            faults.append(f"`steps.{name}`: {error}")
    for name, section in sections.items():
        unknown = [target for target in section.before if target not in taken]
        faults += [
            f"`steps.{name}.before` names an unknown step. Received: {target!r}. "
            f"Known: {', '.join(sorted(taken))}."
            for target in unknown
        ]
    if faults:
        raise ValueError("\n".join(faults))
    waiting = {
        step.name: tuple(name for name, section in sections.items() if step.name in section.before)
        for step in known
    }
    known = [replace(step, after=step.after + waiting[step.name]) for step in known]
    return (*known, *steps)


def _step(name: str, section: ExtraStep) -> Step:
    component = _find(section.component)
    try:
        parameters = component.Parameters.model_validate_json(json.dumps(section.parameters))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        lines = describe_all(component.Parameters, section.parameters, faults)
        raise ValueError(" ".join(lines)) from None
    inputs = {key: _source(value) for key, value in section.inputs.items()}
    return Step(name, component, parameters, inputs, section.after)


def _source(text: str) -> OutputOf:
    step, dot, output = text.partition(".")
    if not dot:
        raise ValueError(f"an input must read `Step.output`. Received: {text!r}.")
    return OutputOf(step, output)


def _find(reference: str) -> type[Component]:
    module, _, name = reference.partition(":")
    if not (module and name):
        raise ValueError(f"`component` must read `module:name`. Received: {reference!r}.")
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # a user's module may raise anything
        raise ValueError(
            f"`component`: the module {module!r} must be importable. Received: "
            f"{type(error).__name__}: {str(error).rstrip('.')}. It must lie in the current folder or "
            "on PYTHONPATH."
        ) from None
    found = getattr(loaded, name, None)
    if found is None:
        names = [key for key, value in vars(loaded).items() if _is_component(value)]
        raise ValueError(
            f"`component`: the module {module!r} has no {name!r}. Components there: "
            f"{', '.join(names) or 'none'}."
        )
    if not _is_component(found):
        raise ValueError(
            f"{reference!r} is no component. Expected: a class derived from `Component`, or a "
            "function decorated with `@component`."
        )
    return found


def _is_component(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Component) and value is not Component
