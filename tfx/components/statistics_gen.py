"""StatisticsGen: Examples -> Statistics. See `penstock/pipelines/statistics/statistics.py`."""

from pydantic import PositiveInt

from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Examples, Statistics
from penstock.tfx.component import Component, Environment, ExecutionContext


class StatisticsGen(Component):
    """Describes every feature of every split in numbers."""

    inputs = {"examples": Examples}
    outputs = {"statistics": Statistics}

    class Parameters(Config):
        """`slices`: columns, each value of which has statistics of its own, at most `max_slices`.

        None: labels of not too many classes and examples (`split_statistics.slices_by_default`).
        """

        slices: tuple[str, ...] | None = None
        max_slices: PositiveInt = 50

    @classmethod
    def environment(cls, parameters) -> Environment:
        del parameters
        return Environment(beam=True)

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        del parameters
        return ("datasketches", "numpy", "pillow", "soundfile", "tensorflow-metadata")

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines import examples
        from penstock.pipelines.statistics.split_statistics import slices_by_default
        from penstock.pipelines.statistics.statistics import compute

        source, parameters = context.inputs["examples"].path, context.parameters
        slices = parameters.slices
        if slices is None:
            total = sum(examples.splits(source).values())
            slices = slices_by_default(examples.features(source), total, parameters.max_slices)
        statistics = compute(
            source, context.outputs["statistics"].path, slices, parameters.max_slices
        )
        datasets = statistics.datasets
        context.progress(
            splits=sum(dataset.num_examples > 0 for dataset in datasets),
            features=len(datasets[0].features),
            examples=sum(dataset.num_examples for dataset in datasets),
        )
