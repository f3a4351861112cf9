"""Evaluator: how good is the model, is it good enough, and is it no worse than the one before?

Comes in: raw Examples, a Model, the latest blessed Model if there is one. Goes out: Evaluation
(`rows.jsonl`: a line for each example; `metrics.json`: metrics with intervals, overall and by
slice; `explanations.json`: what the worst answers rest on, where the task explains any; null stands
for NaN and infinity) and Blessing (`blessing.json`: the verdict, a sentence for each failed check).
What answers is the SavedModel, from raw examples: what is judged is what is pushed. A model that is
not blessed stops the run.
"""

import json

from penstock.models.locate import config_class, task_package
from penstock.tfx.artifacts import Blessing, Evaluation, Examples, Model
from penstock.tfx.component import Component, Environment, ExecutionContext
from penstock.tfx.config import EvaluateConfig

FORMAT_VERSION = 1
LIBRARIES = ("tensorflow", "keras", "numpy")


class Evaluator(Component):
    """A gate, see the module's docstring."""

    inputs = {"examples": Examples, "model": Model, "baseline": Model}
    optional_inputs = frozenset({"baseline"})
    outputs = {"evaluation": Evaluation, "blessing": Blessing}

    class Parameters(Component.Parameters):
        """The `evaluate` section of the config; `seed` is that of resampling."""

        task: str
        task_config: dict
        evaluate: EvaluateConfig
        seed: int

    @classmethod
    def environment(cls, parameters):
        return Environment(tensorflow=True)

    @classmethod
    def modules(cls, parameters):
        return (f"{task_package(parameters.task)}.task",)

    @classmethod
    def libraries(cls, parameters):
        return (*LIBRARIES, *_task_config(parameters).libraries())

    @classmethod
    def files(cls, parameters):
        return _task_config(parameters).files()

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        from penstock.models.locate import task_class
        from penstock.pipelines.transform.state import State
        from penstock.tfx.evaluation import checks, measure, predictions

        parameters, config = context.parameters, context.parameters.evaluate
        task = task_class(parameters.task)(_task_config(parameters))
        state = State.load(context.inputs["model"].path / "state")
        columns = _columns(context, "model", task, state)
        measures = measure.Measure(
            task,
            state,
            confidence=config.confidence,
            resamples=config.resamples,
            seed=parameters.seed,
        )
        overall = measures.metrics(columns)
        slices = measures.slices(columns, config.slices)
        checks.check_names(config, overall, slices)
        found = checks.threshold_checks(config, overall, slices)
        differences = _compare(context, task, state, columns, measures)
        found += checks.baseline_checks(config, differences)
        evaluation = {
            "split": config.split,
            "examples": len(columns["key"]),
            "confidence": config.confidence,
            "overall": overall,
            "slices": slices,
            "baseline": differences,
            "details": task.details(columns, state),
        }
        _write_evaluation(context, predictions.plain(evaluation), predictions.rows_of(columns))
        _write_explanations(context, task, state, columns)
        _write_blessing(context, found)
        context.progress(**_summary(config, overall))


def _task_config(parameters):
    """The task's `Config` (no TensorFlow)."""
    sections = json.dumps(parameters.task_config)
    return config_class(parameters.task).model_validate_json(sections)


def _columns(context, name, task, state):
    from penstock.tfx.evaluation import predictions

    config = context.parameters.evaluate
    return predictions.columns_of(
        context.inputs[name].path,
        context.inputs["examples"].path,
        split=config.split,
        batch_size=config.batch_size,
        task=task,
        state=state,
        slices=config.slices,
    )


def _compare(context, task, state, columns, measures):
    """Differences to the baseline in the metrics that have limits; empty without either."""
    limits, baseline = context.parameters.evaluate.baseline, context.inputs.get("baseline")
    if not limits or baseline is None:
        return {}
    if baseline.content_digest == context.inputs["model"].content_digest:
        return measures.difference(columns, columns, limits)
    _check_comparable(baseline, task, state)
    return measures.difference(columns, _columns(context, "baseline", task, state), limits)


def _check_comparable(baseline, task, state):
    """The baseline must take the same requests and know the same targets."""
    from penstock.pipelines.transform.state import State

    theirs = State.load(baseline.path / "state")
    ours = {**task.input_features(state.features), **task.target_features(state.features)}
    differing = [name for name in ours if theirs.features.get(name) != ours[name]]
    if differing:
        raise ValueError(
            "The latest blessed model cannot be compared on these examples: the features "
            f"{', '.join(differing)} must be the same for both. Expected: "
            f"{ours[differing[0]]!r}. Received: {theirs.features.get(differing[0])!r}. "
            "Set `evaluate.baseline={}` for this run, or give the pipeline another name."
        )


def _write_evaluation(context, evaluation, rows):
    output = context.outputs["evaluation"]
    with open(output.path / "rows.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    document = {"format_version": FORMAT_VERSION, **evaluation}
    text = json.dumps(document, indent=1, allow_nan=False)
    (output.path / "metrics.json").write_text(text + "\n")
    output.properties = {
        "metrics": {
            name: entry["value"]
            for name, entry in evaluation["overall"].items()
            if entry["value"] is not None
        },
        "split": evaluation["split"],
        "examples": evaluation["examples"],
    }


def _write_explanations(context, task, state, columns):
    """Writes what the task says of the examples that the model did worst on, if anything."""
    from penstock.tfx.evaluation import explanations, predictions

    config = context.parameters.evaluate
    found = explanations.of_worst(
        context.inputs["model"].path,
        context.inputs["examples"].path,
        columns,
        split=config.split,
        batch_size=config.batch_size,
        task=task,
        state=state,
    )
    if found:
        document = {"format_version": FORMAT_VERSION, "examples": predictions.plain(found)}
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        path = context.outputs["evaluation"].path / "explanations.json"
        path.write_text(text + "\n", encoding="utf-8")


def _write_blessing(context, found):
    """Writes the verdict; stops the run if it is no."""
    reasons = [check.reason for check in found if not check.passed]
    baseline = context.inputs.get("baseline")
    document = {
        "format_version": FORMAT_VERSION,
        "blessed": not reasons,
        "reasons": reasons,
        "checks": [check.as_json() for check in found],
        "model": context.inputs["model"].content_digest,
        "baseline": baseline.content_digest if baseline else None,
    }
    output = context.outputs["blessing"]
    (output.path / "blessing.json").write_text(json.dumps(document, indent=1) + "\n")
    output.properties = {"blessed": not reasons, "reason": " ".join(reasons)}
    if reasons:
        where = "in `blessing.json` in the blessing's folder, which `penstock show` lists"
        more = f" ({len(reasons) - 1} more {where}.)" if len(reasons) > 1 else ""
        context.stop(f"The model is not blessed: {reasons[0]}{more}")


def _summary(config, overall):
    """Metrics for the step's line: those with limits, then those of the whole set, four at most."""
    limited = [name for name in (*config.thresholds, *config.baseline) if name in overall]
    whole = [name for name in overall if "/" not in name]
    chosen = list(dict.fromkeys([*limited, *whole]))[:4]
    values = {name: overall[name]["value"] for name in chosen}
    return {n: "not finite" if v is None else round(v, 4) for n, v in values.items()}
