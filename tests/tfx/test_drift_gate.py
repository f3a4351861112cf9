"""Which earlier data a run is compared with, and what the gate says; and the check as a step."""

import sys
from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.statistics import statistics_files
from penstock.pipelines.statistics.value_statistics import LabelStatistics, NumberStatistics
from penstock.pipelines.validation import anomalies, schema
from penstock.pipelines.validation.settings import SkewConfig
from penstock.tfx.component import ExecutionContext, Input, Output
from penstock.tfx.components.example_validator import ExampleValidator
from penstock.tfx.runner import run_pipeline
from penstock.tfx.store import Store

HERE = str(Path(__file__).parent)


@pytest.fixture
def check(tmp_path, monkeypatch):
    """`check(run, shift)` checks 300 numbers, shifted, in a store of its own."""
    monkeypatch.setenv("PYTHONPATH", HERE)
    monkeypatch.syspath_prepend(HERE)
    toy = __import__("toy_statistics")
    store, path = Store(tmp_path / "store"), tmp_path / "numbers.txt"

    def check(run, shift, seed=0, **how):
        # Numbers spread evenly over 0..1, each seed another set of them.
        numbers = [(index * 0.618034 + seed * 0.1) % 1 + shift for index in range(300)]
        path.write_text("\n".join(map(repr, numbers)))
        return run_pipeline(toy.checked(path, **how), store, run)

    check.store = store
    yield check
    sys.modules.pop("toy_statistics", None)


def statuses(result):
    return [state.status for state in result.states.values()]


def test_compared_with_the_last_data_that_passed(check):
    assert check("first", 0).state == "COMPLETE"
    assert statuses(check("same", 0)) == ["cached"] * 3
    moved = check("moved", 5, seed=1)
    assert moved.state == "STOPPED"
    assert moved.reason.startswith(
        "The data differ from earlier data (1 feature): `x`: Its values are spread otherwise than in "
        "the last good run: Jensen-Shannon divergence 1.000 in the split `train`, at most 0.05 is "
        "expected"
    )
    assert moved.reason.endswith(
        "Correct the data; or, if they are to be like this from now on, run once with "
        "`data.on_anomaly=warn`: later runs are compared with this one. What is different every "
        "night, as a date, is left out by `data.anomalies: {x: ignore}`."
    )
    # What was stopped is no measure for others, and stays stopped.
    assert check("moved again", 5, seed=1).state == "STOPPED"
    assert check("as before", 0, seed=2).state == "COMPLETE"
    assert statuses(check("as before again", 0, seed=2)) == ["cached"] * 3
    # Accepted once, they are what others are compared with.
    assert check("accepted", 5, seed=1, on_anomaly="warn").state == "COMPLETE"
    assert check("now good", 5, seed=1).state == "COMPLETE"
    assert statuses(check("still good", 5, seed=1)) == ["cached"] * 3
    # A run by name is taken instead, whatever came since.
    named = check("named", 0, seed=3, baseline="as before")
    assert named.state == "COMPLETE"
    other = check("named otherwise", 0, seed=3, baseline="accepted")
    assert "than in the run `accepted`: Jensen-Shannon" in other.reason


def test_a_baseline_must_be_the_name_of_a_run(check):
    with pytest.raises(
        ValueError, match=r"`data.drift.baseline` must be the name of a run: .* no r"
    ):
        check("first", 0, baseline="unknown")
    assert check("first", 0).state == "COMPLETE"
    with pytest.raises(ValueError, match=r"must be the full name of a run.*Received: 'fir'"):
        check("second", 0, baseline="fir")


def test_a_damaged_baseline_is_passed_over(check):
    """Another one is taken: without any, data that have moved would pass unseen."""

    def damage(run):
        artifact = check.store.metadata.output_of(run, "StatisticsGen", "statistics")
        (check.store.directory / artifact.uri / "statistics.binpb").write_bytes(b"")

    assert check("first", 0).state == "COMPLETE"
    assert check("second", 0, seed=1).state == "COMPLETE"
    damage("second")
    assert check("moved", 5, seed=2).state == "STOPPED"
    damage("first")
    with pytest.raises(
        ValueError, match=r"names the run 'first', whose statistics cannot be compa"
    ):
        check("named", 5, seed=2, baseline="first")


# The step ---------------------------------------------------------------------------------------


def dataset(name, numbers, ids):
    found = statistics_pb2.DatasetFeatureStatistics(name=name, num_examples=len(numbers))
    for feature, accumulator, values in (
        ("size", NumberStatistics(is_integer=False), numbers),
        ("label", LabelStatistics(("cat", "dog")), ids),
    ):
        accumulator.add(values)
        found.features.extend(accumulator.protos(feature, len(values)))
    return found


@pytest.fixture
def execute(tmp_path):
    """`execute(now, before=None, **parameters)`: the step's context and last progress values."""

    def execute(now, before=None, **parameters):
        given = {}
        for name, datasets in {"statistics": now, "baseline": before}.items():
            if datasets:
                (tmp_path / name).mkdir(exist_ok=True)
                proto = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
                statistics_files.write(tmp_path / name, proto)
                given[name] = Input(tmp_path / name, "Statistics", "")
        (tmp_path / "schema").mkdir(exist_ok=True)
        inferred = schema.infer(statistics_files.read(tmp_path / "statistics"))
        schema.write(tmp_path / "schema", inferred)
        given["schema"] = Input(tmp_path / "schema", "Schema", "")
        out = tmp_path / "anomalies"
        out.mkdir(exist_ok=True)
        messages = []
        context = ExecutionContext(
            ExampleValidator.Parameters(**parameters),
            given,
            {"anomalies": Output(out, "Anomalies")},
            tmp_path,
            report=messages.append,
        )
        ExampleValidator.execute(context)
        return context, messages[-1]["values"]

    return execute


BEFORE = [dataset("train", [i / 300 for i in range(300)], [0, 1] * 150)]
MOVED = [dataset("train", [3 + i / 300 for i in range(300)], [0, 1] * 150)]


def test_the_summary_is_short(execute):
    context, values = execute(MOVED, BEFORE)
    assert context.gate is not None
    assert values["anomalies"] == 1
    assert values["compared"] == "with the last good run"
    assert values["first"].startswith("`size`: Its values are spread otherwise")
    assert context.outputs["anomalies"].properties == {"errors": 1, "drifted": True}
    assert execute(BEFORE)[1] == {"anomalies": 0, "warnings": 0}


@pytest.mark.parametrize(
    ("how", "stops", "errors"),
    [
        ({}, True, 1),
        ({"on_anomaly": "warn"}, False, 1),
        ({"actions": {"size": "warn"}}, False, 0),
        ({"actions": {"si*": "ignore"}}, False, 0),
        ({"actions": {"size": "stop"}, "on_anomaly": "warn"}, True, 1),
        ({"actions": {"label": "ignore"}}, True, 1),
        ({"drift": {"jensen_shannon": None}}, False, 0),
        ({"drift": {"features": {"size": {"jensen_shannon": 1.0}}}}, False, 0),
    ],
    ids=str,
)
def test_what_an_anomaly_does(execute, how, stops, errors):
    parameters = ExampleValidator.Parameters.model_validate(how).model_dump()
    context, values = execute(MOVED, BEFORE, **parameters)
    assert (context.gate is not None, values["anomalies"]) == (stops, errors)


def test_skew_to_a_file_of_serving_statistics(execute, tmp_path):
    serving = tmp_path / "serving"
    serving.mkdir()
    proto = statistics_pb2.DatasetFeatureStatisticsList(datasets=MOVED)
    statistics_files.write(serving, proto)
    for path in (serving, serving / "statistics.binpb"):
        parameters = {"skew": SkewConfig(serving_statistics=path)}
        context, _ = execute(BEFORE, **parameters)
        assert "`size`: Its values are spread otherwise than in the serving log" in context.gate
        assert context.gate.startswith("The data do not fit the schema or the serving log (1 ")
        assert context.outputs["anomalies"].properties["drifted"] is False
        files = ExampleValidator.files(ExampleValidator.Parameters(**parameters))
        assert files == [serving / "statistics.binpb"]


def test_faults_of_serving_statistics(tmp_path):
    parameters = ExampleValidator.Parameters(
        skew=SkewConfig(serving_statistics=Path("nowhere.binpb"))
    )
    (fault,) = ExampleValidator.check(parameters)
    assert "must be a file of statistics" in fault
    assert "'nowhere.binpb' (no such file)" in fault
    path = tmp_path / "statistics.binpb"
    for data in (b"", b"no proto at all"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="holds no statistics. Expected: a binary"):
            statistics_files.read_file(path)


def test_whole_data_come_first_among_the_sentences(execute):
    fewer = [dataset("train", [3 + i / 300 for i in range(100)], [0, 1] * 50)]
    context, values = execute(fewer, BEFORE)
    found = anomalies.read(context.outputs["anomalies"].path)
    first, second = anomalies.sentences(found, anomalies.Kind.ERROR)
    assert first.startswith("There are 100 examples, 33% of the 300 of the last good run")
    assert second.startswith("`size`: ")
    assert values["first"] == first
