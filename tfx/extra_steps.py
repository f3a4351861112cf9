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

from pydantic import ValidationError

from penstock.tfx.component import Component
from penstock.tfx.config import ExtraStep
from penstock.tfx.config_faults import describe
from penstock.tfx.pipeline import OutputOf, Step


def extra_steps(sections: dict[str, ExtraStep], known: list[Step]) -> list[Step]:
    """Steps from their sections.

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
    if faults:
        raise ValueError("\n".join(faults))
    return steps


def _step(name: str, section: ExtraStep) -> Step:
    component = _find(section.component)
    try:
        parameters = component.Parameters.model_validate_json(json.dumps(section.parameters))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        lines = (describe(component.Parameters, section.parameters, fault) for fault in faults)
        raise ValueError(" ".join(lines)) from None
    return Step(name, component, parameters, {k: _source(v) for k, v in section.inputs.items()})


def _source(text: str) -> OutputOf:
    step, dot, output = text.partition(".")
    if not dot:
        raise ValueError(f"an input must read `Step.output`. Received: {text!r}.")
    return OutputOf(step, output)


def _find(reference: str) -> type[Component]:
    module, _, name = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            "`component` must be `module:name` of an importable component. "
            f"Received: {reference!r} ({error}). Is the module's folder on the Python path?"
        ) from None
    if not (isinstance(found, type) and issubclass(found, Component)):
        raise ValueError(
            f"{reference!r} is no component. Expected: a class derived from `Component`, or a "
            "function decorated with `@component`."
        )
    return found
