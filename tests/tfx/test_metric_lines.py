"""What `penstock show` says of metrics: limits, intervals, and how many more there are."""

import json

from penstock.tfx.metric_lines import metric_lines

OVERALL = {
    "log_loss": {"value": 0.05, "low": None, "high": None, "interval": None},
    "accuracy": {"value": 0.99471, "low": 0.9703, "high": 0.99906, "interval": "wilson"},
    "auc": {"value": None, "low": None, "high": None, "interval": None},
    "recall/one": {"value": 1.0, "low": 0.9, "high": 1.0, "interval": "bootstrap"},
    "recall/two": {"value": 0.9, "low": 0.8, "high": 1.0, "interval": "bootstrap"},
    "f1/two": {"value": 0.9, "low": 0.8, "high": 1.0, "interval": "bootstrap"},
}
LIMITS = {
    "thresholds": {"accuracy": {"min": 0.95, "max": None}, "recall/two": {"min": 0.5, "max": 1.0}},
    "baseline": {"accuracy": {"max_drop": 0.01}},
}


def steps(path, **properties):
    return [{"outputs": {"e": {"type": "Evaluation", "path": str(path), "properties": properties}}}]


def write(path, **more):
    (path / "metrics.json").write_text(json.dumps({"confidence": 0.95, "overall": OVERALL} | more))


def test_metrics_with_limits_come_first_and_classes_are_counted(tmp_path):
    write(tmp_path, slices=[{"column": "label", "value": "one"}] * 3)
    assert metric_lines(steps(tmp_path), LIMITS) == [
        "accuracy = 0.9947  (0.9703 to 0.9991 at 95% confidence)  limit: min 0.95",
        "recall/two = 0.9  (0.8 to 1 at 95% confidence)  limit: min 0.5, max 1",
        "log_loss = 0.05",
        "auc = not finite",
        "2 more of single classes: `penstock show --json`",
        f"3 slices: {tmp_path}/metrics.json",
    ]


def test_without_limits_or_slices_the_overall_ones_are_shown(tmp_path):
    write(tmp_path)
    lines = metric_lines(steps(tmp_path), {})
    assert [line.split()[0] for line in lines] == ["log_loss", "accuracy", "auc", "3"]


def test_a_file_that_is_gone_leaves_what_the_store_knows(tmp_path):
    values = {"accuracy": 0.5, "recall/one": 1.0}
    assert metric_lines(steps(tmp_path, metrics=values), LIMITS) == [
        "accuracy = 0.5  limit: min 0.95",
        "1 more of single classes: `penstock show --json`",
    ]


def test_a_run_without_an_evaluation_has_no_metrics():
    assert metric_lines([{"outputs": {"m": {"type": "Model"}}}], {}) == []
