"""Images with boxes in the format of COCO's instances."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.reading.coco_instances import read_instances
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources import locate

CATEGORIES = [{"id": 7, "name": "dog", "supercategory": "animal"}, {"id": 3, "name": "cat"}]


def image(number, **more):
    name = f"{number:04d}.png"
    return {"id": number, "file_name": name, "height": 10, "width": 20, "license": 1, **more}


def box(number, image_id, category, bbox, **more):
    polygon = {"segmentation": [[1.0, 2.0, 3.0, 4.0]], "area": 3.5}
    return (
        {"id": number, "image_id": image_id, "category_id": category, "bbox": bbox} | polygon | more
    )


DOCUMENT = {
    "info": {"year": 2017},
    "images": [image(1), image(2), image(5)],
    "annotations": [
        box(10, 5, 7, [0, 0, 20, 10], iscrowd=1),
        box(11, 1, 3, [5.5, 2, 0, 4], iscrowd=0),
        box(12, 5, 3, [2, 1, 8, 2.5]),
    ],
    "categories": CATEGORIES,
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "coco"
    (root / "images").mkdir(parents=True)
    for number in (1, 2, 5):
        Image.new("RGB", (20, 10), number).save(root / "images" / f"{number:04d}.png")

    def write(document):
        (root / "instances.json").write_text(json.dumps(document))
        return section_of(root / "instances.json", root / "images")

    return root, write


def section_of(annotations, images, **more):
    def text(place):
        return {k: str(v) for k, v in place.items()} if isinstance(place, dict) else str(place)

    return {"type": "coco", "annotations": text(annotations), "images": text(images), **more}


def test_boxes_classes_and_crowds(tmp_path, folder, generate, examples_of):
    _, write = folder
    section = write(DOCUMENT)
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section)
    assert generated.bad == []
    # In the order of the categories' ids: 3, 7.
    assert examples.features(directory)["classes"].of.names == ("cat", "dog")
    found = examples_of(directory, generated)
    assert sorted(found) == ["0001.png", "0002.png", "0005.png"]
    assert found["0005.png"]["classes"] == [1, 0]
    assert found["0005.png"]["iscrowd"].tolist() == [1, 0]
    expected = [[0, 0, 1, 1], [0.1, 0.1, 0.35, 0.5]]
    np.testing.assert_allclose(found["0005.png"]["boxes"], expected, rtol=1e-6)
    # A box of no width stays.
    np.testing.assert_allclose(found["0001.png"]["boxes"], [[0.2, 0.275, 0.6, 0.275]], rtol=1e-6)
    assert found["0002.png"]["boxes"].shape == (0, 4)
    assert found["0002.png"]["classes"] == []


def test_splits_in_archives(tmp_path, generate, examples_of):
    picture = encode_png(np.zeros((10, 20, 3), np.uint8))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for split, number in (("train", 1), ("val", 2)):
            document = {"images": [image(number)], "annotations": [], "categories": CATEGORIES}
            archive.writestr(f"annotations/{split}.json", json.dumps(document))
            archive.writestr(f"{split}2017/{number:04d}.png", picture)
    places = {split: tmp_path / "all.zip" / f"{split}2017" for split in ("train", "val")}
    annotations = {split: tmp_path / f"all.zip/annotations/{split}.json" for split in places}
    section = section_of(annotations, places)
    source = locate.load(section)
    assert (source.check(), source.files()) == ([], [tmp_path / "all.zip"])
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    assert generated.splits == {"train": 1, "val": 1}
    assert sorted(examples_of(directory, generated)) == ["train/0001.png", "val/0002.png"]


BAD = {
    "outside": (
        box(1, 1, 3, [15, 2, 6, 4]),
        "The box 0 reaches out of the image of 20 x 10 pixels: x from 15 to 21, y from 2 to 6 pixels.",
    ),
    "negative": (box(1, 1, 3, [5, 2, -1, 4]), "The box 0 has its edges in the wrong order"),
    "category": (
        box(1, 1, 9, [1, 1, 1, 1]),
        "The annotation 2 (id 1) has the category 9, which is not there.",
    ),
    "list-category": (box(1, 1, [3], [1, 1, 1, 1]), "The annotation 3 (id 1) has the category [3]"),
    "bbox": (
        box(1, 1, 3, [1, 1, "1", 1]),
        "The annotation 4 (id 1) needs a bbox of four numbers, not [1, 1, '1', 1].",
    ),
    "digits": (
        box(1, 1, 3, [0.5, 1, 10**400, 1]),
        "The annotation 5 (id 1) needs a bbox of four numbers, not [0.5, 1, 1000",
    ),
    "crowd": (
        box(1, 1, 3, [1, 1, 1, 1], iscrowd=2),
        "The annotation 6 (id 1) needs an iscrowd of 0 or 1, not 2.",
    ),
}


def test_images_with_bad_annotations_are_quarantined(tmp_path, folder, generate):
    root, write = folder
    images = [image(0), *(image(1, id=i, file_name=f"{name}.png") for i, name in enumerate(BAD, 1))]
    for found in images:
        Image.new("RGB", (20, 10)).save(root / "images" / found["file_name"])
    annotations = [
        {**annotation, "image_id": index} for index, (annotation, _) in enumerate(BAD.values(), 1)
    ]
    section = write({"images": images, "annotations": annotations, "categories": CATEGORIES})
    _, generated = generate(tmp_path, section)
    assert sum(generated.splits.values()) == 1
    found = {record.key: record for record in generated.bad}
    assert found.keys() == {f"{name}.png" for name in BAD}
    for name, (_, reason) in BAD.items():
        assert found[f"{name}.png"].reason.startswith(reason)
        assert found[f"{name}.png"].file == str(root / "instances.json")


def test_what_is_wrong_with_images_and_references_is_accounted_for(tmp_path, folder, generate):
    root, write = folder
    (root / "images" / "0002.png").write_bytes(b"no image")
    images = [
        image(1, width=30),
        image(2),
        image(3),
        image(4, file_name="../instances.json"),
        image(5),
        image(5, file_name="again.png"),
        {"id": 6},
        image(7, height="tall"),
        {"id": 8, "file_name": "0001.png", "width": 20},
    ]
    annotations = [box(1, 99, 3, [1, 1, 1, 1]), box(2, None, 3, [1, 1, 1, 1]), 5]
    section = write({"images": images, "annotations": annotations, "categories": CATEGORIES})
    _, generated = generate(tmp_path, section)
    assert sum(generated.splits.values()) == 1
    reasons = {record.key: record.reason for record in generated.bad}
    expected = {
        "0001.png": "The image '0001.png' has 20 x 10 pixels, but the JSON file says 30 x 10.",
        "0002.png": "The image '0002.png': It is no image of a known format.",
        "0003.png": "The image '0003.png': There is no file '0003.png' in ",
        "../instances.json": "The image '../instances.json': Its name leads out of the place where",
        "images[5]": "Another image has the id 5.",
        "images[6]": "The image has no id or no file_name.",
        "images[7]": "The image's height and width must be integers.",
        "images[8]": "The image's height and width must be integers.",
        "annotations[0]": "The annotation belongs to an image that is not there (99).",
        "annotations[1]": "The annotation belongs to an image that is not there (None).",
        "annotations[2]": "The annotation belongs to an image that is not there (5).",
    }
    assert reasons.keys() == expected.keys()
    for key, reason in expected.items():
        assert reasons[key].startswith(reason)


def test_boxes_outside_are_cut_on_request(tmp_path, folder, generate, examples_of):
    _, write = folder
    section = write({**DOCUMENT, "annotations": [BAD["outside"][0]]})
    directory, generated = generate(tmp_path, {**section, "boxes_outside": "clip"})
    boxes = examples_of(directory, generated)["0001.png"]["boxes"]
    np.testing.assert_allclose(boxes, [[0.2, 0.75, 0.6, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON: "),
        ("[1]", "has no instances as COCO has them"),
        ('{"images": []}', "Expected: an object with the lists images, annotations, categories"),
        ("[" * 100_000, "is no JSON: "),
        (
            '{"images": [], "images": []}',
            "is no JSON: the name 'images' occurs twice in an object.",
        ),
    ],
    ids=["cut", "list", "no-lists", "deep", "twice"],
)
def test_a_file_without_instances_is_explained(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ReadFault, match=said):
        read_instances(tmp_path / "a.json")


def test_faults_of_the_config_are_sentences(tmp_path, folder):
    root, write = folder
    write(DOCUMENT)
    (fault,) = locate.load(section_of({"a": root / "instances.json"}, root / "images")).check()
    assert "must be one path each, or have the same splits. Received: the splits a and one" in fault
    faults = locate.load(section_of({"a": root / "no.json"}, {"a": root / "none"})).check()
    assert faults[0].startswith("`data.source.images.a`: There is no folder or archive")
    assert faults[1].startswith("`data.source.annotations.a`: There is no file 'no.json' in")


def test_splits_must_have_the_same_categories(tmp_path, folder):
    root, write = folder
    write(DOCUMENT)
    other = {"images": [], "annotations": [], "categories": CATEGORIES[:1]}
    (root / "other.json").write_text(json.dumps(other))
    annotations = {"a": root / "instances.json", "b": root / "other.json"}
    source = locate.load(section_of(annotations, dict.fromkeys("ab", root / "images")))
    with pytest.raises(ValueError, match="The categories of `.*other.json` are not those of"):
        source.features()


def test_only_what_is_needed_is_kept(tmp_path):
    """Numbers in polygons take four to five times their text as Python objects."""
    import tracemalloc

    polygons = [box(i, 1, 3, [1, 1, 1, 1], segmentation=[[0.5] * 1_000]) for i in range(200)]
    document = {"images": [image(1)], "annotations": polygons, "categories": CATEGORIES}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    tracemalloc.start()
    found = read_instances(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.images[0].boxes) == 200
    assert peak < 3 * path.stat().st_size
