"""`penstock doctor CONFIG`, second part: what is measured, and what is made of it."""

import itertools
import json

import pytest

from penstock.tfx.doctor import bottleneck, speed, throughput
from penstock.tfx.doctor.speed import check_speed
from penstock.tfx.load_config import resolve

INPUT = {"batch": 20_000.0, "augment": 1_000.0, "training inputs": 1_000.0}
MEASURED = {
    "batch_size": 64,
    "devices": ["CPU"],
    "prepare": {"read": 9_000.0, "prepare": 500.0},
    "input": INPUT,
    "step": 5_000.0,
    "training": {"rate": 900.0, "waiting": 0.8},
    "changed": {
        "train.cache=off": {"rate": 850.0},
        "train.steps_per_execution=8": {"rate": 1_080.0},
    },
}


def judge(**changes) -> dict[str, tuple[str, str]]:
    found = bottleneck.judge(MEASURED | changes)
    return {finding.name: (finding.status, finding.text) for finding in found}


def test_a_training_that_waits_for_its_input():
    status, text = judge()["bound"]
    # 900 of the 1,000 examples/s that the whole input gives; an example takes 50 µs to read and
    # 950 µs more to augment.
    assert status == "tip"
    assert "the input bounds this training" in text
    assert "reaches 900 examples/s, 90% of what the input alone does; 80% of the time" in text
    assert text.endswith("The dearest part of the input is `augment`")


def test_a_training_whose_model_is_slower():
    given = {"step": 950.0, "training": {"rate": 931.0, "waiting": 0.02}}
    status, text = judge(**given, input={"batch": 20_000.0})["bound"]
    assert status == "ok"
    assert "the model's step bounds this training: training reaches 931 examples/s, 98%" in text


def test_the_setting_that_helps_most_is_named_with_its_gain():
    status, text = judge()["advice"]
    assert status == "tip"
    assert text.startswith(
        "`train.steps_per_execution=8` would help most: 1,080 instead of 900 examples/s (+20%)"
    )
    assert "another batch size" not in text
    other = judge(changed={"train.batch_size=128": {"rate": 2_000.0}})["advice"][1]
    assert "(another batch size is another training: look at its quality too)" in other


@pytest.mark.parametrize("changed", [{}, {"train.xla=on": {"rate": 980.0}}], ids=["none", "noise"])
def test_no_advice_where_nothing_helps(changed):
    assert judge(changed=changed)["advice"][0] == "ok"


def test_a_rate_counts_what_comes_after_the_first_batch(monkeypatch):
    clock = itertools.count(step=0.5)
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    # The clock is read at 0 (begin), 0.5, 1.0, 1.5 and 2.0 (end): three batches in 2 s.
    monkeypatch.setattr(throughput, "SECONDS", 2.0)
    assert throughput.rate(itertools.repeat(None), 10) == 15.0


def test_every_part_is_measured(workshop, monkeypatch):
    monkeypatch.setattr(throughput, "SECONDS", 0.15)
    monkeypatch.setattr(throughput, "_alternatives", lambda subject: [("cache", "off")])
    found = throughput.measure(workshop.speed_request(batch_size=6, deterministic="off"))
    assert list(found["prepare"]) == ["read", "parse", "decode", "prepare"]
    assert list(found["input"]) == ["batch", "augment", "training inputs"]
    assert list(found["changed"]) == ["train.cache=off"]
    rates = [*found["prepare"].values(), *found["input"].values(), found["step"]]
    assert min(*rates, found["training"]["rate"], found["changed"]["train.cache=off"]["rate"]) > 0
    assert 0 <= found["training"]["waiting"] <= 1
    json.dumps(found)


@pytest.mark.parametrize(
    ("train", "free", "tried"),
    [
        ({}, 2**40, [("cache", "off"), ("batch_size", 64)]),
        ({"cache": "off"}, 2**40, [("cache", "memory"), ("batch_size", 64)]),
        # 60 images of 8x8 bytes and a label of 8 each: 4,320 bytes.
        ({"cache": "disk", "batch_size": 8}, 8_640, [("batch_size", 16)]),
    ],
    ids=["in memory", "room", "no room"],
)
def test_memory_is_tried_where_it_has_room(workshop, monkeypatch, train, free, tried):
    monkeypatch.setattr("penstock.tfx.memory.free_bytes", lambda: free)
    monkeypatch.setattr(throughput, "_measured", throughput._alternatives)
    found = throughput.measure(workshop.speed_request(xla="off", **train))
    assert found[: len(tried)] == tried
    assert sum(name == "cache" for name, _ in found) == sum(name == "cache" for name, _ in tried)


def test_smaller_last_batches_count_for_what_they_are(workshop, monkeypatch):
    monkeypatch.setattr(throughput, "READ_BATCH", 40)
    monkeypatch.setattr(throughput, "_measured", throughput._preparation)
    monkeypatch.setattr(throughput, "rate", lambda batches, size: size)
    # 60 examples are batches of 40 and 20.
    found = throughput.measure(workshop.speed_request())
    assert set(found.values()) == {30.0}


def test_an_empty_folder_stays_empty(tmp_path):
    assert speed._artifacts("digits", tmp_path, None) is None
    assert list(tmp_path.iterdir()) == []


def test_without_a_task_there_is_no_training_to_measure(tmp_path):
    config, faults = resolve(
        {"name": "digits", "data": {"source": {"type": "sklearn", "dataset": "digits"}}}
    )
    assert not faults
    (finding,) = check_speed(config, tmp_path / "none", None)
    assert str(finding) == (
        "ok  speed: the config has no `task`, so there is no training to measure"
    )


def test_without_prepared_data_there_is_nothing_to_measure(tmp_path):
    document = {
        "name": "digits",
        "task": "vision.classification",
        "data": {"source": {"type": "sklearn", "dataset": "digits"}},
    }
    config, faults = resolve(document)
    assert not faults
    (finding,) = check_speed(config, tmp_path / "none", None)
    assert (finding.status, finding.name) == ("tip", "speed")
    assert "no run of this pipeline in the store has come as far as Transform" in finding.text
    assert list(tmp_path.iterdir()) == []
