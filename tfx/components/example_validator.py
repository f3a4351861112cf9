"""ExampleValidator: Statistics and Schema -> Anomalies. See `penstock/pipelines/anomalies.py`.

A gate: stops the run if the data do not fit the schema, unless `on_anomaly` is "warn". Warnings
(a label spread differently over the splits) never stop it.
"""

from typing import Literal

from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Anomalies, Schema, Statistics
from penstock.tfx.component import Component, Environment, ExecutionContext


class ExampleValidator(Component):
    """Checks the statistics of every split against the schema."""

    inputs = {"statistics": Statistics, "schema": Schema}
    outputs = {"anomalies": Anomalies}

    class Parameters(Config):
        """`on_anomaly`: what an anomaly does to the run."""

        on_anomaly: Literal["stop", "warn"] = "stop"

    @classmethod
    def environment(cls, parameters) -> Environment:
        del parameters
        return Environment()

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        del parameters
        return ("tensorflow-metadata",)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines import anomalies, schema, statistics_files

        found = anomalies.validate(
            statistics_files.read(context.inputs["statistics"].path),
            schema.read(context.inputs["schema"].path),
        )
        anomalies.write(context.outputs["anomalies"].path, found)
        errors = anomalies.sentences(found, anomalies.Kind.ERROR)
        warnings = anomalies.sentences(found, anomalies.Kind.WARNING)
        shown = {"first": (errors + warnings)[0]} if errors or warnings else {}
        context.progress(anomalies=len(errors), warnings=len(warnings), **shown)
        if errors and context.parameters.on_anomaly == "stop":
            context.stop(
                f"The data do not fit the schema ({len(errors)} features): {' '.join(errors)} "
                "Correct the data, give a reviewed schema (`data.reviewed_schema`), or set "
                "`data.on_anomaly: warn`."
            )
