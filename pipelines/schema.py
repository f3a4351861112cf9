"""What the data are expected to be: a `Schema` (tensorflow_metadata), inferred from statistics.

Comes in: statistics of all splits. Goes out: `schema.pbtxt`. Inferred are: each feature's type, how
often it is there, the number of its values, the classes of a label, whether NaN and infinity may
occur, the channels of images, and their size where all have the same. Ranges of free numbers are
not inferred: the next extreme value is no fault. Whoever knows the range writes it into a reviewed
copy of the schema (`data.reviewed_schema`).
"""

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


def infer(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> schema_pb2.Schema:
    """The schema that all splits fit."""
    schema = schema_pb2.Schema()
    datasets = [by_name(dataset) for dataset in statistics.datasets if dataset.num_examples]
    names = dict.fromkeys(name for features in datasets for name in features)
    for name in names:
        _infer_feature(schema, name, [features[name] for features in datasets if name in features])
    return schema


def _infer_feature(schema, name, found):
    feature = schema.feature.add(name=name, type=_TYPES[found[0].type])
    common = [common_stats(statistics) for statistics in found]
    feature.presence.min_count = 1
    feature.presence.min_fraction = min(
        c.num_non_missing / (c.num_non_missing + c.num_missing) for c in common
    )
    feature.value_count.min = min(c.min_num_values for c in common)
    feature.value_count.max = max(c.max_num_values for c in common)
    if any(stat.name == NUM_CLASSES for stat in found[0].custom_stats):
        _infer_classes(schema, feature, found)
    elif found[0].type == statistics_pb2.FeatureNameStatistics.FLOAT:
        feature.float_domain.disallow_nan = not any(_num_nan(s) for s in found)
        extremes = [value for s in found for value in (s.num_stats.min, s.num_stats.max)]
        feature.float_domain.disallow_inf = float("inf") not in map(abs, extremes)
    elif found[0].type == statistics_pb2.FeatureNameStatistics.INT:
        low = int(min(s.num_stats.min for s in found))
        high = int(max(s.num_stats.max for s in found))
        if name.endswith(SEEN_RANGE) or (name.endswith(FIXED_SIZE) and low == high):
            feature.int_domain.min, feature.int_domain.max = low, high


def _infer_classes(schema, feature, found):
    labels = {b.label for s in found for b in s.string_stats.rank_histogram.buckets}
    feature.domain = feature.name
    schema.string_domain.add(name=feature.name, value=sorted(labels))
    feature.skew_comparator.infinity_norm.threshold = LABEL_SKEW_THRESHOLD


def _num_nan(statistics):
    return sum(histogram.num_nan for histogram in statistics.num_stats.histograms)


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
