"""SchemaGen: Statistics -> Schema. See `penstock/pipelines/validation/schema.py`."""

from pathlib import Path

from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Examples, Schema, Statistics
from penstock.tfx.component import Component, Environment, ExecutionContext


class SchemaGen(Component):
    """Infers what the data are, or takes the schema that a person has reviewed.

    Of the examples only the description is read: which features may be missing.
    """

    inputs = {"statistics": Statistics, "examples": Examples}
    optional_inputs = frozenset({"examples"})
    outputs = {"schema": Schema}

    class Parameters(Config):
        """`reviewed_schema`: a `schema.pbtxt` that is taken instead of an inferred one.

        `train_split`: the split that it is inferred from; the others are checked against it.
        """

        reviewed_schema: str | None = None
        train_split: str = "train"

    @classmethod
    def environment(cls, parameters) -> Environment:
        del parameters
        return Environment()

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        del parameters
        return ("tensorflow-metadata",)

    @classmethod
    def files(cls, parameters) -> list[Path]:
        return [Path(parameters.reviewed_schema)] if parameters.reviewed_schema else []

    @classmethod
    def check(cls, parameters) -> list[str]:
        path = parameters.reviewed_schema
        if path is None or Path(path).is_file():
            return []
        return [
            "`data.reviewed_schema` must be a file, the `schema.pbtxt` of a run, reviewed. "
            f"Received: {path!r} (no such file). Correct the path, or leave it out to infer one."
        ]

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines.statistics import statistics_files
        from penstock.pipelines.validation import schema

        reviewed = context.parameters.reviewed_schema
        if reviewed:
            found = schema.read(reviewed)
        else:
            statistics = statistics_files.read(context.inputs["statistics"].path)
            optional = _optional(context.inputs)
            found = schema.infer(statistics, context.parameters.train_split, optional)
        schema.write(context.outputs["schema"].path, found)
        context.progress(features=len(found.feature), reviewed="yes" if reviewed else "no")


def _optional(inputs) -> set[str]:
    """Features that an example may lack, by their description."""
    from penstock.pipelines import examples
    from penstock.pipelines.features import is_optional

    if "examples" not in inputs:
        return set()
    described = examples.features(inputs["examples"].path)
    return {name for name, feature in described.items() if is_optional(feature)}
