"""ExampleValidator: Statistics and Schema -> Anomalies. See `penstock/pipelines/validation/anomalies.py`.

A gate: stops the run if the data do not fit the schema, or have moved too far from those of the
last good run or of a serving log; unless `on_anomaly` is "warn". Warnings (a label spread
differently over the splits) never stop it.
"""

from pathlib import Path
from typing import Literal

from penstock.pipelines.config import Config
from penstock.pipelines.validation.settings import Action, DriftConfig, SkewConfig, first_match
from penstock.tfx.artifacts import Anomalies, Examples, Schema, Statistics
from penstock.tfx.component import Component, Environment, ExecutionContext

SHOWN = 3
"""Features that the reason of a stopped run tells of."""


class ExampleValidator(Component):
    """Checks the statistics of every split against the schema and against other data."""

    inputs = {
        "statistics": Statistics,
        "schema": Schema,
        "examples": Examples,
        "baseline": Statistics,
    }
    optional_inputs = frozenset({"examples", "baseline"})
    outputs = {"anomalies": Anomalies}

    class Parameters(Config):
        """What is compared, and what an anomaly does to the run.

        `on_anomaly` holds for all features that `actions` does not name; `is_reviewed`: whether a
        person has written the schema, which then says which features and classes there are.
        """

        on_anomaly: Literal["stop", "warn"] = "stop"
        actions: dict[str, Action] = {}
        drift: DriftConfig = DriftConfig()
        skew: SkewConfig = SkewConfig()
        train_split: str = "train"
        is_reviewed: bool = False

    @classmethod
    def environment(cls, parameters) -> Environment:
        del parameters
        return Environment()

    @classmethod
    def libraries(cls, parameters) -> tuple[str, ...]:
        del parameters
        return ("numpy", "scipy", "tensorflow-metadata")

    @classmethod
    def files(cls, parameters) -> list[Path]:
        path = parameters.skew.serving_statistics
        return [_statistics_file(path)] if path else []

    @classmethod
    def check(cls, parameters) -> list[str]:
        path = parameters.skew.serving_statistics
        if path is None or _statistics_file(path).is_file():
            return []
        return [
            "`data.skew.serving_statistics` must be a file of statistics: the `statistics.binpb` of "
            f"a run over a serving log, or its folder. Received: {str(path)!r} (no such file). Correct "
            "the path, or leave it out."
        ]

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.pipelines.statistics import statistics_files
        from penstock.pipelines.validation import anomalies, schema

        parameters, statistics = context.parameters, context.inputs["statistics"].path
        expected = schema.read(context.inputs["schema"].path)
        found = anomalies.find(
            statistics_files.read(statistics),
            expected,
            _references(context),
            parameters.train_split,
            statistics_files.read_slices(statistics).datasets,
        )
        findings = anomalies.with_actions(found.findings, parameters.actions)
        if findings and "examples" in context.inputs:
            from penstock.pipelines.validation.example_records import keys_of

            keys = keys_of(context.inputs["examples"].path, findings)
            findings = anomalies.with_records(findings, keys)
        proto = anomalies.to_proto(anomalies.Found(findings, found.measurements), expected)
        anomalies.write(context.outputs["anomalies"].path, proto)
        errors = anomalies.sentences(proto, anomalies.Kind.ERROR)
        warnings = anomalies.sentences(proto, anomalies.Kind.WARNING)
        drifted = any(finding.is_drift and finding.is_error for finding in findings)
        context.outputs["anomalies"].properties = {"errors": len(errors), "drifted": drifted}
        shown = {"first": _first_sentence((errors + warnings)[0])} if errors or warnings else {}
        compared = {"compared": "with the last good run"} if "baseline" in context.inputs else {}
        context.progress(anomalies=len(errors), warnings=len(warnings), **compared, **shown)
        stopping = [f for f in findings if f.is_error and _stops(parameters, f.feature)]
        if stopping:
            context.stop(_reason(errors, stopping, drifted, parameters))


def _statistics_file(path: Path) -> Path:
    from penstock.pipelines.statistics.statistics_files import FILE

    return path / FILE if path.is_dir() else path


def _references(context):
    """The other data to compare with."""
    from penstock.pipelines.statistics import statistics_files
    from penstock.pipelines.validation.drift import Reference

    parameters, references = context.parameters, []
    if "baseline" in context.inputs:
        path, run = context.inputs["baseline"].path, parameters.drift.baseline
        references.append(
            Reference(
                statistics_files.read(path),
                "the last good run" if run == "latest" else f"the run `{run}`",
                parameters.drift,
                tuple(statistics_files.read_slices(path).datasets),
                structure=not parameters.is_reviewed,
            )
        )
    if parameters.skew.serving_statistics:
        path = _statistics_file(parameters.skew.serving_statistics)
        serving = statistics_files.read_file(path)
        references.append(Reference(serving, "the serving log", parameters.skew))
    return references


def _stops(parameters, feature):
    action = first_match(parameters.actions, feature) if feature else None
    return (action or parameters.on_anomaly) == "stop"


def _first_sentence(text):
    end = text.find(". ")
    return text if end < 0 else text[: end + 1]


def _reason(errors, stopping, drifted, parameters):
    names = {f"`{finding.feature}`: " for finding in stopping}
    told = [text for text in errors if text.startswith(tuple(names)) or not text.startswith("`")]
    more = f" And {len(told) - SHOWN} more, in the report." if len(told) > SHOWN else ""
    schema = "the" if parameters.is_reviewed else "give a"
    how = (
        f"Correct the data, {schema} reviewed schema (`data.reviewed_schema`), or set "
        "`data.on_anomaly: warn`."
    )
    if drifted:
        how = (
            "Correct the data; or, if they are to be like this from now on, run once with "
            "`data.on_anomaly=warn`: later runs are compared with this one."
        )
        always = next((finding.feature for finding in stopping if finding.feature), None)
        if always:
            how += (
                " What is different every night, as a date, is left out by `data.anomalies: "
                f"{{{always}: ignore}}`."
            )
    # The whole of the first; of the others as much as a person reads in a terminal.
    shown = [told[0], *map(_first_sentence, told[1:SHOWN])]
    problem = "do not fit the schema"
    if drifted:
        problem = "differ from earlier data"
    elif parameters.skew.serving_statistics:
        problem += " or the serving log"
    several = f"{len(told)} feature" + ("" if len(told) == 1 else "s")
    return f"The data {problem} ({several}): {' '.join(shown)}{more} {how}"
