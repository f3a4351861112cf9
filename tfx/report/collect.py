"""What the store knows of one run, as plain values.

Comes in: a store and a run. Goes out: a `Run`: its steps, how far each came, what each read, and
where the artifacts are. Steps that the run never reached are known from its saved config, where
that can still be resolved.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from google.protobuf.message import DecodeError

from penstock.pipelines.statistics.statistics_files import read
from penstock.tfx.load_config import load_config, read_yaml
from penstock.tfx.metadata import FAILED, RUNNING
from penstock.tfx.pipeline import OutputOf
from penstock.tfx.standard_pipeline import standard_pipeline
from penstock.tfx.store import Store

EXECUTED, CACHED, STOPPED = "executed", "cached", "stopped"
BROKEN, CUT_OFF, NOT_RUN = "failed", "interrupted", "not run"


@dataclass
class StepFacts:
    """One step of a run.

    Attributes:
        state: executed, cached, stopped (by its gate), failed, interrupted or not run.
        seconds: what the execution took, also where it was reused; None for none.
        summary: what the step said of itself at its end.
        reason: why it stopped or failed.
        reads: (step, output) pairs in this run that it read, or would read.
        outside: inputs that another run made, as "name: from the run R".
        waits_for: gates that it waits for without reading from them.
        ingredients: what its cache key was made of.
    """

    name: str
    state: str = NOT_RUN
    seconds: float | None = None
    summary: dict = field(default_factory=dict)
    reason: str | None = None
    reads: list[tuple[str, str]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    waits_for: list[str] = field(default_factory=list)
    ingredients: dict = field(default_factory=dict)
    reused_from: str | None = None


@dataclass
class Run:
    """A run.

    Attributes:
        seconds: how long it was worked on; for a run that was killed, as far as that is known.
        artifacts: a type -> the directory of an artifact of this type: the first, but one of an
            extra step only where no standard step made any.
        baseline: the run whose statistics its own were compared with, and where they are.
    """

    name: str
    pipeline: str
    state: str
    reason: str | None
    stopped_at: str | None
    started_at: float
    seconds: float
    config: dict
    config_text: str
    steps: dict[str, StepFacts]
    artifacts: dict[str, Path]
    baseline: tuple[str, Path] | None = None

    @property
    def ends_with_data(self) -> bool:
        """Whether its config has no task, so that it checks data and trains nothing."""
        return bool(self.config) and self.config.get("task") is None

    @cached_property
    def statistics(self) -> list | None:
        """The `DatasetFeatureStatistics` of each split; None where they cannot be read."""
        try:
            return list(read(self.artifacts["Statistics"]).datasets)
        except (OSError, KeyError, DecodeError):
            return None

    def document(self, kind: str, file: str) -> dict | None:
        """A JSON document of an artifact; None where there is none or it cannot be read."""
        if kind not in self.artifacts:
            return None
        try:
            found = json.loads((self.artifacts[kind] / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def section(self, *names: str) -> dict:
        """A part of the config; empty where it is missing."""
        found = self.config
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}


def collect(store: Store, row: dict) -> Run:
    """Asks the store about a run.

    Args:
        row: as `Store.resolve_run` gives it.
    """
    name = row["run"]
    state, reason = row["state"], row.get("reason")
    if state == RUNNING and not store.is_active(name):
        state, reason = "INTERRUPTED", reason or "Its process was killed."
    text, config = _config(store, name)
    steps = _planned(store, name)
    for step, how, record in store.metadata.steps_of(name):
        _fill(steps.setdefault(step, StepFacts(step)), how, record, name)
    _read_inputs(store, name, steps)
    own = store.metadata.executions_of(name)
    for record in own:
        facts = steps.setdefault(record.step, StepFacts(record.step))
        if facts.state == NOT_RUN or facts.state in (BROKEN, CUT_OFF):
            facts.state = BROKEN if record.state == FAILED else CUT_OFF
            if record.state == RUNNING and state == RUNNING:
                facts.state = "running"
            facts.seconds, facts.reason = record.seconds, record.error
    stopped_at = row.get("stopped_at")
    if state == FAILED and stopped_at in steps and steps[stopped_at].state == CUT_OFF:
        steps[stopped_at].state = BROKEN  # its worker died
    return Run(
        name,
        row["pipeline"],
        state,
        reason,
        stopped_at,
        row["started_at"],
        _seconds(row, state, own),
        config,
        text,
        steps,
        _artifacts(store, name, config.get("steps") or {}),
        _baseline(store, name),
    )


def _artifacts(store: Store, run: str, extra_steps) -> dict[str, Path]:
    """A directory for each type; what a user's own step made comes after what the standard ones did."""
    made = sorted(store.metadata.steps_of(run), key=lambda entry: entry[0] in extra_steps)
    outputs = [output for _, _, record in made for output in record.outputs.values()]
    return {output.type: store.directory / output.uri for output in reversed(outputs)}


def _baseline(store: Store, run: str) -> tuple[str, Path] | None:
    """What ExampleValidator compared the statistics with."""
    for _, _, record in store.metadata.steps_of(run):
        if any(output.type == "Anomalies" for output in record.outputs.values()):
            artifact = store.metadata.inputs_of(record.id).get("baseline")
            if artifact is not None:
                origin = store.metadata.execution(artifact.execution).run
                return origin, store.directory / artifact.uri
    return None


def _seconds(row: dict, state: str, own: list) -> float:
    """How long a run was worked on.

    A pass that was killed has recorded no end: the time during which any of the run's own
    executions worked is then the least it can have been.
    """
    known = row.get("seconds")
    if state != "INTERRUPTED":
        return known or row["ended_at"] - row["started_at"]
    worked = last = 0.0
    for record in sorted(own, key=lambda record: record.started_at):
        end = record.started_at + (record.seconds or 0.0)
        worked += max(0.0, end - max(last, record.started_at))  # two may work at once
        last = max(last, end)
    return max(known or 0.0, worked)


def _planned(store: Store, run: str) -> dict[str, StepFacts]:
    """The steps that the saved config names, in their order; empty where it has become invalid."""
    try:
        pipeline = standard_pipeline(load_config(store.run_directory(run) / "config.yaml"))
    except ValueError:
        return {}
    steps = {}
    for step in pipeline.steps:
        sources = [s for s in step.inputs.values() if isinstance(s, OutputOf)]
        reads = [(source.step, source.output) for source in sources]
        steps[step.name] = StepFacts(step.name, reads=reads, waits_for=list(step.after))
    return steps


def _fill(facts: StepFacts, how: str, record, run: str) -> None:
    facts.state = STOPPED if record.gate else how
    facts.seconds, facts.summary, facts.reason = record.seconds, record.summary, record.gate
    facts.ingredients = record.ingredients
    facts.reused_from = record.run if how == CACHED and record.run != run else None


def _read_inputs(store: Store, run: str, steps: dict[str, StepFacts]) -> None:
    """Replaces what a step was to read by what it has read."""
    records = {step: record for step, _, record in store.metadata.steps_of(run)}
    made = {
        (output.type, output.content_digest): (step, output.name)
        for step, record in reversed(records.items())
        for output in record.outputs.values()
    }
    for step, record in records.items():
        facts = steps[step]
        facts.reads, facts.outside = [], []
        for name, artifact in store.metadata.inputs_of(record.id).items():
            # Equal content counts as the same: a cached step may have read another run's copy.
            source = made.get((artifact.type, artifact.content_digest))
            if source:
                facts.reads.append(source)
            else:
                origin = store.metadata.execution(artifact.execution).run
                facts.outside.append(f"{name}: {artifact.type} of the run {origin}")


def _config(store: Store, run: str) -> tuple[str, dict]:
    """The saved config as text and as a mapping; empty where it is gone."""
    path = store.run_directory(run) / "config.yaml"
    try:
        return path.read_text(encoding="utf-8"), read_yaml(path)
    except (OSError, ValueError):
        return "", {}
