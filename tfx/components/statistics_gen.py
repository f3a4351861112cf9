"""StatisticsGen: Examples -> Statistics. See `penstock/pipelines/statistics.py`."""

from penstock.tfx.artifacts import Examples, Statistics
from penstock.tfx.component import Component, Environment, ExecutionContext


class StatisticsGen(Component):
    """Describes every feature of every split in numbers."""

    inputs = {"examples": Examples}
    outputs = {"statistics": Statistics}

    @classmethod
    def environment(cls, parameters) -> Environment:
        del parameters
        return Environment(beam=True)

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        del parameters
        return ("numpy", "pillow", "tensorflow-metadata")

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines.statistics import compute

        statistics = compute(context.inputs["examples"].path, context.outputs["statistics"].path)
        datasets = statistics.datasets
        context.progress(
            splits=len(datasets),
            features=len(datasets[0].features),
            examples=sum(dataset.num_examples for dataset in datasets),
        )
