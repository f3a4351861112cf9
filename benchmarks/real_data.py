"""Every config in `configs/data` on its real data set: counts against the published ones, time, memory.

`python benchmarks/real_data.py [NAME ...] [--data FOLDER]` runs `penstock run` on each in an empty
store, says what is not as published, and prints a Markdown table. FOLDER holds the data sets as the
heads of the configs say, by default `$PENSTOCK_DATA` or `../shared/data`; those that are not there are
left out. Four minutes on two cores.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from processes import Watched, watch
from tables import CONFIGS, PENSTOCK, machine, table
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2


@dataclass(frozen=True)
class DataSet:
    """What is published about a data set, and what its check is known to find.

    Args:
        folder: in the folder of all data sets.
        examples: of each split, where the data set has splits, or of all together.
        counts: feature -> value -> examples (or boxes, or parts of sequences) with it.
        missing: feature -> examples without it.
        warnings: features with one.
        config: in `configs/data`; None: named as this.
        overrides: of the config.
    """

    folder: str
    examples: int | dict[str, int]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    warnings: frozenset[str] = frozenset()
    config: str | None = None
    overrides: tuple[str, ...] = ()


_MOVIELENS = "data/movielens/ml-latest-small.zip/ml-latest-small"
_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
)
_MEASURED = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

DATA_SETS = {
    "fashion_mnist": DataSet(
        "fashion_mnist",
        {"train": 60_000, "test": 10_000},
        {"label": dict.fromkeys((*_CLOTHES, "Ankle boot"), 7_000)},
        overrides=("data.source.data_dir=tfds",),
    ),
    "bccd": DataSet(
        "bccd",
        {"train": 205, "val": 87, "test": 72},
        {"classes": {"RBC": 4_155, "WBC": 372, "Platelets": 361}},
    ),
    "camvid": DataSet(
        "camvid", {"train": 367, "val": 101, "test": 233}, warnings=frozenset({"drive"})
    ),
    # 136 and 156 characters of 20 drawers; Greek (24) and Latin (26) are in both sets.
    "omniglot": DataSet(
        "omniglot", 2_720 + 3_120, {"alphabet": {"Greek": 2 * 24 * 20, "Latin": 2 * 26 * 20}}
    ),
    "omniglot_runs": DataSet(
        "omniglot",
        20 * (20 + 20),
        {"run": {f"run{number:02}": 40 for number in range(1, 21)}},
        config="omniglot",
        overrides=(
            "data.source.path=data/omniglot/all_runs.zip",
            "data.source.label=run",
            r"data.source.pattern='(?P<run>run\d+)/(?P<part>test|training)/\w+\.png$'",
        ),
    ),
    "fsdd": DataSet(
        "fsdd",
        {"train": 6 * 10 * 45, "test": 6 * 10 * 5},
        {"digit": {str(digit): 300 for digit in range(10)}, "speaker": {"lucas": 500}},
    ),
    "vctk_p239": DataSet("vctk_p239", 503),
    "rt_polarity": DataSet("rt_polarity", 10_662, {"label": {"neg": 5_331, "pos": 5_331}}),
    "multi30k": DataSet("multi30k", {"train": 29_000, "val": 1_014, "test": 1_000}),
    "scitldr": DataSet(
        "scitldr", {"train": 1_992, "dev": 619, "test": 618}, warnings=frozenset({"target"})
    ),
    "movielens_ratings": DataSet("movielens", 100_836),
    # The number of tags is in the data set's own README.txt.
    "movielens_tags": DataSet(
        "movielens",
        3_683,
        config="movielens_ratings",
        overrides=(f"data.source.path={_MOVIELENS}/tags.csv",),
    ),
    "movielens_movies": DataSet("movielens", 9_742),
    "esol": DataSet("moleculenet", 1_128),
    "bbbp": DataSet("moleculenet", 2_050, {"BBBP": {"0": 2_050 - 1_567, "1": 1_567}}),
    "tox21": DataSet("moleculenet", 8_014),
    "penguins": DataSet("penguins", 344, missing={"sex": 11} | dict.fromkeys(_MEASURED, 2)),
    "penguins_raw": DataSet("penguins", 344, missing={"sex": 11, "body_mass_g": 2}),
    "penguins_processed": DataSet(
        "penguins",
        334,
        config="penguins",
        overrides=("data.source.path=data/penguins/penguins_processed.csv",),
    ),
    "titanic": DataSet("titanic", 891, missing={"age": 177, "deck": 688, "embarked": 2}),
    "taxi": DataSet(
        "taxi",
        15_002,
        missing={"pickup_census_tract": 15_001},
        warnings=frozenset({"payment_type"}),
    ),
}


@dataclass(frozen=True)
class Checked:
    """What a run found: `faults` are differences from what is published, one sentence each."""

    splits: dict[str, int]
    features: int
    bad: int
    warnings: frozenset[str]
    faults: list[str]


def check(name: str, data: Path, folder: Path) -> tuple[Watched, Checked | None]:
    """Runs a data set's config in an empty folder.

    Args:
        data: the folder of all data sets.
        folder: where the store comes to be.

    Returns:
        The command, and what it found; None if it did not end well.
    """
    published = DATA_SETS[name]
    (folder / "data").symlink_to(data)
    config = CONFIGS / "data" / f"{published.config or name}.yaml"
    overrides = [f"name={name}", *published.overrides]
    done = watch([*PENSTOCK, "run", str(config), *overrides, "--json"], folder)
    if done.code:
        return done, None
    shown = watch([*PENSTOCK, "show", json.loads(done.output)["run"], "--json"], folder)
    steps = {step["step"]: step["outputs"] for step in json.loads(shown.output)["steps"]}
    return done, _compare(published, steps)


def _compare(published, steps):
    examples = steps["ExampleGen"]["examples"]["properties"]
    bad = steps["ExampleGen"]["quarantine"]["properties"]["bad"]
    files = {
        "statistics": Path(steps["StatisticsGen"]["statistics"]["path"], "statistics.binpb"),
        "schema": Path(steps["SchemaGen"]["schema"]["path"], "schema.pbtxt"),
        "anomalies": Path(steps["ExampleValidator"]["anomalies"]["path"], "anomalies.pbtxt"),
    }
    # As any tool of TFX's family reads them.
    statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(
        files["statistics"].read_bytes()
    )
    schema = text_format.Parse(files["schema"].read_text(), schema_pb2.Schema())
    anomalies = text_format.Parse(files["anomalies"].read_text(), anomalies_pb2.Anomalies())

    counts, missing = _totals(statistics)
    found = frozenset(anomalies.anomaly_info)
    faults = [] if not bad else [f"{bad} bad records"]
    faults += differences(published, examples["splits"], counts, missing)
    if found != published.warnings:
        faults.append(f"anomalies of {sorted(found)}, not of {sorted(published.warnings)}")
    if anomalies.HasField("dataset_anomaly_info"):
        faults.append(anomalies.dataset_anomaly_info.description)
    if {feature.name for feature in schema.feature} != set(missing):
        faults.append("schema and statistics have different features")
    features = sum("/" not in feature for feature in missing)
    return Checked(examples["splits"], features, bad, found, faults)


def _totals(statistics):
    """({feature: {value: count}}, {feature: missing}) of all splits together."""
    counts, missing = {}, Counter()
    for dataset in statistics.datasets:
        for feature in dataset.features:
            name, kind = feature.path.step[0], feature.WhichOneof("stats")
            missing[name] += getattr(feature, kind).common_stats.num_missing
            found = counts.setdefault(name, Counter())
            for bucket in feature.string_stats.rank_histogram.buckets:
                found[bucket.label] += int(bucket.sample_count)
    return counts, missing


def differences(published: DataSet, splits: dict, counts: dict, missing: dict) -> Iterator[str]:
    """Yields what is not as published: `splits` {name: examples}, the others as in `DataSet`."""
    if isinstance(published.examples, dict):
        if splits != published.examples:
            yield f"examples {splits}, published {published.examples}"
    elif sum(splits.values()) != published.examples:
        yield f"{sum(splits.values())} examples, published {published.examples}"
    for feature, values in published.counts.items():
        found = {value: counts.get(feature, {}).get(value) for value in values}
        if found != values:
            yield f"`{feature}` {found}, published {values}"
    for feature, number in published.missing.items():
        if missing.get(feature) != number:
            yield f"`{feature}` is missing in {missing.get(feature)}, published {number}"


def row(name: str, done: Watched, found: Checked) -> list:
    """A row of the table."""
    splits = ", ".join(f"{split} {number:,}" for split, number in found.splits.items())
    peak = max(process.peak_mb for process in done.processes)
    warnings = ", ".join(sorted(found.warnings)) or None
    times = [done.seconds, done.cpu_seconds]
    return [name, splits, found.features, found.bad, warnings, *times, peak]


COLUMNS = [
    *("data set", "examples", "features", "bad", "warnings"),
    *("seconds", "CPU seconds", "peak MB of a process"),
]


def main() -> None:
    """Runs and prints; the exit code is 1 if something is not as published."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DATA_SETS))
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("PENSTOCK_DATA", beside)), help="folder"
    )
    arguments = parser.parse_args()
    rows, failed = [], False
    for name in arguments.names or DATA_SETS:
        if not (arguments.data / DATA_SETS[name].folder).is_dir():
            print(f"{name}: no folder {DATA_SETS[name].folder!r}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            done, found = check(name, arguments.data.resolve(), Path(folder))
        faults = found.faults if found else [f"exit code {done.code}\n{done.output}{done.errors}"]
        failed = failed or bool(faults)
        print(f"{name}: {'; '.join(faults) or 'as published'}", file=sys.stderr, flush=True)
        if found:
            rows.append(row(name, done, found))
    print(f"{machine()}. `python benchmarks/real_data.py`\n\n{table(COLUMNS, rows)}", end="")
    sys.exit(failed)


if __name__ == "__main__":
    main()
