"""Transform: Examples -> TransformState and TransformedExamples.

The work is in `penstock/pipelines/transform/transform.py`; what is prepared and how is in the task's
`data.py`. Its networks are not reached from here, so that editing them leaves this step cached.
"""

import json
from pathlib import Path

from penstock.models import locate
from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Examples, TransformedExamples, TransformState
from penstock.tfx.component import Component, Environment, ExecutionContext
from penstock.tfx.training.split_faults import split_faults


class Transform(Component):
    """Runs the task's analyzers over the training split and its preparation over all splits."""

    inputs = {"examples": Examples}
    outputs = {"state": TransformState, "transformed": TransformedExamples}

    class Parameters(Config):
        """`prepare`: the task's section of that name; analyzers see `train_split`.

        `on_the_fly`: writes state and description alone; the training prepares the examples.
        `wanted_splits` are looked for first, so that a split that lacks is said before the work.
        `task_libraries` and `task_files` are what the task's config says its preparation uses.
        """

        task: str
        prepare: dict = {}
        train_split: str = "train"
        on_the_fly: bool = False
        wanted_splits: tuple[tuple[str, str], ...] = ()
        task_libraries: tuple[str, ...] = ()
        task_files: tuple[str, ...] = ()

    @classmethod
    def environment(cls, parameters) -> Environment:
        del parameters
        return Environment(tensorflow=True, beam=True)

    @classmethod
    def keyed(cls, parameters) -> dict:
        # They change nothing that is prepared; the Trainer looks again.
        return parameters.model_dump(mode="json", exclude={"wanted_splits"})

    @classmethod
    def modules(cls, parameters) -> tuple[str, ...]:
        return (f"{locate.task_package(parameters.task)}.data",)

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        return ("tensorflow", "keras", "numpy", "tokenizers", *parameters.task_libraries)

    @classmethod
    def files(cls, parameters) -> list[Path]:
        return [Path(path) for path in parameters.task_files]

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines import examples
        from penstock.pipelines.transform.transform import transform

        parameters = context.parameters
        known = examples.splits(context.inputs["examples"].path)
        faults = split_faults(parameters.wanted_splits, known)
        if faults:
            raise ValueError(" ".join(faults))
        section = locate.config_class(parameters.task).model_fields["prepare"].annotation
        prepare = section.model_validate_json(json.dumps(parameters.prepare))
        splits = transform(
            context.inputs["examples"].path,
            locate.data_class(parameters.task)(prepare),
            context.outputs["state"].path,
            context.outputs["transformed"].path,
            context.scratch,
            parameters.train_split,
            report=context.progress,
            stored=not parameters.on_the_fly,
        )
        context.outputs["transformed"].properties["splits"] = splits
        shown = ", ".join(f"{name} {count:,}" for name, count in splits.items() if count)
        context.progress(examples=sum(splits.values()), splits=shown)
