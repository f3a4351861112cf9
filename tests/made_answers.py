"""Made evaluations of tasks that answer with a text, for tests of the report.

A translator and a recogniser of speech, two answers each, whose words try to break the page.
"""

import json

import numpy as np

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import Audio, Label, Text
from penstock.pipelines.media import audio_files
from penstock.tfx.report.collect import Run

ROWS = [
    {"source": "a <b>cat", "hypothesis": "eine Katze", "reference": "eine Katze",
     "error_rate": 0.0, "matches_1": 2},
    {"source": "dogs & cats", "hypothesis": "<i>Hunde", "reference": "Hunde und Katzen",
     "error_rate": 0.75, "matches_1": 0},
]  # fmt: skip
BINS = [
    {"from": 1, "to": 8, "examples": 93, "value": 61.2},
    {"from": 9, "to": 9, "examples": 1200, "value": 40.0},
    {"from": 10, "to": None, "examples": 0, "value": None},
]
DETAILS = {
    "signatures": {"bleu": "nrefs:1|tok:13a"},
    "baselines": {"source copied": {"bleu": 3.0}},
    "by_length": {"unit": "words", "metric": "chrF", "bins": BINS},
}


def translator(folder) -> Run:
    """The second answer is wrong, and its attention over 40 tokens is known."""
    values = [{"en": row["source"], "de": row["reference"]} for row in ROWS]
    tokens = ["<i>", *(f"incomprehensible{i}" for i in range(39))]
    attention = {"source": tokens, "target": tokens, "weights": np.eye(40).tolist()}
    said = {"1": {"attention": attention}}
    return _run(folder, {"en": Text(), "de": Text()}, values, ROWS, said, DETAILS)


def recogniser(folder) -> Run:
    """One second of sound by one of two speakers, two words, the second of which is wrong."""
    sound = audio_files.from_samples(0.1 * np.sin(np.arange(8000)), 8000)
    rows = [{"hypothesis": "one <two>", "reference": "one ten", "error_rate": 0.5}]
    rows[0]["speaker"] = "ann"
    times = {"0": {"times": [["one", 0.1, 0.3], ["<two>", 0.5, 0.8]]}}
    values = [{"audio": sound, "said": "one ten", "speaker": 0}]
    features = {"audio": Audio(), "said": Text(), "speaker": Label(names=("ann", "bob"))}
    return _run(folder, features, values, rows, times, {})


def _run(folder, features, values, rows, said, details) -> Run:
    records = [example_codec.serialise(str(i), v, features) for i, v in enumerate(values)]
    tfrecord.write_records(folder / examples.shard_name("test", 0, 1), records)
    examples.write_description(folder, features, {"test": len(values)}, {"test": 1})
    lines = [json.dumps({"key": str(i), **row}) + "\n" for i, row in enumerate(rows)]
    (folder / "rows.jsonl").write_text("".join(lines))
    bleu = {"value": 34.1234, "low": 9.9, "high": 40.0, "interval": "bootstrap"}
    metrics = {"split": "test", "examples": len(rows), "overall": {"bleu": bleu}}
    (folder / "metrics.json").write_text(json.dumps(metrics | {"details": details}))
    (folder / "explanations.json").write_text(json.dumps({"examples": said}))
    artifacts = {"Evaluation": folder, "Examples": folder}
    return Run("made", "made", "COMPLETE", None, None, 0.0, 1.0, {}, "", {}, artifacts)
