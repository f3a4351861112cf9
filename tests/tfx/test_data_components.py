"""The five data components on real digits, each called as a worker calls it."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.pipelines import examples
from penstock.pipelines.inputs import inputs
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.transform.state import State
from penstock.pipelines.validation import anomalies, schema
from penstock.tfx.component import Environment, ExecutionContext, Input, Output
from penstock.tfx.components.example_gen import ExampleGen
from penstock.tfx.components.example_validator import ExampleValidator
from penstock.tfx.components.schema_gen import SchemaGen
from penstock.tfx.components.statistics_gen import StatisticsGen
from penstock.tfx.components.transform import Transform

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
DIGITS = {"type": "sklearn", "dataset": "digits"}


def execute(component, root, parameters, **directories):
    """Runs a component; returns (paths of the outputs, last progress values, gate, context)."""
    outputs = {}
    for name, artifact in component.outputs.items():
        path = root / component.__name__ / name
        path.mkdir(parents=True)
        outputs[name] = Output(path, artifact.__name__)
    scratch = root / component.__name__ / "scratch"
    scratch.mkdir(parents=True)
    given = {name: Input(path, "", "") for name, path in directories.items()}
    messages = []
    context = ExecutionContext(parameters, given, outputs, scratch, report=messages.append)
    component.execute(context)
    paths = {name: output.path for name, output in outputs.items()}
    return paths, messages[-1]["values"], context


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    found = {"root": root}
    parameters = ExampleGen.Parameters(source=DIGITS, splits=SPLITS)
    found |= execute(ExampleGen, root, parameters)[0]
    found |= execute(StatisticsGen, root, StatisticsGen.Parameters(), examples=found["examples"])[0]
    found |= execute(SchemaGen, root, SchemaGen.Parameters(), statistics=found["statistics"])[0]
    return found


@pytest.mark.parametrize(
    ("name", "hint"),
    [("labels", "Did you mean 'label'?"), ("image", "It has: label."), ("label", None)],
)
def test_a_stratum_that_is_no_label_is_a_fault_before_the_run(name, hint):
    parameters = ExampleGen.Parameters(source=DIGITS, splits=SPLITS, stratify=name)
    fault = f"`data.stratify` must name a label of the source. Received: {name!r}. {hint}"
    assert ExampleGen.check(parameters) == ([fault] if hint else [])


def test_features_that_cannot_be_described_are_a_fault_before_the_run(tmp_path):
    annotations = {}
    for number, split in enumerate(("train", "val")):
        annotations[split] = str(tmp_path / f"{split}.json")
        categories = [{"id": 1, "name": f"cat{number}"}]
        document = {"images": [], "annotations": [], "categories": categories}
        (tmp_path / f"{split}.json").write_text(json.dumps(document))
    images = dict.fromkeys(annotations, str(tmp_path))
    source = {"type": "coco", "annotations": annotations, "images": images}
    parameters = ExampleGen.Parameters(source=source, splits=SPLITS, stratify="label")
    (fault,) = ExampleGen.check(parameters)
    assert "All splits of `data.source.annotations` must have the same ids and names." in fault


def test_example_gen_says_what_it_did(tmp_path):
    parameters = ExampleGen.Parameters(source=DIGITS, splits=SPLITS)
    paths, values, context = execute(ExampleGen, tmp_path, parameters)
    assert values == {
        "examples": 1797,
        "bad": 0,
        "splits": "train 1,430, validation 180, test 187",
    }
    assert context.gate is None
    assert context.outputs["examples"].properties["splits"] == examples.splits(paths["examples"])
    assert quarantine.read(paths["quarantine"]) == []


def folder_with_bad_files(root, good, bad):
    for index in range(good):
        path = root / "images" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 3), index).save(path)
    for index in range(bad):
        (root / "images" / "class0" / f"bad{index}.png").write_bytes(b"")
    return {"type": "image_folder", "path": str(root / "images")}


@pytest.mark.parametrize(
    ("bad", "limit", "stops"), [(1, 0.1, False), (2, 0.1, True)], ids=["under", "over"]
)
def test_too_many_bad_records_close_the_gate(tmp_path, bad, limit, stops):
    source = folder_with_bad_files(tmp_path, 10, bad)
    parameters = ExampleGen.Parameters(source=source, splits={"train": 1.0}, max_bad_fraction=limit)
    paths, values, context = execute(ExampleGen, tmp_path, parameters)
    # 1 of 11 are 9.1 %, 2 of 12 are 16.7 %.
    assert (context.gate is not None) == stops
    if stops:
        assert context.gate.startswith("2 of 12 records (16.7%) cannot be used; at most 10.0%")
    assert values["bad"] == bad
    assert values["first_bad"].endswith("/class0/bad0.png: The file is empty.")
    assert examples.num_examples(paths["examples"], "train") == 10
    assert len(quarantine.read(paths["quarantine"])) == bad
    summary = json.loads((paths["quarantine"] / "summary.json").read_text())
    assert (summary["read"], summary["good"], summary["bad"]) == (10 + bad, 10, bad)
    assert [(r["kind"], r["count"]) for r in summary["reasons"]] == [("The file is empty.", bad)]


def test_one_class_stops_the_run_before_training(tmp_path):
    """An accuracy of 1.0 would mean nothing; `on_anomaly: warn` lets it pass."""
    source = folder_with_bad_files(tmp_path, 10, 0)
    for path in (tmp_path / "images" / "class1").iterdir():
        path.unlink()
    parameters = ExampleGen.Parameters(source=source, splits=SPLITS)
    found = execute(ExampleGen, tmp_path, parameters)[0]
    found |= execute(
        StatisticsGen, tmp_path, StatisticsGen.Parameters(), **given(found, "examples")
    )[0]
    found |= execute(SchemaGen, tmp_path, SchemaGen.Parameters(), **given(found, "statistics"))[0]
    directories = given(found, "statistics", "schema")
    parameters = ExampleValidator.Parameters()
    _, values, context = execute(ExampleValidator, tmp_path, parameters, **directories)
    assert values["anomalies"] == 1
    assert "All examples of the training split are of one class, 'class0'" in context.gate
    assert "set `data.on_anomaly: warn`" in context.gate
    parameters = ExampleValidator.Parameters(on_anomaly="warn")
    _, values, context = execute(ExampleValidator, tmp_path / "warn", parameters, **directories)
    assert (values["anomalies"], context.gate) == (1, None)


def given(found, *names):
    return {name: found[name] for name in names}


def test_copies_in_several_splits_are_said(tmp_path):
    source = folder_with_bad_files(tmp_path, 4, 0)
    for index in range(30):  # in one split only with a chance of 1 in 2^29
        Image.new("L", (3, 3), 99).save(tmp_path / "images" / "class0" / f"copy{index}.png")
    parameters = ExampleGen.Parameters(source=source, splits={"train": 0.5, "test": 0.5})
    paths, values, context = execute(ExampleGen, tmp_path, parameters)
    assert values["duplicates"] == 29
    assert values["warning"].startswith("1 content is in several splits at once")
    properties = {"bad": 0, "repeats": 29, "leaks": 1, "conflicts": 0, "keys": 0}
    assert context.outputs["quarantine"].properties == properties
    written = json.loads((paths["quarantine"] / "duplicates.json").read_text())
    assert [content["count"] for content in written["shown"]] == [30]
    assert context.gate is None
    stopping = parameters.model_copy(update={"on_leakage": "stop"})
    _, _, context = execute(ExampleGen, tmp_path / "stop", stopping)
    assert context.gate.startswith("1 content is in several splits at once, so that the evaluation")
    assert context.gate.endswith("Or set `data.on_leakage: warn`.")


def test_an_empty_training_split_is_an_error(tmp_path):
    parameters = ExampleGen.Parameters(source=DIGITS, splits={"train": 0.0, "test": 1.0})
    with pytest.raises(ValueError, match="training split `train` is empty.*train 0, test 1,797"):
        execute(ExampleGen, tmp_path, parameters)


def test_the_source_decides_the_environment(tmp_path):
    def environment(section):
        return ExampleGen.environment(ExampleGen.Parameters(source=section, splits={"train": 1.0}))

    assert environment(DIGITS).tensorflow is False
    assert environment({"type": "tfds", "dataset": "mnist"}).tensorflow is True


def test_what_the_cache_must_know_of_a_source():
    parameters = ExampleGen.Parameters(source=DIGITS, splits=SPLITS, expand="my.task.expand")
    assert ExampleGen.modules(parameters) == (
        "penstock.pipelines.sources.sklearn",
        "my.task.expand",
    )
    assert [path.name for path in ExampleGen.files(parameters)] == ["digits.csv.gz"]
    assert ExampleGen.check(parameters) == []


def test_class_folders_are_facts_of_example_gen(tmp_path):
    source = folder_with_bad_files(tmp_path, 2, 0)
    (tmp_path / "images" / "empty").mkdir()
    parameters = ExampleGen.Parameters(source=source, splits={"train": 1.0})
    assert ExampleGen.facts(parameters) == {"classes": ["class0", "class1", "empty"]}


def test_expand_gets_its_config(tmp_path, monkeypatch):
    (tmp_path / "penstock_test_repeat.py").write_text(
        "from dataclasses import replace\n"
        "def expand(record, config):\n"
        "    return [replace(record, key=f'{record.key}/{i}') for i in range(config['times'])]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    parameters = ExampleGen.Parameters(
        source=folder_with_bad_files(tmp_path, 4, 0),
        splits={"train": 1.0},
        expand="penstock_test_repeat",
        expand_config={"times": 3},
    )
    _, values, _ = execute(ExampleGen, tmp_path, parameters)
    assert values["examples"] == 12


@pytest.mark.parametrize("component", [SchemaGen, ExampleValidator])
def test_gates_on_statistics_need_neither_beam_nor_tensorflow(component):
    assert component.environment(component.Parameters()) == Environment()
    program = (
        "import sys\n"
        "from penstock.pipelines.statistics import statistics_files\n"
        "from penstock.pipelines.validation import anomalies, schema\n"
        "sys.exit(' '.join({'apache_beam', 'tensorflow'} & set(sys.modules)) or 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_schema_is_inferred_from_the_named_split(run, tmp_path):
    parameters = SchemaGen.Parameters(train_split="learn")
    with pytest.raises(ValueError, match=r"'learn'. Received: train \(1,430 examples\), valid"):
        execute(SchemaGen, tmp_path, parameters, statistics=run["statistics"])


def test_statistics_of_digits(run):
    _, values, _ = execute(
        StatisticsGen, run["root"] / "again", StatisticsGen.Parameters(), examples=run["examples"]
    )
    assert values == {"splits": 3, "features": 8, "examples": 1797}


def test_digits_have_no_anomalies(run):
    paths, values, context = execute(
        ExampleValidator,
        run["root"] / "valid",
        ExampleValidator.Parameters(),
        statistics=run["statistics"],
        schema=run["schema"],
    )
    assert context.gate is None
    assert values == {"anomalies": 0, "warnings": 0}
    assert not anomalies.read(paths["anomalies"]).anomaly_info


@pytest.mark.parametrize("on_anomaly", ["stop", "warn"])
def test_anomalies_close_the_gate(run, tmp_path, on_anomaly):
    reviewed = schema.read(run["schema"])
    next(d for d in reviewed.string_domain if d.name == "label").value.remove("7")
    reviewed.feature.add(name="weight", type=schema_pb2.FLOAT).presence.min_count = 1
    schema.write(tmp_path, reviewed)
    _, values, context = execute(
        ExampleValidator,
        tmp_path,
        ExampleValidator.Parameters(on_anomaly=on_anomaly),
        statistics=run["statistics"],
        schema=tmp_path,
    )
    assert values["anomalies"] == 2
    assert "'7' (" in values["first"]
    if on_anomaly == "warn":
        assert context.gate is None
    else:
        assert context.gate.startswith("The data do not fit the schema (2 features): `label`: ")
        assert "`weight`: The schema expects the feature" in context.gate


def test_a_reviewed_schema_is_taken(run, tmp_path):
    reviewed = schema.read(run["schema"])
    reviewed.feature[0].presence.min_fraction = 0.5
    schema.write(tmp_path, reviewed)
    parameters = SchemaGen.Parameters(reviewed_schema=str(tmp_path / "schema.pbtxt"))
    assert SchemaGen.files(parameters) == [tmp_path / "schema.pbtxt"]
    assert SchemaGen.check(parameters) == []
    paths, values, _ = execute(SchemaGen, tmp_path, parameters, statistics=run["statistics"])
    assert schema.read(paths["schema"]) == reviewed
    assert values == {"features": 8, "reviewed": "yes"}


def test_a_missing_reviewed_schema_is_a_fault():
    (fault,) = SchemaGen.check(SchemaGen.Parameters(reviewed_schema="nowhere.pbtxt"))
    assert "`data.reviewed_schema` must be a file" in fault
    assert "'nowhere.pbtxt' (no such file)" in fault


def test_transform_prepares_digits(run, tmp_path):
    parameters = Transform.Parameters(task="vision.classification", prepare={})
    paths, values, _ = execute(Transform, tmp_path, parameters, examples=run["examples"])
    assert values["examples"] == 1797
    assert inputs.num_examples(paths["transformed"], "test") == 187
    assert State.load(paths["state"]).features == examples.features(run["examples"])
    batch = next(iter(inputs.prepared(paths["transformed"], "test", 187)))
    labels = dict(examples.records(run["examples"], "test"))
    for key, label in zip(batch["key"].numpy(), batch["targets"].numpy(), strict=True):
        assert labels[key.decode()]["label"] == label


def test_splits_that_lack_are_said_before_anything_is_prepared(run, tmp_path):
    wanted = (("train.train_split", "train"), ("train.validation_split", "val"))
    parameters = Transform.Parameters(task="vision.classification", wanted_splits=wanted)
    message = (
        r"`train.validation_split` must name .* Received: 'val'. Splits: train \(1430 examples\), "
        r"validation \(180 examples\), test \(187 examples\). Set .*`data.split_from: train`.*"
        r"`train.validation_split=null` trains without validation."
    )
    with pytest.raises(ValueError, match=message):
        execute(Transform, tmp_path, parameters, examples=run["examples"])
    assert not any((tmp_path / "Transform" / "state").iterdir())
    other = parameters.model_copy(update={"wanted_splits": ()})
    assert Transform.keyed(parameters) == Transform.keyed(other)


def test_transform_depends_on_the_tasks_data_module():
    parameters = Transform.Parameters(task="vision.classification", prepare={})
    assert Transform.modules(parameters) == ("penstock.models.vision.classification.data",)
