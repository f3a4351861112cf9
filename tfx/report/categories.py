"""Classes and other texts of few values: the share of each in every split, as a picture."""

import re

from penstock.pipelines.statistics.statistics_files import NUM_CLASSES, common_stats, custom_stat
from penstock.pipelines.validation.finding import lists_all_values, value_counts
from penstock.tfx.report import formats, plots

MOST_CLASSES, MOST_TEXTS = 30, 15
"""In a picture: classes in their order, other texts the most frequent first."""
MOST_VALUES, COVERED = 50, 0.8
"""Texts of so many distinct values are categories; of more where `MOST_TEXTS` cover this share."""
REPEATED = 0.5
"""Distinct values over all values from which a text is no category: most of them are there once."""


def categories(features: dict) -> bool:
    """Whether a feature, given by split, has categories: a label, or texts of few values."""
    found = list(features.values())
    if any(statistics.WhichOneof("stats") != "string_stats" for statistics in found):
        return False
    if any(custom_stat(statistics, NUM_CLASSES) is not None for statistics in found):
        return True
    values = sum(common_stats(statistics).tot_num_values for statistics in found)
    most = max(statistics.string_stats.unique for statistics in found)
    listed = all(lists_all_values(s) for s in found if common_stats(s).tot_num_values)
    if not (values and listed and most <= max(2, REPEATED * values)):
        return False
    return most <= MOST_VALUES or _top_share(found) >= COVERED


def is_length_of_category(name: str, datasets: dict[str, dict]) -> bool:
    """Whether a feature is the length of a category, which says nothing that this does not.

    Args:
        datasets: split -> name -> statistics.
    """
    base, _, part = name.rpartition("/")
    known = {split: found[base] for split, found in datasets.items() if base in found}
    return part in ("characters", "words") and bool(known) and categories(known)


def _top_share(found) -> float:
    """The share of the first split's values that the most frequent ones make up."""
    counts = list(value_counts(found[0]).values())
    return sum(counts[:MOST_TEXTS]) / (sum(counts) or 1.0)


def shares_of(features: dict) -> dict[str, dict[str, float]]:
    """Split -> category -> its share of the split's values."""
    shares = {}
    for split, statistics in features.items():
        counts = {bucket.label: 0.0 for bucket in statistics.string_stats.rank_histogram.buckets}
        counts |= value_counts(statistics)
        total = sum(counts.values()) or 1.0
        shares[split] = {value: count / total for value, count in counts.items()}
    return shares


def draw_categories(prefix: str, name: str, words: str, features: dict, of: str = "split") -> dict:
    """{svg, rows, caption} of the shares in each split (or `of` what `features` is given by)."""
    shares = shares_of(features)
    first = next(iter(shares.values()))
    everything = dict.fromkeys(value for share in shares.values() for value in share)
    classes = sorted(everything, key=lambda value: -first.get(value, 0.0))
    is_label = custom_stat(next(iter(features.values())), NUM_CLASSES) is not None
    few = len(classes) <= MOST_TEXTS
    shown = classes[: MOST_CLASSES if is_label else MOST_TEXTS]
    shown = sorted(shown, key=natural) if is_label or few else shown
    drawn = {label: [share.get(v, 0.0) for v in shown] for label, share in shares.items()}
    noun = "classes" if is_label else "values"
    left_out, empty = len(classes) - len(shown), sum(not first.get(v) for v in classes)
    called = formats.label(next(iter(shares)))
    amount = formats.count(
        len(classes), noun.removesuffix("es" if noun == "classes" else "s"), noun
    )
    caption = (
        f"{words}: the share of {'each of ' if len(classes) > 1 else ''}{amount} in every {of}."
    )
    if left_out:
        caption += f" The {left_out} rarest in {called} are left out."
    if empty:
        caption += f" {empty} of these {noun} {'is' if empty == 1 else 'are'} not in {called}."
    return {
        "svg": plots.class_shares(prefix, shown, drawn, f"share of the {of}"),
        "rows": plots.rows_in_grid(len(shown)),
        "caption": f"{caption} {plots.undrawn(shares, of)}".rstrip(),
    }


def natural(text: str):
    """By the alphabet, and by the value of the numbers in it: "class 9" before "class 10"."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]
