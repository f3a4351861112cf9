"""Statistics of every feature, split beside split: pictures first, then tables.

Comes in: the Statistics artifact, and which features need attention. Goes out: plain values and
pictures for the template. With many features those that need attention, and those that differ most
between the splits, come first; a row of a table with a small histogram is there for every number.
"""

from pathlib import Path

import numpy as np

from penstock.pipelines.statistics.statistics_files import (
    NUM_CLASSES,
    NUM_UNDECODABLE,
    NUM_UNKNOWN_PIXELS,
    NUM_ZERO_AREA,
    by_name,
    common_stats,
    custom_stat,
    read,
)
from penstock.pipelines.validation.distances import divergence
from penstock.tfx.report import distributions, formats, plots
from penstock.tfx.report.categories import (
    categories,
    draw_categories,
    is_length_of_category,
    shares_of,
)
from penstock.tfx.report.derived import base_of, in_words, unit_of, with_unit
from penstock.tfx.report.statistics_tables import encoded_rows, numeric_rows, text_rows

MOST_FIGURES, MOST_OPEN = 24, 12
"""Pictures in all (a tenth of a second each), and how many are there without unfolding them."""
MOST_CONSTANT, MOST_MISSING = 40, 30


def section(directory: Path, attention: dict[str, float] | None = None) -> dict:
    """Everything that the template shows of an artifact that can be read.

    Args:
        attention: feature -> how much it is in need of it: anomalies, drift.
    """
    datasets = {d.name: by_name(d) for d in read(directory).datasets if d.num_examples}
    table = Table(datasets, attention or {})
    figures = table.figures()
    numbers = [name for name in table.numeric if name not in table.constant]
    return {
        "figures": figures[:MOST_OPEN],
        "folded": figures[MOST_OPEN:],
        "left_out": table.not_drawn,
        "missing": _missing(datasets),
        "notes": table.notes(),
        "constant": [table.constant_in_words(name) for name in table.constant[:MOST_CONSTANT]],
        "numeric": numeric_rows([table.row(name) for name in numbers], datasets),
        "texts": text_rows(table.texts, datasets),
        "encoded": encoded_rows(table.encoded, datasets),
    }


class Table:
    """Features sorted by what they are."""

    def __init__(self, datasets: dict, attention: dict[str, float]):
        self._datasets, self._attention = datasets, attention
        self.not_drawn = 0
        names = list(dict.fromkeys(name for features in datasets.values() for name in features))
        self._any = {n: next(f[n] for f in datasets.values() if n in f) for n in names}
        self._base = {name: base_of(name, self._any) for name in names}
        self._categories = {n for n in names if categories(self._of(n))}
        self.encoded = [n for n in names if self._stats(n) == "bytes_stats"]
        self.texts = [
            n
            for n in names
            if self._stats(n) == "string_stats" and not custom_stat(self._any[n], NUM_CLASSES)
        ]
        # Lengths of names of categories say nothing, the edges of boxes together neither.
        numeric = [
            n
            for n in names
            if self._stats(n) == "num_stats"
            and not custom_stat(self._any[n], NUM_ZERO_AREA)
            and not is_length_of_category(n, datasets)
        ]
        self._as_long_as = self._equal_lengths(numeric)
        self.numeric = [name for name in numeric if name not in self._as_long_as]
        self.axes = {n: distributions.common_axis(self._of(n)) for n in self.numeric}
        self.constant = [n for n in self.numeric if self._is_constant(n)]

    def _of(self, name) -> dict:
        return {split: f[name] for split, f in self._datasets.items() if name in f}

    def _stats(self, name):
        return self._any[name].WhichOneof("stats")

    def _equal_lengths(self, names) -> dict[str, str]:
        """Lists (classes of boxes) -> the list before that is as long as they are (the boxes)."""
        lengths = [n for n in names if n != self._base[n] and n.endswith("/length")]
        counts = {n: [s.num_stats for s in self._of(n).values()] for n in lengths}
        first = {n: next(other for other in lengths if counts[other] == counts[n]) for n in lengths}
        return {name: other for name, other in first.items() if other != name}

    def _is_constant(self, name) -> bool:
        """Whether every example of every split has the same number: a table would not say more."""
        if self.axes[name] or len(self._of(name)) < len(self._datasets):
            return False
        found = [statistics.num_stats for statistics in self._of(name).values()]
        full = all(s.histograms and not s.common_stats.num_missing for s in found)
        values = {value for s in found for value in (s.min, s.max)}
        return full and len(values) == 1 and not any(s.histograms[0].num_nan for s in found)

    def constant_in_words(self, name) -> str:
        value = formats.number(next(iter(self._of(name).values())).num_stats.min)
        unit = unit_of(name, self._base[name])
        unit = "" if " " in unit else unit.removesuffix("s") if value == "1" else unit
        return f"{formats.label(name, 40)} {value} {unit}".rstrip()

    def row(self, name) -> tuple:
        """(name, unit, axis) for the table of the numbers."""
        return name, unit_of(name, self._base[name]), self.axes[name]

    def figures(self) -> list[dict]:
        """The pictures: {svg, rows, caption, attention}; of many those first that need attention."""
        drawable = [name for name in self._any if self._is_drawable(name)]
        drawable.sort(key=self._group)
        if len(drawable) > MOST_OPEN:
            drawable.sort(key=self._interest, reverse=True)
        self.not_drawn = max(0, len(drawable) - MOST_FIGURES)
        return [
            self._figure(f"feature{place}", name)
            for place, name in enumerate(drawable[:MOST_FIGURES])
        ]

    def _is_drawable(self, name):
        if self._stats(name) == "string_stats":
            shares = shares_of(self._of(name)).values() if name in self._categories else ()
            return len(set().union(*shares)) > 1
        if self.axes.get(name) is None or self._says_nothing(name):
            return False
        # Of a text one length is drawn: words, or characters where it has no words.
        part = name.rpartition("/")[2] if name != self._base[name] else ""
        if part in ("characters", "words"):
            sentences = f"{self._base[name]}/words"
            has_words = sentences in self._any and self._median(sentences) > 1
            return (part == "words") == has_words
        return True

    def _says_nothing(self, name) -> bool:
        """Whether all but a few values of every split are one number; the table has it."""
        of_splits = self._of(name).values()
        ends = (distributions.TAIL, 1 - distributions.TAIL)
        values = {v for s in of_splits for v in distributions.quantiles(s, ends) if v is not None}
        return len(values) == 1 and self._attention.get(name, 0.0) < 1

    def _median(self, name):
        return max(statistics.num_stats.median for statistics in self._of(name).values())

    def _interest(self, name) -> float:
        """Attention asked for, labels, then how much the splits differ and how many values miss."""
        base = self._base[name]
        asked = max(self._attention.get(name, 0.0), self._attention.get(base, 0.0))
        is_label = custom_stat(self._any[name], NUM_CLASSES) is not None
        missing = max(_missing_share(statistics) for statistics in self._of(name).values())
        return 10 * asked + 2 * is_label + self._difference(name) + 0.1 * (missing > 0)

    def _difference(self, name) -> float:
        """Jensen-Shannon divergence of the first split and the one furthest from it, 0 to 1."""
        if self._stats(name) == "string_stats":
            shares = list(shares_of(self._of(name)).values())
            names = sorted(set().union(*shares))
            found = [np.array([share.get(n, 0.0) for n in names]) for share in shares]
        else:
            found = list(self.axes[name].shares.values())
        return max((divergence(found[0], other) for other in found[1:]), default=0.0)

    def _figure(self, prefix, name) -> dict:
        base = self._base[name]
        words = in_words(name, base)
        attention = self._attention.get(name, 0.0) >= 1
        mark = {"attention": attention}
        if self._stats(name) == "string_stats":
            return mark | draw_categories(prefix, name, words, self._of(name))
        axis = self.axes[name]
        names = list(self._of(name))
        told = (
            _caption(words, unit_of(name, base), names, axis),
            axis.left_out,
            plots.undrawn(names),
        )
        return mark | {
            "svg": plots.histogram(prefix, with_unit(name, base), axis),
            "rows": 1,
            "caption": " ".join(filter(None, told)),
        }

    def _group(self, name) -> int:
        """Classes and categories come first, then images and recordings, texts and lists, numbers."""
        base = self._base[name]
        if self._stats(base) == "bytes_stats" or custom_stat(self._any[base], NUM_ZERO_AREA):
            return 1
        if name in self._categories:
            return 0
        return 2 if name != base else 3

    def notes(self) -> list[str]:
        """Sentences about what no picture shows."""
        found = [
            f"The lengths of {formats.label(self._base[name], 40)} are distributed like those of "
            f"{formats.label(self._base[other], 40)}."
            for name, other in self._as_long_as.items()
        ]
        for name in self._any:
            shown = formats.label(name, 40)
            zero, unknown = self._sum(name, NUM_ZERO_AREA), self._sum(name, NUM_UNKNOWN_PIXELS)
            bad = self._sum(name, NUM_UNDECODABLE)
            if zero:
                found.append(f"{formats.count(zero, 'box', 'boxes')} of {shown} without any area.")
            if unknown:
                pixels = formats.count(unknown, "pixel")
                found.append(f"{pixels} of {shown} that are no class, nor to be ignored.")
            if bad:
                found.append(f"{formats.count(bad, 'value')} of {shown} cannot be decoded.")
        return found

    def _sum(self, name, custom) -> int:
        found = [custom_stat(statistics, custom) for statistics in self._of(name).values()]
        return int(sum(stat.num for stat in found if stat is not None))


def _caption(words, unit, names, axis) -> str:
    of = f"the split {formats.label(names[0])}" if len(names) == 1 else "each split"
    measured = f" ({unit})" if unit else ""
    each = "at each value" if axis.is_integer and np.ptp(axis.edges[:2]) == 1 else "in each range"
    return f"{words}{measured}: the share of {of} {each}."


def _missing_share(statistics) -> float:
    common = common_stats(statistics)
    total = common.num_missing + common.num_non_missing
    return common.num_missing / total if total else 0.0


def _missing(datasets) -> dict | None:
    """How often features have no value, in a picture; None where all have one everywhere."""
    names = list(dict.fromkeys(name for features in datasets.values() for name in features))
    first = {name: next(f[name] for f in datasets.values() if name in f) for name in names}
    shares = {
        name: [_missing_share(f[name]) if name in f else 1.0 for f in datasets.values()]
        for name in names
        if base_of(name, first) == name
    }
    lacking = sorted((n for n in shares if any(shares[n])), key=lambda n: -max(shares[n]))
    if not lacking:
        return None
    shown = lacking[:MOST_MISSING]
    splits = {split: [shares[n][i] for n in shown] for i, split in enumerate(datasets)}
    return {
        "svg": plots.class_shares("missing", shown, splits, "share of the examples"),
        "rows": plots.rows_in_grid(len(shown)),
        "caption": "How many examples of each split have no value, for the "
        + formats.count(len(shown), "feature")
        + (" that lacks one" if len(shown) == 1 else " that lack some")
        + (f", of {len(lacking)}. " if len(lacking) > len(shown) else ". ")
        + plots.undrawn(splits),
    }
