"""Images with masks: two folders, a pattern, and what does not fit together."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.sources import locate

CLASSES = ["sky", "road", "car"]
CAMVID = [
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
]


def pixels_of(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "scenes"

    def add(name, pixels, mode=None):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.asarray(pixels, np.uint8), mode)
        if mode == "P":
            image.putpalette(list(range(256)) * 3)
        image.save(path)

    return root, add


def test_two_folders_are_paired_by_name(tmp_path, folder, generate, examples_of, key_parts):
    root, add = folder
    add("images/a.png", np.full((2, 3, 3), 9))
    add("images/town/b.png", np.full((1, 2, 3), 9))
    add("masks/a.bmp", [[0, 1, 2], [255, 1, 1]])
    add("masks/town/b.png", [[1, 0]], "P")
    add("images/lonely.png", np.zeros((1, 1, 3)))
    add("masks/odd.png", [[0]])
    add("images/twice.png", np.zeros((1, 1, 3)))
    add("masks/twice.png", [[0]])
    add("masks/twice.bmp", [[0]])
    add("images/both.png", np.zeros((1, 1, 3)))
    add("images/both.bmp", np.ones((1, 1, 3)))
    add("masks/both.png", [[0]])
    add("images/size.png", np.zeros((1, 1, 3)))
    add("masks/size.png", [[0, 0]])
    add("images/value.png", np.zeros((1, 3, 3)))
    add("masks/value.png", [[3, 3, 0]])
    section = {"type": "segmentation", "path": str(root), "classes": CLASSES, "ignore": 255}
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section)
    mask = examples.features(directory)["mask"]
    assert (mask.names, mask.ignore) == (tuple(CLASSES), 255)
    found = examples_of(directory, generated)
    assert sorted(found) == ["images/a.png", "images/town/b.png"]
    assert pixels_of(found["images/a.png"]["mask"]).tolist() == [[0, 1, 2], [255, 1, 1]]
    assert pixels_of(found["images/town/b.png"]["mask"]).tolist() == [[1, 0]]
    both = "There are several files of this name: 'images/both.bmp', 'images/both.png'."
    unpaired = {
        "images/both.bmp": both,
        "images/both.png": both,
        "images/lonely.png": "There is no mask 'masks/lonely' for it.",
        "images/twice.png": "There are several files of this name: 'masks/twice.bmp', 'masks/twice.png'.",
        "masks/odd.png": "There is no image for this mask in 'images'.",
    }
    assert {record.key: record.reason for record in generated.bad} == {
        **unpaired,
        "images/size.png": "The image has 1 x 1 pixels, but its mask 'masks/size.png' has 2 x 1.",
        "images/value.png": "The mask 'masks/value.png': The mask has pixels that are no class: 3 "
        "(2 pixels); expected 0 to 2, and 255 to be ignored.",
    }
    files, facts = key_parts(section)
    assert facts == {"left_out": unpaired}
    assert len(files) == 2 * 4 + 5


def test_a_pattern_names_split_group_and_mask(tmp_path, folder, generate, examples_of):
    root, add = folder
    for split, drive in (("train", "d1"), ("test", "d2")):
        add(f"{split}/{drive}_7.png", np.zeros((1, 2, 3)))
        add(f"{split}_labels/{drive}_7_L.png", [[0, 2]])
    section = {
        "type": "segmentation",
        "path": str(root),
        "classes": CLASSES,
        "pattern": r"^(?P<split>train|test)/(?P<drive>\w+)_(?P<frame>\d+)\.png$",
        "mask": "{split}_labels/{drive}_{frame}_L.png",
        "group": "drive",
    }
    directory, generated = generate(tmp_path, section)
    assert (generated.splits, generated.bad) == ({"train": 1, "test": 1}, [])
    found = examples_of(directory, generated)
    assert found["train/d1_7.png"]["drive"] == "d1"
    assert pixels_of(found["test/d2_7.png"]["mask"]).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pattern": "(?P<a>.)"}, "`data.source.pattern` and `data.source.mask` belong together"),
        (
            {"pattern": "(?P<a>.)", "mask": "{b}.png"},
            "`data.source.mask` must be made of the groups .* Expected: a. Received: b.",
        ),
        ({"ignore": 1}, "`data.source.classes` and `data.source.ignore`: a mask's classes are the"),
        ({"classes": ["a "]}, "`data.source.classes` has names that cannot be stored"),
        ({"images": "photos"}, "has no images that lie in `photos`"),
    ],
    ids=["alone", "unknown", "ignore", "names", "empty"],
)
def test_faults_of_the_config_are_sentences(folder, values, said):
    root, add = folder
    add("images/a.png", [[0]])
    section = {"type": "segmentation", "path": str(root), "classes": CLASSES, **values}
    (fault,) = locate.load(section).check()
    with pytest.raises(ValueError, match=said):
        raise ValueError(fault)


def test_camvid(tmp_path, shared_data, generate, examples_of):
    """CamVid at 240x180: 367, 101 and 233 frames; 11 classes, 11 is to be ignored."""
    path = shared_data("camvid") / "camvid_240x180.zip"
    section = {
        "type": "segmentation",
        "path": str(path / "CamVid"),
        "pattern": r"^(?P<split>train|val|test)/(?P<frame>.+)\.jpg$",
        "mask": "{split}annot/{frame}.png",
        "classes": CAMVID,
        "ignore": 11,
    }
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    assert (generated.splits, generated.bad) == ({"train": 367, "test": 233, "val": 101}, [])
    found = examples_of(directory, generated)
    counts = sum(np.bincount(pixels_of(v["mask"]).ravel(), minlength=12) for v in found.values())
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if "annot/" in name and name.endswith(".png")]
        expected = sum(
            np.bincount(pixels_of(archive.read(name)).ravel(), minlength=12) for name in names
        )
        assert len(names) == 701
        for split in ("train", "val", "test"):
            listed = archive.read(f"CamVid/{split}.txt").decode().split()
            assert sorted(k for k in found if k.startswith(f"{split}/")) == sorted(
                f"{split}/{frame.rsplit('/', 1)[-1].removesuffix('.jpg')}.jpg" for frame in listed
            )
    np.testing.assert_array_equal(counts, expected)
    assert counts.sum() == 701 * 240 * 180
