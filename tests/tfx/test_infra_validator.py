"""InfraValidator: a SavedModel must answer golden records as Keras did, in time and in memory."""

import json
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.tfx.component import Input
from penstock.tfx.components.infra_validator import InfraValidator
from penstock.tfx.training import golden


@pytest.fixture
def validate(workshop):
    """`validate(model, **infra)` returns (context, parity.json)."""

    def run(model, **infra):
        context = workshop.run(InfraValidator, {"infra": infra}, {"model": model})
        path = context.outputs["parity"].path / "parity.json"
        return context, json.loads(path.read_text())

    return run


@pytest.fixture
def copied(workshop, trained, tmp_path):
    """A copy of the trained model's directory, to be spoiled."""
    model = workshop.model(trained)
    shutil.copytree(model.path, tmp_path / "model")
    return Input(tmp_path / "model", "Model", model.content_digest)


def test_passes(validate, workshop, trained):
    model = workshop.model(trained)
    context, parity = validate(model)
    assert context.gate is None
    assert still_true(context) is None
    assert (parity["format_version"], parity["passed"], parity["reasons"]) == (1, True, [])
    assert parity["model"] == model.content_digest
    assert parity["examples"] == 5
    assert 0 < parity["latency_ms"]["p50"] <= parity["latency_ms"]["p99"]
    assert parity["memory_mb"]["peak"] > parity["memory_mb"]["before_load"] > 0
    assert context.outputs["parity"].properties == {"passed": True}


def test_other_answers_fail(validate, copied):
    requests, answers = golden.load(copied.path)
    answers["probabilities"][2] *= 1.001
    answers["label"][4] = b"another"
    golden.save(copied.path, requests, answers)
    context, parity = validate(copied)
    assert not parity["passed"]
    together, alone = parity["reasons"][:2], parity["reasons"][2:]
    assert together[0].startswith(
        "All together: `label` must equal the Keras model's answer exactly"
    )
    assert "First at [4]: expected b'another'" in together[0]
    assert "`probabilities` must equal the Keras model's answer within 0.0001" in together[1]
    assert [reason.split(":")[0] for reason in alone] == ["Example 2 alone", "Example 4 alone"]
    assert context.gate.startswith("The model would not serve as it should. All together: `label`")
    assert context.outputs["parity"].properties == {"passed": False}
    # Where that much is allowed, only the string is wrong.
    assert len(validate(copied, relative_tolerance=0.01)[1]["reasons"]) == 2
    # The same model gives the same answers again, so that this verdict may be cached.
    assert parity["measured_failure"] is False
    assert still_true(context) is None


def test_model_that_fails_on_a_request(validate, copied):
    requests, answers = golden.load(copied.path)
    requests["image"][1] = b"no image"
    golden.save(copied.path, requests, answers)
    parity = validate(copied)[1]
    reasons = parity["reasons"]
    assert parity["latency_ms"] is None
    assert [r.split(":")[0] for r in reasons] == ["All together", "Example 1 alone"]
    assert "An image must be the bytes of a PNG or JPEG file" in reasons[0]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_latency_ms": 0.0001}, "above the limit of 0.0001 ms (`infra.max_latency_ms`)"),
        ({"max_memory_mb": 1.0}, "above the limit of 1 MB (`infra.max_memory_mb`)"),
    ],
    ids=["latency", "memory"],
)
def test_limits(validate, workshop, trained, limits, reason):
    context, parity = validate(workshop.model(trained), **limits)
    assert len(parity["reasons"]) == 1
    assert reason in parity["reasons"][0]
    assert reason in context.gate
    assert parity["measured_failure"] is True
    assert "may differ now" in still_true(context)


def still_true(context):
    outputs = {"parity": Input(context.outputs["parity"].path, "ParityReport", "x")}
    return InfraValidator.still_true(context.parameters, context.inputs, outputs)


def test_fresh_process_knows_neither_tasks_nor_beam(workshop, trained):
    environment = InfraValidator.environment(None)
    assert (environment.tensorflow, environment.fresh, environment.beam) == (True, True, False)
    program = (
        "import sys; from pathlib import Path\n"
        "from penstock.tfx.config import InfraConfig\n"
        "from penstock.tfx.evaluation import parity\n"
        "report = parity.validate(Path(sys.argv[1]), InfraConfig())\n"
        "ours = [name for name in sys.modules if name.startswith('penstock.models')]\n"
        "print(report['passed'], 'apache_beam' in sys.modules, ours)\n"
        "print(report['memory_mb']['growth_by_load'] > 0)\n"
    )
    command = [sys.executable, "-c", program, str(trained.outputs["model"].path)]
    done = subprocess.run(command, cwd=workshop.root, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["True False []", "True"], done.stderr[-2000:]


# Golden records -------------------------------------------------------------------------------


def test_golden_records_survive(tmp_path):
    requests = {
        "image": np.array([b"\x00\xff\x00", b"", "ü".encode()], object),
        "number": np.array([[1.5], [2.5], [np.nan]], np.float32),
    }
    answers = {"id": np.array([1, 2, 3]), "words": np.array([[b"a", b""]] * 3, object)}
    golden.save(tmp_path, requests, answers)
    loaded = golden.load(tmp_path)
    for expected, found in zip((requests, answers), loaded, strict=True):
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype
    assert tf.constant(loaded[0]["image"]).dtype == tf.string


@pytest.mark.parametrize(
    ("expected", "received", "same"),
    [
        ([1.0, 2.0], [1.00009, 2.0], True),
        ([1.0, 2.0], [1.00011, 2.0], False),
        # What lies within a millionth of the largest, 1e-6 here, is noise of float32.
        ([1.0, 1e-3], [1.0, 1e-3 + 1.09e-6], True),
        ([1.0, 1e-3], [1.0, 1e-3 + 1.12e-6], False),
        ([1.0, 0.0], [1.0, -0.9e-6], True),
        ([1.0, np.inf, 0.0], [1.0, np.inf, 1.1e-6], False),
        ([0.0, 0.0], [0.0, 1e-30], False),
        ([np.nan, np.inf], [np.nan, np.inf], True),
        ([np.nan, 1.0], [1.0, 1.0], False),
        ([np.inf, 1.0], [1e30, 1.0], False),
    ],
)
def test_floats_that_count_as_equal(expected, received, same):
    found = golden.differences(
        {"x": np.array(expected, np.float32)}, {"x": np.array(received, np.float32)}, 1e-4
    )
    assert (found == []) == same


def test_noise_of_one_row_is_that_of_the_stored_tensor():
    """1e-7 of noise beside a largest value of 1e-3 is too much, beside 1.0 elsewhere it is not."""
    expected, received = {"x": np.array([[1e-3, 1e-6]])}, {"x": np.array([[1e-3, 1.1e-6]])}
    stored = {"x": np.array([[1.0, 0.5], [1e-3, 1e-6]])}
    assert golden.differences(expected, received, 1e-4) != []
    assert golden.differences(expected, received, 1e-4, stored) == []
    received["x"][0, 1] = 3e-6
    assert golden.differences(expected, received, 1e-4, stored) != []


def test_regression_model_alone_answers_as_together():
    """Sums of 512 terms of either sign: float32 noise near zero is far above 1e-4 relative."""
    generator = np.random.default_rng(0)
    first, second = (generator.normal(0, 1 / 23, (512, n)).astype(np.float32) for n in (512, 128))
    x = generator.normal(0, 1, (64, 512)).astype(np.float32)
    exact = {"y": np.float32(x.astype(float) @ first.astype(float) @ second.astype(float))}
    model = keras.Sequential(
        [keras.Input((512,)), keras.layers.Dense(512), keras.layers.Dense(128)]
    )
    model.set_weights([first, np.zeros(512), second, np.zeros(128)])
    served = {"y": model(x).numpy()}
    apart = np.abs(served["y"] - exact["y"])
    assert (apart > 1e-4 * np.abs(exact["y"])).any()  # Each value for itself would not pass.
    assert golden.differences(exact, served, 1e-4) == []
    for row in range(64):
        rows = {name: {"y": v["y"][row : row + 1]} for name, v in [("e", exact), ("s", served)]}
        assert golden.differences(rows["e"], rows["s"], 1e-4, exact) == []
    served["y"][3, 7] += 1e-3 * np.abs(exact["y"]).max()
    assert len(golden.differences(exact, served, 1e-4)) == 1


@pytest.mark.parametrize(
    ("received", "sentence"),
    [
        ({"y": np.array([1])}, "The answer must hold x. Received: y."),
        ({"x": np.array([[1]])}, r"`x` must have the shape \(2,\). Received: \(1, 1\)."),
        ({"x": np.array([1, 3])}, r"exactly; 1 of 2 values differ. First at \[1\]"),
    ],
)
def test_sentences_about_differences(received, sentence):
    (found,) = golden.differences({"x": np.array([1, 2])}, received, 1e-4)
    assert re.search(sentence, found)
