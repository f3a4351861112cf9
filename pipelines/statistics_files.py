"""The Statistics directory and its protos, without Beam: `statistics.binpb`."""

from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

FILE = "statistics.binpb"

NUM_CLASSES = "num_classes"
"""A custom statistic that marks a label: its value is the number of classes described."""
NUM_UNDECODABLE = "num_undecodable"
"""A custom statistic of images: how many could not be decoded."""


def read(directory) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Reads `statistics.binpb`: one dataset for each split."""
    data = (Path(directory) / FILE).read_bytes()
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(data)


def write(directory, statistics: statistics_pb2.DatasetFeatureStatisticsList) -> None:
    """Writes `statistics.binpb`; equal protos give equal bytes."""
    data = statistics.SerializeToString(deterministic=True)
    (Path(directory) / FILE).write_bytes(data)


def by_name(dataset: statistics_pb2.DatasetFeatureStatistics) -> dict:
    """Feature name -> its `FeatureNameStatistics`."""
    return {".".join(feature.path.step) or feature.name: feature for feature in dataset.features}


def common_stats(feature: statistics_pb2.FeatureNameStatistics):
    """The `CommonStatistics` that every kind of feature has."""
    return getattr(feature, feature.WhichOneof("stats")).common_stats
