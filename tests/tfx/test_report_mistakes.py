"""Which examples are shown as the worst, and how large sets are cut down."""

import json
import tracemalloc

import pytest

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.ingest import splits
from penstock.tfx.evaluation import worst
from penstock.tfx.report import evaluation, mistakes, samples, write
from penstock.tfx.report.collect import Run


def _run(tmp_path, rows, metrics=None):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if metrics:
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    artifacts = {"Evaluation": tmp_path}
    return Run("r", "p", "COMPLETE", None, None, 0.0, 1.0, {}, "", {}, artifacts)


def _keys(found):
    return [row["key"] for row in found["rows"]]


def test_the_highest_loss_is_first_and_what_is_not_finite_before_it(tmp_path):
    losses = {"a": 0.1, "b": 2.0, "c": None, "d": 0.5}
    rows = [{"key": k, "log_loss": v, "correct": v == 0.1} for k, v in losses.items()]
    found = mistakes.section(_run(tmp_path, rows), "test")
    assert _keys(found) == ["c", "b", "d", "a"]
    assert (found["order"], found["wrong"]) == ("highest log loss first", 3)
    assert found["rows"][3]["is_wrong"] is False


def test_answers_that_are_texts_are_ordered_by_their_error_rate(tmp_path):
    rates = {"a": 0.25, "b": 0.0, "c": 2.5}
    rows = [{"key": k, "error_rate": v, "loss": -v, "hypothesis": "x"} for k, v in rates.items()]
    with open(tmp_path / "rows.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    found = worst.find(mistakes._rows(tmp_path / "rows.jsonl"))
    assert [row["key"] for row in found.rows] == ["c", "a", "b"]
    assert (found.by, found.wrong) == ("error_rate", 2)


def test_a_feature_whose_name_ends_in_loss_is_none(tmp_path):
    rows = [{"key": k, "weight_loss": n, "probability_of_label": n / 9} for n, k in enumerate("ab")]
    found = mistakes.section(_run(tmp_path, rows), "test")
    assert found["order"] == "lowest probability of the label first"


def test_without_a_loss_the_lowest_probability_of_the_label_is_first(tmp_path):
    rows = [{"key": k, "probability_of_label": p} for k, p in (("a", 0.9), ("b", 0.2), ("c", 0.6))]
    found = mistakes.section(_run(tmp_path, rows), "test")
    assert _keys(found) == ["b", "c", "a"]
    assert found["wrong"] is None


def test_with_neither_the_wrong_ones_come_in_their_order(tmp_path):
    rows = [
        {"key": str(i), "text": f"<{i}>", "expected": "x", "correct": i % 3 != 0} for i in range(99)
    ]
    found = mistakes.section(_run(tmp_path, rows), "test")
    assert _keys(found) == [str(i) for i in range(0, 36, 3)]  # twelve
    assert found["wrong"] == 33
    assert found["rows"][0]["facts"] == [("text", "<0>"), ("expected", "x")]


def test_many_wrong_ones_are_counted_and_not_kept(tmp_path):
    rows = [{"key": str(i), "text": "x" * 200, "correct": False} for i in range(20_000)]
    run = _run(tmp_path, rows)
    del rows
    tracemalloc.start()
    try:
        found = worst.find(mistakes._rows(tmp_path / "rows.jsonl"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(found.rows), found.wrong) == (worst.SHOWN, 20_000)
    assert peak < 1_000_000  # all of them would take more than 20,000 x 200 bytes
    assert len(mistakes.section(run, "test")["rows"]) == worst.SHOWN


def test_label_and_prediction_say_what_is_wrong_where_no_column_does(tmp_path):
    rows = [
        {"key": "a", "label": "x", "predicted": "y"},
        {"key": "b", "label": "x", "predicted": "x"},
    ]
    assert _keys(mistakes.section(_run(tmp_path, rows), "test")) == ["a"]


@pytest.mark.parametrize(
    "rows", [[], [{"key": "a", "value": 1.0}], [{"key": "a", "correct": True}]]
)
def test_nothing_to_show(tmp_path, rows):
    assert mistakes.section(_run(tmp_path, rows), "test") is None


def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path):
    run = _run(tmp_path, [{"key": "a", "loss": 1.0}])
    with open(tmp_path / "rows.jsonl", "a") as file:
        file.write('{"key": "b", "lo')
    assert _keys(mistakes.section(run, "test")) == ["a"]


def test_a_recording_is_seen_and_heard(made_data, tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    made_data._examples(made_data.Chosen(("speech", "class"), False), folder, None)
    metrics = {"split": "test", "examples": 40, "confidence": 0.95, "overall": {}, "slices": []}
    rows = [{"key": f"test/<i>{n}</i>.png", "log_loss": 1.0 + n} for n in range(2)]
    run = _run(tmp_path, rows, metrics)
    run.artifacts["Examples"] = folder
    page = write.render(run)
    _, shown = page.split('<figure class="mistakes">')
    assert shown.count('alt="Spectrogram of test/&lt;i&gt;') == 2
    # 1,600 and 1,680 samples at 8 kHz.
    assert "0.2 s, 8 kHz, mono" in shown
    assert "0.21 s, 8 kHz, mono" in shown
    assert shown.count("data:audio/wav;base64,") == 2


def _entry(value):
    return {"value": value, "low": None, "high": None, "interval": None}


def test_many_slices_and_classes_are_cut_down_and_counted(tmp_path):
    slices = [
        {
            "column": "city",
            "value": f"c{i}",
            "examples": 5,
            "metrics": {"accuracy": _entry(i / 500)},
        }
        for i in range(500)
    ]
    overall = {"accuracy": _entry(0.5)} | {f"f1/c{i}": _entry(0.5) for i in range(300)}
    metrics = {"split": "test", "examples": 2500, "confidence": 0.95, "overall": overall}
    run = _run(tmp_path, [{"key": "a"}], metrics | {"slices": slices, "details": {}})
    found = evaluation.section(run)
    (column,) = found["slices"]
    assert column["not_drawn"] == 500 - evaluation.SLICE_ROWS
    assert column["left_out"] == 500 - evaluation.TABLE_ROWS
    assert found["parts"]["left_out"] == 300 - evaluation.MOST_PARTS
    # The farthest from 0.5 are the first twelve (from 0.0) and the last twelve (to 0.998).
    drawn = str(column["pictures"][0]["svg"])
    assert ">c0<" in drawn
    assert ">c499<" in drawn
    assert ">c250<" not in drawn
    assert found["matrix"] is None
    assert found["mistakes"] is None


def test_limits_and_differences_are_said_in_words(tmp_path):
    change = {"value": 0.9, "baseline": 0.92, "difference": -0.02, "low": -0.03, "high": -0.01}
    metrics = {
        "split": "test",
        "examples": 10,
        "confidence": 0.95,
        "baseline": {"accuracy": change},
    }
    metrics |= {"overall": {"accuracy": {**_entry(0.9), "low": 0.85, "high": 0.94}}, "slices": []}
    run = _run(tmp_path, [], metrics)
    check = {"metric": "accuracy", "value": 0.9, "slice": None, "reason": None}
    checks = [
        check | {"setting": "evaluate.thresholds.accuracy.min", "limit": 0.8, "passed": True},
        check | {"setting": "evaluate.baseline.accuracy.max_drop", "limit": 0.01, "passed": False},
    ]
    (tmp_path / "blessing.json").write_text(json.dumps({"blessed": False, "checks": checks}))
    run.artifacts["Blessing"] = tmp_path
    (row,) = evaluation.section(run)["metrics"]
    assert [(limit["text"], limit["passed"]) for limit in row["limits"]] == [
        ("at least 0.8", True),
        ("may fall by 0.01", False),
    ]
    assert row["interval"] == "0.8500 to 0.9400"
    assert row["baseline"] == "−0.0200 (−0.0300 to −0.0100) against 0.9200"


def test_searching_ends_at_its_limit_of_records(made_runs, tmp_path, monkeypatch):
    made_runs.WRITERS["Examples"](tmp_path, None)
    assert set(samples.find(tmp_path, "test", {"test-3", "test-11"})) == {"test-3", "test-11"}
    monkeypatch.setattr(samples, "SEARCH_RECORDS", 5)
    assert set(samples.find(tmp_path, "test", {"test-3", "test-11"})) == {"test-3"}


def test_only_the_shard_of_a_key_is_searched(made_runs, tmp_path, monkeypatch):
    """Twelve examples in four shards; those without a wanted key are damaged."""
    shards = [[], [], [], []]
    for key, values in made_runs._records("test"):
        _, order_hash = splits.key_hashes(key)
        place = next(i for i in range(4) if order_hash < 2**62 * (i + 1))  # quarters of 2**64
        shards[place].append((key, values))
    full = [place for place, records in enumerate(shards) if records]
    first, last = (shards[place][-1][0] for place in (full[0], full[-1]))
    for place, records in enumerate(shards):
        path = tmp_path / examples.shard_name("test", place, 4)
        lines = [example_codec.serialise(k, v, made_runs.FEATURES) for k, v in records]
        tfrecord.write_records(path, lines)
        if place not in (full[0], full[-1]):
            path.write_bytes(b"damaged")
    examples.write_description(tmp_path, made_runs.FEATURES, {"test": 12}, {"test": 4})
    # The limit is one for each shard: what stands before the last shard does not count.
    longest = max(len(shards[full[0]]), len(shards[full[-1]]))
    monkeypatch.setattr(samples, "SEARCH_RECORDS", longest)
    assert len(full) > 2
    assert set(samples.find(tmp_path, "test", {first, last})) == {first, last}


def test_samples_of_each_class_in_the_order_of_the_classes(made_runs, tmp_path):
    made_runs.WRITERS["Examples"](tmp_path, None)
    found = samples.sample(tmp_path, "train")
    assert [len(group["examples"]) for group in found.groups] == [3] * 6
    assert found.groups[2]["name"] == "a & b"
    assert [e["key"] for e in found.groups[2]["examples"]] == ["train-2", "train-8", "train-14"]
    assert dict(found.groups[2]["examples"][0]["facts"])["weight"] == "0.5"
    assert found.shows == "images"
