"""Whether the labels still go with the same data as in the last good run.

Labels that have been exchanged (rolled by one, shuffled, joined to the wrong rows) may leave every
distribution as it was. What changes is how a feature is spread within a class, so that is compared:
the Jensen-Shannon divergence of each number within each class, averaged over the classes by their
size. It needs the statistics of each class (`slices.binpb`) of both data sets, and sees only what
they measure: two classes of sentences of equal length, or of images of equal brightness and
contrast, may change places unseen.
"""

from collections.abc import Iterator

from penstock.pipelines.statistics.statistics_files import by_name, common_stats, slice_name
from penstock.pipelines.validation import distances
from penstock.pipelines.validation.distances import Distance
from penstock.pipelines.validation.finding import Finding, Kind, has_numbers, is_label

BINS = 5
"""Of the numbers of one class: fewer than for all examples, since a class has fewer."""
SMALLEST_CLASS = 2 * distances.EXPECTED_COUNT
"""Examples that a class must have in both, for two bins of its numbers to mean anything."""


def exchanged(
    train, slices, others, reference, is_moved: set[str], comparators: dict, alpha: float
) -> Iterator[Finding]:
    """Labels that no longer go with the same data.

    Args:
        train: statistics of the training split.
        slices, others: datasets of the slices of these data and of the last good run's.
        is_moved: features whose values differ over all classes together, which is said already.
        alpha: of all comparisons made here together.
    """
    labels = [name for name, statistics in by_name(train).items() if is_label(statistics)]
    numbers = [
        name
        for name, statistics in by_name(train).items()
        if statistics.WhichOneof("stats") == "num_stats" and name not in is_moved
    ]
    for label in labels:
        mine, there = (_of_classes(side, train.name, label) for side in (slices, others))
        classes = [name for name in mine if name in there]
        if len(classes) < 2:
            continue
        found = []
        for name in numbers:
            limit = reference.settings.limits_of(name, comparators.get(name)).jensen_shannon
            pairs = [(mine[c].get(name), there[c].get(name)) for c in classes]
            distance = _within(pairs, alpha / len(labels) / len(numbers))
            if limit is not None and distance and distance.value > limit + distance.chance:
                excess = distance.value - limit - distance.chance
                found.append((excess, name, distance, limit))
        if found:
            # What a person knows by name says more than the length of a category's name.
            _, name, distance, limit = max(found, key=lambda entry: ("/" not in entry[1], entry[0]))
            sentence = (
                f"Its classes do not go with the same data as in {reference.called}: within a class "
                f"`{name}` differs by a Jensen-Shannon divergence of {distance.value:.3f} on average "
                f"in the split `{train.name}`, at most {limit:g} is expected (and "
                f"{distance.chance:.3f} for chance), although over all classes together it does "
                f"not{_moved_by_one(mine, there, classes, name, limit, alpha)}. Have the labels "
                "been exchanged?"
            )
            kind = Kind.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH
            yield Finding(label, kind, "Labels: drift", sentence, is_drift=True)


def _of_classes(slices, split, label):
    """Class -> its features, in the order of the classes."""
    start = slice_name(split, label, "")
    return {d.name.removeprefix(start): by_name(d) for d in slices if d.name.startswith(start)}


def _within(pairs, alpha) -> Distance | None:
    """The mean divergence within classes; None where no class has enough examples."""
    terms, parts = [], []
    for left, right in pairs:
        if left is None or right is None or not (has_numbers(left) and has_numbers(right)):
            continue
        sizes = [distances.sample_size(common_stats(statistics)) for statistics in (left, right)]
        histograms = distances.histograms(left, right)
        if min(sizes) < SMALLEST_CLASS or histograms is None:
            continue
        p, q, _ = distances.on_common_edges(*histograms, sizes, BINS)
        terms.append((sum(sizes), distances.divergence(p, q)))
        parts.append((sum(sizes), len(p), *sizes))
    total = sum(weight for weight, _ in terms)
    if not total:
        return None
    mean = sum(weight * value for weight, value in terms) / total
    parts = [(weight / total, *rest) for weight, *rest in parts]
    return Distance(mean, distances.chance_of_divergence(parts, alpha))


def _moved_by_one(mine, there, classes, name, limit, alpha):
    """The beginning of a sentence, if the data fit the neighbouring classes."""
    for step in (1, -1):
        moved = classes[step:] + classes[:step]
        pairs = [
            (mine[c].get(name), there[d].get(name)) for c, d in zip(classes, moved, strict=True)
        ]
        distance = _within(pairs, alpha)
        if distance and distance.value <= limit + distance.chance:
            return (
                f"; each class has the data of the one {'after' if step == 1 else 'before'} it "
                f"({classes[0]!r} those of {moved[0]!r})"
            )
    return ""
