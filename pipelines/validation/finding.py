"""One thing that does not fit, and how such a thing is told."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from penstock.pipelines.statistics.statistics_files import (
    NUM_CLASSES,
    NUM_INFINITE,
    common_stats,
    custom_stat,
)

Kind = anomalies_pb2.AnomalyInfo
SHOWN = 5
"""Values that a sentence names at most."""


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit.

    Attributes:
        feature: its name; empty for what concerns the whole data set.
        short: two or three words. `sentence`: complete, without the feature's name.
        is_error: whether it can stop the run; a warning never does.
        is_drift: whether it says that the data differ from other data, not from the schema.
        split: where records are that show it.
        shows: whether a record shows it, asked of the statistics of the feature in that record
            alone. Asked of those of several records it may say yes wrongly, but never no.
    """

    feature: str
    kind: int
    short: str
    sentence: str
    is_error: bool = True
    is_drift: bool = False
    split: str = ""
    shows: Callable[[statistics_pb2.FeatureNameStatistics], bool] | None = None


def together(found: list[Finding]) -> Finding:
    """One finding for all splits: that of the first (usually training), and the others' names."""
    first, *others = found
    if not others:
        return first
    names = ", ".join(f"`{finding.split}`" for finding in others)
    called = f"split{'s' if len(others) > 1 else ''} {names}"
    return replace(first, sentence=f"{first.sentence} Also in the {called}.")


def number(value: float) -> str:
    """A number as a person reads it, with the nine digits that tell any two float32 apart."""
    whole = float(value).is_integer() and abs(value) < 1e15
    return f"{value:,.0f}" if whole else f"{value:.9g}"


def counted(pairs: list[tuple[str, float]]) -> str:
    """(value, count) pairs in words, a few of them: `'emu' (2 times) and 3 more`."""
    times = ("once" if count == 1 else f"{number(count)} times" for _, count in pairs)
    shown = ", ".join(f"{v!r} ({n})" for (v, _), n in zip(pairs[:SHOWN], times, strict=False))
    return shown + (f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else "")


def is_label(statistics) -> bool:
    """Whether a feature holds classes that its description names."""
    return custom_stat(statistics, NUM_CLASSES) is not None


def value_counts(statistics) -> dict[str, float]:
    """Value -> how often it occurs, of those that the statistics list."""
    buckets = statistics.string_stats.rank_histogram.buckets
    return {bucket.label: bucket.sample_count for bucket in buckets if bucket.sample_count}


def lists_all_values(statistics) -> bool:
    """Whether the statistics list every value of a feature of strings."""
    return 0 < statistics.string_stats.unique <= len(value_counts(statistics))


def num_of_nan(statistics) -> int:
    """How many NaN a feature of numbers has."""
    return max((h.num_nan for h in statistics.num_stats.histograms), default=0)


def num_not_finite(statistics) -> int:
    """How many NaN and infinities a feature has."""
    infinite = custom_stat(statistics, NUM_INFINITE)
    return num_of_nan(statistics) + (int(infinite.num) if infinite else 0)


def has_numbers(statistics) -> bool:
    """Whether a feature has a number that is not NaN, so that its least and greatest mean something."""
    return common_stats(statistics).tot_num_values > num_of_nan(statistics)
