"""What the data are expected to be: a `Schema` (tensorflow_metadata), inferred from statistics.

Comes in: statistics of the training split; the other splits are what is compared with the schema.
Goes out: `schema.pbtxt`, features in the order of their description, so that two schemas diff well.
Inferred are: each feature's type, whether it is always there, the number of its values where all
examples have the same, the classes of a label, the values of a text column with few of them,
whether NaN and infinity may occur, and the size, channels or sampling rate of media where all have
the same. Ranges of free numbers are not inferred: the next extreme value is no fault. Whoever knows
the range writes it into a reviewed copy of the schema (`data.reviewed_schema`,
`penstock schema accept`).
"""

import math
from collections.abc import Collection
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.pipelines.statistics.statistics_files import by_name, common_stats
from penstock.pipelines.validation.finding import (
    has_numbers,
    is_label,
    lists_all_values,
    value_counts,
)
from penstock.pipelines.validation.schema_checks import TYPES

FILE = "schema.pbtxt"
LABEL_SKEW_THRESHOLD = 0.1
"""L-infinity distance between the label's shares in two splits that is worth a warning."""

MOST_VALUES = 100
"""A text column with more distinct values than this has no domain. TFDV's limit is 400; a list that
a person reviews is shorter."""
REPEATS = 5
"""How often the values of such a column must occur on average: those of free text occur once."""
KNOWN_SHARE = 0.99
"""Of the values of such a column that the domain must hold at least. A label's must hold all."""

FIXED_PARTS = ("/height", "/width", "/channels", "/sample_rate_hz")
"""Derived features that have a domain where all examples have the same value."""


def infer(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    train_split: str = "train",
    optional: Collection[str] = (),
) -> schema_pb2.Schema:
    """The schema that the training split fits.

    Args:
        optional: features that an example may lack by their description, even if none does here.

    Raises:
        ValueError: the statistics have no such split, or it is empty.
    """
    schema = schema_pb2.Schema()
    for name, feature in by_name(_dataset(statistics, train_split)).items():
        _infer_feature(schema, name, feature, is_optional=name.split("/")[0] in optional)
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


def _infer_feature(schema, name, statistics, is_optional):
    feature = schema.feature.add(name=name, type=TYPES[statistics.type])
    feature.presence.min_count = 1
    # What is derived from a feature is missing where the feature is, and as many times there.
    if "/" not in name:
        _infer_presence(feature, common_stats(statistics), is_optional)
    if is_label(statistics):
        _infer_classes(schema, feature, statistics)
    elif statistics.type == statistics_pb2.FeatureNameStatistics.STRING:
        _infer_values(schema, feature, statistics)
    elif statistics.type == statistics_pb2.FeatureNameStatistics.FLOAT:
        numbers = statistics.num_stats
        feature.float_domain.disallow_nan = not any(h.num_nan for h in numbers.histograms)
        feature.float_domain.disallow_inf = math.inf not in (abs(numbers.min), abs(numbers.max))
    elif statistics.type == statistics_pb2.FeatureNameStatistics.INT:
        low, high = int(statistics.num_stats.min), int(statistics.num_stats.max)
        if name.endswith(FIXED_PARTS) and low == high and has_numbers(statistics):
            feature.int_domain.min, feature.int_domain.max = low, high


def _infer_presence(feature, common, is_optional):
    """Shares and counts that vary would differ by chance in the next split; as in TFDV.

    Other than in TFDV, a feature whose number of values varies may have none: that no example of
    many was empty does not make an empty one wrong.
    """
    if not common.num_missing and not is_optional:
        feature.presence.min_fraction = 1
    feature.value_count.min = 0
    if common.num_non_missing and common.min_num_values == common.max_num_values:
        feature.value_count.min = feature.value_count.max = common.max_num_values


def _infer_classes(schema, feature, statistics):
    feature.domain = feature.name
    # Only classes that occur: nothing can be learned about one that only the test split has.
    schema.string_domain.add(name=feature.name, value=sorted(value_counts(statistics)))
    feature.skew_comparator.infinity_norm.threshold = LABEL_SKEW_THRESHOLD


def is_category(statistics) -> bool:
    """Whether a feature of strings looks like a list of categories, not like free text."""
    most = min(MOST_VALUES, common_stats(statistics).tot_num_values / REPEATS)
    return lists_all_values(statistics) and len(value_counts(statistics)) <= most


def _infer_values(schema, feature, statistics):
    """The values of a text column that looks like a list of categories.

    Values that occur once tell how much is still unseen: their number over that of all values is
    the expected share of unseen values (Good, Biometrika 40 (1953), "The population frequencies of
    species"). That share is allowed on top of what `KNOWN_SHARE` leaves.
    """
    if not is_category(statistics):
        return
    counts, total = value_counts(statistics), common_stats(statistics).tot_num_values
    once = sum(count == 1 for count in counts.values())
    feature.domain = feature.name
    schema.string_domain.add(name=feature.name, value=sorted(counts))
    feature.distribution_constraints.min_domain_mass = round(KNOWN_SHARE - once / total, 3)


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
            f"Received, at line and column: {str(error).rstrip('.')}. Start from the `schema.pbtxt` of "
            "a run."
        ) from error
