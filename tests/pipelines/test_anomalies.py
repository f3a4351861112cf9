"""Schema and anomalies: what is inferred, and each kind of fault found."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.statistics.media_statistics import AudioStatistics, ImageStatistics
from penstock.pipelines.statistics.value_statistics import (
    LabelStatistics,
    NumberStatistics,
    TextStatistics,
)
from penstock.pipelines.validation import anomalies, schema

Kind = anomalies.Kind


def numbers(*values, is_integer=False):
    found = NumberStatistics(is_integer)
    found.add(list(values))
    return found


def labels(*ids, names=("cat", "dog")):
    found = LabelStatistics(names)
    found.add(list(ids))
    return found


def images(*shapes):
    import numpy as np

    found = ImageStatistics()
    found.add([encode_png(np.zeros(shape, np.uint8)) for shape in shapes])
    return found


def dataset(examples, name="train", **features):
    found = statistics_pb2.DatasetFeatureStatistics(name=name, num_examples=examples)
    for feature, accumulator in features.items():
        found.features.extend(accumulator.protos(feature, examples))
    return found


def listed(*datasets):
    return statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)


def kinds(found):
    return {
        (name, reason.type) for name, info in found.anomaly_info.items() for reason in info.reason
    }


SEEN = listed(
    dataset(2, size=numbers(1.0, 2.0), count=numbers(1, 5, is_integer=True), label=labels(0, 1)),
    dataset(1, "test", size=numbers(9.0), count=numbers(7, is_integer=True), label=labels(0)),
)


def test_what_the_schema_was_inferred_from_fits_it():
    found = anomalies.validate(SEEN, schema.infer(SEEN))
    assert not found.anomaly_info


@pytest.mark.parametrize(
    ("test_split", "expected"),
    [
        (dataset(1, "test", size=numbers(9.0), label=labels(1)), set()),
        (
            dataset(2, "test", size=numbers(float("nan"), 1.0), label=labels(0, 1)),
            {("size", Kind.FLOAT_TYPE_HAS_NAN)},
        ),
        (
            dataset(1, "test", size=numbers(float("inf")), label=labels(0)),
            {("size", Kind.FLOAT_TYPE_HAS_INF)},
        ),
        (
            dataset(2, "test", size=numbers(1.0), label=labels(0, 1)),
            {("size", Kind.FEATURE_TYPE_LOW_FRACTION_PRESENT)},
        ),
        (dataset(1, "test", label=labels(0)), {("size", Kind.SCHEMA_MISSING_COLUMN)}),
        (
            dataset(1, "test", size=numbers(1.0), label=labels(0), new=numbers(1.0)),
            {("new", Kind.SCHEMA_NEW_COLUMN)},
        ),
        (
            dataset(1, "test", size=numbers(1.0), label=labels(2, names=("cat", "dog", "emu"))),
            {("label", Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES)},
        ),
    ],
    ids=["fits", "nan", "infinity", "absent", "missing", "new", "class"],
)
def test_the_schema_is_the_training_splits(test_split, expected):
    names = ("cat", "dog", "emu")
    train = dataset(4, size=numbers(1.0, 2.0, 1.0, 2.0), label=labels(0, 1, 0, 1, names=names))
    both = listed(test_split, train)
    found = anomalies.validate(both, schema.infer(both))
    errors = {name for name, info in found.anomaly_info.items() if info.severity == Kind.ERROR}
    # Few examples are skewed by chance and lack an emu, which are warnings and not asked here.
    warned = {Kind.COMPARATOR_L_INFTY_HIGH, Kind.FEATURE_TYPE_NOT_PRESENT}
    assert {(n, k) for n, k in kinds(found) if k not in warned} == expected
    assert errors == {name for name, _ in expected}


def test_what_varies_in_the_training_split_may_vary():
    train = dataset(4, size=numbers(1.0, float("nan")))
    test = dataset(9, "test", size=numbers(float("nan")))
    both = listed(train, test)
    (feature,) = schema.infer(both).feature
    assert (feature.presence.min_count, feature.presence.min_fraction) == (1, 0)
    assert not anomalies.validate(both, schema.infer(both)).anomaly_info


@pytest.mark.parametrize("examples", [None, 0], ids=["missing", "empty"])
def test_without_a_training_split_there_is_no_schema(examples):
    datasets = [dataset(3, "test", size=numbers(1.0, 2.0, 3.0))]
    if examples is not None:
        datasets.append(dataset(examples, "learn", size=numbers()))
    with pytest.raises(ValueError, match=r"the split 'learn'. Received: test \(3 examples\)"):
        schema.infer(listed(*datasets), "learn")


def test_inferred_schema_reads_like_this():
    inferred = {feature.name: feature for feature in schema.infer(SEEN).feature}
    assert set(inferred) == {"size", "count", "label"}
    assert inferred["label"].domain == "label"
    assert list(schema.infer(SEEN).string_domain[0].value) == ["cat", "dog"]
    assert not inferred["count"].HasField("int_domain")
    assert inferred["size"].presence.min_fraction == 1
    assert inferred["size"].float_domain.disallow_nan


def test_schema_files_round_trip(tmp_path):
    inferred = schema.infer(SEEN)
    schema.write(tmp_path, inferred)
    assert schema.read(tmp_path) == schema.read(tmp_path / "schema.pbtxt") == inferred


def test_a_broken_schema_file_says_where(tmp_path):
    (tmp_path / "schema.pbtxt").write_text('feature {\n  nam: "x"\n}\n')
    with pytest.raises(ValueError, match=r"is no schema.*2:3.*no field named \"nam\""):
        schema.read(tmp_path)


@pytest.mark.parametrize(
    ("examples", "features", "expected"),
    [
        (1, {"label": labels(0)}, {("size", Kind.SCHEMA_MISSING_COLUMN)}),
        (
            1,
            {"size": numbers(1.0), "label": labels(0), "new": numbers(1.0)},
            {("new", Kind.SCHEMA_NEW_COLUMN)},
        ),
        (
            1,
            {"size": numbers(1, is_integer=True), "label": labels(0)},
            {("size", Kind.UNEXPECTED_DATA_TYPE)},
        ),
        (
            1,
            {"size": numbers(1.0), "label": labels(2, names=("cat", "dog", "emu"))},
            {("label", Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES)},
        ),
        (1, {"size": numbers(-0.5), "label": labels(0)}, {("size", Kind.FLOAT_TYPE_SMALL_FLOAT)}),
        (1, {"size": numbers(10.5), "label": labels(0)}, {("size", Kind.FLOAT_TYPE_BIG_FLOAT)}),
        (
            2,
            {"size": numbers(float("nan"), 1.0), "label": labels(0, 0)},
            {("size", Kind.FLOAT_TYPE_HAS_NAN)},
        ),
        (
            1,
            {"size": numbers(float("nan")), "label": labels(0)},
            {("size", Kind.FLOAT_TYPE_HAS_NAN)},
        ),
        (
            1,
            {"size": numbers([1.0, 2.0]), "label": labels(0)},
            {("size", Kind.FEATURE_TYPE_HIGH_NUMBER_VALUES)},
        ),
        (2, {"size": numbers(0.0, 10.0), "label": labels(1, 0)}, set()),
    ],
    ids=[
        "missing",
        "new",
        "type",
        "class",
        "small",
        "big",
        "nan",
        "only-nan",
        "values",
        "fits",
    ],
)
def test_each_fault_is_found(examples, features, expected):
    inferred = schema.infer(listed(dataset(2, size=numbers(1.0, 2.0), label=labels(0, 1))))
    domain = inferred.feature[0].float_domain
    domain.min, domain.max = 0.0, 10.0
    found = anomalies.validate(listed(dataset(examples, **features)), inferred)
    assert kinds(found) == expected
    assert all(info.severity == Kind.ERROR for info in found.anomaly_info.values())


def test_infinity_is_found():
    inferred = schema.infer(listed(dataset(1, size=numbers(1.0))))
    found = anomalies.validate(listed(dataset(1, size=numbers(float("-inf")))), inferred)
    assert kinds(found) == {("size", Kind.FLOAT_TYPE_HAS_INF)}


def test_a_feature_absent_too_often():
    inferred = schema.infer(listed(dataset(2, size=numbers(1.0, 2.0))))
    found = anomalies.validate(listed(dataset(4, size=numbers(1.0))), inferred)
    assert kinds(found) == {("size", Kind.FEATURE_TYPE_LOW_FRACTION_PRESENT)}
    (sentence,) = anomalies.sentences(found, Kind.ERROR)
    assert sentence == (
        "`size`: Expected in every example, missing in 3 of 4 in the split `train`."
    )


def test_what_is_wrong_in_all_splits_is_said_once():
    """And what is derived from a feature that is gone, new or of another type is not said at all."""
    texts = TextStatistics()
    texts.add(["a", "b"])
    splits = ("train", "validation", "test")
    inferred = schema.infer(listed(dataset(2, size=numbers(1.0, 2.0), gone=texts)))
    found = anomalies.validate(
        listed(*(dataset(2, name, size=texts, new=texts) for name in splits)), inferred
    )
    also = "Also in the splits `validation`, `test`."
    assert anomalies.sentences(found, Kind.ERROR) == [
        f"`gone`: The schema expects the feature, which is missing in the split `train`. {also}",
        f"`new`: The feature is in the split `train`, but not in the schema. {also}",
        f"`size`: Expected type FLOAT, found BYTES in the split `train`. {also}",
    ]


def test_numbers_that_differ_little_are_told_apart():
    inferred = schema.infer(listed(dataset(1, size=numbers(1.0))))
    inferred.feature[0].float_domain.max = 1_000_000
    for value, said in ((1_000_001.0, "1,000,001"), (1_000_000.25, "1000000.25")):
        found = anomalies.validate(listed(dataset(1, size=numbers(value))), inferred)
        (sentence,) = anomalies.sentences(found, Kind.ERROR)
        assert sentence.startswith(f"`size`: Expected at most 1,000,000, found {said} in the split")


def test_sentence_names_the_new_class():
    inferred = schema.infer(SEEN)
    new = labels(0, 2, 2, names=("cat", "dog", "emu"))
    counted = {"size": numbers(1.0, 1.0, 1.0), "count": numbers(1, 1, 1, is_integer=True)}
    found = anomalies.validate(listed(dataset(3, label=new, **counted)), inferred)
    (sentence,) = anomalies.sentences(found, Kind.ERROR)
    assert sentence == (
        "`label`: Values that the schema does not know: 'emu' (2 times) in the split `train`."
    )


@pytest.mark.parametrize(
    ("seen", "new", "expected"),
    [
        ([(8, 8), (8, 8)], (8, 8), set()),
        ([(8, 8), (8, 8)], (8, 9), {("image/width", Kind.INT_TYPE_BIG_INT)}),
        ([(8, 8), (6, 8)], (9, 8), set()),
        ([(8, 8), (8, 8)], (8, 8, 3), {("image/channels", Kind.INT_TYPE_BIG_INT)}),
    ],
    ids=["same", "another-width", "sizes-vary", "colour"],
)
def test_images_of_another_kind(seen, new, expected):
    inferred = schema.infer(listed(dataset(2, image=images(*seen))))
    found = anomalies.validate(listed(dataset(1, image=images(new))), inferred)
    assert kinds(found) == expected


def test_undecodable_images_are_an_anomaly():
    broken = images((8, 8))
    broken.add([b"broken"])
    found = anomalies.validate(
        listed(dataset(2, image=broken)), schema.infer(listed(dataset(2, image=broken)))
    )
    assert ("image", Kind.LOW_SUPPORTED_IMAGE_FRACTION) in kinds(found)


@pytest.mark.parametrize(
    ("test_ids", "warned"),
    [
        # Shares of "cat": 50 % in training. Allowed: 10 % and three standard errors of the
        # difference, 3 * sqrt(.5 * .5 * (1/1000 + 1/n)): 4.7 % and more for n = 20 (33.9 %).
        ([0] * 500 + [1] * 500, False),
        ([0] * 580 + [1] * 420, False),
        ([0] * 800 + [1] * 200, True),
        ([0] * 14 + [1] * 6, False),
        ([0] * 20, True),
    ],
    ids=["same", "within-threshold", "skewed", "small-split", "one-class"],
)
def test_label_skew_is_a_warning(test_ids, warned):
    train = dataset(1000, label=labels(*[0] * 500, *[1] * 500))
    both = listed(train, dataset(len(test_ids), "test", label=labels(*test_ids)))
    found = anomalies.validate(both, schema.infer(both))
    assert kinds(found) == ({("label", Kind.COMPARATOR_L_INFTY_HIGH)} if warned else set())
    assert len(anomalies.sentences(found, Kind.WARNING)) == warned
    assert anomalies.sentences(found, Kind.ERROR) == []


def test_a_label_with_one_class_is_an_error():
    """Whether the source knows one class, or only one has examples."""
    for names in (("cat",), ("ant", "cat")):
        seen = listed(dataset(3, label=labels(*[len(names) - 1] * 3, names=names)))
        found = anomalies.validate(seen, schema.infer(seen))
        assert anomalies.sentences(found, Kind.ERROR) == [
            "`label`: All examples of the training split are of one class, 'cat', so that there is "
            "nothing to tell it from; expected at least two classes."
        ]


def test_a_column_that_is_always_false_stops_no_run():
    """A column of true and false need not be what is learned."""
    seen = listed(dataset(3, deleted=labels(0, 0, 0, names=("false", "true"))))
    found = anomalies.validate(seen, schema.infer(seen))
    assert anomalies.sentences(found, Kind.ERROR) == []
    (sentence,) = anomalies.sentences(found, Kind.WARNING)
    assert sentence.startswith(
        "`deleted`: All examples of the training split are of one class, 'fals"
    )


def test_classes_without_examples_are_a_warning():
    names = tuple("abcdefgh")
    seen = listed(
        dataset(2, label=labels(0, 1, names=names)),
        dataset(2, "test", label=labels(0, 1, names=names)),
    )
    found = anomalies.validate(seen, schema.infer(seen))
    assert anomalies.sentences(found, Kind.ERROR) == []
    assert anomalies.sentences(found, Kind.WARNING) == [
        "`label`: Classes without an example, which cannot be learned: 'c', 'd', 'e', 'f', 'g' and "
        "1 more."
    ]


def test_what_stops_a_run_is_said_first():
    names = ("cat", "dog", "emu")
    seen = listed(
        dataset(1000, label=labels(*[0, 1] * 500, names=names)),
        dataset(1000, "test", label=labels(*[0] * 999, 2, names=names)),
    )
    (sentence,) = anomalies.sentences(anomalies.validate(seen, schema.infer(seen)), Kind.ERROR)
    assert sentence == (
        # 0.058 = 3 sqrt(0.25 (1 - 0.25) (1/1000 + 1/1000)).
        "`label`: Values that the schema does not know: 'emu' (once) in the split `test`. 'dog' makes "
        "up 50.0% of the split `train` and 0.0% of `test`; at most 10.0% difference is expected (and "
        "5.8% for chance)."
    )


def test_text_and_audio_have_no_domain():
    texts, sounds = TextStatistics(), AudioStatistics()
    texts.add(["a"])
    sounds.add([encode_wav(b"\0\1" * 400, 8000, 1)])
    inferred = schema.infer(listed(dataset(1, text=texts, sound=sounds)))
    other, others = TextStatistics(), AudioStatistics()
    other.add(["never seen before"])
    others.add([encode_wav(b"\0\2" * 900, 8000, 1)])
    found = anomalies.validate(listed(dataset(1, text=other, sound=others)), inferred)
    assert not found.anomaly_info


def test_anomalies_file_round_trips(tmp_path):
    inferred = schema.infer(SEEN)
    found = anomalies.validate(listed(dataset(1, label=labels(0))), inferred)
    anomalies.write(tmp_path, found)
    assert anomalies.read(tmp_path) == found
    assert text_format.MessageToString(found) == (tmp_path / "anomalies.pbtxt").read_text()


def test_empty_splits_are_passed_over():
    both = listed(dataset(1, size=numbers(1.0)), dataset(0, "test", size=numbers()))
    assert not anomalies.validate(both, schema.infer(both)).anomaly_info
