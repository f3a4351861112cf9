"""Images with boxes in the layout of Pascal VOC."""

import zipfile
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.reading.boxes import BoxFault, fractions
from penstock.pipelines.reading.voc_annotation import AnnotationFault, parse
from penstock.pipelines.sources import locate


def annotation(*objects, size=(20, 10)):
    """XML with (name, xmin, ymin, xmax, ymax) of each object; size is (width, height)."""
    parts = [
        f"<object><name>{name}</name><difficult>{int(x0 == 3)}</difficult><bndbox><xmin>{x0}</xmin>"
        f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in objects
    ]
    width, height = size
    head = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{head}{''.join(parts)}</annotation>"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "voc"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True)

    def add(image_id, xml, size=(20, 10)):
        (root / "Annotations" / f"{image_id}.xml").write_text(xml)
        Image.new("RGB", size, len(image_id)).save(root / "JPEGImages" / f"{image_id}.jpg")

    add("a", annotation(("dog", 1, 1, 20, 10), ("cat", 3, 5, 3, 5)))
    add("b", annotation(("cat", 11, 1, 15, 8)))
    add("none", annotation())
    return root, add


def section_of(root, **more):
    return {"type": "voc", "path": str(root), **more}


def test_every_annotation_is_a_record_without_sets(tmp_path, folder, generate, examples_of):
    root, _ = folder
    assert locate.load(section_of(root)).check() == []
    directory, generated = generate(tmp_path, section_of(root, difficult=True))
    assert generated.bad == []
    found = examples_of(directory, generated)
    assert examples.features(directory)["classes"].of.names == ("cat", "dog")
    assert sorted(found) == ["a", "b", "none"]
    assert found["a"]["classes"] == [1, 0]
    # Pixels from 1, the last one included: the whole image, and the third pixel of 20, fifth of 10.
    expected = [[0, 0, 1, 1], [4 / 10, 2 / 20, 5 / 10, 3 / 20]]
    np.testing.assert_allclose(found["a"]["boxes"], expected, rtol=1e-6)
    assert found["a"]["difficult"].tolist() == [0, 1]
    assert found["none"]["boxes"].shape == (0, 4)
    assert found["none"]["classes"] == []


def test_edges_from_0_are_taken_as_they_are(tmp_path, folder, generate, examples_of):
    root, _ = folder
    directory, generated = generate(tmp_path, section_of(root, coordinates="edges_from_0"))
    found = examples_of(directory, generated)
    expected = [[1 / 10, 1 / 20, 1, 1], [5 / 10, 3 / 20, 5 / 10, 3 / 20]]
    np.testing.assert_allclose(found["a"]["boxes"], expected, rtol=1e-6)


def test_image_sets_are_splits_and_choose_the_records(tmp_path, folder, generate, key_parts):
    root, _ = folder
    sets = root / "ImageSets" / "Main"
    (sets / "train.txt").write_text("a\nno_such_id\n")
    (sets / "trainval.txt").write_text("a\nb\n")
    (sets / "cat_val.txt").write_text("none  -1\nb   1\n")
    directory, generated = generate(tmp_path, section_of(root))
    assert generated.splits == {"train": 1, "test": 0}
    (record,) = generated.bad
    assert (record.key, record.reason) == ("no_such_id", "There is no annotation for this id.")
    files, facts = key_parts(section_of(root))
    assert [path.name for path in files] == ["a.xml", "train.txt", "a.jpg"]
    assert facts == {"left_out": {"no_such_id": record.reason}}
    chosen = section_of(root, image_sets={"train": "trainval", "other": "cat_val"})
    source = locate.load(chosen)
    faults = {sample.key: (sample.split, sample.fault) for sample in source._samples}
    assert faults == {
        "a": ("train", None),
        "b": ("train", "It is in several image sets: train, other."),
        "none": ("other", None),
    }


OUTSIDE = annotation(("cat", 1, 1, 23, 8))

BAD = {
    "outside": (
        OUTSIDE,
        "The box 0 reaches out of the image of 20 x 10 pixels: x from 0 to 23, y from 0 to 8 pixels. "
        "To cut such boxes, set `data.source.boxes_outside: clip`.",
    ),
    "zero": (
        annotation(("cat", 0, 1, 3, 3)),
        "The box 0 reaches out of the image of 20 x 10 pixels",
    ),
    "order": (
        annotation(("cat", 9, 1, 3, 3)),
        "The object 0 of the annotation has its corners in the wrong order: xmin 9, xmax 3, ymin 1, "
        "ymax 3.",
    ),
    # Counted from 1 this would be a box without a width, were its corners not looked at.
    "order_by_one": (
        annotation(("cat", 3, 1, 2, 3)),
        "The object 0 of the annotation has its corners",
    ),
    "two_boxes": (
        annotation(("cat", 1, 1, 3, 3)).replace("</object>", "<bndbox></bndbox></object>"),
        "The object 0 of the annotation has more than one box.",
    ),
    "nan": (annotation(("cat", "nan", 1, 3, 3)), "The box 0 has an edge that is no number"),
    "other_size": (
        annotation(("cat", 1, 1, 3, 3), size=(30, 10)),
        "The image has 20 x 10 pixels, but its annotation says 30 x 10.",
    ),
    "text": ("this is no XML", "The annotation is no XML: syntax error: line 1, column 0."),
    "other_root": ("<svg/>", "The annotation must have the element <annotation> around it"),
    "no_name": (annotation((" ", 1, 1, 3, 3)), "The object 0 of the annotation has no name."),
    "no_box": (
        "<annotation><object><name>cat</name></object></annotation>",
        "The object 0 of the annotation needs a number at <bndbox/xmin>, not None.",
    ),
    "no_number": (
        annotation(("cat", "left", 1, 3, 3)),
        "The object 0 of the annotation needs a number at <bndbox/xmin>, not 'left'.",
    ),
    "underscore": (
        annotation(("cat", 1, 1, "1_0", 3)),
        "The object 0 of the annotation needs a number at <bndbox/xmax>, not '1_0'.",
    ),
    "size": (
        annotation(("cat", 1, 1, 3, 3), size=("wide", 10)),
        "The annotation's <size> has no height and width.",
    ),
    "entities": (
        '<!DOCTYPE a [<!ENTITY b "bbbbbb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>',
        "The annotation declares a document type or entities, which are not read",
    ),
    "file": (
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><annotation>&b;</annotation>',
        "The annotation declares a document type or entities, which are not read",
    ),
    "encoding": (
        '<?xml version="1.0" encoding="no-such"?><annotation/>',
        "The annotation is no XML",
    ),
}


def test_bad_annotations_and_images_are_quarantined(tmp_path, folder, generate, examples_of):
    root, add = folder
    for image_id, (xml, _) in BAD.items():
        add(image_id, xml)
    add("broken", annotation(("cat", 1, 1, 3, 3)))
    (root / "JPEGImages" / "broken.jpg").write_bytes(b"no image")
    add("lost", annotation(("cat", 1, 1, 3, 3)))
    (root / "JPEGImages" / "lost.jpg").unlink()
    directory, generated = generate(tmp_path, section_of(root))
    assert sorted(examples_of(directory, generated)) == ["a", "b", "none"]
    found = {record.key: record for record in generated.bad}
    assert found.keys() == {*BAD, "broken", "lost"}
    for image_id, (xml, reason) in BAD.items():
        assert found[image_id].reason.startswith(reason)
        assert found[image_id].data == xml.encode()
        assert found[image_id].file == str(root / "Annotations" / f"{image_id}.xml")
    reason = "The image 'JPEGImages/broken.jpg': It is no image of a known format."
    assert found["broken"].reason == reason
    assert found["broken"].data == b"no image"
    assert (
        found["lost"].reason == "There is no image for this id in JPEGImages (.jpg, .jpeg, .png)."
    )


def test_boxes_outside_are_cut_on_request(tmp_path, folder, generate, examples_of):
    root, add = folder
    add("outside", OUTSIDE)
    directory, generated = generate(tmp_path, section_of(root, boxes_outside="clip"))
    boxes = examples_of(directory, generated)["outside"]["boxes"]
    np.testing.assert_allclose(boxes, [[0, 0, 0.8, 1]], rtol=1e-6)


def test_given_classes_have_their_order_and_no_others(tmp_path, folder, generate, examples_of):
    root, add = folder
    add("c", annotation(("cow", 1, 1, 2, 2)))
    directory, generated = generate(tmp_path, section_of(root, classes=["dog", "cat"]))
    assert examples_of(directory, generated)["a"]["classes"] == [0, 1]
    (record,) = generated.bad
    assert record.reason == "Its annotation has classes that are not known: ['cow']."


def test_wrong_paths_and_sets_are_explained(folder):
    root, _ = folder
    (fault,) = locate.load(section_of(root / "JPEGImages")).check()
    assert "must have the folders `Annotations` and `JPEGImages`" in fault
    (fault,) = locate.load(section_of(root, image_sets={"train": "all"})).check()
    assert "`data.source.image_sets.train` names no image set" in fault
    (fault,) = locate.load(section_of(root / "missing")).check()
    assert fault.startswith("`data.source.path`: There is no folder or archive")


def test_an_image_is_measured_where_the_annotation_does_not():
    assert parse(b"<annotation/>").size is None
    with pytest.raises(AnnotationFault, match="no height and width"):
        parse(b"<annotation><size><width>3</width></size></annotation>")


def test_of_a_box_outside_the_image_nothing_can_be_cut():
    assert fractions([(5, 10, 15, 30)], 10, 20, "clip").tolist() == [[0.5, 0.5, 1, 1]]
    for edges in [(3, 21, 4, 30), (11, 3, 12, 4), (3, -5, 4, -1), (-3, 0, -1, 4)]:
        with pytest.raises(BoxFault, match="The box 1 lies outside the image of 20 x 10 pixels: x"):
            fractions([(0, 0, 1, 1), edges], 10, 20, "clip")


def test_hundredths_of_a_pixel_out_of_the_image_are_rounding():
    found = fractions([(0, -0.01, 10.01, 20)], 10, 20, "reject")
    assert found.tolist() == [[0, 0, 1, 1]]
    with pytest.raises(BoxFault, match=r"x from -0.05 to 20"):
        fractions([(0, -0.05, 10, 20)], 10, 20, "reject")


def test_blood_cells(tmp_path, shared_data, generate, examples_of):
    """BCCD: 205, 87 and 72 images; 4,155 red, 372 white cells, 361 platelets."""
    path = shared_data("bccd") / "BCCD_Dataset-1.0.zip"
    inner = "BCCD_Dataset-1.0/BCCD"
    section = section_of(path / inner, coordinates="edges_from_0")
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    assert (generated.splits, generated.bad) == ({"train": 205, "test": 72, "val": 87}, [])
    found = examples_of(directory, generated)
    names = examples.features(directory)["classes"].of.names
    counts = Counter(names[c] for values in found.values() for c in values["classes"])
    assert counts == {"RBC": 4_155, "WBC": 372, "Platelets": 361}
    boxes = np.concatenate([values["boxes"] for values in found.values()])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert (areas == 0).sum() == 2
    with zipfile.ZipFile(path) as archive:
        for image_id in ("BloodImage_00000", "BloodImage_00338"):
            assert found[image_id]["image"] == archive.read(f"{inner}/JPEGImages/{image_id}.jpg")
            root = ElementTree.fromstring(archive.read(f"{inner}/Annotations/{image_id}.xml"))
            expected = [
                [int(box.findtext(edge)) / size for edge, size in
                 (("ymin", 480), ("xmin", 640), ("ymax", 480), ("xmax", 640))]
                for box in root.iter("bndbox")
            ]  # fmt: skip
            np.testing.assert_allclose(found[image_id]["boxes"], expected, rtol=1e-6)
