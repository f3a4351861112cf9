"""Statistics against a schema: `Anomalies` (tensorflow_metadata).

Errors: a feature is missing or new, has another type, is absent too often, has another number of
values, a class that the schema does not know, a number outside its range, NaN or infinity where
they are not allowed, images that cannot be decoded, a label with one class only. Warnings: a
label's classes are spread differently over a split than over the first one (usually training), by
the L-infinity distance and beyond what chance explains; classes without an example.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from penstock.pipelines.statistics_files import NUM_CLASSES, NUM_UNDECODABLE, by_name, common_stats

FILE = "anomalies.pbtxt"
Kind = anomalies_pb2.AnomalyInfo
SHOWN = 5
"""Unknown values that a sentence names at most."""

_CALLED = {
    statistics_pb2.FeatureNameStatistics.INT: "INT",
    statistics_pb2.FeatureNameStatistics.FLOAT: "FLOAT",
    statistics_pb2.FeatureNameStatistics.STRING: "BYTES",
    statistics_pb2.FeatureNameStatistics.BYTES: "BYTES",
}


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit."""

    feature: str
    kind: int
    short: str
    sentence: str
    is_error: bool = True


def validate(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, schema: schema_pb2.Schema
) -> anomalies_pb2.Anomalies:
    """All anomalies of all splits; features are the keys of `anomaly_info`."""
    datasets = [dataset for dataset in statistics.datasets if dataset.num_examples]
    findings = []
    for dataset in datasets:
        findings += _of_dataset(dataset, schema)
    for dataset in datasets[1:]:
        findings += _skew(datasets[0], dataset, schema)
    findings += _nothing_to_learn(datasets, schema)
    return _to_proto(findings, schema)


def _of_dataset(dataset, schema):
    found = by_name(dataset)
    for feature in schema.feature:
        where = f"in the split `{dataset.name}`"
        if feature.deprecated:
            continue
        if feature.name not in found:
            if feature.presence.min_count or feature.presence.min_fraction:
                sentence = f"The schema expects the feature, but it is not {where}."
                yield Finding(feature.name, Kind.SCHEMA_MISSING_COLUMN, "Missing", sentence)
            continue
        for kind, short, sentence in _of_feature(found[feature.name], feature, schema):
            yield Finding(feature.name, kind, short, f"{sentence} {where}.")
    for name in found.keys() - {feature.name for feature in schema.feature}:
        sentence = f"The feature is in the split `{dataset.name}`, but not in the schema."
        yield Finding(name, Kind.SCHEMA_NEW_COLUMN, "New", sentence)


def _of_feature(statistics, feature, schema):
    """Yields (kind, short description, beginning of a sentence)."""
    expected, received = schema_pb2.FeatureType.Name(feature.type), _CALLED[statistics.type]
    if expected != received:
        yield Kind.UNEXPECTED_DATA_TYPE, "Type", f"Expected type {expected}, found {received}"
        return
    yield from _presence(common_stats(statistics), feature)
    yield from _classes(statistics, feature, schema)
    yield from _range(statistics, feature)
    yield from _undecodable(statistics)


def _presence(common, feature):
    total = common.num_non_missing + common.num_missing
    fraction = common.num_non_missing / total
    if fraction < feature.presence.min_fraction:
        sentence = (
            f"Expected in at least {feature.presence.min_fraction:.2%} of the examples, "
            f"found in {fraction:.2%}"
        )
        yield Kind.FEATURE_TYPE_LOW_FRACTION_PRESENT, "Absent too often", sentence
    if not (common.num_non_missing and feature.HasField("value_count")):
        return
    allowed = feature.value_count
    if common.min_num_values < allowed.min:
        sentence = f"Expected at least {allowed.min} values, found {common.min_num_values}"
        yield Kind.FEATURE_TYPE_LOW_NUMBER_VALUES, "Too few values", sentence
    if allowed.max and common.max_num_values > allowed.max:
        sentence = f"Expected at most {allowed.max} values, found {common.max_num_values}"
        yield Kind.FEATURE_TYPE_HIGH_NUMBER_VALUES, "Too many values", sentence


def _classes(statistics, feature, schema):
    known = None
    if feature.domain:
        known = {d.name: d.value for d in schema.string_domain}.get(feature.domain)
    elif feature.HasField("string_domain"):
        known = feature.string_domain.value
    if known is None:
        return
    ranks = statistics.string_stats.rank_histogram.buckets
    new = [bucket for bucket in ranks if bucket.sample_count and bucket.label not in known]
    if new:
        shown = ", ".join(f"{b.label!r} ({b.sample_count:g} times)" for b in new[:SHOWN])
        more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
        sentence = f"Values that the schema does not know: {shown}{more}"
        yield Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES, "Unexpected values", sentence


def _nothing_to_learn(datasets, schema):
    """A label with one class (an accuracy of 1.0 would mean nothing), and classes without examples.

    The schema's classes are those of the training split.
    """
    domains = {domain.name: domain.value for domain in schema.string_domain}
    for feature in schema.feature:
        found = [by_name(d)[feature.name] for d in datasets if feature.name in by_name(d)]
        known = domains.get(feature.domain)
        if known is None or not any(s.name == NUM_CLASSES for f in found for s in f.custom_stats):
            continue
        if len(known) == 1:
            sentence = (
                f"All examples of the training split are of one class, {known[0]!r}, so that there "
                "is nothing to tell it from; expected at least two classes."
            )
            yield Finding(feature.name, Kind.FEATURE_TYPE_LOW_UNIQUE, "One class", sentence)
        counts = Counter()
        for statistics in found:
            for bucket in statistics.string_stats.rank_histogram.buckets:
                counts[bucket.label] += bucket.sample_count
        missing = sorted(name for name, count in counts.items() if not count and name not in known)
        if missing:
            shown = ", ".join(map(repr, missing[:SHOWN]))
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            sentence = f"Classes without an example, which cannot be learned: {shown}{more}."
            yield Finding(
                feature.name,
                Kind.FEATURE_TYPE_NOT_PRESENT,
                "Unused class",
                sentence,
                is_error=False,
            )


def _range(statistics, feature):
    stats = statistics.num_stats
    if not stats.histograms:
        return
    if feature.HasField("float_domain"):
        domain, kinds = (
            feature.float_domain,
            (Kind.FLOAT_TYPE_SMALL_FLOAT, Kind.FLOAT_TYPE_BIG_FLOAT),
        )
    elif feature.HasField("int_domain"):
        domain, kinds = feature.int_domain, (Kind.INT_TYPE_SMALL_INT, Kind.INT_TYPE_BIG_INT)
    else:
        return
    num_nan = stats.histograms[0].num_nan
    if getattr(domain, "disallow_nan", False) and num_nan:
        yield Kind.FLOAT_TYPE_HAS_NAN, "NaN", f"Expected no NaN, found {num_nan}"
    if num_nan == stats.common_stats.tot_num_values:
        return
    if domain.HasField("min") and stats.min < domain.min:
        sentence = f"Expected at least {domain.min:g}, found {stats.min:g}"
        yield kinds[0], "Value too small", sentence
    if domain.HasField("max") and stats.max > domain.max:
        sentence = f"Expected at most {domain.max:g}, found {stats.max:g}"
        yield kinds[1], "Value too large", sentence
    if getattr(domain, "disallow_inf", False) and math.inf in (abs(stats.min), abs(stats.max)):
        yield Kind.FLOAT_TYPE_HAS_INF, "Infinity", "Expected no infinity, found some"


def _undecodable(statistics):
    for stat in statistics.custom_stats:
        if stat.name == NUM_UNDECODABLE and stat.num:
            sentence = f"{stat.num:g} images cannot be decoded"
            yield Kind.LOW_SUPPORTED_IMAGE_FRACTION, "Undecodable images", sentence


def _skew(first, other, schema):
    """A label's L-infinity distance between two splits, where the schema sets a threshold."""
    left, right = by_name(first), by_name(other)
    for feature in schema.feature:
        threshold = feature.skew_comparator.infinity_norm.threshold
        if not threshold or feature.name not in left or feature.name not in right:
            continue
        label, a, b, chance = _largest_difference(left[feature.name], right[feature.name])
        if abs(a - b) > threshold + chance:
            sentence = (
                f"{label!r} makes up {a:.1%} of the split `{first.name}` and {b:.1%} of "
                f"`{other.name}`; at most {threshold:.1%} difference is expected (and "
                f"{chance:.1%} for chance)."
            )
            yield Finding(
                feature.name, Kind.COMPARATOR_L_INFTY_HIGH, "Skew", sentence, is_error=False
            )


def _largest_difference(left, right):
    """(class, its two shares, three standard errors of their difference)."""
    counts = []
    for statistics in (left, right):
        buckets = statistics.string_stats.rank_histogram.buckets
        counts.append({bucket.label: bucket.sample_count for bucket in buckets})
    n, m = (sum(c.values()) for c in counts)
    if not n or not m:
        return "", 0.0, 0.0, 0.0
    labels = sorted(counts[0].keys() | counts[1].keys())
    shares = [(label, counts[0].get(label, 0) / n, counts[1].get(label, 0) / m) for label in labels]
    label, a, b = max(shares, key=lambda share: abs(share[1] - share[2]))
    pooled = (a * n + b * m) / (n + m)
    return label, a, b, 3 * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))


def _to_proto(findings, schema):
    proto = anomalies_pb2.Anomalies(
        baseline=schema, anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH
    )
    for finding in sorted(findings, key=lambda f: (f.feature, f.kind, f.sentence)):
        info = proto.anomaly_info[finding.feature]
        if not info.reason:
            info.path.step.append(finding.feature)
        severity = Kind.ERROR if finding.is_error else Kind.WARNING
        info.severity = max(info.severity, severity)
        info.reason.add(
            type=finding.kind, short_description=finding.short, description=finding.sentence
        )
        several = len(info.reason) > 1
        info.short_description = "Multiple errors" if several else finding.short
        info.description = " ".join(reason.description for reason in info.reason)
    return proto


def sentences(anomalies: anomalies_pb2.Anomalies, severity: int) -> list[str]:
    """A sentence for each feature with anomalies of this severity, sorted."""
    return [
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
