"""`data.drift`, `data.skew` and `data.anomalies`: limits, and what an anomaly does to the run."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from penstock.pipelines.config import Config

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Action = Literal["stop", "warn", "ignore"]


class Limits(Config):
    """How far a feature may be from other data, beyond chance; None: it is not compared."""

    infinity_norm: Fraction | None = 0.1
    jensen_shannon: Fraction | None = 0.05


class ComparisonConfig(Limits):
    """Limits of all features, and by name or pattern (`image/*`) those of some: the first that fits.

    A limit that is left out in `features` is the one that is set here by default.

    `infinity_norm`: the largest difference of a category's shares, of missing values' too.
    `jensen_shannon`: the divergence of numbers in bits; half a standard deviation makes about 0.05.
    """

    features: dict[str, Limits] = {}

    def limits_of(self, feature: str, comparator) -> Limits:
        """The config's own word on a feature, or the schema's comparator, or the limits of all."""
        named = first_match(self.features, feature)
        if named is not None:
            return named
        limits = {"infinity_norm": self.infinity_norm, "jensen_shannon": self.jensen_shannon}
        if comparator.infinity_norm.HasField("threshold"):
            limits["infinity_norm"] = comparator.infinity_norm.threshold
        if comparator.jensen_shannon_divergence.HasField("threshold"):
            limits["jensen_shannon"] = comparator.jensen_shannon_divergence.threshold
        return Limits(**limits)


class DriftConfig(ComparisonConfig):
    """Comparison with earlier data of this pipeline.

    `baseline`: "latest" (the last run whose data passed), "none", or the name of a run.
    `min_examples_fraction`, `max_examples_fraction`: number of examples over that of the baseline.
    """

    baseline: str = "latest"
    min_examples_fraction: NonNegativeFloat = 0.7
    max_examples_fraction: NonNegativeFloat | None = None


class SkewConfig(ComparisonConfig):
    """Comparison of the training split with what is served.

    `serving_statistics`: a `DatasetFeatureStatisticsList` of a serving log, binary (the
    `statistics.binpb` of a run over the log, or its folder; TFDV's `write_stats_binary` makes one).
    """

    serving_statistics: Path | None = None


def first_match(by_pattern: dict, feature: str):
    """What the first pattern that fits a feature's name stands for; None if none fits.

    A pattern for a feature holds for those derived from it, unless one of their own comes first.
    """
    names = (feature, feature.split("/")[0])
    for pattern, value in by_pattern.items():
        if any(fnmatchcase(name, pattern) for name in names):
            return value
    return None
