"""Statistics of slices (`train: species=Adelie`): a table, and where numbers differ between them.

Comes in: the Statistics artifact. Goes out: for each column that was sliced by, values and pictures
of the slices of one split: the first that has any, which is that of training.
"""

from pathlib import Path

from penstock.pipelines.statistics.statistics_files import by_name, read, read_slices
from penstock.tfx.report import formats, plots
from penstock.tfx.report.categories import categories, draw_categories, natural, shares_of
from penstock.tfx.report.derived import base_of, in_words, unit_of, with_unit
from penstock.tfx.report.distributions import quantiles
from penstock.tfx.report.statistics_tables import RANKS

MOST_COLUMNS, MOST_SLICES, MOST_NUMBERS, MOST_CATEGORIES, MOST_FIGURES = 4, 30, 6, 3, 4


def section(directory: Path) -> dict:
    """{parts, left_out}: a part for each column, and how many columns are not shown.

    A part: {column, split, numbers, texts, rows, left_out, figures}; `numbers` and `texts` are the
    heads of its table.
    """
    splits = [dataset.name for dataset in read(directory).datasets]
    columns: dict[str, dict[str, list]] = {}
    for dataset in read_slices(directory).datasets:
        split = next((s for s in splits if dataset.name.startswith(f"{s}: ")), None)
        if split is None or not dataset.num_examples:
            continue
        column, _, value = dataset.name.removeprefix(f"{split}: ").partition("=")
        columns.setdefault(column, {}).setdefault(split, []).append((value, dataset))
    shown = list(columns.items())[:MOST_COLUMNS]
    parts = [
        _column(f"slice{place}", column, *next(iter(by_split.items())))
        for place, (column, by_split) in enumerate(shown)
    ]
    return {"parts": parts, "left_out": len(columns) - len(parts)}


def _column(prefix, column, split, slices) -> dict:
    chosen = sorted(slices, key=lambda pair: -pair[1].num_examples)[:MOST_SLICES]
    chosen.sort(key=lambda pair: natural(pair[0]))
    features = {formats.label(value): by_name(dataset) for value, dataset in chosen}
    first = {name: f for found in features.values() for name, f in found.items()}
    numbers = _numbers(column, features, first)[:MOST_NUMBERS]
    texts = _categories(column, features, first)[:MOST_CATEGORIES]
    total = sum(dataset.num_examples for _, dataset in slices)
    rows = []
    for (_, dataset), (label, found) in zip(chosen, features.items(), strict=True):
        cells = [f"{dataset.num_examples:,}", formats.percent(dataset.num_examples / total)]
        cells += [_mean(found.get(name)) for name in numbers]
        rows.append({"name": label, "numbers": cells, "texts": [_most(found, n) for n in texts]})
    return {
        "column": formats.label(column, 40),
        "split": formats.label(split),
        "numbers": ["examples", "share", *(f"mean {formats.label(n, 30)}" for n in numbers)],
        "texts": [f"most frequent {formats.label(n, 30)}" for n in texts],
        "rows": rows,
        "left_out": len(slices) - len(chosen),
        "figures": _figures(prefix, column, features, first, numbers, texts),
    }


def _numbers(column, features, first) -> list[str]:
    """Numbers that vary, those first whose means differ most between the slices."""
    spread = {}
    for name, statistics in first.items():
        base = base_of(name, first)
        part = name.rpartition("/")[2] if name != base else ""
        if statistics.WhichOneof("stats") != "num_stats" or base == column:
            continue
        if part == "characters" or any(name not in found for found in features.values()):
            continue
        found = [f[name].num_stats for f in features.values()]
        if not all(stats.histograms and stats.histograms[0].buckets for stats in found):
            continue
        ranges = [quantiles(f[name], (RANKS[0], RANKS[-1])) for f in features.values()]
        if min(low for low, _ in ranges) == max(high for _, high in ranges):
            continue  # but for a few values all are equal
        means, within = [s.mean for s in found], sum(s.std_dev for s in found) / len(found)
        if max(means) > min(means) or within:
            spread[name] = (max(means) - min(means)) / (within or 1e-9)
    return sorted(spread, key=lambda name: -spread[name])


def _categories(column, features, first) -> list[str]:
    """Categories in every slice but what is sliced by, those first that differ most between them."""
    differ = {}
    for name in first:
        if name == column or any(name not in found for found in features.values()):
            continue
        of_slices = {label: found[name] for label, found in features.items()}
        if categories(of_slices) and first[name].string_stats.unique > 1:
            shares = list(shares_of(of_slices).values())
            values = {value for share in shares for value in share}
            columns = [[share.get(value, 0.0) for share in shares] for value in values]
            differ[name] = max(max(row) - min(row) for row in columns)
    return sorted(differ, key=lambda name: -differ[name])


def _mean(feature) -> str:
    return formats.number(feature.num_stats.mean, 3) if feature else formats.MISSING


def _most(found, name) -> str:
    shares = shares_of({"": found[name]})[""]
    value = max(shares, key=shares.get)
    return f"{formats.label(value)} ({formats.percent(shares[value], 0)})"


def _figures(prefix, column, features, first, numbers, texts) -> list[dict]:
    figures = []
    for place, name in enumerate(texts[:2] if len(features) <= plots.MOST_SERIES else []):
        of_slices = {label: found[name] for label, found in features.items()}
        words = in_words(name, base_of(name, first))
        figures.append(draw_categories(f"{prefix}-c{place}", name, words, of_slices, "slice"))
    for place, name in enumerate(numbers[: MOST_FIGURES - len(figures)]):
        base = base_of(name, first)
        rows = [
            {"label": label, "quantiles": quantiles(found[name], RANKS)}
            for label, found in features.items()
        ]
        unit = f" ({unit_of(name, base)})" if unit_of(name, base) else ""
        caption = (
            f"{in_words(name, base)}{unit} by {formats.label(column, 40)}: the dot is the median, "
            "half of the values are in the thick line, nine tenths in the thin one."
        )
        drawn = plots.ranges(f"{prefix}-n{place}", with_unit(name, base), rows)
        rows_high = plots.rows_in_grid(len(rows))
        figures.append({"svg": drawn, "rows": rows_high, "caption": caption})
    return figures
