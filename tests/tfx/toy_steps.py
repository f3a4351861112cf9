"""Toy components for tests of the runner: no TensorFlow, no Beam, a few milliseconds each.

The last step is the real Pusher, fed with a toy model, so that its commit points are tested too.
"""

import json
import os
import time
from pathlib import Path

from penstock.pipelines.config import Config
from penstock.pipelines.running.beam_worker import ProcessDied
from penstock.tfx.artifacts import Artifact, Blessing, Model, ParityReport
from penstock.tfx.component import Component, ExecutionContext, Input, Output
from penstock.tfx.components.pusher import Pusher
from penstock.tfx.function_component import component
from penstock.tfx.pipeline import OutputOf, Pipeline, Step


class Numbers(Artifact):
    """`numbers.json`: a list of integers."""


class ToyModel(Model):
    """`saved_model/`: any files; it is its files."""

    digest_module = None


def load(directory: Path) -> list[int]:
    return json.loads((directory / "numbers.json").read_text())


def save(directory: Path, numbers: list[int]) -> None:
    (directory / "numbers.json").write_text(json.dumps(numbers))


class Read(Component):
    """Reads integers, one a line, from a file outside the store."""

    outputs = {"numbers": Numbers}

    class Parameters(Config):
        path: str

    @classmethod
    def files(cls, parameters):
        return [Path(parameters.path)]

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        numbers = [int(line) for line in Path(context.parameters.path).read_text().split()]
        save(context.outputs["numbers"].path, numbers)
        context.progress(numbers=len(numbers))


@component(libraries=("pydantic",))
def Scale(
    numbers: Input[Numbers], scaled: Output[Numbers], factor: int = 2, meet: str | None = None
) -> None:
    """Multiplies; a second file makes a half-written output possible.

    With `meet`, a folder, it waits until two of its kind are there.
    """
    if meet:
        (Path(meet) / str(factor)).touch()
        deadline = time.monotonic() + 20
        while len(list(Path(meet).iterdir())) < 2:
            if time.monotonic() > deadline:
                raise ValueError("The other branch has not begun.")
            time.sleep(0.01)
    values = load(numbers.path)
    save(scaled.path, [value * factor for value in values])
    (scaled.path / "count.json").write_text(json.dumps(len(values)))


@component
def Add(left: Input[Numbers], right: Input[Numbers], total: Output[Numbers]) -> None:
    """Adds two lists element by element."""
    pairs = zip(load(left.path), load(right.path), strict=True)
    save(total.path, [a + b for a, b in pairs])


@component
def Gate(
    numbers: Input[Numbers],
    verdict: Output[Artifact],
    context: ExecutionContext,
    limit: int = 10**9,
) -> None:
    """Stops the run where a number passes the limit."""
    largest = max(load(numbers.path))
    (verdict.path / "verdict.json").write_text(json.dumps({"largest": largest}))
    if largest > limit:
        context.stop(f"The largest number, {largest}, passes the limit of {limit}.")


@component
def Misbehave(
    numbers: Input[Numbers], out: Output[Artifact], context: ExecutionContext, how: str = "no"
) -> None:
    """Fails, dies or loses a process (perhaps only the first time), takes a minute or a moment."""
    (out.path / "out.txt").write_text("out")
    first = not (context.scratch / "tried").exists()
    (context.scratch / "tried").touch()
    if how == "raise":
        raise ValueError("`how` must be 'no'. Received: 'raise'. Set it to 'no'.")
    if how == "die" or (how == "die once" and first):
        os.kill(os.getpid(), 9)
    if how == "lose" or (how == "lose once" and first):
        raise ProcessDied(-9)
    if how in ("sleep", "nap"):
        context.progress(done=0, total=1)
        time.sleep(60 if how == "sleep" else 0.3)


@component
def Fit(
    numbers: Input[Numbers],
    model: Output[ToyModel],
    blessing: Output[Blessing],
    parity: Output[ParityReport],
) -> None:
    """A "model" of two files with its verdicts."""
    values = load(numbers.path)
    (model.path / "saved_model" / "variables").mkdir(parents=True)
    (model.path / "saved_model" / "saved_model.pb").write_text(json.dumps(values))
    (model.path / "saved_model" / "variables" / "data").write_text(str(sum(values)))
    digest = model_digest(model.path)
    verdict = {"format_version": 1, "reasons": [], "model": digest}
    (blessing.path / "blessing.json").write_text(json.dumps({**verdict, "blessed": True}))
    report = {**verdict, "passed": True, "examples": 1}
    (parity.path / "parity.json").write_text(json.dumps(report))
    blessing.properties["blessed"] = True


def model_digest(directory: Path) -> str:
    """The content digest that the store will give a ToyModel in this directory."""
    from penstock.tfx import durable

    files = {
        str(path.relative_to(directory)): durable.sha256_of_file(path)
        for path in durable.files_below(directory)
    }
    return ToyModel.content_digest(directory, files)


def toy_pipeline(
    source: Path,
    destination: Path,
    factor: int = 2,
    limit: int = 10**9,
    how: str = "no",
    meet: str | None = None,
) -> Pipeline:
    """Read -> (Scale, Triple) -> Add -> Gate -> Misbehave, Fit -> Pusher."""
    numbers, total = OutputOf("Read", "numbers"), OutputOf("Add", "total")
    branches = {"left": OutputOf("Scale", "scaled"), "right": OutputOf("Triple", "scaled")}
    fit = {name: OutputOf("Fit", name) for name in ("model", "blessing", "parity")}
    pusher = Pusher.Parameters(destination=str(destination), keep=5)
    return Pipeline(
        "toy",
        (
            Step("Read", Read, Read.Parameters(path=str(source))),
            Step("Scale", Scale, Scale.Parameters(factor=factor, meet=meet), {"numbers": numbers}),
            Step("Triple", Scale, Scale.Parameters(factor=3, meet=meet), {"numbers": numbers}),
            Step("Add", Add, Add.Parameters(), branches),
            Step("Gate", Gate, Gate.Parameters(limit=limit), {"numbers": total}),
            Step(
                "Misbehave", Misbehave, Misbehave.Parameters(how=how), {"numbers": total}, ("Gate",)
            ),
            Step("Fit", Fit, Fit.Parameters(), {"numbers": total}, ("Gate",)),
            Step("Pusher", Pusher, pusher, fit),
        ),
    )
