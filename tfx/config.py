"""The pipeline's own sections of a config (pydantic only); the task adds its sections to them.

`load_config.py` reads a file and `key=value` overrides into these and the task's models.
"""

import re
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from penstock.pipelines.config import Config
from penstock.pipelines.quarantine.bad_records import Limits
from penstock.pipelines.sources.source import Source
from penstock.pipelines.validation.settings import Action, DriftConfig, SkewConfig
from penstock.tfx.training.config import TrainConfig

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
SourceType = TypeVar("SourceType", bound=Source)


class QuarantineConfig(Config):
    """How many bytes of the bad records themselves are kept beside file, index and reason.

    Of each record `max_record_bytes`, of all `max_total_bytes`, of those with one kind of reason an
    eighth of it. 0 keeps none, where data must not lie in two places.
    """

    max_record_bytes: Annotated[int, Field(ge=0, le=2**30)] = Limits.record_bytes
    max_total_bytes: NonNegativeInt = Limits.total_bytes


class StatisticsConfig(Config):
    """Columns by whose values the statistics are sliced too, and how many values one may have.

    By default the labels, of up to 200,000 examples.
    """

    slices: tuple[str, ...] | None = None
    max_slices: PositiveInt = 50


class DataConfig(Config, Generic[SourceType]):
    """Where the data comes from, how it is split, and what is too bad to go on with.

    `splits` divides the records that have no split of their own, by a hash of their key; the
    source's own splits are kept, but for `split_from`, which is divided too. `anomalies` says by name
    or pattern (`image/*`) of a feature what `on_anomaly` says for all. `on_leakage`: what it does to
    the run if a content or a key is in several splits. `stratify`: a label of which each split gets
    the same share; then adding data moves some old examples (`pipelines/ingest/stratified_splits.py`).
    """

    source: Annotated[SourceType, Field(description="{type: ...} and the keys of that source")]
    splits: dict[str, Fraction] = {"train": 0.8, "validation": 0.1, "test": 0.1}
    split_from: str | None = None
    stratify: str | None = None
    max_bad_fraction: Fraction = 0.01
    quarantine: QuarantineConfig = QuarantineConfig()
    on_leakage: Literal["stop", "warn"] = "warn"
    shards: Annotated[int, Field(gt=0, le=100_000)] | None = None
    statistics: StatisticsConfig = StatisticsConfig()
    reviewed_schema: Path | None = None
    drift: DriftConfig = DriftConfig()
    skew: SkewConfig = SkewConfig()
    on_anomaly: Literal["stop", "warn"] = "stop"
    anomalies: dict[str, Action] = {}

    @field_validator("splits")
    @classmethod
    def _splits_add_up(cls, splits: dict[str, float]) -> dict[str, float]:
        total = sum(splits.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"the fractions must add up to 1. Received: a sum of {total:g}. Change one of them."
            )
        return splits


class Threshold(Config):
    """Limits of one metric; both ends are allowed values."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _can_be_met(self):
        if self.min is None and self.max is None:
            raise ValueError("set `min`, `max` or both. Received: neither.")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` must be <= `max`. Received: min={self.min}, max={self.max}.")
        return self


class BaselineLimit(Config):
    """How much worse than the latest blessed model one metric may be, on the same examples."""

    max_drop: NonNegativeFloat | None = None
    max_rise: NonNegativeFloat | None = None


class EvaluateConfig(Config):
    """What is measured on which split, and what a model must reach to be blessed."""

    split: str = "test"
    batch_size: PositiveInt = 256
    slices: tuple[str, ...] = ()
    thresholds: dict[str, Threshold] = {}
    slice_thresholds: dict[str, Threshold] = {}
    baseline: dict[str, BaselineLimit] = {}
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    resamples: PositiveInt = 1000


class InfraConfig(Config):
    """What the served model must keep to. Times are those of one request of one example, warm."""

    examples: PositiveInt = 16
    relative_tolerance: NonNegativeFloat = 1e-4
    max_latency_ms: float | None = 1000.0
    max_memory_mb: float | None = None


class PushConfig(Config):
    """Where the model goes: `<destination>/<version>/`, which TensorFlow Serving loads."""

    destination: Path
    keep: PositiveInt = 5


class StoreConfig(Config):
    """Where artifacts, runs and metadata live.

    `database` is any SQLAlchemy URL, SQLite inside the directory by default; `${NAME}` in it is the
    environment variable NAME.
    """

    directory: Path = Path(".penstock")
    database: str | None = None

    @field_validator("database")
    @classmethod
    def _no_secret(cls, database: str | None) -> str | None:
        if database and re.search(r"://[^/@]*:[^/@$]+@", database):
            raise ValueError(
                "a password must not stand in a config, which is saved with each run. Write "
                "`${NAME}` in its place and set the environment variable NAME."
            )
        return database


class RunnerConfig(Config):
    """How steps are run: `retries` after a worker died, number of worker processes at once."""

    retries: Annotated[int, Field(ge=0)] = 1
    workers: PositiveInt = 2


class ExtraStep(Config):
    """A component of the user's: `component` is `module:name`; inputs are `Step.output`.

    It starts when the steps in `after` are complete, and those in `before` wait for it: a gate of
    one's own says `before: [Pusher]`.
    """

    component: Annotated[str, Field(description="module:name of a component")]
    inputs: dict[str, str] = {}
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    parameters: dict[str, object] = {}


class PipelineConfig(Config, Generic[SourceType]):
    """Everything but the task's sections.

    Without `task` the pipeline ends when the data are checked; `MODEL_SECTIONS` are then faults.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    task: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig[SourceType]
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    infra: InfraConfig = InfraConfig()
    push: PushConfig | None = None
    store: StoreConfig = StoreConfig()
    runner: RunnerConfig = RunnerConfig()
    steps: dict[str, ExtraStep] = {}


MODEL_SECTIONS = ("train", "evaluate", "infra", "push")
"""Sections of `PipelineConfig` that mean something only with a task."""
