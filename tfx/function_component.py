"""A component from one decorated function: the annotations are its contract.

```python
@component(libraries=("numpy",))
def CountExamples(examples: Input[Examples], count: Output[Artifact], at_least: int = 1) -> None:
    ...  # write into count.path
```
Parameters of the function annotated `Input[T]` (or `Input[T] | None`) are inputs, `Output[T]`
outputs, `ExecutionContext` the context itself; all others are parameters that a config can set.
"""

import inspect
import types
import typing
from collections.abc import Callable

from pydantic import create_model

from penstock.pipelines.config import Config
from penstock.tfx.component import Component, Environment, ExecutionContext, Input, Output


def component(function: Callable | None = None, *, libraries=(), tensorflow=False, beam=False):
    """Makes a component class of a function.

    Args:
        libraries: distributions whose version changes the result.
        tensorflow, beam: what the worker imports before the function runs.

    Raises:
        TypeError: a parameter has no annotation, so that its role is unknown.
    """
    if function is None:
        return lambda f: component(f, libraries=libraries, tensorflow=tensorflow, beam=beam)
    inputs, optional, outputs, parameters, context_name = _read_signature(function)

    class FunctionComponent(Component):
        """Set from the function below."""

        @classmethod
        def environment(cls, parameters):
            return Environment(tensorflow=tensorflow, beam=beam)

        @classmethod
        def libraries(cls, parameters):
            return tuple(libraries)

        @staticmethod
        def execute(context: ExecutionContext) -> None:
            arguments = {name: getattr(context.parameters, name) for name in parameters}
            arguments |= {name: context.inputs.get(name) for name in inputs}
            arguments |= {name: context.outputs[name] for name in outputs}
            if context_name:
                arguments[context_name] = context
            function(**arguments)

    FunctionComponent.inputs = inputs
    FunctionComponent.optional_inputs = frozenset(optional)
    FunctionComponent.outputs = outputs
    FunctionComponent.Parameters = create_model("Parameters", __base__=Config, **parameters)
    FunctionComponent.__name__ = function.__name__
    FunctionComponent.__qualname__ = function.__qualname__
    FunctionComponent.__module__ = function.__module__
    FunctionComponent.__doc__ = function.__doc__
    return FunctionComponent


def _read_signature(function: Callable):
    inputs, optional, outputs, parameters, context_name = {}, [], {}, {}, None
    hints = typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in hints:
            raise TypeError(
                f"Every parameter of the component {function.__name__!r} needs an annotation: "
                f"`Input[T]`, `Output[T]`, `ExecutionContext` or a plain type. Received: {name!r} "
                "without one."
            )
        hint = hints[name]
        alternatives = typing.get_args(hint) if _is_union(hint) else ()
        if types.NoneType in alternatives:
            inner = next(item for item in alternatives if item is not types.NoneType)
            if typing.get_origin(inner) is Input:
                optional.append(name)
                hint = inner
        if typing.get_origin(hint) is Input:
            inputs[name] = typing.get_args(hint)[0]
        elif typing.get_origin(hint) is Output:
            outputs[name] = typing.get_args(hint)[0]
        elif hint is ExecutionContext:
            context_name = name
        else:
            default = ... if parameter.default is parameter.empty else parameter.default
            parameters[name] = (hint, default)
    return inputs, optional, outputs, parameters, context_name


def _is_union(hint) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)
