"""A config without a task: a check of the data that trains nothing."""

import json

import pytest
import yaml

from penstock.tfx.inspect_commands import diff_runs, list_runs, show_run, why_step
from penstock.tfx.load_config import ConfigError, as_yaml, load_config
from penstock.tfx.report.write import write_report
from penstock.tfx.run_command import _checked, resume_run, run_config, validate_config
from penstock.tfx.standard_pipeline import standard_pipeline
from penstock.tfx.store import Store

STEPS = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(data=None, **sections):
        source = {"source": {"type": "sklearn", "dataset": "iris"}}
        document = {"name": "nightly", "data": source | (data or {})} | sections
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return "c.yaml"

    return write


def test_the_pipeline_ends_with_the_gate_of_the_data(write, capsys):
    path = write(data={"splits": {"past": 0.9, "now": 0.1}})
    pipeline = standard_pipeline(load_config(path))
    assert [step.name for step in pipeline.steps] == STEPS
    assert pipeline.step("SchemaGen").parameters.train_split == "past"
    assert validate_config(path, (), False) == 0
    assert "is valid: 4 steps, no task: the data are checked." in capsys.readouterr().out


def test_the_saved_config_loads_equal(write, tmp_path):
    config = load_config(write(), ("data.max_bad_fraction=0.5",))
    (tmp_path / "saved.yaml").write_text(as_yaml(config))
    again = load_config(tmp_path / "saved.yaml")
    assert again.dump() == config.dump()
    assert not {"task", "train", "evaluate", "infra", "push"} & set(config.dump())


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"epochs": 3}}, "`train` needs a task, and the config has none: it ends when"),
        ({"model": {"type": "cnn"}}, "`model` needs a task, and the config has none"),
        ({"stor": {}}, "Unknown key `stor`. Did you mean: `store`?"),
        ({"tsk": "vision.classification"}, "Unknown key `tsk`. Did you mean: `task`?"),
    ],
    ids=["pipeline-section", "task-section", "slip", "task-misspelt"],
)
def test_sections_about_a_model_are_faults(write, sections, said):
    with pytest.raises(ConfigError) as caught:
        load_config(write(**sections))
    (fault,) = caught.value.faults
    assert fault.startswith(said)


@pytest.mark.parametrize(
    ("read", "judged", "said"),
    [
        ({"bad": 1}, {"anomalies": 1}, "1 bad record, 1 anomaly, 0 warnings"),
        ({"bad": 0, "warnings": 1}, {"anomalies": 2}, "0 bad records, 2 anomalies, 1 warning"),
        ({"bad": 0, "warnings": 2}, {"warnings": 3}, "0 bad records, 0 anomalies, 5 warnings"),
        ({"bad": 0, "warnings": 2}, None, "0 bad records, not compared with a schema"),
    ],
)
def test_what_was_checked_is_counted_in_good_english(read, judged, said):
    steps = {"ExampleGen": {"summary": {"examples": 1, "splits": "train 1"} | read}}
    steps |= {"ExampleValidator": {"summary": judged}} if judged else {}
    assert _checked(steps) == f"checked 1 example (train 1): {said}"


def test_every_command_takes_such_a_run(write, capsys, tmp_path):
    assert run_config(write(), (), False, False) == 0
    said = capsys.readouterr().out
    # The iris table has 150 rows (Fisher, 1936).
    assert "checked 150 examples (train " in said
    assert "): 0 bad records, 0 anomalies, " in said
    assert resume_run(None, ".penstock", None, False, False) == 0
    assert show_run(None, ".penstock", None, True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [step["step"] for step in shown["steps"]] == STEPS
    assert why_step(shown["run"], "SchemaGen", ".penstock", None, False) == 0
    assert "SchemaGen ran because" in capsys.readouterr().out
    assert list_runs(".penstock", None, False) == 0
    assert f"{shown['run']}  COMPLETE " in capsys.readouterr().out
    assert diff_runs(shown["run"], shown["run"], ".penstock", None, False) == 0
    assert capsys.readouterr().out == "The two runs do not differ.\n"
    assert write_report(None, ".penstock", None, str(tmp_path / "page.html")) == 0
    page = (tmp_path / "page.html").read_text()
    assert "the pipeline nightly checked 150 examples from sklearn iris" in page
    assert not any(f'id="{name}"' in page for name in ("training", "evaluation", "serving"))


def test_two_checks_of_data_are_compared_by_what_they_found(tmp_path, capsys):
    store = Store(tmp_path / "store")
    reason = "It is bad. " * 40
    parts = ("parameters", "inputs", "code", "libraries", "files", "outputs", "environment")
    ingredients = {"component": "c"} | {part: {} for part in parts}
    for run, bad, anomalies, ending in (("a", 0, 0, "COMPLETE"), ("b", 1234, 1, "STOPPED")):
        store.metadata.begin_run(run, "p", {})
        summaries = {
            "ExampleGen": {"examples": 5000, "bad": bad, "splits": "train 5,000"},
            "ExampleValidator": {"anomalies": anomalies, "warnings": 2 * anomalies},
        }
        for step, summary in summaries.items():
            id = f"{step}-{run}"
            store.metadata.begin_execution(id, run, step, f"p:{step}", id, ingredients)
            document = {"gate": None, "summary": summary, "seconds": 1.0}
            store.metadata.complete_execution(id, document | {"outputs": {}, "inputs": {}}, id)
        facts = {"reason": reason if ending == "STOPPED" else None, "stopped_at": None}
        store.metadata.end_run(run, ending, facts)
    assert diff_runs("a", "b", str(store.directory), None, False) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"end      reason: none -> {reason[:159]}…",
        "end      state: COMPLETE -> STOPPED",
        "step     ExampleGen: ran again",
        "step     ExampleValidator: ran again",
        "data     anomalies: 0 -> 1",
        "data     bad: 0 -> 1,234",
        "data     warnings: 0 -> 2",
    ]
