"""The Statistics directory and its protos, without Beam.

`statistics.binpb`: a dataset for each split. `slices.binpb`, where slices were asked for: a dataset
for each slice, named `train: species=Adelie`. Both are `DatasetFeatureStatisticsList`s.
"""

import hashlib
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

FILE = "statistics.binpb"
SLICES_FILE = "slices.binpb"

# Custom statistics: what TFDV's protos have no field for.
NUM_CLASSES = "num_classes"
"""Marks a label: the number of classes described."""
NUM_UNDECODABLE = "num_undecodable"
"""Of images, masks and recordings: how many could not be decoded."""
NUM_UNKNOWN_PIXELS = "num_unknown_pixels"
"""Of masks: pixels that are neither a class nor `ignore`."""
NUM_ZERO_AREA = "num_zero_area"
"""Of boxes: how many have no area."""
NUM_INFINITE = "num_infinite"
"""Of numbers: infinities among them; absent where there are none."""
UNIQUE = "unique"
"""Of numbers: how many distinct finite ones; absent for more floats than are counted exactly."""
VALUE_COUNTS = "value_counts"
"""Of integers with few distinct values: how often each occurs, as a rank histogram."""
QUANTILES_RANK_ERROR = "quantiles_rank_error"
"""By how much the rank of a quantile may be off; absent where median and histograms are exact."""
UNIQUE_RELATIVE_ERROR = "unique_relative_error"
"""Of `unique`, two standard errors; absent where it is exact."""
COUNTS_ERROR = "top_values_error"
"""By how much the counts of frequent strings may be too high; absent where they are exact."""


def read(directory) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Reads `statistics.binpb`: one dataset for each split."""
    return _read(Path(directory) / FILE)


def read_slices(directory) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Reads `slices.binpb`: one dataset for each slice; none where no slices were asked for."""
    path = Path(directory) / SLICES_FILE
    return _read(path) if path.exists() else statistics_pb2.DatasetFeatureStatisticsList()


def read_file(path) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Reads any file of statistics.

    Raises:
        ValueError: it is no serialised `DatasetFeatureStatisticsList`, or an empty one.
    """
    try:
        found = _read(Path(path))
    except DecodeError:
        found = statistics_pb2.DatasetFeatureStatisticsList()
    if not any(dataset.num_examples for dataset in found.datasets):
        raise ValueError(
            f"`{path}` holds no statistics. Expected: a binary `DatasetFeatureStatisticsList` of "
            "tensorflow_metadata, the `statistics.binpb` of a run, of at least one example."
        )
    return found


def _read(path):
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())


def write(
    directory, statistics: statistics_pb2.DatasetFeatureStatisticsList, name: str = FILE
) -> None:
    """Writes `statistics.binpb` (or another file); equal protos give equal bytes."""
    data = statistics.SerializeToString(deterministic=True)
    (Path(directory) / name).write_bytes(data)


def slice_name(split: str, column: str, value: str) -> str:
    """The name of a slice's dataset."""
    return f"{split}: {column}={value}"


def by_name(dataset: statistics_pb2.DatasetFeatureStatistics) -> dict:
    """Feature name -> its `FeatureNameStatistics`."""
    return {".".join(feature.path.step) or feature.name: feature for feature in dataset.features}


def common_stats(feature: statistics_pb2.FeatureNameStatistics):
    """The `CommonStatistics` that every kind of feature has."""
    return getattr(feature, feature.WhichOneof("stats")).common_stats


def custom_stat(feature: statistics_pb2.FeatureNameStatistics, name: str):
    """The `CustomStatistic` of this name; None without it."""
    return next((stat for stat in feature.custom_stats if stat.name == name), None)


def content_digest(directory) -> str:
    """What the statistics are: all but what sketches estimate, which varies with equal data."""
    digest = hashlib.sha256()
    for statistics in (read(directory), read_slices(directory)):
        for dataset in statistics.datasets:
            for feature in dataset.features:
                _clear_estimates(feature)
        data = statistics.SerializeToString(deterministic=True)
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _clear_estimates(feature):
    common_stats(feature).ClearField("num_values_histogram")
    if custom_stat(feature, QUANTILES_RANK_ERROR):
        feature.num_stats.ClearField("median")
        for histogram in feature.num_stats.histograms:
            histogram.ClearField("buckets")
    counts_error = custom_stat(feature, COUNTS_ERROR)
    if counts_error:
        counts_error.num = 0
        feature.string_stats.ClearField("top_values")
        feature.string_stats.ClearField("rank_histogram")
