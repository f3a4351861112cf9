"""Steps that do nothing, for `overhead.py`: no TensorFlow, no Beam, one small file each."""

from penstock.tfx.artifacts import Artifact
from penstock.tfx.component import Input, Output
from penstock.tfx.function_component import component
from penstock.tfx.pipeline import OutputOf, Pipeline, Step


@component
def Begin(after: Output[Artifact]) -> None:
    """The first."""
    (after.path / "file.txt").write_text("0")


@component
def Next(before: Input[Artifact], after: Output[Artifact], number: int = 0) -> None:
    """Each of the others."""
    text = (before.path / "file.txt").read_text()
    (after.path / "file.txt").write_text(f"{text} {number}")


def chain(count: int) -> Pipeline:
    """`count` steps, one after the other."""
    steps = [Step("Step0", Begin, Begin.Parameters())]
    for number in range(1, count):
        before = {"before": OutputOf(f"Step{number - 1}", "after")}
        steps.append(Step(f"Step{number}", Next, Next.Parameters(number=number), before))
    return Pipeline("trivial", tuple(steps))
