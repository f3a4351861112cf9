"""The labels of all splits together.

An error: a label with one class only. Warnings: a column of true and false that has only one of
them; classes without an example; a label whose classes are spread differently over a split than over
the first one (usually training).
"""

import math
from collections import Counter
from collections.abc import Iterator

from penstock.pipelines.reading.columns import BOOLEANS
from penstock.pipelines.statistics.statistics_files import by_name, common_stats
from penstock.pipelines.validation.distances import sample_size
from penstock.pipelines.validation.finding import SHOWN, Finding, Kind, is_label, value_counts


def nothing_to_learn(datasets, schema) -> Iterator[Finding]:
    """A label with one class (an accuracy of 1.0 would mean nothing), and classes without examples.

    The schema's classes are those of the training split. A column of true and false is a label
    because of its cells, without anybody having said that it is to be learned, and many a one is
    always false.
    """
    domains = {domain.name: domain.value for domain in schema.string_domain}
    for feature in schema.feature:
        found = [by_name(d)[feature.name] for d in datasets if feature.name in by_name(d)]
        known = domains.get(feature.domain)
        if known is None or not any(is_label(statistics) for statistics in found):
            continue
        counts = Counter()
        for statistics in found:
            for bucket in statistics.string_stats.rank_histogram.buckets:
                counts[bucket.label] += bucket.sample_count
        if len(known) == 1:
            sentence = (
                f"All examples of the training split are of one class, {known[0]!r}, so that there "
                "is nothing to tell it from; expected at least two classes."
            )
            kind, is_error = Kind.FEATURE_TYPE_LOW_UNIQUE, counts.keys() != set(BOOLEANS)
            yield Finding(feature.name, kind, "One class", sentence, is_error)
            continue
        missing = sorted(name for name, count in counts.items() if not count and name not in known)
        if missing:
            shown = ", ".join(map(repr, missing[:SHOWN]))
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            sentence = f"Classes without an example, which cannot be learned: {shown}{more}."
            kind = Kind.FEATURE_TYPE_NOT_PRESENT
            yield Finding(feature.name, kind, "Unused class", sentence, is_error=False)


def skew(first, other, schema) -> Iterator[Finding]:
    """A label's L-infinity distance between two splits, where the schema sets a threshold."""
    left, right = by_name(first), by_name(other)
    for feature in schema.feature:
        threshold = feature.skew_comparator.infinity_norm.threshold
        if not threshold or feature.name not in left or not is_label(left[feature.name]):
            continue
        if feature.name not in right:
            continue
        label, a, b, chance = _largest_difference(left[feature.name], right[feature.name])
        if abs(a - b) > threshold + chance:
            sentence = (
                f"{label!r} makes up {a:.1%} of the split `{first.name}` and {b:.1%} of "
                f"`{other.name}`; at most {threshold:.1%} difference is expected (and "
                f"{chance:.1%} for chance)."
            )
            kind = Kind.COMPARATOR_L_INFTY_HIGH
            yield Finding(feature.name, kind, "Skew", sentence, is_error=False)


def _largest_difference(left, right):
    """(class, its two shares, three standard errors of their difference)."""
    counts = [value_counts(statistics) for statistics in (left, right)]
    if not all(counts):
        return "", 0.0, 0.0, 0.0
    n, m = (sum(c.values()) for c in counts)
    labels = sorted(counts[0].keys() | counts[1].keys())
    shares = [(label, counts[0].get(label, 0) / n, counts[1].get(label, 0) / m) for label in labels]
    label, a, b = max(shares, key=lambda share: abs(share[1] - share[2]))
    n, m = (sample_size(common_stats(statistics)) for statistics in (left, right))
    pooled = (a * n + b * m) / (n + m)
    return label, a, b, 3 * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
