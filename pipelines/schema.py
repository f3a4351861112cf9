"""What the data are expected to be: a `Schema` (tensorflow_metadata), inferred from statistics.

Comes in: statistics of the training split; the other splits are what is compared with the schema.
Goes out: `schema.pbtxt`. Inferred are: each feature's type, whether it is always there, the number
of its values where all examples have the same, the classes of a label, whether NaN and infinity may
occur, the channels of images, and their size where all have the same. Ranges of free numbers are
not inferred: the next extreme value is no fault. Whoever knows the range writes it into a reviewed
copy of the schema (`data.reviewed_schema`).
"""

import math
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.pipelines.statistics_files import NUM_CLASSES, by_name, common_stats

FILE = "schema.pbtxt"
LABEL_SKEW_THRESHOLD = 0.1
"""L-infinity distance between the label's shares in two splits that is worth a warning."""

FIXED_SIZE = ("/height", "/width")
SEEN_RANGE = ("/channels",)

_TYPES = {
    statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
    statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    statistics_pb2.FeatureNameStatistics.STRING: schema_pb2.BYTES,
    statistics_pb2.FeatureNameStatistics.BYTES: schema_pb2.BYTES,
}
"""As in TFDV, where strings and bytes are both BYTES in a schema."""


def infer(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, train_split: str = "train"
) -> schema_pb2.Schema:
    """The schema that the training split fits.

    Raises:
        ValueError: the statistics have no such split, or it is empty.
    """
    schema = schema_pb2.Schema()
    for name, feature in by_name(_dataset(statistics, train_split)).items():
        _infer_feature(schema, name, feature)
    return schema


def _dataset(statistics, split):
    for dataset in statistics.datasets:
        if dataset.name == split and dataset.num_examples:
            return dataset
    found = ", ".join(f"{d.name} ({d.num_examples:,} examples)" for d in statistics.datasets)
    raise ValueError(
        f"The schema is inferred from the training split, and the data have no example in it. "
        f"Expected: the split {split!r}. Received: {found or 'no split'}. "
        "Set `train.train_split`, or name the splits so in `data.splits`."
    )


def _infer_feature(schema, name, statistics):
    feature = schema.feature.add(name=name, type=_TYPES[statistics.type])
    _infer_presence(feature, common_stats(statistics))
    if any(stat.name == NUM_CLASSES for stat in statistics.custom_stats):
        _infer_classes(schema, feature, statistics)
    elif statistics.type == statistics_pb2.FeatureNameStatistics.FLOAT:
        numbers = statistics.num_stats
        feature.float_domain.disallow_nan = not any(h.num_nan for h in numbers.histograms)
        feature.float_domain.disallow_inf = math.inf not in (abs(numbers.min), abs(numbers.max))
    elif statistics.type == statistics_pb2.FeatureNameStatistics.INT:
        low, high = int(statistics.num_stats.min), int(statistics.num_stats.max)
        if name.endswith(SEEN_RANGE) or (name.endswith(FIXED_SIZE) and low == high):
            feature.int_domain.min, feature.int_domain.max = low, high


def _infer_presence(feature, common):
    """Shares and counts that vary would differ by chance in the next split; as in TFDV."""
    feature.presence.min_count = 1
    if not common.num_missing:
        feature.presence.min_fraction = 1
    feature.value_count.min = min(common.min_num_values, 1)
    if common.min_num_values == common.max_num_values:
        feature.value_count.min = feature.value_count.max = common.max_num_values


def _infer_classes(schema, feature, statistics):
    feature.domain = feature.name
    # Only classes that occur: nothing can be learned about one that only the test split has.
    buckets = statistics.string_stats.rank_histogram.buckets
    labels = sorted(bucket.label for bucket in buckets if bucket.sample_count)
    schema.string_domain.add(name=feature.name, value=labels)
    feature.skew_comparator.infinity_norm.threshold = LABEL_SKEW_THRESHOLD


def write(directory, schema: schema_pb2.Schema) -> None:
    """Writes `schema.pbtxt`."""
    (Path(directory) / FILE).write_text(text_format.MessageToString(schema))


def read(path) -> schema_pb2.Schema:
    """Reads a schema: a directory with `schema.pbtxt`, or a file.

    Raises:
        ValueError: the file is no text proto of a `Schema`; the message has line and column.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    try:
        return text_format.Parse(path.read_text(), schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ValueError(
            f"`{path}` is no schema. Expected: the text form of tensorflow_metadata's `Schema`. "
            f"Received, at line and column: {error}. Start from the `schema.pbtxt` of a run."
        ) from error
