"""A pipeline: named steps and what flows between them. Data, checked when it is made; nothing runs here."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Artifact
from penstock.tfx.component import Component

STEP_NAME = r"[A-Za-z0-9_]{1,64}"


@dataclass(frozen=True)
class OutputOf:
    """An input that is another step's output."""

    step: str
    output: str


@dataclass(frozen=True)
class LatestBlessedModel:
    """An input that is the model blessed last in this pipeline, other than the candidate itself.

    Attributes:
        candidate: the model that is being judged; without this exception a second, identical run
            would compare a model with itself.
    """

    candidate: OutputOf


@dataclass(frozen=True)
class LatestGoodStatistics:
    """An input that is the statistics of the last data of this pipeline that passed their check.

    Attributes:
        candidate: the statistics that are being checked; see `Metadata.latest_good_statistics`.
        run: a run whose statistics are taken instead; None for the last good ones.
    """

    candidate: OutputOf
    run: str | None = None


Earlier = LatestBlessedModel | LatestGoodStatistics
"""Inputs that come from earlier runs, and are absent where there was none."""


@dataclass(frozen=True)
class Step:
    """One step: a component, its parameters and where its inputs come from.

    Attributes:
        after: steps that must be complete before this one starts, without giving it anything
            (gates).
    """

    name: str
    component: type[Component]
    parameters: Config
    inputs: dict[str, OutputOf | Earlier] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    def upstream(self) -> set[str]:
        """The steps that this one waits for."""
        sources = (s.candidate if isinstance(s, Earlier) else s for s in self.inputs.values())
        return {source.step for source in sources} | set(self.after)


@dataclass(frozen=True)
class Pipeline:
    """Steps in an order in which they can run.

    Raises:
        ValueError: an input names an unknown step or output, has the wrong type or is missing, or
            steps wait for each other in a circle. All faults are in the message.
    """

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self):
        faults = [fault for step in self.steps for fault in self._faults(step)]
        if faults:
            raise ValueError("\n".join(faults))
        object.__setattr__(self, "steps", tuple(self._sorted()))

    def step(self, name: str) -> Step:
        """A step by its name."""
        return next(step for step in self.steps if step.name == name)

    def _faults(self, step: Step) -> list[str]:
        declared = step.component.inputs
        faults = []
        if not re.fullmatch(STEP_NAME, step.name):
            faults.append(
                f"A step's name must be letters, digits and underscores: it becomes the name of a "
                f"folder. Received: {step.name!r}."
            )
        known = {other.name for other in self.steps}
        faults += [
            f"Step `{step.name}` waits for an unknown step. Received: {name!r}. "
            f"Known: {', '.join(get_close_matches(name, known, n=3) or sorted(known))}."
            for name in step.after
            if name not in known
        ]
        faults += [
            f"Step `{step.name}` has no input `{name}`. Its inputs: {', '.join(declared) or 'none'}."
            for name in step.inputs
            if name not in declared
        ]
        faults += [
            f"Step `{step.name}` needs the input `{name}` ({declared[name].__name__})."
            for name in declared
            if name not in step.inputs and name not in step.component.optional_inputs
        ]
        for name, source in step.inputs.items():
            if name in declared and isinstance(source, OutputOf):
                faults += self._source_faults(step, name, source, declared[name])
        return faults

    def _source_faults(self, step: Step, name: str, source: OutputOf, wanted: type[Artifact]):
        outputs = {
            f"{other.name}.{output}": kind
            for other in self.steps
            for output, kind in other.component.outputs.items()
        }
        full = f"{source.step}.{source.output}"
        if full not in outputs:
            near = get_close_matches(full, outputs, n=3) or list(outputs)
            yield (
                f"Step `{step.name}`: input `{name}` names no output. Received: {full!r}. "
                f"Known: {', '.join(near)}."
            )
        elif not issubclass(outputs[full], wanted):
            yield (
                f"Step `{step.name}`: input `{name}` must be of type {wanted.__name__}. "
                f"Received: {full} of type {outputs[full].__name__}."
            )

    def _sorted(self) -> list[Step]:
        waiting, done, ordered = list(self.steps), set(), []
        while waiting:
            ready = [step for step in waiting if step.upstream() <= done]
            if not ready:
                names = ", ".join(step.name for step in waiting)
                raise ValueError(f"These steps wait for each other in a circle: {names}.")
            ordered += ready
            done |= {step.name for step in ready}
            waiting = [step for step in waiting if step.name not in done]
        return ordered
