"""Several seeds of a config: the numbers by hand and by scipy, and what is called."""

import importlib
import re
import sys

import pytest
from scipy import stats

CONFIG = "configs/vision/digits.yaml"
# Stands for `penstock run`: the accuracy follows from the seed, and `train.epochs=1` costs 0.1.
FAKE = """
import json, sys
settings = dict(argument.split("=", 1) for argument in sys.argv[3:] if "=" in argument)
assert settings["store.directory"] and settings["push.destination"].endswith("/serving")
accuracy = 0.9 + 0.01 * int(settings["seed"]) - 0.1 * ("train.epochs" in settings)
metrics = {"accuracy": accuracy, "precision/3": 0.5}
print(json.dumps({"evaluation": {"metrics": metrics}}))
sys.exit(3 if "train.epochs" in settings else 0)
"""


@pytest.fixture
def seeds(repository, monkeypatch):
    """The module, with a command that trains nothing."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    module = importlib.import_module("seeds")
    monkeypatch.setattr(module, "PENSTOCK", [sys.executable, "-c", FAKE])
    monkeypatch.chdir(repository)
    return module


def test_the_interval_is_scipys(seeds):
    differences = [0.01, 0.03, 0.02, 0.05, -0.01]
    low, mean, high = seeds.interval(differences)
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx(0.02)


def test_the_interval_by_hand(seeds):
    """1, 2, 3: deviation 1, error 1 / sqrt(3) = 0.5774, t of 2 degrees of freedom 4.3027."""
    low, mean, high = seeds.interval([1.0, 2.0, 3.0])
    assert (low, mean, high) == pytest.approx((2 - 2.4842, 2.0, 2 + 2.4842), abs=1e-3)


def test_each_seed_is_run_and_shown(seeds, capsys):
    seeds.main([CONFIG, "model.dropout=0.1", "--seeds", "0", "1", "2"])
    output = capsys.readouterr().out
    # 0.90, 0.91, 0.92: the deviation is 0.01.
    assert "| accuracy | 0.9000 | 0.9100 | 0.9200 | 0.9100 | 0.0100 |" in output
    assert "digits.yaml model.dropout=0.1; seeds 0, 1, 2" in output
    [seconds] = re.findall(r"\| seconds \| (\S+) \|", output)
    assert 0 < float(seconds) < 60
    assert "precision" not in output
    assert "Gain" not in output


def test_the_gain_is_paired_and_a_closed_gate_is_no_failure(seeds, capsys):
    seeds.main([CONFIG, "--seeds", "0", "1", "--against", "train.epochs=1 train.batch_size=8"])
    output = capsys.readouterr().out
    assert "With train.epochs=1 train.batch_size=8" in output
    # Each seed loses the same 0.1, so that the interval has no width.
    assert "| accuracy | +0.1000 | +0.1000 | +0.1000 |" in output


def test_one_seed_has_no_interval(seeds, capsys):
    with pytest.raises(SystemExit):
        seeds.main([CONFIG, "--seeds", "0", "--against", "train.epochs=1"])
    assert "`--against` needs two seeds or more" in capsys.readouterr().err


def test_a_failed_run_ends_it(seeds, monkeypatch):
    monkeypatch.setattr(seeds, "PENSTOCK", [sys.executable, "-c", "import sys; sys.exit('broken')"])
    with pytest.raises(SystemExit, match="(?s)penstock run ended with 1:.*broken"):
        seeds.main([CONFIG, "--seeds", "0"])


def test_a_gate_before_the_training_ends_it_with_its_reason(seeds, monkeypatch):
    code = 'print(\'{"evaluation": {}, "reason": "The data drifted."}\'); raise SystemExit(3)'
    monkeypatch.setattr(seeds, "PENSTOCK", [sys.executable, "-c", code])
    with pytest.raises(SystemExit, match="no model to measure.*The data drifted"):
        seeds.main([CONFIG, "--seeds", "0"])
