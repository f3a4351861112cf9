"""Statistics against a schema and against other data: `Anomalies` (tensorflow_metadata).

What is looked for is in `validation/`. Each anomaly is a sentence with its numbers and, where the
examples are given, keys of records that show it. Errors can stop the run (`data.on_anomaly`,
`data.anomalies`), warnings cannot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from penstock.pipelines.statistics.statistics_files import by_name
from penstock.pipelines.validation import association, drift, label_checks, structure
from penstock.pipelines.validation.drift import COMPARATOR, Measurement, Reference
from penstock.pipelines.validation.finding import Finding, Kind
from penstock.pipelines.validation.schema_checks import of_datasets
from penstock.pipelines.validation.settings import Action, first_match

FILE = "anomalies.pbtxt"
FALSE_ALARM = 0.001
"""The probability that chance alone makes an anomaly of clean data, for all comparisons of a kind:
distances of features, new values, labels that go with other data."""


@dataclass(frozen=True)
class Found:
    """All findings of a validation, and the distances that were measured."""

    findings: list[Finding]
    measurements: list[Measurement] = field(default_factory=list)


def find(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    references: Sequence[Reference] = (),
    train_split: str = "train",
    slices: Sequence[statistics_pb2.DatasetFeatureStatistics] = (),
) -> Found:
    """All that does not fit, of all splits.

    Args:
        references: other data to compare with.
        slices: statistics of the slices of these data.
    """
    datasets = [dataset for dataset in statistics.datasets if dataset.num_examples]
    pairs = [drift.pairs_of(datasets, reference, train_split) for reference in references]
    # Each feature may be compared by its values and by how often it is missing.
    compared = sum(2 * len(mine.features) for several in pairs for mine, _ in several)
    alpha = FALSE_ALARM / (1 + compared + len(schema.feature) * len(datasets))
    findings, measurements = [*of_datasets(datasets, schema, alpha)], []
    for dataset in datasets[1:]:
        findings += label_checks.skew(datasets[0], dataset, schema)
    findings += label_checks.nothing_to_learn(datasets, schema)
    for reference, compared_pairs in zip(references, pairs, strict=True):
        found, measured = drift.compare(compared_pairs, reference, schema, alpha)
        findings += found
        measurements += measured
        if not reference.is_drift:
            findings += structure.served(compared_pairs, reference)
        else:
            findings += structure.number_of_examples(datasets, reference, schema)
            findings += structure.gone_classes(datasets, reference, FALSE_ALARM)
            moved = {measurement.feature for measurement in measured if measurement.excess > 0}
            findings += _labels(datasets, reference, schema, train_split, slices, moved)
            if reference.structure:
                findings += structure.structure(datasets, reference, FALSE_ALARM)
    return Found(findings, measurements)


def _labels(datasets, reference, schema, train_split, slices, moved):
    comparators = {feature.name: feature.drift_comparator for feature in schema.feature}
    for dataset in datasets:
        if dataset.name == train_split and reference.slices:
            comparators = {n: comparators.get(n, COMPARATOR()) for n in by_name(dataset)}
            yield from association.exchanged(
                dataset, slices, reference.slices, reference, moved, comparators, FALSE_ALARM
            )


def validate(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, schema: schema_pb2.Schema
) -> anomalies_pb2.Anomalies:
    """All anomalies of all splits against a schema; features are the keys of `anomaly_info`."""
    return to_proto(find(statistics, schema), schema)


def with_actions(findings: list[Finding], actions: dict[str, Action]) -> list[Finding]:
    """Findings as `data.anomalies` wants them: "ignore" leaves out, "warn" makes warnings."""
    kept = []
    for finding in findings:
        action = first_match(actions, finding.feature) if finding.feature else None
        if action == "warn" and finding.is_error:
            finding = replace(finding, is_error=False)
        if action != "ignore":
            kept.append(finding)
    return kept


def with_records(findings: list[Finding], keys: dict[int, list[str]]) -> list[Finding]:
    """Findings whose sentences end with keys of records, from `example_records.keys_of`.

    What the same records show of a feature in several ways names them once.
    """
    shown, named = list(findings), set()
    for index in sorted(keys, key=lambda index: _order(findings[index])):
        of_finding = keys[index]
        if (place := (findings[index].feature, *of_finding)) in named:
            continue
        named.add(place)
        records = ", ".join(f"`{key}`" for key in of_finding)
        sentence = f"{findings[index].sentence} For example: {records}."
        shown[index] = replace(findings[index], sentence=sentence)
    return shown


def _order(finding: Finding) -> tuple:
    """Errors come first: the first sentence is all that a summary has room for."""
    return finding.feature, not finding.is_error, finding.kind, finding.sentence


def to_proto(found: Found, schema: schema_pb2.Schema) -> anomalies_pb2.Anomalies:
    """Features are the keys of `anomaly_info`; what concerns all data is `dataset_anomaly_info`."""
    proto = anomalies_pb2.Anomalies(
        baseline=schema, anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH
    )
    for finding in sorted(found.findings, key=_order):
        if finding.feature:
            info = proto.anomaly_info[finding.feature]
            if not info.reason:
                info.path.step.append(finding.feature)
        else:
            info = proto.dataset_anomaly_info
        severity = Kind.ERROR if finding.is_error else Kind.WARNING
        info.severity = max(info.severity, severity)
        info.reason.add(
            type=finding.kind, short_description=finding.short, description=finding.sentence
        )
        several = len(info.reason) > 1
        info.short_description = "Multiple errors" if several else finding.short
        info.description = " ".join(reason.description for reason in info.reason)
    _add_measurements(proto, found.measurements)
    return proto


def _add_measurements(proto, measurements):
    """Of each feature and distance that of the split which comes nearest to its limit."""
    worst: dict[tuple, Measurement] = {}
    for measured in measurements:
        place = (measured.feature, measured.is_drift, measured.kind)
        if place not in worst or measured.excess > worst[place].excess:
            worst[place] = measured
    kinds = {
        Kind.COMPARATOR_L_INFTY_HIGH: anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY,
        Kind.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH: (
            anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE
        ),
    }
    infos: dict[str, anomalies_pb2.DriftSkewInfo] = {}
    for (feature, is_drift, kind), measured in sorted(worst.items()):
        if feature not in infos:
            infos[feature] = proto.drift_skew_info.add()
            infos[feature].path.step.append(feature)
        info = infos[feature]
        place = info.drift_measurements if is_drift else info.skew_measurements
        limit = measured.limit + measured.chance
        place.add(type=kinds[kind], value=measured.value, threshold=limit)


def sentences(anomalies: anomalies_pb2.Anomalies, severity: int) -> list[str]:
    """A sentence for each feature with anomalies of this severity, sorted; all data come first."""
    whole = anomalies.dataset_anomaly_info
    first = [whole.description] if whole.reason and whole.severity == severity else []
    return first + [
        f"`{name}`: {info.description}"
        for name, info in sorted(anomalies.anomaly_info.items())
        if info.severity == severity
    ]


def write(directory, anomalies: anomalies_pb2.Anomalies) -> None:
    """Writes `anomalies.pbtxt`."""
    (Path(directory) / FILE).write_text(text_format.MessageToString(anomalies))


def read(directory) -> anomalies_pb2.Anomalies:
    """Reads `anomalies.pbtxt`."""
    text = (Path(directory) / FILE).read_text()
    return text_format.Parse(text, anomalies_pb2.Anomalies())
