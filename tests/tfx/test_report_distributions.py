"""What stands behind the pictures of the data: axes, categories, names of parts, overlays, sounds."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from penstock.pipelines.features import Boxes, Label, Number, Text
from penstock.pipelines.media import audio_files
from penstock.pipelines.statistics import statistics_files
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.statistics.statistics_files import by_name
from penstock.tfx.report import (
    categories,
    distributions,
    drift,
    formats,
    overlays,
    plots,
    slices,
    sounds,
    statistics,
)
from penstock.tfx.report.derived import base_of


def _statistics(feature, values, examples=None):
    accumulator = for_feature(feature)
    accumulator.add(values)
    found = accumulator.protos("x", len(values) if examples is None else examples)
    return by_name(statistics_pb2.DatasetFeatureStatistics(features=found))


def _numbers(values, dtype="float32"):
    return _statistics(Number(dtype=dtype), list(values))["x"]


RANDOM = np.random.default_rng(7)
NORMAL = RANDOM.normal(3, 2, 5000)


def test_shares_are_those_of_numpys_histogram():
    other = NORMAL[:2000] + 1
    axis = distributions.common_axis({"train": _numbers(NORMAL), "test": _numbers(other)})
    assert not axis.left_out
    assert list(axis.shares) == ["train", "test"]
    for values, name in ((NORMAL, "train"), (other, "test")):
        expected = np.histogram(values, axis.edges)[0] / len(values)
        # Quantiles are a hundredth apart and half of it is guessed at either edge of a bin.
        np.testing.assert_allclose(axis.shares[name], expected, atol=0.012)
        assert axis.shares[name].sum() == pytest.approx(1.0)


def test_few_integers_have_a_bin_each_and_exact_shares():
    values = [1, 1, 1, 2, 4, 4, 4, 4]
    axis = distributions.common_axis({"train": _numbers(values, "int64")})
    assert axis.edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert axis.shares["train"].tolist() == [3 / 8, 1 / 8, 0.0, 4 / 8]
    assert axis.is_integer


def test_a_long_tail_is_cut_and_counted():
    values = np.append(NORMAL, [1e6] * 50)  # 50 of 5,050 are 1 %
    axis = distributions.common_axis({"train": _numbers(values)})
    assert axis.edges[-1] < 12
    outside = np.count_nonzero(values > axis.edges[-1]) / len(values)
    share = 1 - axis.shares["train"].sum()
    assert share == pytest.approx(outside, abs=0.005)
    assert axis.left_out.startswith(f"Not drawn: at most {100 * share:.1f} % of the values above ")
    assert axis.left_out.endswith(" (up to 1,000,000).")


def test_both_ends_can_be_cut():
    values = np.concatenate([NORMAL, [-1e5] * 20, [1e5] * 20])
    axis = distributions.common_axis({"train": _numbers(values)})
    assert -8 < axis.edges[0] < axis.edges[-1] < 12
    assert "(down to -100,000) and at most" in axis.left_out


def test_no_value_is_lost_where_nothing_is_cut():
    """The greatest number lies on the edge of the last bin."""
    axis = distributions.common_axis({"train": _numbers([0.0, 1.0, 2.0, 2.0])})
    assert axis.shares["train"].sum() == pytest.approx(1.0)
    assert axis.shares["train"][-1] == pytest.approx(0.5, abs=0.01)  # quantiles in hundredths


def test_numbers_over_many_powers_of_ten_have_a_logarithmic_axis():
    values = np.exp(RANDOM.normal(0, 4, 3000))
    axis = distributions.common_axis({"train": _numbers(values)})
    assert axis.is_log
    np.testing.assert_allclose(np.diff(np.log(axis.edges)), np.log(axis.edges[1] / axis.edges[0]))
    assert not distributions.common_axis({"train": _numbers(np.append(values, 0.0))}).is_log
    assert "<svg" in plots.histogram("p", "x", axis)


@pytest.mark.parametrize("values", [[], [3.0, 3.0], [float("nan")], [float("inf"), 1.0]])
def test_what_has_no_spread_has_no_axis(values):
    assert distributions.common_axis({"train": _numbers(values)}) is None


def test_quantiles_are_numpys():
    found = distributions.quantiles(_numbers(NORMAL), (0.05, 0.5, 0.95))
    # A share of 0.01 of the sorted numbers is the width of a bucket of the stored quantiles.
    expected = np.quantile(NORMAL, [[0.04, 0.06], [0.49, 0.51], [0.94, 0.96]])
    for value, (low, high) in zip(found, expected, strict=True):
        assert low <= value <= high


def test_a_sparkline_is_as_high_as_its_shares():
    drawn = str(plots.sparkline(np.array([0.5, 0.25, 0.0, 0.25])))
    # 20 pixels high, 96 wide: a bin is 24 wide, the first reaches the top, the second half of it.
    assert 'd="M0 20V0H24V10H48V20H72V10H96V20Z"' in drawn


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"] * 20, True),
        ([f"name {i}" for i in range(40)], False),  # each is there once
        ([f"{i % 60}" for i in range(600)], False),  # 15 of 60 equally frequent ones are a quarter
        (["a"] * 900 + [f"rare {i % 60}" for i in range(120)], True),  # 900 of 1,020 are 88 %
    ],
    ids=["two", "keys", "many", "many rare ones"],
)
def test_texts_of_few_values_are_categories(values, expected):
    assert categories.categories({"train": _statistics(Text(), values)["x"]}) is expected


def test_of_many_categories_the_most_frequent_are_drawn_first():
    values = [f"v{i}" for i in range(20) for _ in range(i + 1)]
    found = categories.draw_categories("p", "x", "x", {"train": _statistics(Text(), values)["x"]})
    names = [name for name in str(found["svg"]).split(">") if name.startswith("v")]
    assert names[:2] == ["v19</text", "v18</text"]
    assert (
        "x: the share of each of 20 values in every split. The 5 rarest in train"
        in found["caption"]
    )


def test_classes_without_an_example_are_told():
    label = _statistics(Label(names=("a", "b", "c")), [0, 0, 2])["x"]
    found = categories.draw_categories("p", "x", "x", {"train": label})
    assert "1 of these classes is not in train." in found["caption"]


def _write(directory, splits, file=statistics_files.FILE):
    """Statistics of numbers: split -> name -> values."""
    datasets = []
    for split, columns in splits.items():
        size = max(map(len, columns.values()))
        dataset = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=size)
        for name, values in columns.items():
            accumulator = for_feature(Number())
            accumulator.add(list(values))
            dataset.features.extend(accumulator.protos(name, size))
        datasets.append(dataset)
    together = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    statistics_files.write(directory, together, file)


def test_of_many_features_those_in_need_of_attention_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "MOST_OPEN", 2)
    monkeypatch.setattr(statistics, "MOST_FIGURES", 4)
    train = {f"c{i:03d}": NORMAL[:200] for i in range(100)}
    test = train | {"c040": NORMAL[:200] + 3}  # the only one that the splits differ in
    _write(tmp_path, {"train": train, "test": test})
    found = statistics.section(tmp_path, {"c077": 1.0, "c012": 0.5})
    shown = [figure["caption"].partition(":")[0] for figure in found["figures"] + found["folded"]]
    assert shown[:3] == ["c077", "c012", "c040"]
    assert [figure["attention"] for figure in found["figures"]] == [True, False]
    assert (len(found["figures"]), len(found["folded"]), found["left_out"]) == (2, 2, 96)
    numbers = found["numeric"]
    assert len(numbers["open"]) + len(numbers["folded"]) == 100
    assert all(row["spark"] for feature in numbers["folded"] for row in feature["rows"])


def test_what_is_one_number_but_for_a_few_values_is_in_the_table_only(tmp_path):
    """1 of 100 values is not zero; with an anomaly it is drawn all the same."""
    _write(tmp_path, {"train": {"a": [0.0] * 99 + [1.0], "b": NORMAL[:100]}})
    found = statistics.section(tmp_path)
    assert [figure["caption"][0] for figure in found["figures"]] == ["b"]
    assert [row["name"] for row in found["numeric"]["open"]] == ["a", "b"]
    found = statistics.section(tmp_path, {"a": 1.0})
    assert [figure["caption"][0] for figure in found["figures"]] == ["a", "b"]


def test_of_many_splits_four_are_drawn_and_the_others_counted(tmp_path):
    _write(tmp_path, {f"a split of the year {i}": {"a": NORMAL[:100] + i} for i in range(6)})
    found = statistics.section(tmp_path)
    (figure,) = found["figures"]
    assert figure["caption"].endswith("2 more splits are not drawn.")
    # Names of 23 letters stand below each other, or they would be cut off at the edge.
    places = re.findall(r'x="([0-9.]+)" y="[0-9.]+"[^>]*>a split of the year', str(figure["svg"]))
    assert len(places) == 4
    assert len(set(places)) == 1
    assert len(found["numeric"]["open"][0]["rows"]) == 6


def test_a_text_that_is_always_the_same_is_in_the_table_only(tmp_path):
    datasets = []
    for split, constant in (("train", "x"), ("test", "x")):
        dataset = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=4)
        for name, values in {"a": [constant] * 4, "b": ["x", "x", "y", "y"]}.items():
            accumulator = for_feature(Text())
            accumulator.add(values)
            dataset.features.extend(accumulator.protos(name, 4))
        datasets.append(dataset)
    together = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    statistics_files.write(tmp_path, together)
    found = statistics.section(tmp_path)
    assert [figure["caption"][0] for figure in found["figures"]] == ["b"]
    assert [row["name"] for row in found["texts"]["open"]] == ["a", "b"]


@pytest.mark.parametrize("name", ["all missing", "one", "nan", "infinite"])
def test_numbers_without_a_distribution_do_not_stop_the_page(tmp_path, name):
    odd = {"all missing": [], "one": [3.0], "nan": [np.nan, 1.0], "infinite": [np.inf, 1.0]}[name]
    _write(tmp_path, {s: {"a": odd, "b": NORMAL[:50]} for s in ("train", "test")})
    found = statistics.section(tmp_path)
    rows = found["numeric"]["open"]
    assert [row["name"] for row in rows] == ["a", "b"]
    assert found["constant"] == []
    assert [figure["caption"][0] for figure in found["figures"]] == ["b"]


def test_slices_show_first_what_differs_between_them(tmp_path):
    equal, apart = NORMAL[:500], NORMAL[:500] + 9
    _write(tmp_path, {"train": {"a": equal, "b": apart}})
    of_slices = {
        "train: kind=x=1": {"a": equal, "b": equal},
        "train: kind=y": {"a": equal, "b": apart},
    }
    _write(tmp_path, of_slices, statistics_files.SLICES_FILE)
    found = slices.section(tmp_path)
    (part,) = found["parts"]
    assert (part["column"], part["split"], found["left_out"]) == ("kind", "train", 0)
    assert part["numbers"] == ["examples", "share", "mean b", "mean a"]
    assert [row["name"] for row in part["rows"]] == ["x=1", "y"]
    assert part["rows"][1]["numbers"][:3] == ["500", "50.0 %", f"{apart.mean():.3g}"]


def _measured(feature, kind, value, threshold):
    info = anomalies_pb2.DriftSkewInfo()
    info.path.step.append(feature)
    measurement = info.drift_measurements if kind == "drift" else info.skew_measurements
    measurement.add(
        type=anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY, value=value, threshold=threshold
    )
    return info


def test_distances_are_sorted_by_their_share_of_the_limit():
    infos = [_measured("a", "drift", 0.2, 0.4), _measured("b", "drift", 0.3, 0.1)]
    infos += [_measured("c", "drift", 0.1, 0.0), _measured("d", "skew", 0.9, 0.1)]
    found = anomalies_pb2.Anomalies(drift_skew_info=infos)
    rows = drift.distances(found, "drift")
    assert [row["feature"] for row in rows] == ["c", "b", "a"]
    assert [drift.in_percent(row["ratio"]) for row in rows] == ["∞", "300 %", "50 %"]


def test_skew_is_drawn_without_another_run():
    found = anomalies_pb2.Anomalies(drift_skew_info=[_measured("a", "skew", 0.9, 0.1)])
    run = SimpleNamespace(statistics=None, baseline=None)
    parts = drift.section(run, found)
    assert parts["drift"] is None
    assert (parts["skew"]["features"], parts["skew"]["over"]) == (1, 1)
    (figure,) = parts["skew"]["figures"]
    assert "900 %" in figure["svg"]
    assert "bars beyond 300 % are cut off" in figure["caption"]
    assert drift.section(run, anomalies_pb2.Anomalies()) is None


def test_parts_are_told_from_columns_that_are_called_alike():
    boxes = _statistics(Boxes(), [np.zeros((1, 4), np.float32)])
    assert base_of("x/length", boxes) == "x"
    assert base_of("x/area_fraction", boxes) == "x"
    text = _statistics(Text(), ["a b"])
    assert base_of("x/words", text) == "x"
    assert base_of("x/brightness", text) == "x/brightness"
    assert base_of("y/words", text) == "y/words"


def test_the_end_of_a_long_key_is_kept():
    path = "archive-1.0.9.tar.gz/" + "folder/" * 20 + "7_jackson_3.wav"
    assert formats.key(path).startswith("archive-1.0.9.tar.gz")
    assert formats.key(path).endswith("/7_jackson_3.wav")
    assert len(formats.key(path)) == 60


def test_boxes_are_drawn_where_they_are_in_the_colour_of_their_class():
    image = Image.new("RGB", (100, 50))
    box = np.array([[0.2, 0.1, 0.8, 0.5]], np.float32)  # rows 10 to 40, columns 10 to 50
    drawn = np.asarray(overlays.draw_boxes(image, box, [1]))
    assert drawn[10, 10:51].tolist() == [list(overlays.color(1))] * 41
    assert drawn[10:41, 10].tolist() == [list(overlays.color(1))] * 31
    assert not drawn[20:30, 20:40].any()


@pytest.mark.parametrize("corners", [[-1, -1, 2, 2], [0.9, 0.9, 0.1, 0.1], [np.nan] * 4])
def test_boxes_of_any_numbers_are_drawn(corners):
    image = Image.new("L", (8, 8))
    assert overlays.draw_boxes(image, np.array([corners], np.float32), []).size == (8, 8)


def test_masks_colour_what_has_a_class():
    stream = io.BytesIO()
    Image.fromarray(np.array([[0, 1, 255]], np.uint8)).save(stream, "PNG")
    drawn = np.asarray(overlays.blend_mask(Image.new("RGB", (3, 1)), stream.getvalue(), 2))
    # Over black: 0.55 of the colour.
    expected = [[round(0.55 * part) for part in overlays.color(place)] for place in (0, 1)]
    assert drawn[0].tolist() == [*expected, [0, 0, 0]]


def test_the_spectrogram_of_a_tone_is_bright_at_its_frequency():
    time_s = np.arange(8000) / 8000
    found = sounds.picture(audio_files.from_samples(0.5 * np.sin(2 * np.pi * 1000 * time_s), 8000))
    # The level of a sine of half of full scale: 20 log10(0.5 / sqrt(2)) = -9.03 dB.
    assert found["about"] == "1 s, 8 kHz, mono, \N{MINUS SIGN}9 dB"
    data = base64.b64decode(found["spectrogram"].partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)
    assert pixels.shape == (sounds.SPECTROGRAM_HEIGHT, sounds.WIDTH)
    # 1 kHz of 4 kHz: a quarter from below.
    assert abs(pixels.mean(axis=1).argmax() - 0.75 * sounds.SPECTROGRAM_HEIGHT) <= 2
    assert found["played"].startswith("data:audio/wav;base64,")


@pytest.mark.parametrize("samples", [np.zeros(1), np.zeros(8000), np.ones((400, 2))])
def test_short_silent_and_stereo_recordings_are_drawn(samples):
    found = sounds.picture(audio_files.from_samples(samples, 8000))
    assert found["wave"].startswith("M")
    assert "nan" not in found["wave"]


def test_a_long_recording_is_not_in_the_page_and_a_broken_one_not_at_all():
    long = audio_files.from_samples(np.zeros(40 * 8000), 8000)
    found = sounds.picture(long)
    assert found["played"] is None
    assert found["about"].startswith("40 s, the first 30 s drawn, 8 kHz")
    assert sounds.picture(b"RIFF") is None
