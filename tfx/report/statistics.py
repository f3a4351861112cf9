"""Statistics of every feature, split beside split: tables, histograms, shares of classes.

Comes in: the Statistics artifact. Goes out: plain values and pictures for the template.
"""

import re
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics_files import NUM_CLASSES, NUM_UNDECODABLE, by_name, read
from penstock.tfx.report import formats, plots

MOST_FEATURES, MOST_HISTOGRAMS, MOST_CLASSES, MOST_LABELS, TOP_VALUES = 40, 12, 30, 4, 5
UNITS = {
    "height": "pixels",
    "width": "pixels",
    "brightness": "0 black…1 white",
    "contrast": "standard deviation, 0…1",
    "words": "words",
}
"""Of the parts that `pipelines/media_statistics.py` measures of a feature: `image/height`."""


def section(directory: Path) -> dict:
    """Everything that the template shows of an artifact that can be read."""
    datasets = {d.name: by_name(d) for d in read(directory).datasets if d.num_examples}
    names = list(dict.fromkeys(name for features in datasets.values() for name in features))
    by_kind: dict[str, list[str]] = {"numeric": [], "labels": [], "texts": [], "encoded": []}
    for name in names:
        by_kind[_kind(next(f[name] for f in datasets.values() if name in f))].append(name)
    histograms = [name for name in by_kind["numeric"] if _varies(name, datasets)]
    constant = [name for name in by_kind["numeric"] if _is_constant(name, datasets)]
    numeric = [name for name in by_kind["numeric"] if name not in constant]
    return {
        "constant": [_constant(name, datasets) for name in constant[:MOST_FEATURES]],
        "numeric": [_numeric(name, datasets) for name in numeric[:MOST_FEATURES]],
        "numeric_left_out": max(0, len(numeric) - MOST_FEATURES),
        "histograms": [
            _histogram(f"hist{place}", name, datasets)
            for place, name in enumerate(histograms[:MOST_HISTOGRAMS])
        ],
        "histograms_left_out": max(0, len(histograms) - MOST_HISTOGRAMS),
        "labels": [
            _labels(f"classes{place}", name, datasets)
            for place, name in enumerate(by_kind["labels"][:MOST_LABELS])
        ],
        "texts": [_text(name, datasets) for name in by_kind["texts"][:MOST_FEATURES]],
        "encoded": [_encoded(name, datasets) for name in by_kind["encoded"][:MOST_FEATURES]],
    }


def _kind(feature: statistics_pb2.FeatureNameStatistics) -> str:
    stats = feature.WhichOneof("stats")
    if stats == "num_stats":
        return "numeric"
    if stats == "bytes_stats":
        return "encoded"
    is_label = any(stat.name == NUM_CLASSES for stat in feature.custom_stats)
    return "labels" if is_label else "texts"


def _named(name: str) -> str:
    """A feature with its unit, where it is known."""
    unit = UNITS.get(name.rpartition("/")[2]) if "/" in name else None
    return f"{name} ({unit})" if unit else name


def _varies(name, datasets) -> bool:
    found = [f[name].num_stats for f in datasets.values() if name in f]
    known = [stats for stats in found if stats.histograms]
    return bool(known) and min(s.min for s in known) < max(s.max for s in known)


def _is_constant(name, datasets) -> bool:
    """Whether every example of every split has the same number: a table would not say more."""
    found = [f[name].num_stats if name in f else None for f in datasets.values()]
    if not all(
        stats and stats.histograms and not stats.common_stats.num_missing for stats in found
    ):
        return False
    return not _varies(name, datasets) and not any(s.histograms[0].num_nan for s in found)


def _constant(name, datasets) -> str:
    value = formats.number(next(iter(datasets.values()))[name].num_stats.min)
    unit = UNITS.get(name.rpartition("/")[2]) if "/" in name else None
    return f"{formats.label(name, 40)} {value}" + (f" {unit}" if unit else "")


def _numeric(name, datasets) -> dict:
    rows = []
    for split, features in datasets.items():
        if name not in features:
            continue
        stats = features[name].num_stats
        nan = stats.histograms[0].num_nan if stats.histograms else 0
        known = bool(stats.histograms) and nan < stats.common_stats.tot_num_values
        values = (stats.mean, stats.std_dev, stats.min, stats.median, stats.max)
        rows.append(
            {
                "split": formats.label(split),
                "values": [formats.number(v) if known else formats.MISSING for v in values],
                "missing": f"{stats.common_stats.num_missing:,}"
                + (f" + {nan:,} NaN" if nan else ""),
            }
        )
    return {"name": formats.label(name, 40), "rows": rows}


def _histogram(prefix, name, datasets) -> dict:
    splits = {}
    for split, features in datasets.items():
        found = features[name].num_stats.histograms if name in features else []
        standard = [h for h in found if h.type == statistics_pb2.Histogram.STANDARD and h.buckets]
        if not standard or standard[0].buckets[0].low_value >= standard[0].buckets[-1].high_value:
            continue  # one value only: there is no width to draw
        buckets = standard[0].buckets
        edges = [buckets[0].low_value, *(bucket.high_value for bucket in buckets)]
        splits[split] = (edges, [bucket.sample_count for bucket in buckets])
    return {"name": formats.label(name, 40), "svg": plots.histogram(prefix, _named(name), splits)}


def _labels(prefix, name, datasets) -> dict:
    counts = {}
    for split, features in datasets.items():
        if name in features:
            ranks = features[name].string_stats.rank_histogram.buckets
            counts[split] = {bucket.label: bucket.sample_count for bucket in ranks}
    first = next(iter(counts.values()))
    classes = sorted(first, key=lambda label: -first[label])
    shown = sorted(classes[:MOST_CLASSES], key=_natural)
    shares = {
        split: [found.get(label, 0) / (sum(found.values()) or 1) for label in shown]
        for split, found in counts.items()
    }
    return {
        "name": formats.label(name),
        "svg": plots.class_shares(prefix, shown, shares),
        "rows": plots.rows_in_grid(len(shown)),
        "classes": len(classes),
        "left_out": len(classes) - len(shown),
        "empty": sum(not amount for amount in first.values()),
        "first": formats.label(next(iter(counts))),
    }


def _natural(text: str):
    """By the alphabet, and by the value of the numbers in it: "class 9" before "class 10"."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def _text(name, datasets) -> dict:
    rows = []
    for split, features in datasets.items():
        if name in features:
            stats = features[name].string_stats
            top = [
                f"{formats.label(value.value)} ({int(value.frequency):,})"
                for value in stats.top_values[:TOP_VALUES]
            ]
            values = (f"{stats.unique:,}", formats.number(stats.avg_length, 3), ", ".join(top))
            rows.append({"split": formats.label(split), "values": values})
    return {"name": formats.label(name, 40), "rows": rows}


def _encoded(name, datasets) -> dict:
    rows = []
    for split, features in datasets.items():
        if name in features:
            stats = features[name].bytes_stats
            bad = [s.num for s in features[name].custom_stats if s.name == NUM_UNDECODABLE]
            sizes = (stats.min_num_bytes, stats.avg_num_bytes, stats.max_num_bytes)
            values = [formats.number(size, 3) for size in sizes]
            values.append(f"{int(bad[0]):,}" if bad else formats.MISSING)
            rows.append({"split": formats.label(split), "values": values})
    return {"name": formats.label(name, 40), "rows": rows}
