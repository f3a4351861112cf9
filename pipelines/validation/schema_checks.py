"""One split against the schema.

A feature is missing or new, has another type, is absent too often, has another number of values, a
value that the schema does not know, a number outside its range, NaN or infinity where they are not
allowed, images or recordings that cannot be decoded.
"""

import math
from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.pipelines.statistics.statistics_files import (
    NUM_UNDECODABLE,
    by_name,
    common_stats,
    custom_stat,
)
from penstock.pipelines.validation.distances import chance_of_share, sample_size
from penstock.pipelines.validation.finding import (
    Finding,
    Kind,
    counted,
    has_numbers,
    lists_all_values,
    num_of_nan,
    number,
    together,
    value_counts,
)

TYPES = {
    statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
    statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    statistics_pb2.FeatureNameStatistics.STRING: schema_pb2.BYTES,
    statistics_pb2.FeatureNameStatistics.BYTES: schema_pb2.BYTES,
}
"""As in TFDV, where strings and bytes are both BYTES in a schema."""


def of_datasets(datasets, schema: schema_pb2.Schema, alpha: float) -> Iterator[Finding]:
    """All that is wrong; what is wrong in several splits is one finding.

    Args:
        alpha: see `distances.py`; for shares outside a domain that need not hold all values.
    """
    found: dict[tuple, list[Finding]] = {}
    for dataset in datasets:
        for finding in _of_dataset(dataset, schema, alpha):
            found.setdefault((finding.feature, finding.kind, finding.short), []).append(finding)
    for of_splits in found.values():
        yield together(of_splits)


def _of_dataset(dataset, schema, alpha):
    found, split = by_name(dataset), dataset.name
    for feature in schema.feature:
        name = feature.name
        if feature.deprecated:
            continue
        if name in found:
            for kind, short, sentence, shows in _of_feature(found, feature, schema, alpha):
                sentence = f"{sentence} in the split `{split}`."
                yield Finding(name, kind, short, sentence, split=split, shows=shows)
        elif not _is_derived(name) and (
            feature.presence.min_count or feature.presence.min_fraction
        ):
            sentence = f"The schema expects the feature, which is missing in the split `{split}`."
            yield Finding(name, Kind.SCHEMA_MISSING_COLUMN, "Missing", sentence, split=split)
    known = {feature.name for feature in schema.feature}
    for name in found:
        if name not in known and not _is_derived(name):
            sentence = f"The feature is in the split `{split}`, but not in the schema."
            yield Finding(name, Kind.SCHEMA_NEW_COLUMN, "New", sentence, split=split)


def _is_derived(name):
    """Which derived features there are is a matter of the type and of Penstock's version."""
    return "/" in name


def _of_feature(found, feature, schema, alpha):
    """Yields (kind, short description, beginning of a sentence, what shows it)."""
    statistics = found[feature.name]
    expected, received = feature.type, TYPES[statistics.type]
    if expected != received:
        names = [schema_pb2.FeatureType.Name(number) for number in (expected, received)]
        sentence = "Expected type {}, found {}".format(*names)
        yield Kind.UNEXPECTED_DATA_TYPE, "Type", sentence, None
        return
    yield from _presence(common_stats(statistics), feature)
    yield from _number_of_values(common_stats(statistics), feature)
    yield from _domain(statistics, feature, schema, alpha)
    yield from _range(statistics, feature)
    yield from _undecodable(statistics, f"{feature.name}/height" in found)


def _presence(common, feature):
    total = common.num_non_missing + common.num_missing
    least = feature.presence.min_fraction
    if common.num_non_missing / total < least:
        of = "every example" if least == 1 else f"at least {least:.2%} of the examples"
        sentence = f"Expected in {of}, missing in {common.num_missing:,} of {total:,}"
        kind = Kind.FEATURE_TYPE_LOW_FRACTION_PRESENT
        yield kind, "Absent too often", sentence, _is_missing
    # One is what TFDV infers for every feature; a small split without an optional one is no fault.
    if feature.presence.min_count > 1 and common.num_non_missing < feature.presence.min_count:
        sentence = (
            f"Expected in at least {feature.presence.min_count} examples, "
            f"found in {common.num_non_missing}"
        )
        kind = Kind.FEATURE_TYPE_LOW_NUMBER_PRESENT
        yield kind, "Absent too often", sentence, _is_missing


def _is_missing(statistics):
    return common_stats(statistics).num_missing > 0


def _has(statistics):
    return common_stats(statistics).num_non_missing > 0


def _number_of_values(common, feature):
    least, most = _allowed_numbers(feature)
    if not common.num_non_missing:
        return
    if common.min_num_values < least:
        sentence = f"Expected at least {least} values, found {common.min_num_values}"
        kind = Kind.FEATURE_TYPE_LOW_NUMBER_VALUES
        yield (
            kind,
            "Too few values",
            sentence,
            lambda s: _has(s) and common_stats(s).min_num_values < least,
        )
    if most and common.max_num_values > most:
        sentence = f"Expected at most {most} values, found {common.max_num_values}"
        kind = Kind.FEATURE_TYPE_HIGH_NUMBER_VALUES
        yield kind, "Too many values", sentence, lambda s: common_stats(s).max_num_values > most


def _allowed_numbers(feature):
    """(fewest, most) values of an example; most is 0 where any number is allowed."""
    if feature.HasField("shape"):
        size = math.prod(dim.size for dim in feature.shape.dim)
        return size, size
    return feature.value_count.min, feature.value_count.max


def _domain(statistics, feature, schema, alpha):
    known = None
    if feature.domain:
        known = {d.name: d.value for d in schema.string_domain}.get(feature.domain)
    elif feature.HasField("string_domain"):
        known = feature.string_domain.value
    if known is None:
        return
    known = set(known)
    new = [pair for pair in value_counts(statistics).items() if pair[0] not in known]
    if not new:
        return

    def shows(one):
        return not lists_all_values(one) or any(value not in known for value in value_counts(one))

    kind, short = Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES, "Unexpected values"
    sentence = f"Values that the schema does not know: {counted(new)}"
    allowed = 1 - _min_domain_mass(feature)
    if allowed <= 0:
        yield kind, short, sentence, shows
        return
    total = common_stats(statistics).tot_num_values
    share = sum(count for _, count in new) / total
    sizes = (math.inf, sample_size(common_stats(statistics)))
    chance = chance_of_share(allowed, sizes, alpha)
    if share > allowed + chance:
        sentence += (
            f"; they make up {share:.1%} of all values, at most {allowed:.1%} are expected (and "
            f"{chance:.1%} for chance)"
        )
        yield kind, short, sentence, shows


def _min_domain_mass(feature):
    has = feature.HasField("distribution_constraints")
    return feature.distribution_constraints.min_domain_mass if has else 1.0


def _range(statistics, feature):
    stats = statistics.num_stats
    if feature.HasField("float_domain"):
        domain, kinds = (
            feature.float_domain,
            (Kind.FLOAT_TYPE_SMALL_FLOAT, Kind.FLOAT_TYPE_BIG_FLOAT),
        )
    elif feature.HasField("int_domain"):
        domain, kinds = feature.int_domain, (Kind.INT_TYPE_SMALL_INT, Kind.INT_TYPE_BIG_INT)
    else:
        return
    num_nan = num_of_nan(statistics)
    if getattr(domain, "disallow_nan", False) and num_nan:
        sentence = f"Expected no NaN, found {num_nan:,}"
        yield Kind.FLOAT_TYPE_HAS_NAN, "NaN", sentence, lambda s: num_of_nan(s) > 0
    if not has_numbers(statistics):
        return
    low, high = domain.min, domain.max
    if domain.HasField("min") and stats.min < low:
        sentence = f"Expected at least {number(low)}, found {number(stats.min)}"
        yield (
            kinds[0],
            "Value too small",
            sentence,
            lambda s: has_numbers(s) and s.num_stats.min < low,
        )
    if domain.HasField("max") and stats.max > high:
        sentence = f"Expected at most {number(high)}, found {number(stats.max)}"
        yield (
            kinds[1],
            "Value too large",
            sentence,
            lambda s: has_numbers(s) and s.num_stats.max > high,
        )
    if getattr(domain, "disallow_inf", False) and _has_infinity(statistics):
        sentence = "Expected no infinity, found some"
        yield Kind.FLOAT_TYPE_HAS_INF, "Infinity", sentence, _has_infinity


def _has_infinity(statistics):
    return math.inf in (abs(statistics.num_stats.min), abs(statistics.num_stats.max))


def _undecodable(statistics, is_image):
    undecodable = _num_undecodable(statistics)
    if undecodable:
        what = "images" if is_image else "recordings"
        sentence = f"{number(undecodable)} {what} cannot be decoded"
        kind = Kind.LOW_SUPPORTED_IMAGE_FRACTION
        yield kind, f"Undecodable {what}", sentence, lambda s: _num_undecodable(s) > 0


def _num_undecodable(statistics):
    stat = custom_stat(statistics, NUM_UNDECODABLE)
    return stat.num if stat else 0
