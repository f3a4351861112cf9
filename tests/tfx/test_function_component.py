"""A component from one decorated function."""

import pytest

from penstock.tfx.artifacts import Artifact, Examples, Model
from penstock.tfx.component import ExecutionContext, Input, Output
from penstock.tfx.function_component import component


@component(libraries=("numpy",))
def Report(
    examples: Input[Examples],
    context: ExecutionContext,
    report: Output[Artifact],
    top: int,
    model: Input[Model] | None = None,
    note: str | None = "none",
) -> None:
    """Writes a line."""
    (report.path / "report.txt").write_text(f"{top} {note} {model} {examples.path.name}")
    context.progress(top=top)


def test_annotations_are_the_contract():
    assert Report.inputs == {"examples": Examples, "model": Model}
    assert Report.optional_inputs == {"model"}
    assert Report.outputs == {"report": Artifact}
    assert Report.Parameters(top=3).model_dump() == {"top": 3, "note": "none"}
    assert Report.libraries(Report.Parameters(top=3)) == ("numpy",)
    assert Report.reference().endswith(":Report")


def test_the_function_gets_inputs_outputs_parameters_and_context(tmp_path):
    said = []
    context = ExecutionContext(
        parameters=Report.Parameters(top=3),
        inputs={"examples": Input(tmp_path / "examples", "Examples", "0" * 64)},
        outputs={"report": Output(tmp_path, "Artifact")},
        scratch=tmp_path,
        report=said.append,
    )
    Report.execute(context)
    assert (tmp_path / "report.txt").read_text() == "3 none None examples"
    assert said == [{"done": None, "total": None, "values": {"top": 3}}]


def test_a_parameter_without_annotation_is_refused():
    with pytest.raises(TypeError, match=r"needs an annotation: .* Received: 'limit' without one"):

        @component
        def Bad(report: Output[Artifact], limit=3):
            """Has a parameter of unknown role."""
