"""Statistics against numpy and Pillow; equal bytes for equal data, however they are sharded."""

import itertools

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines import examples
from penstock.pipelines.features import Image, Label, Number, Text
from penstock.pipelines.ingest import example_gen
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import Record
from penstock.pipelines.statistics import statistics, statistics_files
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.statistics.media_statistics import ImageStatistics
from penstock.pipelines.statistics.split_statistics import SplitStatistics
from penstock.pipelines.statistics.value_statistics import (
    LabelStatistics,
    NumberStatistics,
    TextStatistics,
)

RNG = np.random.default_rng(3)
FEATURES = {
    "image": Image(channels=1, encoding="png"),
    "label": Label(names=("cat", "dog", "emu")),
    "name": Text(),
    "size": Number(),
    "pair": Number(dtype="int64", shape=(2,)),
}
EXAMPLES = 40
SIZES = RNG.standard_normal(EXAMPLES).astype(np.float32)
PAIRS = RNG.integers(-5, 5, (EXAMPLES, 2))
LABELS = RNG.integers(0, 2, EXAMPLES)
IMAGES = [RNG.integers(0, 256, (4 + i % 3, 6), np.uint8) for i in range(EXAMPLES)]


class Fixed(source.Source):
    """40 examples of every kind of feature, all in the split train but the last two."""

    type: str = "fixed"

    def features(self):
        return FEATURES

    def read(self, pipeline):
        import apache_beam as beam

        return pipeline | beam.Create([record(i) for i in range(EXAMPLES)], reshuffle=False)


def record(i):
    values = {
        "image": encode_png(IMAGES[i]),
        "label": int(LABELS[i]),
        "name": f"the number {i % 10}",
        "size": float(SIZES[i]),
        "pair": PAIRS[i],
    }
    return Record(f"k{i}", values, "train" if i < EXAMPLES - 2 else "test")


def write(directory, shards=None):
    (directory / "examples").mkdir(parents=True)
    splitter = Splitter({"train": 0.5, "test": 0.5})
    example_gen.generate(
        Fixed(), splitter, directory / "examples", directory / "scratch", shards=shards
    )
    return statistics.compute(directory / "examples", directory)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("statistics")
    return directory, write(directory)


@pytest.fixture(scope="module")
def train(written):
    dataset = written[1].datasets[0]
    assert dataset.name == "train"
    return statistics_files.by_name(dataset)


def test_a_dataset_for_each_split(written):
    directory, found = written
    assert [(d.name, d.num_examples) for d in found.datasets] == [("train", 38), ("test", 2)]
    assert statistics_files.read(directory) == found


def test_numbers_equal_numpys(train):
    stats, expected = train["size"].num_stats, SIZES[:38].astype(np.float64)
    assert train["size"].type == statistics_pb2.FeatureNameStatistics.FLOAT
    assert stats.mean == pytest.approx(expected.mean(), rel=1e-14)
    assert stats.std_dev == pytest.approx(expected.std(), rel=1e-14)
    assert (stats.min, stats.max) == (expected.min(), expected.max())
    assert stats.median == np.quantile(expected, 0.5, method="inverted_cdf")
    counts, edges = np.histogram(expected, bins=10)
    standard, quantiles = stats.histograms
    assert [b.sample_count for b in standard.buckets] == counts.tolist()
    np.testing.assert_allclose([b.high_value for b in standard.buckets], edges[1:], rtol=1e-12)
    shown = [quantiles.buckets[0].low_value, *(b.high_value for b in quantiles.buckets)]
    hundredths = np.quantile(expected, np.arange(101) / 100, method="inverted_cdf")
    np.testing.assert_array_equal(shown, hundredths)
    assert {b.sample_count for b in quantiles.buckets} == {0.38}


def test_arrays_count_all_their_values(train):
    stats, expected = train["pair"].num_stats, PAIRS[:38]
    assert train["pair"].type == statistics_pb2.FeatureNameStatistics.INT
    assert stats.common_stats.tot_num_values == 76
    assert stats.common_stats.min_num_values == stats.common_stats.max_num_values == 2
    assert stats.num_zeros == np.count_nonzero(expected == 0)
    assert stats.mean == pytest.approx(expected.mean(), rel=1e-14)


def test_labels_are_shown_by_name(train):
    stats = train["label"].string_stats
    counts = np.bincount(LABELS[:38])
    ranks = {bucket.label: bucket.sample_count for bucket in stats.rank_histogram.buckets}
    assert ranks == {"cat": counts[0], "dog": counts[1], "emu": 0}
    assert stats.unique == 2
    assert [v.value for v in stats.top_values] == sorted(["cat", "dog"], key=lambda n: -ranks[n])
    assert stats.avg_length == 3


def test_text(train):
    stats = train["name"].string_stats
    assert stats.unique == 10
    assert stats.avg_length == len("the number 0")
    # 38 examples, i % 10: 0 to 7 occur four times, 8 and 9 three times.
    assert [v.frequency for v in stats.top_values] == [4] * 8 + [3] * 2
    assert stats.top_values[0].value == "the number 0"
    assert train["name/words"].num_stats.mean == 3


def test_images_are_measured(train):
    sizes = [len(encode_png(image)) for image in IMAGES[:38]]
    stats = train["image"].bytes_stats
    assert stats.avg_num_bytes == pytest.approx(np.mean(sizes))
    assert (stats.min_num_bytes, stats.max_num_bytes) == (min(sizes), max(sizes))
    heights = [image.shape[0] for image in IMAGES[:38]]
    assert train["image/height"].num_stats.mean == pytest.approx(np.mean(heights))
    assert train["image/width"].num_stats.min == train["image/width"].num_stats.max == 6
    assert train["image/channels"].num_stats.max == 1
    brightness = [image.mean() / 255 for image in IMAGES[:38]]
    assert train["image/brightness"].num_stats.mean == pytest.approx(np.mean(brightness))
    contrast = [image.std() / 255 for image in IMAGES[:38]]
    assert train["image/contrast"].num_stats.std_dev == pytest.approx(np.std(contrast))
    (undecodable,) = train["image"].custom_stats
    assert (undecodable.name, undecodable.num) == ("num_undecodable", 0)


def test_equal_data_give_equal_bytes_however_sharded(written, tmp_path):
    write(tmp_path, shards=5)
    assert len(examples.shard_paths(tmp_path / "examples", "train")) == 5
    expected = (written[0] / statistics_files.FILE).read_bytes()
    assert (tmp_path / statistics_files.FILE).read_bytes() == expected


@pytest.mark.parametrize("name", FEATURES)
def test_parts_merge_in_any_order(name):
    parts = [range(0, 5), range(5, 6), range(6, EXAMPLES)]
    found = set()
    for order in itertools.permutations(parts):
        merged = for_feature(FEATURES[name])
        for part in order:
            other = for_feature(FEATURES[name])
            other.add([record(i).values[name] for i in part])
            merged.merge(other)
        protos = merged.protos(name, EXAMPLES)
        found.add(tuple(proto.SerializeToString(deterministic=True) for proto in protos))
    at_once = for_feature(FEATURES[name])
    at_once.add([record(i).values[name] for i in range(EXAMPLES)])
    found.add(
        tuple(p.SerializeToString(deterministic=True) for p in at_once.protos(name, EXAMPLES))
    )
    assert len(found) == 1


def test_nan_and_infinity_are_counted_apart():
    numbers = NumberStatistics(is_integer=False)
    numbers.add([1.0, float("nan"), 3.0, float("inf")])
    (proto,) = numbers.protos("x", 5)
    assert proto.num_stats.mean == 2
    assert proto.num_stats.max == float("inf")
    assert proto.num_stats.histograms[0].num_nan == 1
    assert proto.num_stats.common_stats.num_missing == 1


@pytest.mark.parametrize(
    "make",
    [lambda: NumberStatistics(True), lambda: LabelStatistics(("a",)), TextStatistics],
    ids=["number", "label", "text"],
)
def test_nothing_at_all_has_statistics(make):
    statistics_found = make().protos("x", 0)
    assert statistics_files.common_stats(statistics_found[0]).num_non_missing == 0


def test_undecodable_images_are_counted():
    images = ImageStatistics()
    images.add([encode_png(IMAGES[0]), b"\x89PNG broken"])
    protos = images.protos("image", 2)
    assert protos[0].custom_stats[0].num == 1
    assert protos[1].num_stats.common_stats.num_non_missing == 1


def test_missing_values_are_counted():
    features = {"age": Number(optional=True), "name": Text(optional=True)}
    statistics_found = SplitStatistics(features)
    statistics_found.add([{"age": np.float32(3)}, {"name": "a b"}, {}])
    found = statistics_files.by_name(statistics_found.proto("train"))
    assert list(found) == ["age", "name", "name/characters", "name/words"]
    for feature in found.values():
        common = statistics_files.common_stats(feature)
        assert (common.num_non_missing, common.num_missing) == (1, 2)


def test_infinities_alone():
    numbers = NumberStatistics(is_integer=False)
    numbers.add([float("-inf"), float("-inf"), float("nan")])
    (proto,) = numbers.protos("x", 3)
    assert (proto.num_stats.min, proto.num_stats.max) == (float("-inf"), float("-inf"))
    assert statistics_files.custom_stat(proto, "num_infinite").num == 2
    assert proto.num_stats.histograms[0].num_nan == 1
    assert not proto.num_stats.histograms[0].buckets


def test_slices_have_a_file_of_their_own(written, tmp_path):
    directory, found = written
    again = statistics.compute(directory / "examples", tmp_path, ("label",), max_slices=3)
    assert again == found
    assert [d.name for d in statistics_files.read_slices(tmp_path).datasets] == [
        "train: label=cat",
        "train: label=dog",
        *(f"test: label={FEATURES['label'].names[i]}" for i in sorted(set(LABELS[38:]))),
    ]
    cats = statistics_files.by_name(statistics_files.read_slices(tmp_path).datasets[0])
    assert cats["size"].num_stats.mean == pytest.approx(SIZES[:38][LABELS[:38] == 0].mean())
    assert not statistics_files.read_slices(directory).datasets


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("lable", "names 'lable', which is no feature of the examples. Expected: label. Correct"),
        ("size", "names 'size', a feature of the kind 'number'. Expected: a label, a text, an"),
        ("image", "names 'image', a feature of the kind 'image'. Expected: a label, a text, an"),
    ],
)
def test_columns_that_cannot_be_sliced_by(column, message, written, tmp_path):
    with pytest.raises(ValueError, match=message):
        statistics.compute(written[0] / "examples", tmp_path, (column,))


def test_a_column_with_too_many_slices():
    sliced = SplitStatistics({"name": Text()}, ("name",), max_slices=2)
    sliced.add([{"name": "a"}, {"name": "b"}, {"name": "a"}])
    message = "names 'name', which has more than 2 values. Leave it out, or raise"
    with pytest.raises(ValueError, match=message):
        sliced.add([{"name": "c"}])


def test_integers_closer_than_floats_of_their_size():
    """Around 2**62 floats are 1,024 apart, so that ten buckets of 150 integers have no edges."""
    numbers = NumberStatistics(is_integer=True)
    numbers.add(list(range(2**62, 2**62 + 1500)))
    (proto,) = numbers.protos("id", 1500)
    (standard, quantiles) = proto.num_stats.histograms
    assert sum(bucket.sample_count for bucket in standard.buckets) == 1500
    assert len(quantiles.buckets) == 100
    assert {stat.name: stat.num for stat in proto.custom_stats}["unique"] == 1500


def write_statistics(directory, values):
    numbers, texts = NumberStatistics(is_integer=False), TextStatistics()
    numbers.add(values)
    texts.add([str(value) for value in values])
    dataset = statistics_pb2.DatasetFeatureStatistics(name="train", num_examples=len(values))
    dataset.features.extend(numbers.protos("x", len(values)) + texts.protos("y", len(values)))
    datasets = statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
    directory.mkdir()
    statistics_files.write(directory, datasets)
    return statistics_files.content_digest(directory)


def test_the_content_digest_leaves_out_what_sketches_estimate(tmp_path):
    values = RNG.standard_normal(9000)
    digest = write_statistics(tmp_path / "a", values)
    files = {(tmp_path / "a" / statistics_files.FILE).read_bytes()}
    # The sketch tosses coins: two of its estimates may be equal, all of ten hardly.
    for turn in range(10):
        again = tmp_path / str(turn)
        assert write_statistics(again, values[::-1]) == digest
        files.add((again / statistics_files.FILE).read_bytes())
    assert len(files) > 1
    values[17] = np.nextafter(values[17], 9)
    assert write_statistics(tmp_path / "c", values) != digest


def test_the_content_digest_has_quantiles_that_are_exact(tmp_path):
    # Equal number, sum (18), sum of squares (102), and ends; only quantiles differ.
    twins = [[0, 1, 4, 6, 7, 9], [0, 2, 3, 5, 8, 9]]
    digests = set()
    for place, twin in enumerate(twins):
        numbers = NumberStatistics(is_integer=False)
        numbers.add(twin)
        dataset = statistics_pb2.DatasetFeatureStatistics(name="train", num_examples=6)
        dataset.features.extend(numbers.protos("x", 6))
        (tmp_path / str(place)).mkdir()
        datasets = statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
        statistics_files.write(tmp_path / str(place), datasets)
        digests.add(statistics_files.content_digest(tmp_path / str(place)))
    assert len(digests) == 2
