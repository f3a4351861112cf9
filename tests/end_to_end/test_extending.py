"""A user's own source, task and component (`tests/examples`), outside Penstock's packages.

They run as CONTRIBUTING says: from the folder that holds them, through the command line.
"""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_breast_cancer


def write_csv(path, bad_rows):
    """scikit-learn's 569 cases as the UCI's table, and some rows that cannot be used."""
    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    rows = [[*row, bunch.target_names[t]] for row, t in zip(bunch.data, bunch.target, strict=True)]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([[*names, "diagnosis"], *rows, *bad_rows])


BAD = [["?"] * 30 + ["benign"], [1.0] * 30 + ["unclear"]]


@pytest.fixture(scope="module")
def tumours(command_line, repository):
    """The folder of a user after `penstock run tumours.yaml`."""
    penstock = command_line("tumours")
    shutil.copytree(
        repository / "tests" / "examples",
        penstock.folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    write_csv(penstock.folder / "tumours.csv", BAD)
    penstock.first = penstock.json("run", "tumours.yaml")
    steps = penstock.json("show")["steps"]
    penstock.outputs = {name: o for step in steps for name, o in step["outputs"].items()}
    return penstock


def read_lines(directory, name):
    with open(f"{directory['path']}/{name}") as file:
        return [json.loads(line) for line in file]


def test_the_task_learns(tumours):
    assert tumours.first["state"] == "COMPLETE"
    evaluation = tumours.first["evaluation"]
    assert evaluation["metrics"]["accuracy"] >= 0.93  # 0.63 answers `benign` always
    assert set(evaluation["metrics"]) == {"accuracy", "recall/benign", "recall/malignant"}


def test_the_source_puts_rows_that_it_cannot_read_aside(tumours):
    bad = read_lines(tumours.outputs["quarantine"], "bad_records.jsonl")
    assert [(row["file"], row["index"]) for row in bad] == [
        ("tumours.csv", 569),
        ("tumours.csv", 570),
    ]
    assert bad[0]["reason"].startswith("A column holds no number: could not convert string")
    assert bad[1]["reason"].startswith("The label must be one of ('malignant', 'benign'), not 'un")


def test_the_component_has_counted_the_labels(tumours):
    with open(f"{tumours.outputs['report']['path']}/labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = {(row["split"], row["label"]): int(row["examples"]) for row in rows}
    assert {split for split, _ in counts} == {"train", "validation", "test"}
    totals = {n: sum(c for (_, label), c in counts.items() if label == n) for _, n in counts}
    assert totals == {"malignant": 212, "benign": 357}  # as the data set's own description says
    assert (
        counts["test", "benign"] + counts["test", "malignant"]
        == (tumours.first["evaluation"]["examples"])
    )


def test_the_served_model_takes_named_numbers(tumours):
    bunch = load_breast_cancer()
    names = [name.replace(" ", "_") for name in bunch.feature_names]
    served = tf.saved_model.load(str(tumours.folder / "serving" / "tumours" / "1"))
    columns = {
        name: tf.constant(bunch.data[:, i], tf.float32)
        for i, name in enumerate(names)
        if name.startswith("worst_")
    }
    answer = served.signatures["serving_default"](**columns)
    labels = np.array([label.decode() for label in answer["label"].numpy()])
    assert np.mean(labels == bunch.target_names[bunch.target]) >= 0.95
    probability = answer["probability"].numpy()
    assert np.all((probability >= 0.5) & (probability <= 1))
    rows = read_lines(tumours.outputs["evaluation"], "rows.jsonl")
    assert len(rows) == tumours.first["evaluation"]["examples"]
    assert all(labels[int(row["key"])] == row["predicted"] for row in rows)


def test_what_is_edited_runs_again_and_what_feeds_it_does_not(tumours):
    for name, before, after in (
        ("diagnosis/networks.py", '"relu"', '"tanh"'),
        ("label_report.py", '"examples"]', '"count"]'),
    ):
        path = tumours.folder / "clinic" / name
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    ran = set(tumours.ran("tumours.yaml", "train.epochs=2"))
    assert ran >= {"LabelReport", "Trainer", "Evaluator"}
    assert not ran & {"ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform"}


def test_the_package_may_lie_on_pythonpath(tumours, command_line):
    elsewhere = command_line("elsewhere")
    config = str(tumours.folder / "tumours.yaml")
    settings = (config, f"data.source.path={tumours.folder / 'tumours.csv'}")
    said = elsewhere("validate", *settings, PYTHONPATH=str(tumours.folder)).stdout
    assert said == f"{config} is valid: 10 steps, task clinic.diagnosis.\n"
    said = elsewhere("validate", *settings, code=2).stderr
    assert "Received: 'clinic.diagnosis'." in said
    assert "A package of your own must lie in the current folder or on PYTHONPATH." in said
    assert "A module of your own must lie in a package, in the current folder or on PYTHONPATH" in (
        said
    )


def test_the_code_in_contributing_is_the_code_that_runs_here(repository):
    text = (repository / "CONTRIBUTING.md").read_text()
    shown = re.findall(r"```python\n# (tests/examples/\S+)\n(.*?)```", text, re.DOTALL)
    assert [path for path, _ in shown] == [
        "tests/examples/clinic/table.py",
        "tests/examples/clinic/label_report.py",
    ]
    for path, code in shown:
        assert code == (repository / path).read_text()


def test_contributing_names_every_output_that_a_component_can_read(tumours, repository):
    text = (repository / "CONTRIBUTING.md").read_text()
    steps = tumours.json("show")["steps"]
    outputs = {f"{step['step']}.{name}" for step in steps for name in step["outputs"]}
    outputs.remove("LabelReport.report")
    assert len(outputs) == 12
    assert {name for name in outputs if f"`{name}`" not in text} == set()


def test_contributing_names_files_that_are_there(repository):
    text = (repository / "CONTRIBUTING.md").read_text()
    names = re.findall(r"`((?:tfx|models|pipelines|tests|configs)/[\w./]+)`", text)
    assert len(names) >= 10
    assert [name for name in names if not (repository / name).exists()] == []
