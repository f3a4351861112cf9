"""Splits that a training needs and the source does not have, said before any data is read."""

import json

import pytest
import yaml
from PIL import Image

from penstock.pipelines.sources import locate
from penstock.tfx.load_config import ConfigError, load_config


@pytest.fixture
def faults(tmp_path):
    """Faults of a config of text reversal with this source and settings of `data`."""

    def faults(source, *overrides, task="text.reversal", **data):
        document = {"name": "n", "task": task, "data": {"source": source, **data}}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not None}))
        try:
            load_config(path, overrides)
        except ConfigError as error:
            return error.faults
        return []

    return faults


@pytest.fixture
def table(tmp_path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("text,split\nx,a\n")
    return {"type": "csv", "path": str(tmp_path), "columns": ["text"]}


PATTERNS = {"train": "^train", "test": "^test"}
MADE = {"train": 0.9, "validation": 0.1}
VALIDATION = (
    "`train.validation_split` must name a split with at least one example. Received: 'validation'. "
    "Splits: test, train. Set `train.validation_split`, or make the split by `data.splits`; one of the "
    "source's own is divided by `data.split_from: train` with `data.splits: {train: 0.9, validation: "
    "0.1}`. "
    "`train.validation_split=null` trains without validation."
)


def test_own_splits_without_validation(table, faults):
    """All ways that the fault names mend it; nothing is said without a task."""
    source = {**table, "split_patterns": PATTERNS}
    assert faults(source) == [VALIDATION]
    assert faults(source, "train.validation_split=null") == []
    assert faults(source, "train.validation_split=test") == []
    assert faults(source, split_from="train", splits=MADE) == []
    assert faults(source, task=None) == []
    # Where there is nothing to divide, `data.splits` makes no split.
    assert faults(source, splits=MADE) == [VALIDATION]
    half = {**source, "split_patterns": {"test": "^test"}}
    assert faults(half, splits=MADE) == []


def test_all_splits_that_lack_are_said_at_once(table, faults):
    settings = ("train.mixture={train: 1, extra: 1}", "evaluate.split=eval")
    found = faults(table, *settings, splits={"train": 1.0, "validation": 0.0})
    assert [fault.partition(" must")[0] for fault in found] == [
        "`train.mixture`",
        "`train.validation_split`",
        "`evaluate.split`",
    ]
    assert all("Splits: train. " in fault for fault in found)
    (fault,) = faults(table, "train.mixture={train: 1, test: 1}")
    assert fault.startswith("`train.mixture` must not contain the split that is evaluated ('test')")


def test_what_the_source_does_not_know_is_no_fault(table, faults):
    assert faults({**table, "split": "split"}) == []


def image_folder(root):
    for name in ("train/a", "test/a"):
        (root / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(root / name / "1.png")
    return {"type": "image_folder", "path": str(root), "splits_from_folders": True}


def images_by_pattern(root):
    pattern = r"^(?P<split>\w+)/(?P<label>a)/"
    more = {"splits_from_folders": False, "pattern": pattern}
    return {**image_folder(root), **more}


def text_lines(root):
    for name in ("a.train", "b.test", "c.notes"):
        (root / name).write_text("x\n")
    more = {"pattern": r"\.(?P<split>train|test)$", "unmatched": "skip"}
    return {"type": "text_lines", "path": str(root / "*.*"), **more}


def parallel_text(root):
    (root / "x").write_text("x\n")
    texts = {"text": str(root / "x"), "other": str(root / "x")}
    return {"type": "parallel_text", "splits": {"train": texts, "test": texts}}


def coco(root):
    (root / "x.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    annotations = {split: str(root / "x.json") for split in PATTERNS}
    images = dict.fromkeys(PATTERNS, str(root))
    return {"type": "coco", "annotations": annotations, "images": images}


def voc(root):
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    (root / "Annotations" / "1.xml").write_text("<annotation/>")
    for split in PATTERNS:
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split == 'train':d}\n")
    return {"type": "voc", "path": str(root)}


def segmentation(root):
    image_folder(root)
    more = {"pattern": r"^(?P<split>\w+)/a/1.png$", "mask": "{split}/a/1.png"}
    return {"type": "segmentation", "path": str(root), "classes": ["x"], **more}


def audio_manifest(root):
    for split in PATTERNS:
        (root / f"{split}.csv").write_text("file\n1.wav\n")
    rows = {"type": "csv", "path": str(root), "split_patterns": PATTERNS}
    return {"type": "audio_manifest", "rows": rows}


def mixture(root):
    return {"type": "mixture", "sources": {"a": text_lines(root)}}


@pytest.mark.parametrize(
    "write",
    [
        image_folder,
        images_by_pattern,
        text_lines,
        parallel_text,
        coco,
        voc,
        segmentation,
        audio_manifest,
        mixture,
    ],
)
def test_a_source_says_the_splits_that_its_files_show(tmp_path, write):
    assert locate.load(write(tmp_path)).own_splits() == {"train", "test"}


def test_splits_of_one_data_set_and_none_of_another(tmp_path, table):
    (tmp_path / "text").mkdir()
    sources = {"a": text_lines(tmp_path / "text"), "b": table}
    source = locate.load({"type": "mixture", "sources": sources})
    assert source.own_splits() == {"train", "test", None}
    sources["b"] = {**table, "split": "split"}
    assert locate.load({"type": "mixture", "sources": sources}).own_splits() is None
