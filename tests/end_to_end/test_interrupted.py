"""The real digits run, killed three times and interrupted once: it ends as if nothing had been."""

import json
import signal
import time

import pytest


def _newest_run(penstock):
    return penstock.json("runs")[-1]


def test_three_kills_and_a_ctrl_c_change_nothing(command_line, digits_config):
    penstock = command_line("killed")
    arguments = (digits_config, "train.checkpoint_every_steps=5")
    # 1. Ctrl-C as soon as the first step is under way.
    process = penstock.start("run", *arguments)
    deadline = time.monotonic() + 60
    while not list(penstock.folder.glob(".penstock/runs/*/logs/ExampleGen.log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    run = _newest_run(penstock)
    assert run["state"] == "INTERRUPTED"
    assert f"Go on with: penstock resume {run['run']}" in errors
    # 2. The orchestrator is killed between the rename of Transform's outputs and their commit.
    penstock("resume", run["run"], code=-9, PENSTOCK_CRASH_AT="commit:renamed@Transform")
    assert _newest_run(penstock)["state"] == "INTERRUPTED"
    # 3. The orchestrator is killed while the Trainer trains (its worker dies with it).
    process = penstock.start("resume", run["run"], "--json")
    for line in process.stderr:
        if line.startswith("Transform "):
            break
    pattern = ".penstock/runs/*/scratch/Trainer-*/checkpoints/step-*"
    while not list(penstock.folder.glob(pattern)) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    # 4. The worker is killed after the model got its version number, and so is the one that retries.
    penstock("resume", run["run"], code=1, PENSTOCK_CRASH_AT="push:trimmed")
    penstock("resume", run["run"])
    assert [p.name for p in (penstock.folder / "serving/digits").glob("[0-9]*")] == ["1"]
    digests = penstock.digests(run["run"])
    training = next(penstock.folder.glob(".penstock/artifacts/Trainer/*/model/training.json"))
    assert json.loads(training.read_text())["resumed_at"] is not None
    # The uninterrupted run with the same settings: how often to save is one of them.
    penstock("run", *arguments, "store.directory=other", "push.destination=elsewhere")
    whole = penstock.json("show", "latest", "--store", "other")["steps"]
    assert len(whole) == 9
    for step in whole:
        for name, output in step["outputs"].items():
            key = f"{step['step']}.{name}"
            assert digests[key] == output["content_digest"], key


def test_a_resume_of_a_complete_run_says_that_there_is_nothing_to_do(digits):
    first = digits.json("runs")[0]["run"]
    before = digits.json("show", first)
    done = digits("resume", first)
    assert done.stderr == f"The run {first} is complete: there is nothing to resume.\n"
    assert digits.json("show", first) == before


@pytest.mark.parametrize("arguments", [("show", "no-such-run"), ("why", "no-such-run", "Trainer")])
def test_an_unknown_run_names_those_that_exist(digits, arguments):
    done = digits(*arguments, code=2)
    assert "'no-such-run' is no run of this store" in done.stderr
    assert "digits-" in done.stderr
