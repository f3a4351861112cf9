"""The steps of every application, from a resolved config: which there are and how they are joined.

```
ExampleGen -> StatisticsGen -> SchemaGen -> ExampleValidator (gate)
     |                                            |
     +-----> Transform -> Trainer (after the gate) +-> Evaluator (gate) -+-> Pusher
                             |                                          |
                             +---------------------> InfraValidator ----+
```

Without a task the first line is all of it.
"""

from pathlib import Path

from penstock.models.locate import task_package
from penstock.tfx.code_fingerprint import locate
from penstock.tfx.components.evaluator import Evaluator
from penstock.tfx.components.example_gen import ExampleGen
from penstock.tfx.components.example_validator import ExampleValidator
from penstock.tfx.components.infra_validator import InfraValidator
from penstock.tfx.components.pusher import Pusher
from penstock.tfx.components.schema_gen import SchemaGen
from penstock.tfx.components.statistics_gen import StatisticsGen
from penstock.tfx.components.trainer import Trainer
from penstock.tfx.components.transform import Transform
from penstock.tfx.extra_steps import with_extra_steps
from penstock.tfx.load_config import RunConfig
from penstock.tfx.pipeline import LatestBlessedModel, LatestGoodStatistics, OutputOf, Pipeline, Step
from penstock.tfx.training.wanted_splits import wanted_splits

EXAMPLES = OutputOf("ExampleGen", "examples")
STATISTICS = OutputOf("StatisticsGen", "statistics")
SCHEMA = OutputOf("SchemaGen", "schema")
STATE = OutputOf("Transform", "state")
TRANSFORMED = OutputOf("Transform", "transformed")
MODEL = OutputOf("Trainer", "model")


def standard_pipeline(config: RunConfig) -> Pipeline:
    """The pipeline of an application.

    Args:
        config: resolved and checked.

    Raises:
        ValueError: an extra step of the config does not fit.
    """
    steps = _data_steps(config)
    if config.task is not None:
        steps += [_transform(config), *_model_steps(config)]
    if config.pipeline.push is not None:
        steps.append(_pusher(config))
    return Pipeline(config.pipeline.name, with_extra_steps(steps, config.pipeline.steps))


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _data_steps(config: RunConfig) -> list[Step]:
    data = config.pipeline.data
    example_gen = ExampleGen.Parameters(
        source=data.source.model_dump(mode="json"),
        splits=data.splits,
        split_from=data.split_from,
        stratify=data.stratify,
        max_bad_fraction=data.max_bad_fraction,
        on_leakage=data.on_leakage,
        kept_record_bytes=data.quarantine.max_record_bytes,
        kept_total_bytes=data.quarantine.max_total_bytes,
        shards=data.shards,
        **_expand(config),
    )
    statistics_gen = StatisticsGen.Parameters(**data.statistics.model_dump())
    schema_gen = SchemaGen.Parameters(
        reviewed_schema=_path(data.reviewed_schema), train_split=_train_split(config)
    )
    validator = ExampleValidator.Parameters(
        on_anomaly=data.on_anomaly,
        actions=data.anomalies,
        drift=data.drift,
        skew=data.skew,
        train_split=_train_split(config),
        is_reviewed=data.reviewed_schema is not None,
    )
    validated = {"statistics": STATISTICS, "schema": SCHEMA, "examples": EXAMPLES}
    if data.drift.baseline != "none":
        run = None if data.drift.baseline == "latest" else data.drift.baseline
        validated["baseline"] = LatestGoodStatistics(STATISTICS, run)
    return [
        Step("ExampleGen", ExampleGen, example_gen),
        Step("StatisticsGen", StatisticsGen, statistics_gen, {"examples": EXAMPLES}),
        Step("SchemaGen", SchemaGen, schema_gen, {"statistics": STATISTICS, "examples": EXAMPLES}),
        Step("ExampleValidator", ExampleValidator, validator, validated),
    ]


def _expand(config: RunConfig) -> dict:
    """What the task makes of one record, where it has an `expand`."""
    if config.task is None:
        return {}
    module = f"{task_package(config.pipeline.task)}.expand"
    return {
        "expand": module if locate(module) else None,
        "expand_config": config.task.model_dump(mode="json").get("expand", {}),
    }


def _train_split(config: RunConfig) -> str:
    """The split that the others are compared with; without a task the first that is named."""
    pipeline = config.pipeline
    return next(iter(pipeline.data.splits)) if config.task is None else pipeline.train.train_split


def _transform(config: RunConfig) -> Step:
    parameters = Transform.Parameters(
        task=config.pipeline.task,
        prepare=config.task.prepare.model_dump(mode="json"),
        train_split=_train_split(config),
        on_the_fly=config.pipeline.train.prepare == "on_the_fly",
        wanted_splits=wanted_splits(config.pipeline.train, config.pipeline.evaluate.split),
        task_libraries=config.task.preparation_libraries(),
        task_files=tuple(str(path) for path in config.task.preparation_files()),
    )
    return Step("Transform", Transform, parameters, {"examples": EXAMPLES})


def _model_steps(config: RunConfig) -> list[Step]:
    pipeline = config.pipeline
    task = {"task": pipeline.task, "task_config": config.task.model_dump(mode="json")}
    trainer = Trainer.Parameters(
        **task,
        train=pipeline.train,
        seed=pipeline.seed,
        golden_examples=pipeline.infra.examples,
        golden_split=pipeline.evaluate.split,
    )
    evaluator = Evaluator.Parameters(**task, evaluate=pipeline.evaluate, seed=pipeline.seed)
    judged = {"examples": EXAMPLES, "model": MODEL}
    if pipeline.evaluate.baseline:
        # Without limits nothing is compared, so that another blessed model must change nothing.
        judged["baseline"] = LatestBlessedModel(MODEL)
    return [
        Step(
            "Trainer",
            Trainer,
            trainer,
            {"transformed": TRANSFORMED, "state": STATE, "examples": EXAMPLES},
            after=("ExampleValidator",),
        ),
        Step("Evaluator", Evaluator, evaluator, judged),
        Step(
            "InfraValidator",
            InfraValidator,
            InfraValidator.Parameters(infra=pipeline.infra),
            {"model": MODEL},
        ),
    ]


def _pusher(config: RunConfig) -> Step:
    push = config.pipeline.push
    return Step(
        "Pusher",
        Pusher,
        Pusher.Parameters(destination=str(push.destination), keep=push.keep),
        {
            "model": MODEL,
            "blessing": OutputOf("Evaluator", "blessing"),
            "parity": OutputOf("InfraValidator", "parity"),
        },
    )
