"""The Evaluator: metrics by slice with intervals, limits, the baseline, rows and verdict."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, f1_score

from penstock.tfx.components.evaluator import Evaluator
from penstock.tfx.config import EvaluateConfig
from penstock.tfx.evaluation import checks, intervals, measure, predictions


@pytest.fixture(scope="module")
def evaluate(workshop, trained):
    """`evaluate(model, against=..., **config)` returns (context, documents)."""

    def run(model=None, against=None, **config):
        model = model or workshop.model(trained)
        inputs = {"examples": workshop.input("examples"), "model": model}
        if against is not None:
            inputs["baseline"] = against
        config = {"split": "test", "batch_size": 7, "resamples": 200, **config}
        parameters = {
            "task": "vision.classification",
            "task_config": json.loads((model.path / "task.json").read_text())["config"],
            "evaluate": config,
            "seed": 0,
        }
        context = workshop.run(Evaluator, parameters, inputs)
        paths = {name: output.path for name, output in context.outputs.items()}
        rows = (paths["evaluation"] / "rows.jsonl").read_text().splitlines()
        documents = {
            "rows": [json.loads(row) for row in rows],
            "metrics": json.loads((paths["evaluation"] / "metrics.json").read_text()),
            "blessing": json.loads((paths["blessing"] / "blessing.json").read_text()),
        }
        return context, documents

    return run


@pytest.fixture(scope="module")
def sliced(evaluate):
    return evaluate(slices=("label", "ward"))


@pytest.fixture(scope="module")
def worse(workshop):
    """A model that has seen next to nothing."""
    context = workshop.train(
        seed=2, epochs=1, tensorboard=False, optimizer={"type": "sgd", "learning_rate": 1e-6}
    )
    return workshop.model(context)


def test_one_row_for_each_example(sliced):
    rows = sliced[1]["rows"]
    assert [row["key"] for row in rows] == [f"test-{n}" for n in range(30)]
    assert [row["ward"] for row in rows] == [0, 1] * 15
    assert [row["label"] for row in rows[:3]] == ["dark", "above", "left"]
    assert {row["predicted"] for row in rows} <= {"dark", "above", "left"}


def test_metrics_are_scikit_learns(sliced):
    rows, metrics = sliced[1]["rows"], sliced[1]["metrics"]
    truth, predicted = ([row[name] for row in rows] for name in ("label", "predicted"))
    overall = metrics["overall"]
    assert overall["accuracy"]["value"] == pytest.approx(accuracy_score(truth, predicted))
    assert overall["macro_f1"]["value"] == pytest.approx(
        f1_score(truth, predicted, average="macro")
    )
    assert (
        sliced[0].outputs["evaluation"].properties["metrics"]["accuracy"]
        == (overall["accuracy"]["value"])
    )
    assert metrics["examples"] == 30
    assert np.sum(metrics["details"]["confusion_matrix"]["counts"]) == 30


def test_slices(sliced):
    rows, slices = sliced[1]["rows"], sliced[1]["metrics"]["slices"]
    found = {(part["column"], part["value"]): part for part in slices}
    assert sorted(found, key=str) == sorted(
        [("label", "above"), ("label", "dark"), ("label", "left"), ("ward", 0), ("ward", 1)],
        key=str,
    )
    for (column, value), part in found.items():
        right = [r["label"] == r["predicted"] for r in rows if r[column] == value]
        assert part["examples"] == len(right)
        assert part["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))


def test_intervals_of_every_metric(sliced):
    overall = sliced[1]["metrics"]["overall"]
    for name, entry in overall.items():
        assert entry["low"] <= entry["value"] <= entry["high"], name
    assert overall["accuracy"]["interval"] == "wilson"
    assert overall["log_loss"]["interval"] == "bootstrap"
    assert overall["log_loss"]["low"] < overall["log_loss"]["high"]


def test_equal_runs_give_equal_files(evaluate, sliced):
    again = evaluate(slices=("label", "ward"))[1]
    assert again["metrics"] == sliced[1]["metrics"]
    assert again["rows"] == sliced[1]["rows"]


def test_blessed(evaluate, workshop, trained):
    context, documents = evaluate(thresholds={"accuracy": {"min": 0.3}, "log_loss": {"max": 5.0}})
    assert context.gate is None
    blessing = documents["blessing"]
    assert blessing["format_version"] == 1
    assert blessing["blessed"] is True
    assert blessing["reasons"] == []
    assert blessing["model"] == workshop.model(trained).content_digest
    assert blessing["baseline"] is None
    assert [check["setting"] for check in blessing["checks"]] == [
        "evaluate.thresholds.accuracy.min",
        "evaluate.thresholds.log_loss.max",
    ]
    assert context.outputs["blessing"].properties == {"blessed": True, "reason": ""}


def test_not_blessed_stops_the_run(evaluate):
    context, documents = evaluate(
        slices=("label",),
        thresholds={"log_loss": {"max": 0.0001}},
        slice_thresholds={"accuracy": {"min": 1.1}},
    )
    reasons = documents["blessing"]["reasons"]
    assert documents["blessing"]["blessed"] is False
    assert len(reasons) == 4
    assert "log_loss is" in reasons[0]
    assert "above the maximum of 0.0001 (`evaluate.thresholds.log_loss.max`)" in reasons[0]
    assert "accuracy in the slice label=above is" in reasons[1]
    assert context.gate == (
        f"The model is not blessed: {reasons[0]} (3 more in `blessing.json` in the blessing's "
        "folder, which `penstock show` lists.)"
    )
    assert context.outputs["blessing"].properties["blessed"] is False


def test_worse_than_the_baseline(evaluate, workshop, trained, worse):
    limits = {"accuracy": {"max_drop": 0.01}, "log_loss": {"max_rise": 0.01}}
    better = workshop.model(trained)
    context, documents = evaluate(worse, against=better, baseline=limits)
    differences = documents["metrics"]["baseline"]
    assert differences["accuracy"]["difference"] < -0.1
    assert differences["accuracy"]["low"] <= differences["accuracy"]["difference"]
    (drop, rise) = documents["blessing"]["reasons"]
    value, baseline = (differences["accuracy"][name] for name in ("value", "baseline"))
    assert drop.startswith(
        f"accuracy fell from {baseline:.4g} (latest blessed model) to {value:.4g}"
    )
    assert "at most 0.01 is allowed (`evaluate.baseline.accuracy.max_drop`)" in drop
    assert rise.startswith("log_loss rose from")
    assert documents["blessing"]["baseline"] == better.content_digest
    assert context.gate.startswith("The model is not blessed: accuracy fell")


def test_better_than_the_baseline(evaluate, worse):
    limits = {"accuracy": {"max_drop": 0.0}, "log_loss": {"max_rise": 0.0}}
    context, documents = evaluate(against=worse, baseline=limits)
    assert context.gate is None
    assert documents["metrics"]["baseline"]["accuracy"]["difference"] > 0.1


def test_same_as_the_baseline(evaluate, workshop, trained):
    model = workshop.model(trained)
    limits = {"accuracy": {"max_drop": 0.0}}
    context, documents = evaluate(model, against=model, baseline=limits)
    assert context.gate is None
    assert documents["metrics"]["baseline"]["accuracy"]["difference"] == 0


def test_baseline_with_other_classes(evaluate, workshop, trained, tmp_path):
    model = workshop.model(trained)
    state = json.loads((model.path / "state" / "state.json").read_text())
    state["features"]["label"]["names"] = ["dark", "above", "right"]
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.json").write_text(json.dumps(state))
    other = dataclasses.replace(model, path=tmp_path, content_digest="other")
    with pytest.raises(ValueError, match="cannot be compared.*the features label must be the same"):
        evaluate(model, against=other, baseline={"accuracy": {"max_drop": 0.0}})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"thresholds": {"acuracy": {"min": 0.5}}}, "'acuracy'. Nearest known: accuracy"),
        ({"thresholds": {"f1/abov": {"min": 0.5}}}, "'f1/abov'. Nearest known: f1/above"),
        ({"slice_thresholds": {"accuracy": {"min": 0.5}}}, "needs `evaluate.slices`"),
        ({"slices": ["lable"]}, "`evaluate.slices`.*'lable'. Nearest known: label"),
        ({"split": "tset"}, "no split 'tset'"),
    ],
    ids=["metric", "metric-of-class", "no-slices", "slice", "split"],
)
def test_faults(evaluate, config, message):
    with pytest.raises(ValueError, match=message):
        evaluate(**config)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")], ids=["nan", "infinite"])
def test_metric_that_is_no_finite_number_closes_the_gate(evaluate, worse, monkeypatch, bad):
    from penstock.models.vision.classification.task import Task

    summarise, details = Task.summarise, Task.details
    monkeypatch.setattr(
        Task, "summarise", lambda self, c, s: {**summarise(self, c, s), "log_loss": bad}
    )
    monkeypatch.setattr(
        Task, "details", lambda self, c, s: {**details(self, c, s), "worst": [np.float32(bad)]}
    )
    context, documents = evaluate(
        against=worse,
        slices=("ward",),
        thresholds={"log_loss": {"max": 9.0}},
        slice_thresholds={"log_loss": {"min": 0.0}},
        baseline={"log_loss": {"max_rise": 0.5}},
    )
    metrics = documents["metrics"]
    assert metrics["overall"]["log_loss"] == {
        "value": None, "low": None, "high": None, "interval": None,
    }  # fmt: skip
    assert metrics["details"]["worst"] == [None]
    assert metrics["baseline"]["log_loss"] == {
        "value": None, "baseline": None, "difference": None,
    }  # fmt: skip
    # Nothing is known of the baseline, so only the thresholds fail, overall and in two slices.
    reasons = documents["blessing"]["reasons"]
    assert len(reasons) == 3
    assert reasons[0].startswith(
        "log_loss is no finite number; it is held against the maximum of 9"
    )
    assert "log_loss in the slice ward=0 is no finite number" in reasons[1]
    assert context.gate.startswith("The model is not blessed: log_loss is no finite number")
    assert "log_loss" not in context.outputs["evaluation"].properties["metrics"]
    assert context.messages[-1]["values"]["log_loss"] == "not finite"


# By hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3 (score).
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_wilson(share, count, low, high):
    assert intervals.wilson(share, count, 0.95) == (
        pytest.approx(low, abs=5e-5),
        pytest.approx(high, abs=5e-5),
    )


def test_wilson_is_symmetric_and_stays_inside():
    low, high = intervals.wilson(0.25, 12, 0.9)
    assert intervals.wilson(0.75, 12, 0.9) == (pytest.approx(1 - high), pytest.approx(1 - low))
    assert intervals.wilson(1.0, 3, 0.99)[1] == 1.0


def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    samples = intervals.resampled(
        lambda columns: {"mean": float(columns["x"].mean())}, {"x": values}, resamples=2000, seed=1
    )
    low, high = intervals.percentile(samples["mean"], 0.95)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_metric_that_some_resamples_lack():
    def summarise(columns):
        return {"seven": 1.0} if 7 in columns["x"] else {}

    samples = intervals.resampled(summarise, {"x": np.array([7, 1])}, resamples=400, seed=0)
    # Both draws miss the 7 in a quarter of the resamples.
    assert 270 < len(samples["seven"]) < 330


class Median:
    """A task whose metric needs the bootstrap; it counts the rows that it has been shown."""

    proportions = ()
    summary_columns = ("x",)

    def __init__(self, value=np.median):
        self.value = value
        self.rows = 0

    def summarise(self, columns, state):
        self.rows += len(columns["x"])
        return {"median": float(self.value(columns["x"]))}


def measured(task, resamples=1000):
    return measure.Measure(task, None, confidence=0.9, resamples=resamples, seed=0)


def columns_in_groups(rows, groups):
    x = np.arange(rows)
    return {"key": x.astype(str), "x": x.astype(float), "group": x % groups}


@pytest.mark.parametrize(
    ("work", "resamples"),
    [
        # 2 slices of 500 rows, each resample 1000 more: 3000 for one resample of both.
        (3000 * 1500, 1000),
        (3000 * 250, 250),
        (3000 * 100, 100),
        (3000 * 100 - 1, 0),
    ],
    ids=["enough", "fewer", "fewest", "none"],
)
def test_resamples_of_slices_are_bounded(monkeypatch, work, resamples):
    monkeypatch.setattr(measure, "SLICE_WORK", work)
    task = Median()
    slices = measured(task).slices(columns_in_groups(1000, 2), ("group",))
    assert task.rows == 1000 * (1 + resamples)
    assert [part["resamples"] for part in slices] == [resamples] * 2
    entry = slices[1]["metrics"]["median"]
    assert entry["value"] == 500.0  # Of 1, 3 ... 999.
    if resamples:
        assert entry["low"] < 500.0 < entry["high"]
    else:
        assert (entry["low"], entry["high"], entry["interval"]) == (None, None, None)


def test_metric_without_interval_can_have_a_limit():
    config = EvaluateConfig.model_validate_json(json.dumps({"thresholds": {"f1": {"min": 0.5}}}))
    overall = {"f1": {"value": 0.25, "low": None, "high": None, "interval": None}}
    (check,) = checks.threshold_checks(config, overall, [])
    assert check.reason == "f1 is 0.25, below the minimum of 0.5 (`evaluate.thresholds.f1.min`)."


def test_resamples_that_are_no_finite_numbers_do_not_count():
    """1 / mean of (0, 1): infinite in a quarter of the resamples, else 1 or 2."""

    def value(x):
        return 1 / x.mean() if x.any() else np.inf

    columns = {"key": np.array(["a", "b"]), "x": np.array([0.0, 1.0])}
    entry = measured(Median(value)).metrics(columns)["median"]
    assert (entry["low"], entry["value"], entry["high"]) == (1.0, 2.0, 2.0)


def test_baseline_that_is_finite_while_the_model_is_not():
    limit = {"baseline": {"loss": {"max_rise": 0.1}}}
    config = EvaluateConfig.model_validate_json(json.dumps(limit))
    differences = {"loss": {"value": None, "baseline": 0.5, "difference": None}}
    (check,) = checks.baseline_checks(config, differences)
    assert not check.passed
    assert check.reason.startswith("loss is no finite number; at most 0.1 worse is allowed")


def test_rows_are_made_one_by_one():
    columns = {
        "key": np.array(["a", "b"]),
        "score": np.array([np.nan, 0.5], np.float32),
        "words": np.array([[b"x", b"y"], [b"z"]], object),
    }
    rows = predictions.rows_of(columns)
    assert next(rows) == {"key": "a", "score": None, "words": ["x", "y"]}
    assert list(rows) == [{"key": "b", "score": 0.5, "words": ["z"]}]


@pytest.mark.parametrize("boxes", [[[1, 2], [3, 4]], [[1, 2, 3], []]], ids=["equal", "unequal"])
def test_ragged_targets_are_object_arrays(workshop, trained, boxes):
    """Two axes of unknown length: boxes [batch, (boxes)], marks [batch, (boxes), (marks)]."""
    seen = []

    def prepare_targets(features, state):
        pair = tf.ragged.constant(boxes, tf.int64)
        count = tf.shape(features["label"])[0]
        ragged = tf.gather(pair, tf.range(count) % 2)
        return {"boxes": ragged, "marks": tf.stack([ragged, ragged], axis=2)}, None

    def evaluate_batch(decoded, targets, features, state):
        seen.append(targets)
        return {"boxes": targets["boxes"]}

    image, label = (lambda source: {"image": source["image"]}), (lambda s: {"label": s["label"]})
    task = SimpleNamespace(
        input_features=image,
        target_features=label,
        prepare_targets=prepare_targets,
        evaluate_batch=evaluate_batch,
    )
    from penstock.pipelines.transform.state import State

    columns = predictions.columns_of(
        trained.outputs["model"].path,
        workshop.input("examples").path,
        split="test",
        batch_size=20,
        task=task,
        state=State.load(workshop.input("state").path),
    )
    assert columns["boxes"].shape == (30,)
    assert [row.tolist() for row in columns["boxes"]] == boxes * 15
    for name in ("boxes", "marks"):
        assert (seen[0][name].dtype, seen[0][name].shape) == (object, (20,))
    first = seen[0]["marks"][0]
    assert [part.tolist() for part in first] == [[box, box] for box in boxes[0]]
    assert isinstance(first[0], np.ndarray)


def test_limits_are_allowed_values():
    config = EvaluateConfig.model_validate_json(
        json.dumps(
            {
                "thresholds": {"accuracy": {"min": 0.9, "max": 0.9}},
                "baseline": {"accuracy": {"max_drop": 0.01}, "loss": {"max_rise": 0.1}},
            }
        )
    )
    overall = {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}}
    found = checks.threshold_checks(config, overall, [])
    assert [check.passed for check in found] == [True, True]
    # 0.98 - 0.97 is a little more than 0.01 in binary.
    differences = {"accuracy": {"value": 0.97, "baseline": 0.98, "difference": 0.97 - 0.98}}
    (check,) = checks.baseline_checks(config, differences)
    assert check.passed


def test_column_with_too_many_values_is_no_slice():
    columns = {"key": np.array(["a"]), "age": np.arange(measure.MAX_SLICES + 1)}
    with pytest.raises(ValueError, match="few values. Received: 'age' with 1001 values"):
        measure.check_slices(columns, ["age"])
