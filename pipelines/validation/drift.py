"""The data against other data: those of the last good run (drift), or a serving log (skew).

Categories by their L-infinity distance, numbers (derived ones too: `image/brightness`) by their
Jensen-Shannon divergence, missing values by their share: an error where a distance is beyond its
limit and what chance explains (`distances.py`). What no distance shows is in `structure.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.pipelines.statistics.statistics_files import by_name, common_stats
from penstock.pipelines.validation import distances
from penstock.pipelines.validation.finding import (
    Finding,
    Kind,
    has_numbers,
    lists_all_values,
    num_not_finite,
    together,
    value_counts,
)
from penstock.pipelines.validation.schema import is_category
from penstock.pipelines.validation.settings import ComparisonConfig, DriftConfig

COMPARATOR = schema_pb2.FeatureComparator
ANOTHER_UNIT = 1.25
"""A factor from which all numbers together are taken for those of another unit (a mile has 1.6 km,
a yard 0.9 m)."""


@dataclass(frozen=True)
class Reference:
    """Other data that these are compared with.

    Attributes:
        datasets: their statistics.
        called: what a sentence calls them: "the last good run".
        settings: limits; with a `DriftConfig` they are earlier data of the same pipeline.
        slices: statistics of their slices, where there are any.
        structure: whether features and classes must be the same; not where a person has reviewed
            the schema, which then says which are expected.
    """

    datasets: statistics_pb2.DatasetFeatureStatisticsList
    called: str
    settings: ComparisonConfig
    slices: tuple[statistics_pb2.DatasetFeatureStatistics, ...] = ()
    structure: bool = True

    @property
    def is_drift(self) -> bool:
        """Whether they are earlier data of the same pipeline."""
        return isinstance(self.settings, DriftConfig)


@dataclass(frozen=True)
class Measurement:
    """The distance of one feature in one split, for `drift_skew_info`."""

    feature: str
    kind: int
    value: float
    limit: float
    chance: float
    is_drift: bool

    @property
    def excess(self) -> float:
        """By how much it is beyond its limit and chance."""
        return self.value - self.limit - self.chance


def pairs_of(datasets, reference: Reference, train_split: str) -> list[tuple]:
    """(these data, those) to compare: split by split, or the training split with what is served."""
    there = [dataset for dataset in reference.datasets.datasets if dataset.num_examples]
    if reference.is_drift:
        by_split = {dataset.name: dataset for dataset in there}
        return [(d, by_split[d.name]) for d in datasets if d.name in by_split]
    train = [dataset for dataset in datasets if dataset.name == train_split]
    return [(mine, other) for mine in train for other in there]


def compare(pairs: Iterable[tuple], reference: Reference, schema, alpha: float):
    """Distances of all features of all pairs: (findings, measurements).

    Args:
        alpha: of one comparison; see `distances.py`.
    """
    comparators = {
        feature.name: feature.drift_comparator if reference.is_drift else feature.skew_comparator
        for feature in schema.feature
    }
    findings: dict[tuple, list] = {}
    measurements = []
    for mine, other in pairs:
        here, there = by_name(mine), by_name(other)
        told = _told_by_another(here, there)
        for name in (name for name in here if name in there and name not in told):
            comparator = comparators.get(name, COMPARATOR())
            limits = reference.settings.limits_of(name, comparator)
            if not comparator.HasField("jensen_shannon_divergence") and _is_text(here[name]):
                limits = limits.model_copy(update={"jensen_shannon": None})
            for measured, finding in _of_feature(
                name, here[name], there[name], limits, reference, mine.name, alpha
            ):
                measurements.append(measured)
                if measured.excess > 0:
                    findings.setdefault((name, finding.short), []).append(finding)
    return [together(found) for found in findings.values()], measurements


def _told_by_another(here, there) -> set[str]:
    """Derived features whose distance would only say again what that of another feature says.

    Lengths of categories, whose values are compared; of lists that have the same lengths (a box and
    its class) all but the first.
    """
    told, lengths = set(), []
    for name in (name for name in here if name in there):
        base, _, part = name.rpartition("/")
        if part in ("characters", "words") and base in here and base in there:
            if is_category(here[base]) and is_category(there[base]):
                told.add(name)
        elif part == "length":
            both = here[name].num_stats, there[name].num_stats
            if both in lengths:
                told.add(name)
            lengths.append(both)
    return told


def _of_feature(name, mine, other, limits, reference, split, alpha) -> Iterator[tuple]:
    """Yields (measurement, finding) of each distance that there is."""
    common = common_stats(mine), common_stats(other)
    examples = [c.num_non_missing + c.num_missing for c in common]
    make = _Make(name, reference, split)
    # What derived features lack, the feature that they are derived from lacks too.
    if limits.infinity_norm is not None and all(examples) and "/" not in name:
        yield make.missing((mine, other), examples, limits.infinity_norm, alpha)
    sizes = [_size(statistics) for statistics in (mine, other)]
    if mine.type != other.type or not all(sizes):
        return
    if _is_text(mine):
        yield from make.categories(mine, other, sizes, limits, alpha)
    elif limits.jensen_shannon is not None and mine.WhichOneof("stats") == "num_stats":
        histograms = distances.histograms(mine, other)
        if histograms is not None:
            yield from make.numbers(mine, other, histograms, sizes, limits.jensen_shannon, alpha)


def _is_text(statistics):
    return statistics.WhichOneof("stats") == "string_stats"


def _missing(statistics):
    """The share of examples without the feature, or whose values are NaN or infinite."""
    common = common_stats(statistics)
    present = common.num_non_missing * _finite(statistics)
    return 1 - present / (common.num_non_missing + common.num_missing)


def _finite(statistics) -> float:
    """The share of values that a distribution of numbers has; of other values all."""
    total = common_stats(statistics).tot_num_values
    return 1 - num_not_finite(statistics) / total if total else 1.0


def _size(statistics):
    return distances.sample_size(common_stats(statistics)) * _finite(statistics)


@dataclass(frozen=True)
class _Make:
    """Makes measurement and finding of one feature in one split."""

    feature: str
    reference: Reference
    split: str

    def _both(self, kind, distance, limit, short, sentence, shows=None):
        found = Finding(
            self.feature,
            kind,
            short,
            sentence,
            is_drift=self.reference.is_drift,
            split=self.split,
            shows=shows,
        )
        measured = Measurement(
            self.feature, kind, distance.value, limit, distance.chance, self.reference.is_drift
        )
        return measured, found

    @property
    def _word(self):
        return "drift" if self.reference.is_drift else "skew"

    def missing(self, statistics, examples, limit, alpha):
        mine, other = map(_missing, statistics)
        distance = distances.share_distance(mine, other, examples, alpha)
        what = "missing, NaN or infinite" if any(map(num_not_finite, statistics)) else "missing"
        sentence = (
            f"It is {what} in {mine:.1%} of the split `{self.split}`, and in {other:.1%} of "
            f"{self.reference.called}; {_allowed_shares(limit, distance.chance)}."
        )
        kind = Kind.COMPARATOR_L_INFTY_HIGH
        more = mine > other
        return self._both(
            kind, distance, limit, f"Missing: {self._word}", sentence, _is_missing if more else None
        )

    def categories(self, mine, other, sizes, limits, alpha):
        shares = [_shares(statistics) for statistics in (mine, other)]
        if not (lists_all_values(mine) and lists_all_values(other)):
            common = shares[0].keys() & shares[1].keys()
            shares = [{value: share[value] for value in common} for share in shares]
        if not all(shares):
            return
        if limits.infinity_norm is not None:
            limit = limits.infinity_norm
            distance = distances.infinity_norm(*shares, sizes, alpha)
            value, a, b = distance.where
            sentence = (
                f"{value!r} makes up {a:.1%} of the split `{self.split}`, and {b:.1%} of "
                f"{self.reference.called}; {_allowed_shares(limit, distance.chance)}."
            )
            shows = (lambda one: value in _possible(one, value)) if a > b else None
            kind = Kind.COMPARATOR_L_INFTY_HIGH
            yield self._both(kind, distance, limit, f"Shares: {self._word}", sentence, shows)
        if limits.jensen_shannon is not None:  # of categories only where the schema asks for it
            limit = limits.jensen_shannon
            distance = distances.jensen_shannon_of_shares(*shares, sizes, alpha)
            sentence = f"{self._divergence(distance, limit)}."
            kind = Kind.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH
            yield self._both(kind, distance, limit, f"Divergence: {self._word}", sentence)

    def numbers(self, mine, other, histograms, sizes, limit, alpha):
        # The other side first: `where` is then the range whose share has grown in these data.
        distance = distances.jensen_shannon(*reversed(histograms), sizes[::-1], alpha)
        here, there = mine.num_stats, other.num_stats
        factor = _other_unit(mine, other)
        means = f"mean {_rounded(here.mean)}, there {_rounded(there.mean)}"
        if factor:
            means += f" (all are as if multiplied by {factor:.3g}: another unit?)"
        low, high = distance.where

        def shows(one):
            return has_numbers(one) and one.num_stats.max >= low and one.num_stats.min < high

        kind = Kind.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH
        sentence = f"{self._divergence(distance, limit)}; {means}."
        short = f"Numbers: {self._word}"
        yield self._both(kind, distance, limit, short, sentence, shows)
        if factor:
            # Then chance alone must be exceeded, not the limit: heavy tails hide a factor from it.
            sentence = f"Its values have another scale than in {self.reference.called}: {means}."
            measured, found = self._both(kind, distance, 0.0, f"Unit: {self._word}", sentence)
            if measured.excess <= limit:
                yield measured, found

    def _divergence(self, distance, limit):
        return (
            f"Its values are spread otherwise than in {self.reference.called}: Jensen-Shannon "
            f"divergence {distance.value:.3f} in the split `{self.split}`, at most {limit:g} is "
            f"expected (and {distance.chance:.3f} for chance)"
        )


def _rounded(mean):
    return f"{mean:,.0f}" if 1e4 <= abs(mean) < 1e15 else f"{mean:.4g}"


def _is_missing(statistics):
    return common_stats(statistics).num_missing > 0 or num_not_finite(statistics) > 0


def _possible(statistics, value):
    return value_counts(statistics) if lists_all_values(statistics) else (value,)


def _shares(statistics):
    total = common_stats(statistics).tot_num_values
    return {value: count / total for value, count in value_counts(statistics).items()}


def _allowed_shares(limit, chance):
    return f"at most {limit:.1%} difference is expected (and {chance:.1%} for chance)"


def _other_unit(mine, other) -> float | None:
    """What all values look multiplied by, where that could be a change of unit."""
    factor = distances.factor(mine, other)
    return None if factor is None or 1 / ANOTHER_UNIT < factor < ANOTHER_UNIT else factor
