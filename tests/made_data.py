"""A made check of data with every kind of feature, for tests of what reads a store.

`make` writes what the four steps of such a run leave behind, as `made_runs.make_run` does. A run
that is `changed` has brighter pictures, prices in another unit and a colour that is new.
"""

import io
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image as Picture
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import (
    Audio,
    Boxes,
    Image,
    Label,
    Mask,
    Number,
    Sequence,
    Text,
)
from penstock.pipelines.ingest import duplicates
from penstock.pipelines.media import audio_files
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.sources.source import BadRecord
from penstock.pipelines.statistics import statistics_files
from penstock.pipelines.statistics.split_statistics import SplitStatistics
from penstock.pipelines.validation import anomalies, schema
from penstock.pipelines.validation.drift import Reference
from penstock.pipelines.validation.example_records import keys_of
from penstock.pipelines.validation.settings import DriftConfig

SPLITS = {"train": 60, "test": 40, "unused": 0}
CLASSES = ("<script>cat</script>", "dog")
FEATURES = {
    "picture": Image(channels=3, encoding="any"),
    "boxes": Boxes(),
    "kinds": Sequence(of=Label(names=("<b>head</b>", "tail", "never"))),
    "mask": Mask(names=("sky", "ground</svg>"), ignore=9),
    "speech": Audio(sample_rate_hz=8000, channels=1),
    "remark": Text(optional=True),
    "colour": Text(),
    "tags": Sequence(of=Text()),
    "price": Number(optional=True),
    "day": Number(dtype="int64"),
    "class": Label(names=CLASSES),
}
STEPS = {
    "ExampleGen": ({}, {"examples": "Examples", "quarantine": "Quarantine"}),
    "StatisticsGen": ({"examples": "ExampleGen.examples"}, {"statistics": "Statistics"}),
    "SchemaGen": ({"statistics": "StatisticsGen.statistics"}, {"schema": "Schema"}),
    "ExampleValidator": (
        {
            "statistics": "StatisticsGen.statistics",
            "schema": "SchemaGen.schema",
            "examples": "ExampleGen.examples",
        },
        {"anomalies": "Anomalies"},
    ),
}


@dataclass(frozen=True)
class Chosen:
    """What `make` makes: features by name, and whether their values have changed."""

    names: tuple[str, ...]
    changed: bool

    @property
    def features(self):
        return {name: FEATURES[name] for name in self.names}


def make(made_runs, store, config, name, *, names=tuple(FEATURES), changed=False, baseline=None):
    """Writes and records a run.

    Args:
        names: of the features to have.
        baseline: an earlier run that this one was compared with.
    """
    chosen, outside = Chosen(tuple(names), changed), {}
    if baseline:
        outside = {"baseline": store.metadata.output_of(baseline, "StatisticsGen", "statistics")}
    writers = {
        "Examples": partial(_examples, chosen),
        "Quarantine": _quarantine,
        "Statistics": partial(_statistics, chosen),
        "Schema": _schema,
        "Anomalies": partial(_anomalies, outside.get("baseline")),
    }
    return made_runs.make_run(
        store,
        config,
        name,
        last="ExampleValidator",
        steps=STEPS,
        writers=writers,
        overrides=(),
        outside={"ExampleValidator": {key: found.number for key, found in outside.items()}},
    )


def records(chosen, split):
    """(key, values) of a split; every seventh price and every fifth remark are missing."""
    random = np.random.default_rng([len(split), chosen.changed])
    for index in range(SPLITS[split]):
        values = _values(random, index, chosen.changed)
        yield f"{split}/<i>{index}</i>.png", {n: values[n] for n in chosen.names if n in values}


def _values(random, index, changed):
    pixels = random.integers(0, 100, (36, 48, 3)) + 120 * changed
    classes = np.full((36, 48), 9)
    classes[:12], classes[24:] = 0, 1
    corners = np.sort(random.random((index % 4, 2, 2)), axis=1).reshape(-1, 4)
    wave = 0.1 * np.sin(np.arange(1600 + 80 * (index % 5)) * (0.2 + 0.1 * (index % 3)))
    colours = ("red", "<i>green</i>", "blue") + ("mauve",) * (2 * changed)
    values = {
        "picture": _png(pixels),
        "boxes": corners.astype(np.float32),
        "kinds": [int(kind) for kind in random.integers(0, 2, index % 4)],
        "mask": _png(classes),
        "speech": audio_files.from_samples(wave, 8000),
        "colour": colours[int(random.integers(len(colours)))],
        "tags": [f"tag {i}" for i in range(index % 3)],
        "day": np.int64(random.integers(1, 8)),
        "class": index % 2,
    }
    if index % 5:
        values["remark"] = f"</svg><img src=x onerror=alert({index})> number {index}"
    if index % 7:
        # One price of train is far away from all others.
        price = 10_000.0 if index == 50 else float(random.lognormal())
        values["price"] = np.float32(price * (1.609 if changed else 1.0))
    return values


def _png(pixels):
    stream = io.BytesIO()
    Picture.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def _examples(chosen, directory, store):
    del store
    for split in SPLITS:
        rows = records(chosen, split)
        lines = [example_codec.serialise(key, values, chosen.features) for key, values in rows]
        tfrecord.write_records(directory / examples.shard_name(split, 0, 1), lines)
    examples.write_description(directory, chosen.features, SPLITS, dict.fromkeys(SPLITS, 1))


def _quarantine(directory, store):
    del store
    bad = [BadRecord("a.csv", 3, "The line is '<u>3</u>'.", offset=120, data=b"<u>3</u>\x1b[2J")]
    quarantine.write(directory, bad, sum(SPLITS.values()))
    copies = [
        {"split": split, "key": f"{split}/<i>1</i>.png", "label": label, "file": "a.csv"}
        for split, label in (("test", "dog"), ("train", "cat"))
    ]
    shown = [{"count": 2, "splits": ["test", "train"], "has_conflict": True, "examples": copies}]
    found = {"repeats": 1, "leaks": 1, "conflicts": 1, "keys": 0, "shown": shown, "shown_keys": []}
    duplicates.write(directory, found)


def _statistics(chosen, directory, store):
    del store
    splits = {}
    by = tuple(name for name in ("class",) if name in chosen.names)
    for split in SPLITS:
        splits[split] = SplitStatistics(chosen.features, by)
        rows = [values for _, values in records(chosen, split)]
        if rows:
            splits[split].add(rows)
    together = [found.proto(split) for split, found in splits.items()]
    sliced = [proto for split, found in splits.items() for proto in found.slice_protos(split)]
    for datasets, name in (
        (together, statistics_files.FILE),
        (sliced, statistics_files.SLICES_FILE),
    ):
        proto = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
        statistics_files.write(directory, proto, name)


def _beside(directory, step, output):
    """The directory of another step's output in the same run."""
    name = directory.parent.name.partition("-of-")[2]
    return directory.parents[2] / step / f"{step.lower()}-of-{name}" / output


def _schema(directory, store):
    del store
    found = statistics_files.read(_beside(directory, "StatisticsGen", "statistics"))
    schema.write(directory, schema.infer(found, "train"))


def _anomalies(baseline, directory, store):
    found = statistics_files.read(_beside(directory, "StatisticsGen", "statistics"))
    reviewed = schema.read(_beside(directory, "SchemaGen", "schema"))
    references = []
    if baseline:
        earlier = statistics_files.read(store.directory / baseline.uri)
        references = [Reference(earlier, "the last good run", DriftConfig())]
    result = anomalies.find(found, reviewed, references)
    keys = keys_of(_beside(directory, "ExampleGen", "examples"), result.findings)
    findings = anomalies.with_records(result.findings, keys)
    proto = anomalies.to_proto(anomalies.Found(findings, result.measurements), reviewed)
    anomalies.write(directory, proto)
