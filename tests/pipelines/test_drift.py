"""Each kind of drift is found, said in the right sentence, and clean data raise no alarm."""

import csv
import io

import numpy as np
import pytest
from PIL import Image as Picture
from scipy.spatial.distance import jensenshannon
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock.pipelines.features import (
    Audio,
    Boxes,
    Image,
    Label,
    Number,
    Sequence,
    Text,
    is_optional,
)
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.media.image_files import encode_png, measure
from penstock.pipelines.statistics.split_statistics import SplitStatistics, slices_by_default
from penstock.pipelines.validation import anomalies, schema
from penstock.pipelines.validation.drift import Reference
from penstock.pipelines.validation.settings import DriftConfig, Limits, SkewConfig

Kind = anomalies.Kind
GOOD = "the last good run"


class Data:
    """Statistics of records that are divided at random, as ExampleGen and StatisticsGen do."""

    def __init__(self, features, rows, seed=0):
        order = np.random.default_rng(seed).permutation(len(rows))
        ends = int(0.8 * len(rows)), int(0.9 * len(rows))
        parts = zip(("train", "validation", "test"), np.split(order, ends), strict=True)
        labels = [name for name, feature in features.items() if isinstance(feature, Label)]
        self.features, self.slices = features, []
        self.statistics = statistics_pb2.DatasetFeatureStatisticsList()
        for name, places in parts:
            split = SplitStatistics(features, labels if name == "train" else ())
            split.add([rows[place] for place in places])
            self.statistics.datasets.append(split.proto(name))
            self.slices += split.slice_protos(name)

    def schema(self):
        optional = {n for n, feature in self.features.items() if is_optional(feature)}
        return schema.infer(self.statistics, "train", optional)

    def reference(self, called=GOOD, **settings):
        return Reference(self.statistics, called, DriftConfig(**settings), tuple(self.slices))


def found(now, before, expected=None, **settings):
    expected = now.schema() if expected is None else expected
    reference = before.reference(**settings)
    return anomalies.find(now.statistics, expected, [reference], "train", now.slices).findings


def halves(rows, seed):
    """Two independent halves of the records."""
    order = np.random.default_rng(1000 + seed).permutation(len(rows))
    middle = len(rows) // 2
    return [[rows[i] for i in part] for part in (order[:middle], order[middle:])]


# Real data ------------------------------------------------------------------------------------


def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = (data.images * 255 / 16).astype(np.uint8)
    features = {"image": Image(channels=1), "label": Label(names=tuple("0123456789"))}
    pairs = zip(pixels, data.target.tolist(), strict=True)
    return features, [{"image": encode_png(image), "label": label} for image, label in pairs]


def table(path, labels):
    """A CSV file with whatever types its columns have; `NA` and empty cells are missing."""
    with open(path, newline="", encoding="utf-8") as file:
        raw = list(csv.DictReader(file))
    features, parse = {}, {}
    for name in raw[0]:
        cells = [row[name] for row in raw if row[name] not in ("", "NA")]
        if name in labels:
            features[name] = Label(names=tuple(sorted(set(cells))))
            parse[name] = features[name].names.index
        elif all(cell.replace(".", "", 1).replace("-", "", 1).isdigit() for cell in cells):
            is_float = any("." in cell for cell in cells)
            features[name] = Number(dtype="float32" if is_float else "int64", optional=True)
            parse[name] = np.float32 if is_float else np.int64
        else:
            features[name], parse[name] = Text(optional=True), str
    rows = [
        {name: parse[name](cell) for name, cell in row.items() if cell not in ("", "NA")}
        for row in raw
    ]
    return features, rows


def measured_digits():
    """The numbers that the statistics are made of, each image decoded once."""
    features, rows = digits()
    described = {"brightness": Number(), "contrast": Number(), "label": features["label"]}
    for row in rows:
        measured = measure(row.pop("image"))
        row |= {name: np.float32(measured[name]) for name in ("brightness", "contrast")}
    return described, rows


def penguins(shared_data):
    return table(shared_data("penguins") / "penguins.csv", {"species"})


def taxi(shared_data):
    features, rows = table(shared_data("taxi") / "data.csv", set())
    names = ("fare", "trip_miles", "trip_seconds", "company", "payment_type", "pickup_latitude")
    rows = [{name: row[name] for name in names if name in row} for row in rows[:3000]]
    return {name: features[name] for name in names}, rows


SOURCES = {
    "digits": lambda shared_data: measured_digits(),
    "penguins": penguins,
    "taxi": taxi,
}


@pytest.mark.parametrize("source", SOURCES)
def test_no_false_alarm_on_twenty_re_splits(source, request):
    """The records are halved at random twenty times, so that the two sides have none in common, and
    each side is divided 80/10/10: nothing may be found, not even a warning.
    """
    shared = None if source == "digits" else request.getfixturevalue("shared_data")
    features, rows = SOURCES[source](shared)
    alarms = []
    for seed in range(20):
        before, now = (Data(features, half, seed) for half in halves(rows, seed))
        alarms += [f.sentence for f in found(now, before)]
    assert alarms == []


def test_the_same_records_divided_anew():
    features, rows = digits()
    assert found(Data(features, rows, 1), Data(features, rows, 0)) == []


# What must be caught --------------------------------------------------------------------------


def brighter(row, by):
    pixels = np.asarray(Picture.open(io.BytesIO(row["image"]))).astype(int)
    return row | {"image": encode_png(np.clip(pixels + by, 0, 255).astype(np.uint8))}


@pytest.mark.parametrize("by", [15, -15, 60])
def test_brightness_of_images(by):
    features, rows = digits()
    first, second = halves(rows, 0)
    changed = [brighter(row, by) for row in second]
    (finding, *_) = [f for f in found(Data(features, changed), Data(features, first)) if f.is_error]
    assert finding.feature == "image/brightness"
    assert finding.kind == Kind.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH
    assert finding.sentence.startswith(
        "Its values are spread otherwise than in the last good run: Jensen-Shannon divergence 0."
    )
    # Pixels are clipped at 0 and 255, so the mean moves by less than `by`.
    before, now = (np.mean([np.mean(_pixels(r)) for r in part]) for part in (first, changed))
    assert 0 < (now - before) / by <= 1
    mean, before_mean = finding.sentence.split("mean ")[1].split(" Also")[0].split(", there ")
    assert float(mean) * 255 == pytest.approx(now, abs=1)  # of the training split, 80 % of them
    assert float(before_mean.rstrip(".")) * 255 == pytest.approx(before, abs=1)


def _pixels(row):
    return np.asarray(Picture.open(io.BytesIO(row["image"])))


def recordings(count, seed, gain=1.0, rate_hz=8000):
    """Tones of about half a second through noise; the level varies by some 3 dB."""
    random, rows = np.random.default_rng(seed), []
    for _ in range(count):
        time = np.arange(int(rate_hz * random.uniform(0.3, 0.7))) / rate_hz
        wave = np.sin(2 * np.pi * random.uniform(200, 800) * time) * random.uniform(0.1, 0.3)
        wave = gain * (wave + 0.01 * random.normal(size=len(time)))
        samples = np.clip(wave * 32768, -32768, 32767).astype("<i2")
        rows.append({"sound": encode_wav(samples.tobytes(), rate_hz, 1)})
    return rows


def test_gain_and_sampling_rate_of_recordings():
    features = {"sound": Audio()}
    before = Data(features, recordings(300, 0))
    assert found(Data(features, recordings(300, 1)), before) == []
    louder = found(Data(features, recordings(300, 1, gain=2.0)), before)
    (level,) = [f for f in louder if f.feature == "sound/level_dbfs"]
    # Twice the amplitude is 20 log10(2) = 6.02 dB more.
    means = level.sentence.split("mean ")[1].split(" Also")[0].rstrip(".").split(", there ")
    assert float(means[0]) - float(means[1]) == pytest.approx(6.02, abs=0.5)
    resampled = found(Data(features, recordings(300, 1, rate_hz=16_000)), before)
    (rate,) = [f for f in resampled if f.feature == "sound/sample_rate_hz"]
    assert "Jensen-Shannon divergence 1.000 in the split `train`" in rate.sentence
    assert "mean 16,000, there 8000" in rate.sentence


SIZES = {"length_m": Number(), "kind": Text(), "class": Label(names=("short", "long"))}


def animals(count, seed, unit=1.0, new_kind=0.0, classes=None):
    random, rows = np.random.default_rng(seed), []
    for _ in range(count):
        label = int(random.random() < 0.5)
        length = random.lognormal(0.5 * label, 0.3) * unit
        kind = "emu" if random.random() < new_kind else str(random.choice(["cat", "dog", "hen"]))
        label = label if classes is None else classes[label]
        rows.append({"length_m": np.float32(length), "kind": kind, "class": label})
    return rows


def test_feet_instead_of_metres():
    before = Data(SIZES, animals(600, 0))
    (finding,) = found(Data(SIZES, animals(600, 1, unit=3.28084)), before)
    assert (finding.feature, finding.is_error) == ("length_m", True)
    assert "(all are as if multiplied by 3." in finding.sentence
    assert ": another unit?)" in finding.sentence


def test_another_unit_hidden_by_heavy_tails():
    """Miles in kilometres move a distribution over many decades by little; the factor tells."""
    features = {"way": Number()}

    def ways(seed, unit):
        random = np.random.default_rng(seed)
        return [{"way": np.float32(unit * random.lognormal(0, 2.5))} for _ in range(4000)]

    (finding,) = found(Data(features, ways(1, 1.609)), Data(features, ways(0, 1.0)))
    assert finding.short == "Unit: drift"
    assert finding.sentence.startswith("Its values have another scale than in the last good run:")


def test_a_new_category():
    before = Data(SIZES, animals(600, 0))
    now = Data(SIZES, animals(600, 1, new_kind=0.05))
    (finding,) = [f for f in found(now, before) if f.feature == "kind"]
    assert finding.kind == Kind.ENUM_TYPE_UNEXPECTED_STRING_VALUES
    assert finding.sentence.startswith("Values that the last good run does not have: 'emu' (")
    # A schema that a person has reviewed says which there are, and knows no emu.
    reviewed = found(now, before, expected=before.schema())
    assert any("Values that the schema does not know: 'emu'" in f.sentence for f in reviewed)
    once = [row | {"kind": "owl"} if i == 0 else row for i, row in enumerate(animals(600, 1))]
    assert [f for f in found(Data(SIZES, once), before) if f.feature == "kind"] == []


def test_a_new_class_of_a_label_is_never_chance():
    features = {"label": Label(names=("cat", "dog"))}
    rows = [{"label": i % 2} for i in range(200)]
    before = Data(features, rows)
    more = {"label": Label(names=("cat", "dog", "emu"))}
    now = Data(more, [*rows[:-1], {"label": 2}])
    sentences = [f.sentence for f in found(now, before)]
    assert "Values that the last good run does not have: 'emu' (once)." in sentences


def test_a_class_that_is_gone():
    """One of ten folders was not copied: a tenth of the examples, which is within every limit."""
    features = {"label": Label(names=tuple("0123456789"))}
    rows = [{"label": i % 10} for i in range(1000)]
    now = Data(features, [row for row in rows if row["label"] != 7])
    (finding,) = [f for f in found(now, Data(features, rows)) if f.is_error]
    assert (finding.feature, finding.is_drift) == ("label", True)
    assert finding.sentence == (
        "Classes of the last good run without an example now: '7' (100 times)."
    )
    # Three examples of 1,000 are absent from as many others with a probability of 1/8.
    rare = [{"label": 7 if i < 3 else i % 7} for i in range(1000)]
    none = [{"label": i % 7} for i in range(1000)]
    assert [f for f in found(Data(features, none), Data(features, rare)) if f.is_error] == []


def test_values_of_one_sequence_are_one_example():
    """A value that one example has twenty times may be in either half by chance."""
    features = {"tags": Sequence(of=Text())}
    rows = [{"tags": ["ab"[i % 2]] * 20} for i in range(200)]
    other = [{"tags": ["c"] * 20}, *rows[1:]]
    assert found(Data(features, other), Data(features, rows)) == []


def test_another_share_of_a_category():
    features = {"kind": Text()}
    before, now = (
        Data(features, [{"kind": "ab"[i % 10 < tens]} for i in range(1000)]) for tens in (2, 5)
    )
    (finding,) = [f for f in found(now, before) if f.kind == Kind.COMPARATOR_L_INFTY_HIGH]
    assert "of the last good run; at most 10.0% difference is expected (and " in finding.sentence
    # Two categories differ alike, so it may be told by either.
    assert finding.sentence.split(" makes up ")[0] in ("'a'", "'b'")


def test_lengths_of_categories_say_nothing_of_their_own():
    """ "red" has 3 letters, "orange" 6: of free text the lengths tell, of a colour its shares."""
    features = {"colour": Text(), "name": Text()}
    colours, names = ("red", "orange"), ("n{}", "n{} and more")
    before, now = (
        Data(
            features,
            [
                {"colour": colours[i % 10 < tens], "name": names[i % 10 < tens].format(i)}
                for i in range(1000)
            ],
        )
        for tens in (2, 7)
    )
    differ = {f.feature for f in found(now, before)}
    assert differ == {"colour", "name/characters", "name/words"}


def test_lists_of_the_same_lengths_are_compared_once():
    features = {"boxes": Boxes(), "classes": Sequence(of=Label(names=("a", "b")))}
    features |= {"words": Sequence(of=Text())}

    def rows(least):
        counts = [least + i % 3 for i in range(300)]
        box = np.array([[0.1, 0.1, 0.5, 0.5]], np.float32)
        return [
            {"boxes": box.repeat(n, 0), "classes": [i % 2] * n, "words": ["w"] * (n + i % 2)}
            for i, n in enumerate(counts)
        ]

    differ = {f.feature for f in found(Data(features, rows(5)), Data(features, rows(1)))}
    assert differ == {"boxes/length", "words/length"}


def test_more_missing_values():
    features = {"size": Number(optional=True)}
    random = np.random.default_rng(0)
    rows = [{"size": np.float32(random.normal())} for _ in range(1000)]
    gaps = [{} if i % 3 == 0 else row for i, row in enumerate(rows)]
    (finding,) = found(Data(features, gaps), Data(features, rows))
    assert finding.sentence.startswith("It is missing in 3")
    assert "and in 0.0% of the last good run; at most 10.0% difference" in finding.sentence


def test_more_infinite_values():
    """A schema that is inferred from them allows them, and no histogram shows them."""
    features = {"size": Number()}
    random = np.random.default_rng(0)
    rows = [{"size": np.float32(random.normal())} for _ in range(1000)]
    endless = [{"size": np.float32("inf")} if i % 3 == 0 else row for i, row in enumerate(rows)]
    (finding,) = found(Data(features, endless), Data(features, rows))
    assert finding.sentence.startswith("It is missing, NaN or infinite in 3")
    assert found(Data(features, endless), Data(features, endless, 1)) == []


@pytest.mark.parametrize("step", [1, -1])
def test_labels_rolled_by_one(step):
    """Ten balanced classes: no distribution changes, only what goes with what."""
    features, rows = digits()
    first, second = halves(rows, 1)
    rolled = [row | {"label": (row["label"] + step) % 10} for row in second]
    (finding,) = found(Data(features, rolled), Data(features, first))
    assert (finding.feature, finding.is_error) == ("label", True)
    assert finding.sentence.startswith(
        "Its classes do not go with the same data as in the last good run: within a class `image/"
    )
    neighbour = "the one before it ('0' those of '9')" if step == 1 else "the one after it"
    assert f"each class has the data of {neighbour}" in finding.sentence
    assert finding.sentence.endswith("Have the labels been exchanged?")


def test_two_classes_exchanged_in_a_table():
    before = Data(SIZES, animals(600, 0))
    now = Data(SIZES, animals(600, 1, classes=(1, 0)))
    (finding,) = found(now, before)
    assert finding.feature == "class"
    assert "within a class `length_m` differs" in finding.sentence


def test_without_slices_exchanged_labels_are_not_seen():
    before, now = Data(SIZES, animals(600, 0)), Data(SIZES, animals(600, 1, classes=(1, 0)))
    before.slices = now.slices = []
    assert found(now, before) == []


def test_labels_are_sliced_by_without_being_asked_for():
    """They are what the check of exchanged labels needs; many examples or classes would take long."""
    features = SIZES | {"sort": Label(names=tuple(map(str, range(60))))}
    assert slices_by_default(features, 200_000, 50) == ("class",)
    assert slices_by_default(features, 200_000, 60) == ("class", "sort")
    assert slices_by_default(features, 200_001, 50) == ()
    # 300 columns in 2 slices each are 600 features; three such labels are 1,800, four 2,400.
    wide = {f"number {i}": Number() for i in range(296)}
    wide |= {f"flag {i}": Label(names=("false", "true")) for i in range(4)}
    assert slices_by_default(wide, 1000, 50) == ("flag 0", "flag 1", "flag 2")


def test_half_of_the_files():
    (finding,) = found(Data(SIZES, animals(300, 1)), Data(SIZES, animals(600, 0)))
    assert (finding.feature, finding.is_error) == ("", True)
    assert finding.sentence == (
        "There are 300 examples, 50% of the 600 of the last good run; at least 70% are expected."
    )
    more = found(Data(SIZES, animals(600, 1)), Data(SIZES, animals(300, 0)))
    assert more == []
    (finding,) = found(
        Data(SIZES, animals(600, 1)), Data(SIZES, animals(300, 0)), max_examples_fraction=1.5
    )
    assert finding.sentence.endswith(
        "200% of the 300 of the last good run; at most 150% are expected."
    )


def test_the_schemas_word_on_the_number_of_examples():
    now, before = Data(SIZES, animals(300, 1)), Data(SIZES, animals(600, 0))
    reviewed = now.schema()
    comparator = reviewed.dataset_constraints.num_examples_drift_comparator
    comparator.min_fraction_threshold = 0.4
    assert found(now, before, reviewed) == []
    comparator.max_fraction_threshold = 0.45
    (finding,) = found(now, before, reviewed)
    assert finding.kind == Kind.COMPARATOR_HIGH_NUM_EXAMPLES


def test_features_that_are_gone_new_or_of_another_make():
    before = Data(
        {"a": Number(), "b": Number(dtype="int64"), "c": Number(shape=(2,))},
        [{"a": 1.0, "b": 1, "c": np.zeros(2, np.float32)}] * 50,
    )
    now = Data(
        {"b": Number(), "c": Number(shape=(3,)), "d": Text()},
        [{"b": 1.0, "c": np.zeros(3, np.float32), "d": "x"}] * 50,
    )
    said = {(f.feature, f.is_error, f.sentence) for f in found(now, before)}
    assert said == {
        ("a", True, "The feature is in the last good run, but not in these data."),
        ("b", True, "Its type is FLOAT; INT in the last good run."),
        ("c", True, "Each example has 3 values; 2 in the last good run."),
        ("d", False, "The feature is new: it is not in the last good run."),
    }
    reference = Reference(before.statistics, GOOD, DriftConfig(), structure=False)
    assert anomalies.find(now.statistics, now.schema(), [reference]).findings == []


# Limits ---------------------------------------------------------------------------------------


def test_limits_by_config_and_schema():
    """The config's own word on a feature, then the schema's, then the limits of all."""
    now, before = Data(SIZES, animals(600, 1, unit=1.6)), Data(SIZES, animals(600, 0))

    def divergences(expected, **settings):
        return [f for f in found(now, before, expected, **settings) if f.short == "Numbers: drift"]

    expected = now.schema()
    assert len(divergences(expected)) == 1
    assert divergences(expected, jensen_shannon=0.9) == []
    assert divergences(expected, jensen_shannon=None) == []
    feature = next(f for f in expected.feature if f.name == "length_m")
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.9
    assert divergences(expected) == []
    assert len(divergences(expected, features={"len*": Limits()})) == 1


def test_divergence_of_categories_where_the_schema_asks_for_it():
    features = {"kind": Text()}
    before, now = (
        Data(features, [{"kind": "abcdefghij"[i % n]} for i in range(2000)]) for n in (10, 5)
    )
    expected = now.schema()
    assert found(now, before, expected, infinity_norm=0.5) == []
    (feature,) = (f for f in expected.feature if f.name == "kind")
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.1
    (finding,) = found(now, before, expected, infinity_norm=0.5)
    # Of 0.1 ten times and 0.2 five times; the splits have these shares but for chance.
    value = jensenshannon([0.1] * 10, [0.2] * 5 + [0] * 5, base=2) ** 2
    said = finding.sentence.split("Jensen-Shannon divergence ")[1].split()[0]
    assert float(said) == pytest.approx(value, abs=0.005)


def test_skew_to_a_serving_log():
    """Only the training split is compared; a log has no labels, and its features may be fewer."""
    train = Data(SIZES, animals(600, 0))
    served = {name: SIZES[name] for name in ("length_m", "kind")}
    log = [{k: row[k] for k in served} for row in animals(200, 1, unit=2.0)]
    split = SplitStatistics(served)
    split.add(log)
    serving = statistics_pb2.DatasetFeatureStatisticsList(datasets=[split.proto("serving")])
    reference = Reference(serving, "the serving log", SkewConfig())
    result = anomalies.find(train.statistics, train.schema(), [reference])
    (finding,) = result.findings
    assert finding.sentence.startswith("Its values are spread otherwise than in the serving log:")
    assert not finding.is_drift
    proto = anomalies.to_proto(result, train.schema())
    infos = {info.path.step[0]: info for info in proto.drift_skew_info}
    assert infos["length_m"].skew_measurements
    assert not infos["length_m"].drift_measurements


def test_features_that_a_serving_log_lacks_or_has_with_another_type():
    train = Data(SIZES, animals(100, 0))
    split = SplitStatistics({"length_m": Text()})
    split.add([{"length_m": "1.5"}] * 100)
    serving = statistics_pb2.DatasetFeatureStatisticsList(datasets=[split.proto("serving")])
    reference = Reference(serving, "the serving log", SkewConfig())
    result = anomalies.find(train.statistics, train.schema(), [reference])
    assert {(f.feature, f.is_error, f.sentence) for f in result.findings} == {
        ("length_m", True, "Its type is FLOAT; STRING in the serving log."),
        ("kind", False, "The feature is not in the serving log."),
    }


def test_sequences_are_compared_by_examples():
    """Words of one text belong together: 30 texts of 100 equal words are 30 samples, not 3,000."""
    features = {"words": Sequence(of=Text())}
    random = np.random.default_rng(0)

    def texts(count):
        return [{"words": [str(random.choice(["a", "b", "c"]))] * 100} for _ in range(count)]

    for _ in range(5):
        assert found(Data(features, texts(30)), Data(features, texts(30))) == []


def test_measurements_are_kept():
    now, before = Data(SIZES, animals(300, 1)), Data(SIZES, animals(300, 0))
    result = anomalies.find(now.statistics, now.schema(), [before.reference()])
    proto = anomalies.to_proto(result, schema_pb2.Schema())
    infos = {info.path.step[0]: info for info in proto.drift_skew_info}
    assert {"length_m", "kind", "class"} <= infos.keys()
    (measured,) = [m for m in infos["length_m"].drift_measurements if m.type == 2]
    assert 0 <= measured.value < measured.threshold
