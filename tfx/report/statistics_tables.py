"""The tables of the statistics: a row for each feature and split."""

from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics.statistics_files import (
    COUNTS_ERROR,
    NUM_UNDECODABLE,
    UNIQUE_RELATIVE_ERROR,
    common_stats,
    custom_stat,
)
from penstock.tfx.report import formats, plots
from penstock.tfx.report.distributions import quantiles

MOST_OPEN, MOST_FEATURES, TOP_VALUES = 15, 200, 5
RANKS = (0.05, 0.25, 0.5, 0.75, 0.95)
NUMERIC = [
    "mean",
    "std dev",
    "min",
    "5 %",
    "25 %",
    "median",
    "75 %",
    "95 %",
    "max",
    "zeros",
    "missing",
]


def _folded(rows: list[dict]) -> dict:
    """{open, folded, left_out}: a table and what is folded away."""
    shown = rows[:MOST_FEATURES]
    left_out = len(rows) - len(shown)
    return {"open": shown[:MOST_OPEN], "folded": shown[MOST_OPEN:], "left_out": left_out}


def _missing(common) -> str:
    total = common.num_missing + common.num_non_missing
    if not common.num_missing:
        return "0"
    return f"{common.num_missing:,} ({formats.percent(common.num_missing / total)})"


def numeric_rows(described: list[tuple], datasets: dict) -> dict:
    """Of each feature and split the columns `NUMERIC`, and a small histogram.

    Args:
        described: (name, unit, axis or None) of each feature.
    """
    rows = []
    for name, unit, axis in described:
        of_splits = []
        for split, features in datasets.items():
            if name in features:
                spark = plots.sparkline(axis.shares[split]) if axis and split in axis.shares else ""
                values = _numbers(features[name])
                of_splits.append({"split": formats.label(split), "spark": spark, "values": values})
        rows.append({"name": formats.label(name, 40), "unit": unit, "rows": of_splits})
    return _folded(rows)


def _numbers(feature: statistics_pb2.FeatureNameStatistics) -> list[str]:
    stats = feature.num_stats
    nan = stats.histograms[0].num_nan if stats.histograms else 0
    common, empty = stats.common_stats, formats.MISSING
    missing = _missing(common) + (f" + {nan:,} NaN" if nan else "")
    if not stats.histograms or nan >= common.tot_num_values:
        return [empty] * (len(NUMERIC) - 1) + [missing]
    low, lower, _, upper, high = quantiles(feature, RANKS)
    values = (
        stats.mean,
        stats.std_dev,
        stats.min,
        low,
        lower,
        stats.median,
        upper,
        high,
        stats.max,
    )
    return [*(formats.number(v) for v in values), f"{stats.num_zeros:,}", missing]


def text_rows(names: list[str], datasets: dict) -> dict:
    """Of each text and split: distinct values, mean length in bytes, missing, most frequent."""
    rows = []
    for name in names:
        of_splits = []
        for split, features in datasets.items():
            if name in features:
                stats = features[name].string_stats
                values = [_distinct(features[name]), formats.number(stats.avg_length, 3)]
                values += [_missing(common_stats(features[name])), _top(features[name])]
                of_splits.append({"split": formats.label(split), "values": values})
        rows.append({"name": formats.label(name, 40), "unit": "", "rows": of_splits})
    return _folded(rows)


def _distinct(feature) -> str:
    """How many there are; where that is estimated, with two standard errors."""
    error = custom_stat(feature, UNIQUE_RELATIVE_ERROR)
    count = f"{feature.string_stats.unique:,}"
    return f"about {count} (± {formats.percent(error.num)})" if error else count


def _top(feature) -> str:
    error = custom_stat(feature, COUNTS_ERROR)
    top = feature.string_stats.top_values[:TOP_VALUES]
    several = [v for v in top if v.frequency > 1]
    if not several and feature.string_stats.unique > 1:
        return "none stands out" if error else "none is there twice"
    shown = ", ".join(f"{formats.label(v.value)} ({int(v.frequency):,})" for v in several or top)
    if error and error.num:
        return f"{shown}; counts are at most {int(error.num):,} too high"
    return shown or formats.MISSING


def encoded_rows(names: list[str], datasets: dict) -> list[dict]:
    """Of each image or recording and split: bytes, and how many cannot be decoded."""
    rows = []
    for name in names[:MOST_FEATURES]:
        of_splits = []
        for split, features in datasets.items():
            if name in features:
                stats = features[name].bytes_stats
                bad = custom_stat(features[name], NUM_UNDECODABLE)
                sizes = (stats.min_num_bytes, stats.avg_num_bytes, stats.max_num_bytes)
                values = [formats.number(size, 3) for size in sizes]
                values.append(f"{int(bad.num):,}" if bad else formats.MISSING)
                of_splits.append({"split": formats.label(split), "values": values})
        rows.append({"name": formats.label(name, 40), "unit": "", "rows": of_splits})
    return rows
