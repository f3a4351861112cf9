"""Runs that no step has made: small, quick and with awkward contents, for tests of what reads a store.

`make_run` writes artifacts as the components do and records them as the runner does, up to a step
of choice. Six classes of 12x10 images, three examples each in training, whose names try to break
out of HTML, SVG and mathematical notation.
"""

import io
import json

import numpy as np
from PIL import Image as Picture
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import Image, Label, Number, Text
from penstock.pipelines.ingest import duplicates
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.sources.source import BadRecord
from penstock.pipelines.statistics import statistics_files
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.validation import anomalies, schema
from penstock.tfx.load_config import as_yaml, load_config

CLASSES = ("<script>alert(1)</script>", "$\\frac{1}{x$", "a & b", "日本 \x07\ud800", "", "x" * 80)
SPLITS = {"train": 18, "validation": 6, "test": 12}
FEATURES = {
    "image": Image(channels=3, encoding="any"),
    "label": Label(names=tuple(n.encode("utf-8", "replace").decode() for n in CLASSES)),
    "weight": Number(),
    "remark": Text(),
}
RUN = "made-20260102-030405-00000000"

STEPS = {
    "ExampleGen": ({}, {"examples": "Examples", "quarantine": "Quarantine"}),
    "StatisticsGen": ({"examples": "ExampleGen.examples"}, {"statistics": "Statistics"}),
    "SchemaGen": ({"statistics": "StatisticsGen.statistics"}, {"schema": "Schema"}),
    "ExampleValidator": (
        {"statistics": "StatisticsGen.statistics", "schema": "SchemaGen.schema"},
        {"anomalies": "Anomalies"},
    ),
    "Transform": ({"examples": "ExampleGen.examples"}, {"state": "TransformState"}),
    "Trainer": (
        {"state": "Transform.state", "examples": "ExampleGen.examples"},
        {"model": "Model"},
    ),
    "Evaluator": (
        {"examples": "ExampleGen.examples", "model": "Trainer.model"},
        {"evaluation": "Evaluation", "blessing": "Blessing"},
    ),
    "InfraValidator": ({"model": "Trainer.model"}, {"parity": "ParityReport"}),
    "Pusher": (
        {
            "model": "Trainer.model",
            "blessing": "Evaluator.blessing",
            "parity": "InfraValidator.parity",
        },
        {"pushed": "PushedModel"},
    ),
}


def make_run(
    store,
    config,
    name=RUN,
    *,
    last="Pusher",
    ending="COMPLETE",
    reason=None,
    steps=None,
    writers=None,
    overrides=("push.destination=served",),
    outside=None,
):
    """Writes and records a run.

    Args:
        config: path of a config file, which is resolved and saved with the run.
        last: the last step that begins.
        ending: COMPLETE, STOPPED (by that step), FAILED (in it), or INTERRUPTED (it is killed and
            nobody has recorded it).
        reason: a sentence for STOPPED and FAILED.
        steps, writers: other ones than `STEPS` and `WRITERS`.
        outside: step -> its inputs that other runs made, as numbers of artifacts.
    """
    store.metadata.begin_run(name, "made", {"config": str(config)})
    store.keep_config(name, as_yaml(load_config(config, overrides)))
    numbers = {}
    for step, (inputs, outputs) in (steps or STEPS).items():
        id = f"{step.lower()}-of-{name}"
        facts = {"libraries": {"python": "3.11", "numpy": "2.4.6"}}
        store.metadata.begin_execution(id, name, step, f"made:{step}", id, facts)
        if step == last and ending in ("FAILED", "INTERRUPTED"):
            if ending == "FAILED":
                store.metadata.end_execution(id, "FAILED", reason)
            break
        uri = f"artifacts/{step}/{id}"
        made = {}
        for output, kind in outputs.items():
            directory = store.directory / uri / output
            directory.mkdir(parents=True)
            (writers or WRITERS)[kind](directory, store)
            made[output] = {"type": kind, "content_digest": f"{id}.{output}", "size_bytes": 1}
            made[output]["properties"] = {}
        document = {
            "gate": reason if (step, ending) == (last, "STOPPED") else None,
            "summary": {"examples": 36, "note": "<b>bold</b>"},
            "seconds": 1.5,
            "outputs": made,
            "inputs": {key: numbers[source] for key, source in inputs.items()}
            | (outside or {}).get(step, {}),
        }
        record = store.metadata.complete_execution(id, document, uri)
        numbers |= {f"{step}.{key}": output.number for key, output in record.outputs.items()}
        if step == last:
            break
    if ending != "INTERRUPTED":
        stopped_at = None if ending == "COMPLETE" else last
        store.metadata.end_run(name, ending, {"reason": reason, "stopped_at": stopped_at}, 200.2)
    return name


def _records(split):
    """(key, values) of a split; the images differ in brightness by class."""
    random = np.random.default_rng(len(split))
    for index in range(SPLITS[split]):
        label = index % len(CLASSES)
        pixels = random.integers(0, 40 * (label + 1), (12, 10, 3)).astype(np.uint8)
        stream = io.BytesIO()
        Picture.fromarray(pixels).save(stream, "PNG")
        remark = f"</svg><img src=x onerror=alert({index})>"
        values = {"image": stream.getvalue(), "label": label, "remark": remark}
        values |= {"sentence": f"sentence number {index}", "length": 3}
        yield f"{split}-{index}", values | {"weight": np.float32(index / 4)}


def _examples(directory, store, features=FEATURES):
    del store
    for split in SPLITS:
        lines = [example_codec.serialise(key, values, features) for key, values in _records(split)]
        tfrecord.write_records(directory / examples.shard_name(split, 0, 1), lines)
    examples.write_description(directory, features, SPLITS, dict.fromkeys(SPLITS, 1))


def _quarantine(directory, store):
    del store
    bad = [BadRecord("photos/<i>.png", index, "The file is empty.") for index in range(12)]
    quarantine.write(directory, [*bad, BadRecord("\udcff.png", 0, "It is `no` image.")], 36)
    equal = [{"split": s, "key": f"{s}-1", "file": "photos/1.png"} for s in ("test", "train")]
    shown = [{"count": 2, "splits": ["test", "train"], "examples": equal}]
    duplicates.write(directory, {"repeats": 1, "leaks": 1, "shown": shown})


def _statistics(directory, store):
    del store
    datasets = []
    for split, size in SPLITS.items():
        dataset = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=size)
        rows = [values for _, values in _records(split)]
        for name, feature in FEATURES.items():
            accumulator = for_feature(feature)
            accumulator.add([row[name] for row in rows])
            dataset.features.extend(accumulator.protos(name, size))
        datasets.append(dataset)
    together = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    statistics_files.write(directory, together)


def _stored(store, step):
    return next((store.directory / "artifacts" / step).glob("*/*"))


def _schema(directory, store):
    found = statistics_files.read(_stored(store, "StatisticsGen"))
    schema.write(directory, schema.infer(found, "train"))


def _anomalies(directory, store):
    found = statistics_files.read(_stored(store, "StatisticsGen"))
    reviewed = schema.infer(found, "train")
    next(f for f in reviewed.feature if f.name == "weight").float_domain.max = 1.0
    anomalies.write(directory, anomalies.validate(found, reviewed))


def _model(directory, store):
    del store
    history = {"loss": [2.0, 1.0, None], "val_loss": [2.5, 1.5, 1.25], "learning_rate": [0.1] * 3}
    _write(directory / "history.json", {"history": history})
    training = {"devices": ["CPU"], "examples_per_second": 7938.1, "input_wait_share": 0.0713}
    training |= {"parameters": 21674, "epochs": 3, "seed": 0, "fit_seconds": 3.3, "xla": False}
    training |= {"versions": {"keras": "3.15.1"}, "resumed_at": [1, 7]}
    training |= {"initial_weights": "presets/mine", "padding_share": 0.128}
    _write(directory / "training.json", training)


def _measured(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "interval": "wilson"}


def _evaluation(directory, store):
    """Twelve answers of which the first three are wrong; `rows.jsonl` has the worst in the middle."""
    del store
    names = FEATURES["label"].names
    losses = [0.7, 0.8, 3.0, *(0.01 * i for i in range(9))]
    with open(directory / "rows.jsonl", "w", encoding="utf-8") as file:
        for index, loss in enumerate(losses):
            label, predicted = index % 6, (index + (index < 3)) % 6
            row = {"key": f"test-{index}", "label": names[label], "predicted": names[predicted]}
            row |= {"label_id": label, "predicted_id": predicted, "log_loss": loss}
            row |= {"probability_of_label": float(np.exp(-loss)), "correct": label == predicted}
            file.write(json.dumps(row) + "\n")
    counts = 2 * np.eye(6, dtype=int)
    counts[[0, 1, 2], [0, 1, 2]] = 1
    counts[[0, 1, 2], [1, 2, 3]] = 1
    overall = {"accuracy": _measured(0.75), "log_loss": _measured(0.4)}
    overall |= {f"f1/{name}": _measured(0.5) for name in names}
    slices = [
        {"column": "label", "value": n, "examples": 2, "metrics": {"accuracy": _measured(0.5)}}
        for n in names
    ]
    document = {"split": "test", "examples": 12, "confidence": 0.95, "overall": overall}
    document |= {"slices": slices, "baseline": {}}
    matrix = {"classes": list(names), "counts": counts.tolist()}
    _write(directory / "metrics.json", document | {"details": {"confusion_matrix": matrix}})


def _blessing(directory, store):
    del store
    check = {"setting": "evaluate.thresholds.accuracy.min", "metric": "accuracy", "value": 0.75}
    check |= {"limit": 0.5, "passed": True, "slice": None, "reason": None}
    _write(directory / "blessing.json", {"blessed": True, "reasons": [], "checks": [check]})


def _parity(directory, store):
    del store
    latency = {"p50": 0.719, "p99": 5.237, "requests": 100}
    memory = {"before_load": 620.4, "growth_by_load": 7.6, "peak": 649.1}
    report = {"passed": True, "reasons": [], "examples": 16, "latency_ms": latency}
    _write(directory / "parity.json", report | {"memory_mb": memory})


def _pushed(directory, store):
    _write(directory / "pushed.json", {"version": 3, "path": str(store.directory / "served" / "3")})


def _write(path, document):
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


WRITERS = {
    "Examples": _examples,
    "Quarantine": _quarantine,
    "Statistics": _statistics,
    "Schema": _schema,
    "Anomalies": _anomalies,
    "TransformState": lambda directory, store: None,
    "Model": _model,
    "Evaluation": _evaluation,
    "Blessing": _blessing,
    "ParityReport": _parity,
    "PushedModel": _pushed,
}
