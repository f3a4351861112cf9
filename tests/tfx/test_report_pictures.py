"""Figures as SVG in the page's colours, thumbnails, the confusion matrix."""

import base64
import io
import re
import struct
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, PngImagePlugin

from penstock.tfx.report import images, matrix, plots, svg
from penstock.tfx.report.distributions import Axis

TEXT = "{http://www.w3.org/2000/svg}text"


def _texts(markup):
    return [element.text for element in ET.fromstring(str(markup)).iter(TEXT)]


def test_a_figure_has_no_colours_of_its_own_and_ids_with_its_prefix():
    drawn = str(
        plots.curves("p1", "loss", {"train": [3.0, 2.0, None, 1.0], "validation": [3, 2, 2, 2]})
    )
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", drawn)) == set()
    assert {"var(--ink)", "var(--muted)", "var(--line)", "var(--c0)", "var(--c1)"} <= set(
        re.findall(r"var\(--\w+\)", drawn)
    )
    ids = re.findall(r' id="([^"]+)"', drawn)
    assert ids
    assert all(name.startswith("p1-") for name in ids)
    assert "font-family" not in drawn


def test_equal_figures_are_equal_but_for_their_prefix():
    first, second = (str(plots.curves(p, "loss", {"train": [2.0, 1.0]})) for p in ("p1", "p2"))
    assert first == second.replace("p2-", "p1-")


def test_axes_are_named_and_epochs_counted_from_one():
    texts = _texts(plots.curves("p", "accuracy", {"train": [0.5, 0.75, 1.0]}))
    assert {"epoch", "accuracy", "1", "3"} <= set(texts)


@pytest.mark.parametrize(
    "name", ["$\\frac{1}{x$", "<script>", 'a" b', "日本", "]]>&amp;", "_x^2", ""]
)
def test_any_name_is_plain_text(name):
    shown = name or "(empty)"
    rows = [{"label": name, "value": 0.5, "low": 0.4, "high": 0.6}]
    assert shown in _texts(plots.slice_metric("p", "accuracy", rows, 0.5, []))


NAMES = ("_x", "__y")


def _axis(names, is_log=False):
    shares = dict.fromkeys(names, np.array([0.25, 0.75]))
    return Axis(np.array([1.0, 10.0, 100.0]), shares, is_log, is_integer=False, left_out="")


@pytest.mark.parametrize(
    "drawn",
    [
        lambda: plots.curves("p", "loss", {name: [2.0, 1.0] for name in NAMES}),
        lambda: plots.histogram("p", "n", _axis(NAMES)),
        lambda: plots.class_shares("p", ["a"], {name: [1.0] for name in NAMES}),
    ],
    ids=["curves", "histogram", "class shares"],
)
def test_names_that_begin_with_an_underline_are_in_the_legend(drawn):
    assert set(NAMES) <= set(_texts(drawn()))


def test_a_marker_at_the_edge_is_not_cut():
    """The largest share lies at the right edge of the axes."""
    drawn = ET.fromstring(str(plots.class_shares("p", ["a", "b"], {"train": [0.25, 0.75]})))
    groups = [e for e in drawn.iter() if any(child.tag.endswith("}use") for child in e)]
    markers = [e for e in groups if len(e.findall("{http://www.w3.org/2000/svg}use")) == 2]
    assert len(markers) == 1
    assert "clip-path" not in markers[0].attrib


def test_a_slice_without_a_whole_has_no_legend():
    rows = [{"label": "a", "value": 0.5, "low": None, "high": None}]
    assert "a" in _texts(plots.slice_metric("p", "accuracy", rows, None, []))


def test_a_long_training_is_thinned_out_and_keeps_its_last_value():
    drawn = str(plots.curves("p", "loss", {"train": np.geomspace(10, 0.125, 100_001).tolist()}))
    assert len(drawn) < 40_000
    assert "train ends at 0.125" in drawn


def test_a_metric_that_is_never_finite_is_drawn_empty():
    assert "epoch" in _texts(plots.curves("p", "loss", {"train": [None, None]}))


def _encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _decoded(thumbnail):
    return Image.open(io.BytesIO(base64.b64decode(thumbnail["uri"].partition(",")[2])))


def test_a_small_image_stays_as_it_is():
    pixels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    thumbnail = images.thumbnail(_encoded(Image.fromarray(pixels), "PNG"))
    assert thumbnail["original"] == "10 × 8"
    assert np.array_equal(np.asarray(_decoded(thumbnail)), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_large_image_becomes_a_small_jpeg_of_the_same_shape(mode):
    data = _encoded(Image.new(mode, (1000, 500), 100 if mode == "L" else None), "JPEG")
    thumbnail = images.thumbnail(data)
    assert (thumbnail["width"], thumbnail["height"]) == (96, 48)
    assert thumbnail["uri"].startswith("data:image/jpeg;base64,")
    assert _decoded(thumbnail).mode == ("L" if mode == "L" else "RGB")


def test_sixteen_bits_are_scaled_and_transparency_is_kept():
    deep = Image.fromarray(np.array([[0, 30_000], [60_000, 15_000]], np.uint16))
    assert np.asarray(_decoded(images.thumbnail(_encoded(deep, "PNG")))).tolist() == [
        [0, 127],
        [255, 63],
    ]
    clear = Image.new("RGBA", (200, 200), (1, 2, 3, 0))
    assert _decoded(images.thumbnail(_encoded(clear, "PNG"))).mode == "RGBA"


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(50), b"<svg/>"]
)
def test_what_is_no_image_has_no_thumbnail(data):
    assert images.thumbnail(data) is None


def test_no_program_is_started_on_an_image(monkeypatch):
    """Pillow draws EPS with Ghostscript, whatever the feature says that it is."""

    def started(*arguments, **options):
        raise AssertionError("a program was started on the data")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    head = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    assert images.thumbnail(head + b"showpage\n%%EOF\n") is None


@pytest.mark.parametrize("error", [EOFError, IndexError, struct.error, OSError, SyntaxError])
def test_whatever_a_decoder_raises_there_is_no_thumbnail(error, monkeypatch):
    def broken(self):
        raise error("unexpected")

    data = _encoded(Image.new("RGB", (4, 4)), "PNG")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", broken)
    assert images.thumbnail(data) is None


def test_confusions_are_counted_and_named():
    counts = [[3, 1, 0], [0, 4, 0], [2, 0, 0]]
    found = matrix.section("m", {"classes": ["a", "b", "c"], "counts": counts})
    assert (found["errors"], found["examples"], found["left_out"]) == (3, 10, 0)
    assert found["confusions"] == [
        {"label": "c", "predicted": "a", "times": 2, "share": "100.0 %"},
        {"label": "a", "predicted": "b", "times": 1, "share": "25.0 %"},
    ]
    texts = _texts(found["svg"])
    assert {"predicted class", "label"} <= set(texts)
    assert sorted(text for text in texts if text.isdigit()) == ["1", "2", "3", "4"]  # no zeros


def test_of_a_thousand_classes_those_with_most_errors_are_drawn():
    counts = 5 * np.eye(1000, dtype=int)
    counts[997, 3] = 40
    names = [f"class {i}" for i in range(1000)]
    found = matrix.section("m", {"classes": names, "counts": counts.tolist()})
    assert found["left_out"] == 1000 - matrix.MOST_CLASSES
    assert {"class 997", "class 3", "40"} <= set(_texts(found["svg"]))
    assert len(str(found["svg"])) < 100_000


@pytest.mark.parametrize("details", [None, {}, {"classes": ["a"], "counts": [[1, 2]]}, [1]])
def test_no_matrix_no_section(details):
    assert matrix.section("m", details) is None


def test_every_color_of_a_series_is_told_apart_by_shape_and_dash_too():
    assert len(svg.SERIES) == len(svg.MARKERS) == len(svg.DASHES) == 4
