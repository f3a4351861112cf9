"""Statistics of real images, boxes, masks and recordings against Pillow, numpy, scipy and ElementTree."""

import io
import tarfile
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from penstock.pipelines import features
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.statistics.feature_statistics import for_feature
from penstock.pipelines.statistics.statistics_files import common_stats, custom_stat

CAMVID = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car")
CAMVID = (*CAMVID, "Pedestrian", "Bicyclist")


def statistics_of(feature, name, values):
    statistics = for_feature(feature)
    for start in range(0, len(values), 7):
        statistics.add(values[start : start + 7])
    return {proto.path.step[0]: proto for proto in statistics.protos(name, len(values))}


def check_numbers(proto, expected):
    """Exact counts, moments to 1e-6, quantiles as numpy's."""
    expected = np.asarray(expected, np.float64)
    stats = proto.num_stats
    assert stats.common_stats.tot_num_values == len(expected)
    assert stats.mean == pytest.approx(expected.mean(), rel=1e-6)
    assert stats.std_dev == pytest.approx(expected.std(), rel=1e-6, abs=1e-9)
    assert (stats.min, stats.max) == pytest.approx((expected.min(), expected.max()))
    assert stats.median == pytest.approx(np.quantile(expected, 0.5, method="inverted_cdf"))
    edges = np.quantile(expected, np.arange(101) / 100, method="inverted_cdf")
    shown = [bucket.high_value for bucket in stats.histograms[1].buckets]
    np.testing.assert_allclose(shown, edges[1:], rtol=1e-6)


def members(archive, folder, count, suffix):
    with zipfile.ZipFile(archive) as files:
        names = [n for n in sorted(files.namelist()) if folder in n and n.endswith(suffix)]
        assert len(names) >= count
        return [files.read(name) for name in names[:count]]


def test_photographs(shared_data):
    archive = shared_data("bccd") / "BCCD_Dataset-1.0.zip"
    photographs = members(archive, "JPEGImages/", 20, ".jpg")
    pixels = [np.asarray(Image.open(io.BytesIO(data))) / 255 for data in photographs]
    drawing = encode_png(np.array([[0, 255, 255]], np.uint8))
    found = statistics_of(features.Image(), "image", [*photographs, drawing])
    check_numbers(found["image/brightness"], [*(p.mean() for p in pixels), 2 / 3])
    check_numbers(found["image/contrast"], [*(p.std() for p in pixels), np.sqrt(2) / 3])
    check_numbers(found["image/height"], [*(p.shape[0] for p in pixels), 1])
    check_numbers(found["image/width"], [*(p.shape[1] for p in pixels), 3])
    check_numbers(found["image/channels"], [*(p.shape[2] for p in pixels), 1])
    sizes = [*map(len, photographs), len(drawing)]
    assert found["image"].bytes_stats.avg_num_bytes == pytest.approx(np.mean(sizes), rel=1e-6)
    ranks = found["image/format"].string_stats.rank_histogram.buckets
    assert {b.label: b.sample_count for b in ranks} == {"jpeg": 20, "png": 1}


def test_boxes_of_blood_cells(shared_data):
    archive = shared_data("bccd") / "BCCD_Dataset-1.0.zip"
    boxes = []
    for data in members(archive, "Annotations/", 364, ".xml"):
        root = ElementTree.fromstring(data)
        size = [int(root.find(f"size/{side}").text) for side in ("height", "width") * 2]
        corners = ("ymin", "xmin", "ymax", "xmax")
        found = [[int(box.find(c).text) for c in corners] for box in root.iter("bndbox")]
        boxes.append((np.array(found).reshape(-1, 4) / size).astype(np.float32))
    found = statistics_of(features.Boxes(), "boxes", boxes)
    flat = np.concatenate(boxes).astype(np.float64)
    assert len(flat) == 4888  # as published
    assert custom_stat(found["boxes"], "num_zero_area").num == 2
    common = common_stats(found["boxes"])
    assert common.tot_num_values == 4 * 4888
    assert common.max_num_values == 4 * max(map(len, boxes))
    check_numbers(found["boxes/length"], [len(each) for each in boxes])
    heights, widths = flat[:, 2] - flat[:, 0], flat[:, 3] - flat[:, 1]
    real = (heights > 0) & (widths > 0)
    for part, expected in {
        "area_fraction": heights * widths,
        "width_fraction": widths,
        "height_fraction": heights,
        "aspect_ratio": widths[real] / heights[real],
    }.items():
        stats = found[f"boxes/{part}"].num_stats
        assert stats.common_stats.tot_num_values == len(expected)
        assert stats.mean == pytest.approx(expected.mean(), rel=1e-6)
        assert stats.std_dev == pytest.approx(expected.std(), rel=1e-6)
        assert (stats.min, stats.max) == (expected.min(), expected.max())
        # A rank error of 0.14 % is stated; many boxes have the same size.
        assert (expected < stats.median).mean() <= 0.503
        assert (expected <= stats.median).mean() >= 0.497


def test_masks_of_streets(shared_data):
    masks = members(shared_data("camvid") / "camvid_240x180.zip", "/testannot/", 20, ".png")
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in masks]
    found = statistics_of(features.Mask(names=CAMVID, ignore=11), "mask", masks)
    together = np.concatenate([p.ravel() for p in pixels])
    values, counts = np.unique(together, return_counts=True)
    expected = {CAMVID[v]: n for v, n in zip(values, counts, strict=True) if v < 11}
    ranks = found["mask/class"].string_stats.rank_histogram.buckets
    assert {b.label: b.sample_count for b in ranks if b.sample_count} == expected
    common = common_stats(found["mask/class"])
    assert common.num_non_missing == 20
    assert common.tot_num_values == (together < 11).sum()
    check_numbers(found["mask/height"], [180] * 20)
    check_numbers(found["mask/width"], [240] * 20)
    check_numbers(found["mask/ignored_fraction"], [(p == 11).mean() for p in pixels])
    check_numbers(found["mask/classes"], [len(np.unique(p[p < 11])) for p in pixels])
    assert custom_stat(found["mask"], "num_unknown_pixels").num == 0


def test_masks_that_do_not_fit():
    masks = [
        encode_png(np.array([[0, 1, 7], [9, 1, 1]], np.uint8)),
        encode_png(np.zeros((2, 2, 3), np.uint8)),
    ]
    found = statistics_of(features.Mask(names=("a", "b"), ignore=9), "mask", masks)
    assert custom_stat(found["mask"], "num_unknown_pixels").num == 1
    assert custom_stat(found["mask"], "num_undecodable").num == 1
    ranks = found["mask/class"].string_stats.rank_histogram.buckets
    assert [(b.label, b.sample_count) for b in ranks] == [("b", 3), ("a", 1)]
    assert found["mask/classes"].num_stats.common_stats.num_missing == 1
    assert found["mask/ignored_fraction"].num_stats.mean == pytest.approx(1 / 6)


def test_spoken_digits(shared_data):
    recordings = []
    with tarfile.open(shared_data("fsdd") / "lucas-1.0.10.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".wav"):
                recordings.append(archive.extractfile(member).read())
            if len(recordings) == 60:
                break
    assert len(recordings) == 60
    found = statistics_of(features.Audio(), "audio", [*recordings, b"RIFF damaged"])
    assert custom_stat(found["audio"], "num_undecodable").num == 1
    assert common_stats(found["audio/seconds"]).num_missing == 1
    samples = [wavfile.read(io.BytesIO(data))[1].astype(np.float64) for data in recordings]
    check_numbers(found["audio/seconds"], [len(s) / 8000 for s in samples])
    check_numbers(found["audio/sample_rate_hz"], [8000] * 60)
    check_numbers(found["audio/channels"], [1] * 60)
    check_numbers(found["audio/peak"], [np.abs(s).max() / 32768 for s in samples])
    levels = [20 * np.log10(np.sqrt(np.mean((s / 32768) ** 2))) for s in samples]
    check_numbers(found["audio/level_dbfs"], levels)
    clipped = [np.mean(np.abs(s) >= 32767) for s in samples]
    check_numbers(found["audio/clipped_fraction"], clipped)
    silent = [silent_windows(s) for s in samples]
    check_numbers(found["audio/silent_fraction"], silent)


def silent_windows(samples):
    """The share of windows of 20 ms (160 samples at 8 kHz) whose level is below -60 dBFS."""
    windows = [samples[start : start + 160] for start in range(0, len(samples), 160)]
    return np.mean([np.sqrt(np.mean(w**2)) < 32768 / 1000 for w in windows])
