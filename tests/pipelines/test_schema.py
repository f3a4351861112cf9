"""What a schema is inferred to be, how it is checked beyond that, and how two schemas differ."""

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import Audio, Boxes, Image, Label, Number, Sequence, Text
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.statistics.split_statistics import SplitStatistics
from penstock.pipelines.validation import anomalies, example_records, schema
from penstock.pipelines.validation.finding import Finding
from penstock.pipelines.validation.schema_diff import differences

Kind = anomalies.Kind


def statistics(features, **rows_of_splits):
    found = statistics_pb2.DatasetFeatureStatisticsList()
    for name, rows in rows_of_splits.items():
        split = SplitStatistics(features)
        split.add(rows)
        found.datasets.append(split.proto(name))
    return found


def inferred(features, rows, optional=()):
    return {
        f.name: f for f in schema.infer(statistics(features, train=rows), "train", optional).feature
    }


def test_every_kind_of_feature():
    """Written by hand; the order is that of the description."""
    features = {
        "weight": Number(),
        "size": Number(dtype="int64", shape=(2,), optional=True),
        "kind": Text(),
        "class": Label(names=("cat", "dog", "emu")),
        "tags": Sequence(of=Text()),
    }
    rows = [
        {
            "weight": np.float32(i),
            "size": np.array([i, 1]),
            "kind": "ab"[i % 2],
            "class": i % 2,
            "tags": ["x"] * (i % 3),
        }
        for i in range(30)
    ]
    found = schema.infer(statistics(features, train=rows), "train", {"size"})
    kept = [f.name for f in found.feature if "/" not in f.name]
    assert kept == list(features)
    for feature in [f for f in found.feature if "/" in f.name]:
        found.feature.remove(feature)
    expected = """
        feature {
          name: "weight" type: FLOAT
          presence { min_fraction: 1 min_count: 1 } value_count { min: 1 max: 1 }
          float_domain { disallow_nan: true disallow_inf: true }
        }
        feature {
          name: "size" type: INT presence { min_count: 1 } value_count { min: 2 max: 2 }
        }
        feature {
          name: "kind" type: BYTES domain: "kind"
          presence { min_fraction: 1 min_count: 1 } value_count { min: 1 max: 1 }
          distribution_constraints { min_domain_mass: 0.99 }
        }
        feature {
          name: "class" type: BYTES domain: "class"
          presence { min_fraction: 1 min_count: 1 } value_count { min: 1 max: 1 }
          skew_comparator { infinity_norm { threshold: 0.1 } }
        }
        feature {
          name: "tags" type: BYTES domain: "tags"
          presence { min_fraction: 1 min_count: 1 } value_count { min: 0 }
          distribution_constraints { min_domain_mass: 0.99 }
        }
        string_domain { name: "kind" value: "a" value: "b" }
        string_domain { name: "class" value: "cat" value: "dog" }
        string_domain { name: "tags" value: "x" }
    """
    assert differences(text_format.Parse(expected, schema_pb2.Schema()), found) == []


def test_media_and_boxes():
    features = {"image": Image(channels=1), "sound": Audio(), "boxes": Boxes()}
    rows = [
        {
            "image": encode_png(np.zeros((4, 5 + i % 2), np.uint8)),
            "sound": encode_wav(b"\0\1" * 100, 8000, 1),
            "boxes": np.zeros((i % 4, 4), np.float32),
        }
        for i in range(8)
    ]
    found = inferred(features, rows)
    assert (found["image/height"].int_domain.min, found["image/height"].int_domain.max) == (4, 4)
    assert not found["image/width"].HasField("int_domain")
    assert found["sound/sample_rate_hz"].int_domain.max == 8000
    assert not found["boxes/length"].HasField("int_domain")
    assert found["boxes"].value_count.min == 0
    assert not found["boxes"].value_count.HasField("max")


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (["a", "b"] * 10, 0.99),
        ([f"category {i % 100}" for i in range(1000)], 0.99),
        ([f"category {i % 101}" for i in range(1010)], None),
        ([f"sentence {i}" for i in range(50)], None),
        # Two of 40 values occur once: 1/40 + 1/40 of what comes next is expected to be unseen.
        (["a"] * 38 + ["b", "c"], 0.94),
    ],
    ids=["two", "a-hundred", "too-many", "free-text", "rare-ones"],
)
def test_values_of_a_text_column(values, known):
    feature = inferred({"text": Text()}, [{"text": value} for value in values])["text"]
    assert feature.domain == ("" if known is None else "text")
    if known is not None:
        assert feature.distribution_constraints.min_domain_mass == pytest.approx(known)


def test_values_outside_a_domain_that_need_not_hold_all():
    """At most 1 % and what chance explains; a minimum of 1 allows none."""
    features = {"kind": Text()}
    train = [{"kind": "ab"[i % 2]} for i in range(1000)]
    for unknown, alarm in ((3, False), (200, True)):
        test = [{"kind": "new" if i < unknown else "a"} for i in range(400)]
        both = statistics(features, train=train, test=test)
        expected = schema.infer(both)
        (feature,) = (f for f in expected.feature if f.name == "kind")
        found = anomalies.validate(both, expected)
        assert ("kind" in found.anomaly_info) == alarm
        if alarm:
            said = found.anomaly_info["kind"].description
            assert said.startswith("Values that the schema does not know: 'new' (200 times); they")
            assert "make up 50.0% of all values, at most 1.0% are expected (and " in said
        feature.distribution_constraints.min_domain_mass = 1.0
        assert "kind" in anomalies.validate(both, expected).anomaly_info


@pytest.mark.parametrize(
    ("constraint", "kind", "said"),
    [
        (
            "shape { dim { size: 3 } }",
            Kind.FEATURE_TYPE_LOW_NUMBER_VALUES,
            "Expected at least 3 values",
        ),
        (
            "value_count { min: 1 max: 1 }",
            Kind.FEATURE_TYPE_HIGH_NUMBER_VALUES,
            "Expected at most 1 val",
        ),
        (
            "presence { min_count: 9 }",
            Kind.FEATURE_TYPE_LOW_NUMBER_PRESENT,
            "Expected in at least 9 ex",
        ),
    ],
)
def test_constraints_of_a_reviewed_schema(constraint, kind, said):
    rows = [{"x": np.zeros(2, np.float32)}] * 4
    expected = text_format.Parse(
        f'feature {{ name: "x" type: FLOAT {constraint} }}', schema_pb2.Schema()
    )
    found = anomalies.validate(statistics({"x": Number(shape=(2,))}, train=rows), expected)
    (reason,) = found.anomaly_info["x"].reason
    assert reason.type == kind
    assert reason.description.startswith(said)


# Records --------------------------------------------------------------------------------------

FEATURES = {
    "image": Image(channels=1),
    "kind": Text(),
    "class": Label(names=("cat", "dog", "emu")),
    "weight": Number(optional=True),
    "tags": Sequence(of=Text()),
}


def record(index):
    """Number 100 and 200 are a dark image, an owl, an emu, heavy, and have five tags."""
    odd = index in (100, 200)
    row = {
        "image": encode_png(np.full((2, 3 if odd else 2), index % 200, np.uint8)),
        "kind": "owl" if odd else "cat",
        "class": 2 if odd else 0,
        "weight": np.float32(99 if odd else 1),
        "tags": ["x"] * (5 if odd else 1),
    }
    if index == 150:
        del row["weight"]
    return row


def test_records_that_show_an_anomaly(tmp_path):
    rows = [record(index) for index in range(300)]
    lines = [example_codec.serialise(f"key-{i}", row, FEATURES) for i, row in enumerate(rows)]
    tfrecord.write_records(tmp_path / examples.shard_name("train", 0, 1), lines)
    examples.write_description(tmp_path, FEATURES, {"train": 300}, {"train": 1})
    normal = [record(1), record(2)] * 20
    expected = schema.infer(statistics(FEATURES, train=normal))
    by_name = {feature.name: feature for feature in expected.feature}
    by_name["weight"].float_domain.max = 50
    by_name["kind"].ClearField("distribution_constraints")
    by_name["tags"].value_count.max = 3
    found = anomalies.find(statistics(FEATURES, train=rows), expected).findings
    keys = example_records.keys_of(tmp_path, found)
    shown = {(found[index].feature, found[index].kind): names for index, names in keys.items()}
    odd = ["key-100", "key-200"]
    assert shown == {
        ("image/width", Kind.INT_TYPE_BIG_INT): odd,
        ("kind", Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES): odd,
        ("class", Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES): odd,
        ("weight", Kind.FLOAT_TYPE_BIG_FLOAT): odd,
        ("weight", Kind.FEATURE_TYPE_LOW_FRACTION_PRESENT): ["key-150"],
        ("tags", Kind.FEATURE_TYPE_HIGH_NUMBER_VALUES): odd,
    }
    told = [f.sentence for f in anomalies.with_records(found, keys) if f.feature == "kind"]
    assert told == [
        "Values that the schema does not know: 'owl' (2 times) in the split `train`. "
        "For example: `key-100`, `key-200`."
    ]


def test_no_record_is_named_twice(tmp_path):
    """Two records have one key, and two findings of a feature the same records."""
    features = {"weight": Number()}
    rows = [{"weight": np.float32(weight)} for weight in (1, 99, 99, 1, 99)]
    lines = [
        example_codec.serialise(key, row, features) for key, row in zip("abbcd", rows, strict=True)
    ]
    tfrecord.write_records(tmp_path / examples.shard_name("train", 0, 1), lines)
    examples.write_description(tmp_path, features, {"train": 5}, {"train": 1})

    def high(kind, sentence, **more):
        return Finding(
            "weight", kind, "", sentence, split="train", shows=lambda s: s.num_stats.max > 9, **more
        )

    found = [
        high(Kind.FLOAT_TYPE_BIG_FLOAT, "Less.", is_error=False),
        high(Kind.FLOAT_TYPE_BIG_FLOAT, "High."),
    ]
    told = anomalies.with_records(found, example_records.keys_of(tmp_path, found))
    assert [finding.sentence for finding in told] == ["Less.", "High. For example: `b`, `d`."]
    info = anomalies.to_proto(anomalies.Found(told), schema_pb2.Schema()).anomaly_info["weight"]
    assert info.description == "High. For example: `b`, `d`. Less."


def test_no_more_is_read_than_allowed(tmp_path, monkeypatch):
    """The odd record is the last of 600; with two blocks of 256 at most it is not reached."""
    features = {"weight": Number()}
    lines = [
        example_codec.serialise(f"{i}", {"weight": np.float32(i)}, features) for i in range(600)
    ]
    tfrecord.write_records(tmp_path / examples.shard_name("train", 0, 1), lines)
    examples.write_description(tmp_path, features, {"train": 600}, {"train": 1})
    rows = [{"weight": np.float32(i)} for i in range(600)]
    expected = schema.infer(statistics(features, train=rows))
    expected.feature[0].float_domain.max = 598
    (finding,) = anomalies.find(statistics(features, train=rows), expected).findings
    assert example_records.keys_of(tmp_path, [finding]) == {0: ["599"]}
    monkeypatch.setattr(example_records, "MOST_RECORDS", 512)
    assert example_records.keys_of(tmp_path, [finding]) == {}


# Actions --------------------------------------------------------------------------------------


def test_actions_by_name_and_pattern():
    def finding(name, is_error=True):
        return anomalies.Finding(name, Kind.FLOAT_TYPE_HAS_NAN, "NaN", "It has NaN.", is_error)

    names = ("image/height", "image/width", "label", "age", "")
    findings = [finding(name) for name in names]
    actions = {"image/width": "ignore", "image": "warn", "a*": "ignore"}
    kept = [(f.feature, f.is_error) for f in anomalies.with_actions(findings, actions)]
    assert kept == [("image/height", False), ("label", True), ("", True)]
    assert anomalies.with_actions([finding("label", False)], {"label": "stop"})[0].is_error is False


# Differences ----------------------------------------------------------------------------------

BEFORE = """
  feature { name: "age" type: INT presence { min_fraction: 1 } int_domain { min: 0 max: 120 } }
  feature { name: "island" type: BYTES domain: "island" }
  feature { name: "old" type: FLOAT }
  string_domain { name: "island" value: "Biscoe" value: "Dream" }
"""
NOW = """
  feature { name: "island" type: BYTES domain: "island" }
  feature { name: "new" type: BYTES }
  feature { name: "age" type: FLOAT presence { min_fraction: 0.9 } int_domain { min: 0 max: 99 } }
  string_domain { name: "island" value: "Anvers" value: "Biscoe" }
  dataset_constraints { min_examples_count: 10 }
"""


def test_differences_of_two_schemas():
    before, now = (text_format.Parse(text, schema_pb2.Schema()) for text in (BEFORE, NOW))
    assert differences(before, before) == []
    assert differences(before, now) == [
        "feature `age`: int_domain.max: 120 -> 99",
        "feature `age`: presence.min_fraction: 1 -> 0.9",
        "feature `age`: type: INT -> FLOAT",
        "feature `new` is new (BYTES)",
        "feature `old` is gone (FLOAT)",
        "domain `island`: 'Anvers' is new",
        "domain `island`: 'Dream' is gone",
        "schema: dataset_constraints.min_examples_count: none -> 10",
    ]


def test_differences_of_long_and_inner_lists():
    before, now = schema_pb2.Schema(), schema_pb2.Schema()
    before.feature.add(name="x").shape.dim.add(size=3)
    now.feature.add(name="x").shape.dim.add(size=4)
    now.string_domain.add(name="d", value=["a"])
    before.string_domain.add(name="d", value=[*"abcdefghijklm"])
    assert differences(before, now) == [
        "feature `x`: shape.dim[0].size: 3 -> 4",
        "domain `d`: 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k' and 2 more are gone",
    ]
