"""The make of the data against that of earlier data of the pipeline, or of a serving log.

Errors: features that are gone or have another type or number of values, values that were not there,
classes that are gone, too few or too many examples. Warnings: new features, and those that a serving
log lacks.
"""

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics.statistics_files import by_name, common_stats
from penstock.pipelines.validation.distances import sample_size
from penstock.pipelines.validation.drift import Reference
from penstock.pipelines.validation.finding import (
    Finding,
    Kind,
    counted,
    is_label,
    lists_all_values,
    value_counts,
)
from penstock.pipelines.validation.schema_checks import TYPES


def structure(datasets, reference: Reference, alpha: float) -> Iterator[Finding]:
    """What features there are, compared with earlier data of the pipeline.

    Derived features are left out: which there are is a matter of Penstock's version.

    Args:
        alpha: the probability that chance makes a new value of any feature.
    """
    mine, other = ([by_name(d) for d in side] for side in (datasets, reference.datasets.datasets))
    here, there = ({n for found in side for n in found if "/" not in n} for side in (mine, other))
    for name in sorted(there - here):
        sentence = f"The feature is in {reference.called}, but not in these data."
        yield Finding(name, Kind.SCHEMA_MISSING_COLUMN, "Gone", sentence, is_drift=True)
    for name in sorted(here - there):
        sentence = f"The feature is new: it is not in {reference.called}."
        yield Finding(name, Kind.SCHEMA_NEW_COLUMN, "New", sentence, is_error=False, is_drift=True)
    texts = {
        n for found in mine for n, f in found.items() if f.WhichOneof("stats") == "string_stats"
    }
    alpha /= max(1, len(texts & there))
    for name in sorted(here & there):
        sides = [[found[name] for found in side if name in found] for side in (mine, other)]
        for kind, short, sentence, shows in _make_of(*sides, reference.called, alpha):
            split = next((d.name for d, f in zip(datasets, mine, strict=True) if name in f), "")
            yield Finding(name, kind, short, sentence, is_drift=True, split=split, shows=shows)


def served(datasets, reference: Reference) -> Iterator[Finding]:
    """Features of the training split that a serving log has not, or with another type.

    Labels are left out, which a log cannot have. One that is not there is a warning: nobody needs to
    log what no model reads.
    """
    for mine, other in datasets:
        there = by_name(other)
        for name, statistics in by_name(mine).items():
            if "/" in name or is_label(statistics):
                continue
            if name not in there:
                sentence = f"The feature is not in {reference.called}."
                kind = Kind.COMPARATOR_CONTROL_DATA_MISSING
                yield Finding(name, kind, "Not served", sentence, is_error=False)
            elif TYPES[statistics.type] != TYPES[there[name].type]:
                here, logged = (_type_name(s) for s in (statistics, there[name]))
                sentence = f"Its type is {here}; {logged} in {reference.called}."
                yield Finding(name, Kind.SCHEMA_TRAINING_SERVING_SKEW, "Type: skew", sentence)


def _type_name(statistics):
    return statistics_pb2.FeatureNameStatistics.Type.Name(statistics.type)


def _make_of(mine, other, called, alpha):
    """Yields (kind, short, sentence, what shows it) of one feature."""
    types = [_type_name(side[0]) for side in (mine, other)]
    if types[0] != types[1]:
        yield (
            Kind.UNEXPECTED_DATA_TYPE,
            "Type",
            f"Its type is {types[0]}; {types[1]} in {called}.",
            None,
        )
        return
    numbers = [
        {(c.min_num_values, c.max_num_values) for c in _with_values(s)} for s in (mine, other)
    ]
    fixed = all(len(found) == 1 and len(set(*found)) == 1 for found in numbers)
    if fixed and numbers[0] != numbers[1]:
        (count, _), (before, _) = *numbers[0], *numbers[1]
        low, high = Kind.FEATURE_TYPE_LOW_NUMBER_VALUES, Kind.FEATURE_TYPE_HIGH_NUMBER_VALUES
        sentence = f"Each example has {count} values; {before} in {called}."
        yield low if count < before else high, "Number of values", sentence, None
    new = _new_values(mine, other, alpha)
    if new:
        values = {value for value, _ in new}
        sentence = f"Values that {called} does not have: {counted(new)}."
        kind = Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES
        yield kind, "New values", sentence, lambda one: bool(values & value_counts(one).keys())


def gone_classes(datasets, reference: Reference, alpha: float) -> Iterator[Finding]:
    """Classes that no example has any more: a folder that was not copied, a join that went wrong.

    By its share such a class may be far below any limit.

    Args:
        alpha: the probability that chance makes a class go.
    """
    mine, other = ([by_name(d) for d in side] for side in (datasets, reference.datasets.datasets))
    labels = {n for found in other for n, statistics in found.items() if is_label(statistics)}
    for name in sorted(labels):
        sides = [[found[name] for found in side if name in found] for side in (mine, other)]
        if not sides[0] or not all(map(is_label, sides[0])):
            continue
        now, before = map(_counts, sides)
        n, m = map(_sample_size, sides)
        gone = {
            value: count
            for value, count in before.items()
            if value not in now and _by_chance(count, sides[1], n, m) < alpha / len(labels)
        }
        if n and gone:
            sentence = (
                f"Classes of {reference.called} without an example now: {counted(_ranked(gone))}."
            )
            kind = Kind.FEATURE_TYPE_NOT_PRESENT
            yield Finding(name, kind, "Classes gone", sentence, is_drift=True)


def _counts(side) -> dict[str, float]:
    """Value -> how often it occurs in all splits."""
    counts: dict[str, float] = {}
    for statistics in side:
        for value, count in value_counts(statistics).items():
            counts[value] = counts.get(value, 0) + count
    return counts


def _sample_size(side) -> float:
    return sum(sample_size(common_stats(statistics)) for statistics in side)


def _by_chance(count, side, n, m) -> float:
    """The probability that a value of both is in one side alone, that of the sample size m.

    One that is in c examples of both together is there with a probability of about (m / (n + m))^c.
    It is in `count` / (the most values of an example) examples at least.
    """
    most = max(common_stats(statistics).max_num_values for statistics in side)
    return (m / (n + m)) ** (count / most)


def _ranked(counts):
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _with_values(side):
    return [c for c in map(common_stats, side) if c.num_non_missing]


def _new_values(mine, other, alpha):
    """(value, count), most frequent first, of values that chance does not explain.

    A new class of a label is never explained by chance: the model would have another number of
    outputs.
    """
    if mine[0].WhichOneof("stats") != "string_stats":
        return []
    known = {b.label for s in other for b in s.string_stats.rank_histogram.buckets}
    label = is_label(mine[0]) and is_label(other[0])
    if not label and not all(map(lists_all_values, [*mine, *other])):
        return []
    n, m = map(_sample_size, (other, mine))
    return _ranked(
        {
            value: count
            for value, count in _counts(mine).items()
            if value not in known and (label or _by_chance(count, mine, n, m) < alpha)
        }
    )


def number_of_examples(datasets, reference: Reference, schema) -> Iterator[Finding]:
    """How many examples there are, compared with earlier data of the pipeline.

    The schema's `num_examples_drift_comparator`, where it is set, comes before the config.
    """
    n, m = (sum(d.num_examples for d in side) for side in (datasets, reference.datasets.datasets))
    settings, constraints = reference.settings, schema.dataset_constraints
    least, most = settings.min_examples_fraction, settings.max_examples_fraction
    if constraints.HasField("num_examples_drift_comparator"):
        comparator = constraints.num_examples_drift_comparator
        least = comparator.min_fraction_threshold
        has_most = comparator.HasField("max_fraction_threshold")
        most = comparator.max_fraction_threshold if has_most else None
    if not m:
        return
    beginning = f"There are {n:,} examples, {n / m:.0%} of the {m:,} of {reference.called}"
    if n / m < least:
        sentence = f"{beginning}; at least {least:.0%} are expected."
        kind = Kind.COMPARATOR_LOW_NUM_EXAMPLES
        yield Finding("", kind, "Too few examples", sentence, is_drift=True)
    if most is not None and n / m > most:
        sentence = f"{beginning}; at most {most:.0%} are expected."
        kind = Kind.COMPARATOR_HIGH_NUM_EXAMPLES
        yield Finding("", kind, "Too many examples", sentence, is_drift=True)
