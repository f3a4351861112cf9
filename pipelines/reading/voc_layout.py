"""The layout of Pascal VOC: which files belong together, and which set they are in.

Comes in: a tree with `Annotations`, `JPEGImages` and perhaps `ImageSets/Main`. Goes out: a `Sample`
for each id.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from penstock.pipelines.reading.tree import Entry, ReadFault, Tree

SETS_FOLDER = "ImageSets/Main"
USUAL_SETS = ("train", "val", "test")
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
_MAX_SET_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """One image by its id: where its files are, or why it cannot be used."""

    key: str
    tree: Tree
    annotation: str
    image: str
    split: str | None
    fault: str | None = None

    @property
    def where(self) -> str:
        """The annotation's path, for people."""
        return os.path.join(self.tree.path, self.annotation)


def known_sets(tree: Tree) -> list[str]:
    """The names of the image sets of a tree."""
    paths = [PurePosixPath(entry.name) for entry in tree.entries()]
    return sorted(p.stem for p in paths if str(p.parent) == SETS_FOLDER and p.suffix == ".txt")


def samples_of(prefix: str, tree: Tree, sets: dict[str, str]) -> Iterator[Sample]:
    """The samples of a tree: those of `sets` (split -> image set), or all without any."""
    annotations = {
        PurePosixPath(entry.name).stem: entry
        for entry in tree.entries()
        if entry.name.startswith("Annotations/") and entry.name.endswith(".xml")
    }
    images = {
        PurePosixPath(entry.name).stem: entry
        for entry in tree.entries()
        if entry.name.startswith("JPEGImages/") and entry.name.lower().endswith(_IMAGE_ENDINGS)
    }
    ids = _ids_of_sets(tree, sets, annotations) if sets else dict.fromkeys(annotations, [None])
    for image_id, splits in sorted(ids.items()):
        annotation, image = annotations.get(image_id), images.get(image_id)
        fault = _fault(annotation, image)
        if fault is None and len(splits) > 1:
            fault = f"It is in several image sets: {', '.join(splits)}."
        yield Sample(
            prefix + image_id,
            tree,
            annotation.name if annotation else f"Annotations/{image_id}.xml",
            image.name if image else "",
            splits[0],
            fault,
        )


def _fault(annotation: Entry | None, image: Entry | None) -> str | None:
    if annotation is None:
        return "There is no annotation for this id."
    if image is None:
        return f"There is no image for this id in JPEGImages ({', '.join(_IMAGE_ENDINGS)})."
    return annotation.fault or image.fault


def _ids_of_sets(tree, sets, annotations):
    """id -> its splits, in the order of `sets`."""
    ids = {}
    for split, name in sets.items():
        try:
            text = tree.read(f"{SETS_FOLDER}/{name}.txt", _MAX_SET_BYTES).decode("utf-8", "replace")
        except ReadFault:
            continue  # `check` names a set that is not there
        for line in filter(None, map(str.strip, text.splitlines())):
            # The sets of single classes have a flag behind the id.
            image_id = line if line in annotations else line.split()[0]
            ids.setdefault(image_id, []).append(split)
    return {image_id: list(dict.fromkeys(splits)) for image_id, splits in ids.items()}
