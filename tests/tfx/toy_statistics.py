"""A pipeline of statistics of numbers in a file, their schema and their check: no Beam."""

from pathlib import Path

from penstock.pipelines.config import Config
from penstock.pipelines.validation.settings import DriftConfig
from penstock.tfx.artifacts import Statistics
from penstock.tfx.component import Component
from penstock.tfx.components.example_validator import ExampleValidator
from penstock.tfx.components.schema_gen import SchemaGen
from penstock.tfx.pipeline import LatestGoodStatistics, OutputOf, Pipeline, Step

STATISTICS = OutputOf("StatisticsGen", "statistics")


class Count(Component):
    """Statistics of numbers, one a line."""

    outputs = {"statistics": Statistics}

    class Parameters(Config):
        path: str

    @classmethod
    def files(cls, parameters):
        return [Path(parameters.path)]

    @staticmethod
    def execute(context):
        from tensorflow_metadata.proto.v0 import statistics_pb2

        from penstock.pipelines.statistics import statistics_files
        from penstock.pipelines.statistics.value_statistics import NumberStatistics

        numbers = [float(line) for line in Path(context.parameters.path).read_text().split()]
        accumulator = NumberStatistics(is_integer=False)
        accumulator.add(numbers)
        found = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = found.datasets.add(name="train", num_examples=len(numbers))
        dataset.features.extend(accumulator.protos("x", len(numbers)))
        statistics_files.write(context.outputs["statistics"].path, found)


def checked(path, baseline=None, **parameters) -> Pipeline:
    """The pipeline; `baseline`: the name of a run."""
    inputs = {"statistics": STATISTICS, "schema": OutputOf("SchemaGen", "schema")}
    inputs["baseline"] = LatestGoodStatistics(STATISTICS, baseline)
    if baseline:
        parameters["drift"] = DriftConfig(baseline=baseline)
    validator = ExampleValidator.Parameters(**parameters)
    schema = SchemaGen.Parameters()
    return Pipeline(
        "checked",
        (
            Step("StatisticsGen", Count, Count.Parameters(path=str(path))),
            Step("SchemaGen", SchemaGen, schema, {"statistics": STATISTICS}),
            Step("ExampleValidator", ExampleValidator, validator, inputs),
        ),
    )
