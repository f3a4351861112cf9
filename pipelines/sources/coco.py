"""Images with boxes as COCO keeps them: one JSON file of instances for each split.

`annotations` is a JSON file (on disk or in an archive) with `images` (id, file_name, height, width),
`annotations` (image_id, category_id, bbox, iscrowd) and `categories` (id, name); `images` is the
folder or archive with the files. Both may be a dict of splits, with the same keys:

    annotations: {train: annotations.zip/annotations/instances_train2017.json, val: ...}
    images: {train: train2017.zip/train2017, val: val2017.zip/val2017}

A box is [x, y, width, height] in pixels from the upper left corner, fractions of a pixel included;
segmentations, areas and captions are not read. Features: `image`, `boxes` (fractions of the image),
`classes` and `iscrowd` (0 or 1: the box of a crowd), as many as boxes. Images without an annotation
stay. Classes are all categories in the order of their ids. A record's key is the split and the
image's `file_name`.

Bad records are images that are not there or of another size than the JSON says, those with a box out
of the image (unless `boxes_outside: clip` cuts it) or of an unknown category, and annotations
of an unknown image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from penstock.pipelines.features import Boxes, Features, Image, Label, Number, Sequence
from penstock.pipelines.reading.coco_instances import CocoImage, Instances, read_instances
from penstock.pipelines.reading.media_files import (
    FILES_AT_ONCE,
    IMAGE_ENDINGS,
    ImageReader,
    MediaFault,
    bad_record,
    read_part,
)
from penstock.pipelines.reading.tree import ReadFault, Tree
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record


class Source(source.Source):
    """Images with boxes, their classes and whether they are crowds."""

    type: Literal["coco"] = "coco"
    annotations: Path | dict[str, Path]
    images: Path | dict[str, Path]
    boxes_outside: Literal["reject", "clip"] = "reject"

    libraries = ("pillow",)

    def check(self) -> list[str]:
        if isinstance(self.annotations, Path) != isinstance(self.images, Path) or (
            isinstance(self.images, dict) and self.images.keys() != self.annotations.keys()
        ):
            return [
                "`data.source.annotations` and `data.source.images` must be one path each, or have "
                f"the same splits. Received: {_shown(self.annotations)} and {_shown(self.images)}."
            ]
        faults = []
        for split, annotations, images in self._places():
            at = "" if split is None else f".{split}"
            fault = Tree(images).check()
            if fault:
                faults.append(f"`data.source.images{at}`: {fault}")
            fault = _file_fault(annotations)
            if fault:
                faults.append(f"`data.source.annotations{at}`: {fault}")
        return faults

    def files(self) -> list[Path]:
        """The JSON files or their archives, and the archives or images."""
        found = set()
        for _, annotations, images in self._places():
            tree = Tree(annotations.parent)
            found.update(tree.disk_files() if tree.is_archive else [annotations])
            tree = Tree(images)
            paths = tree.disk_files()
            found.update(p for p in paths if tree.is_archive or p.suffix.lower() in IMAGE_ENDINGS)
        return sorted(found)

    def features(self) -> Features:
        names = tuple(self._categories.values())
        return {
            "image": Image(),
            "boxes": Boxes(),
            "classes": Sequence(of=Label(names=names)),
            "iscrowd": Sequence(of=Number(dtype="int64")),
        }

    def own_splits(self) -> frozenset[str | None]:
        return frozenset(split for split, _, _ in self._places())

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise ValueError(faults[0])
        ids = {category: index for index, category in enumerate(self._categories)}
        return (
            pipeline
            | "Splits" >> beam.Create(self._places()).with_output_types(tuple)
            | "Images" >> beam.FlatMap(parts_of_split)
            | "Spread" >> beam.Reshuffle()
            | "ReadImages" >> beam.FlatMap(read_part_of_split, ids, self.boxes_outside)
        )

    def _places(self) -> list[tuple[str | None, Path, Path]]:
        """(split, JSON file, images) of each split."""
        if isinstance(self.annotations, Path):
            return [(None, self.annotations, self.images)]
        return [(split, path, self.images[split]) for split, path in self.annotations.items()]

    @cached_property
    def _categories(self) -> dict[int, str]:
        """Names by id; splits must agree."""
        known, first = None, None
        for _, path, _ in self._places():
            found = read_instances(path).categories
            if known is not None and found != known:
                raise ValueError(
                    f"The categories of `{path}` are not those of `{first}`. All splits of "
                    "`data.source.annotations` must have the same ids and names."
                )
            known, first = found, path
        return known


def _shown(value):
    return f"the splits {', '.join(value)}" if isinstance(value, dict) else "one path"


def _file_fault(path):
    tree = Tree(path.parent)
    fault = tree.check()
    if fault:
        return fault
    try:
        tree.open(path.name).close()
    except ReadFault as fault:
        return str(fault)
    return None


@dataclass(frozen=True)
class Part:
    """Some images of a split, or what is wrong with its file."""

    split: str | None
    annotations: Path
    tree: Tree
    start: int
    images: list[CocoImage]
    faults: list[tuple[str, str]]


def parts_of_split(place: tuple[str | None, Path, Path]) -> Iterator[Part]:
    """(split, JSON file, images) -> parts of it."""
    split, path, images = place
    found: Instances = read_instances(path)
    yield Part(split, path, Tree(images), 0, [], found.faults)
    for start in range(0, len(found.images), FILES_AT_ONCE):
        chosen = found.images[start : start + FILES_AT_ONCE]
        yield Part(split, path, Tree(images), start, chosen, [])


def read_part_of_split(part: Part, ids: dict[int, int], outside: str):
    """Yields a record for each image, and a bad one for each fault of the JSON file."""
    from penstock.pipelines.reading.boxes import BoxFault

    where = str(part.annotations)
    for position, fault in part.faults:
        index = int(position.partition("[")[2].rstrip("]"))
        yield BadRecord(where, index, fault, position)
    for index, image in enumerate(part.images, part.start):
        key = image.name if part.split is None else f"{part.split}/{image.name}"
        try:
            if image.fault:
                raise MediaFault(image.fault)
            values = _values(image, part.tree, ids, outside)
        except (MediaFault, BoxFault) as fault:
            yield bad_record(where, index, fault, key)
        else:
            yield Record(key, values, part.split, where, index)


def _values(image, tree, ids, outside):
    from penstock.pipelines.media.image_files import image_size
    from penstock.pipelines.reading.boxes import fractions

    data = read_part(ImageReader(), tree, image.name, "image")
    height, width = image_size(data)
    if image.size not in (None, (height, width)):
        said_height, said_width = image.size
        raise MediaFault(
            f"The image {image.name!r} has {width} x {height} pixels, but the JSON file says "
            f"{said_width} x {said_height}."
        )
    edges = [(y, x, y + h, x + w) for x, y, w, h in image.boxes]
    return {
        "image": data,
        "boxes": fractions(edges, height, width, outside),
        "classes": [ids[category] for category in image.categories],
        "iscrowd": image.crowds,
    }
