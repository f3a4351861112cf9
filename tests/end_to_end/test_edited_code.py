"""Which steps run again after an edit of a task's code: a user's own task, copied from a shipped one."""

import shutil

import pytest


@pytest.fixture(scope="module")
def own_task(command_line, repository, digits_config):
    """A user's package `my_digits` beside a config that names it, run once (one epoch)."""
    penstock = command_line("own")
    package = penstock.folder / "my_digits"
    shutil.copytree(
        repository / "models" / "vision" / "classification",
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for path in package.glob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("penstock.models.vision.classification", "my_digits"))
    penstock.arguments = (
        digits_config,
        "task=my_digits",
        "train.epochs=1",
        "model={type: mlp, hidden_units: [2]}",
        "evaluate.thresholds={}",
    )
    penstock("run", *penstock.arguments)
    penstock.package = package
    return penstock


def _edit(path, before, after):
    text = path.read_text()
    assert text.count(before) >= 1
    path.write_text(text.replace(before, after, 1))


def test_a_comment_runs_nothing(own_task):
    for name in ("data.py", "networks.py", "task.py", "config.py"):
        path = own_task.package / name
        path.write_text(f"# A comment.\n{path.read_text()}\n\n# Another.\n")
    assert own_task.ran(*own_task.arguments) == []


def test_networks_run_the_trainer_and_nothing_before_it(own_task):
    path = own_task.package / "networks.py"
    path.write_text(path.read_text() + "\n\nADDED = 1\n")
    # Dies where the first step begins that does not come from the cache.
    own_task("run", *own_task.arguments, code=-9, PENSTOCK_CRASH_AT="execution:recorded")
    steps = {step["step"] for step in own_task.json("show")["steps"]}
    assert steps == {"ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform"}


def test_prepare_inputs_runs_transform_onward_and_not_example_gen(own_task):
    path = own_task.package / "data.py"
    _edit(
        path,
        "def prepare_inputs(self, features, state):",
        "def prepare_inputs(self, features, state, unused=0):",
    )
    # As far as the Trainer: a new model is judged, loaded and pushed in `test_digits.py`.
    own_task("run", *own_task.arguments, code=-9, PENSTOCK_CRASH_AT="execution:recorded@Evaluator")
    steps = own_task.json("show")["steps"]
    ran = {step["step"] for step in steps if step["how"] == "executed"}
    # The Trainer's code is both files, though Transform's outputs are equal.
    assert ran == {"Transform", "Trainer"}
    assert "code `my_digits.data` changed" in own_task("why", "latest", "Transform").stdout
    said = own_task("why", "latest", "Trainer").stdout
    assert "code `my_digits.data` changed" in said
    assert "code `my_digits.networks` changed" in said
