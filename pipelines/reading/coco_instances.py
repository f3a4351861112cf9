"""The JSON of COCO's instances -> images with their boxes.

Comes in: a file in the format of https://cocodataset.org/#format-data. Goes out: `Instances`. Of each
annotation only what is needed is kept while parsing: the polygons are nine tenths of COCO's files
(118,287 images, 860,001 boxes: 470 MB of JSON).
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from penstock.pipelines.reading.tree import ReadFault, Tree

MAX_JSON_BYTES = 2 * 2**30
_NEEDED = (
    "id",
    "file_name",
    "height",
    "width",
    "image_id",
    "category_id",
    "bbox",
    "iscrowd",
    "name",
)
_LISTS = ("images", "annotations", "categories")
_KEPT = frozenset((*_NEEDED, *_LISTS))


@dataclass
class CocoImage:
    """One image: its name, its size in pixels as the JSON says, and its annotations.

    `boxes` has [x, y, width, height], `categories` ids. `fault` says why it cannot be used.
    """

    name: str
    size: tuple[int, int] | None
    boxes: list = field(default_factory=list)
    categories: list[int] = field(default_factory=list)
    crowds: list[int] = field(default_factory=list)
    fault: str | None = None


@dataclass
class Instances:
    """What a file says: names of categories by id, images, and (position, fault) of what is wrong."""

    categories: dict[int, str]
    images: list[CocoImage]
    faults: list[tuple[str, str]]


def read_instances(path: Path) -> Instances:
    """A JSON file, on disk or in an archive; once in a process as long as it stays.

    Raises:
        ReadFault: no such file, no JSON, or no instances; a sentence.
    """
    tree = Tree(path.parent)
    fault = tree.check()
    if fault:
        raise ReadFault(fault)
    disk = tree.disk_files()[0] if tree.is_archive else path
    try:
        status = disk.stat()
    except OSError as error:
        raise ReadFault(f"`{path}` cannot be read: {error.strerror}.") from None
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path, *unchanged):
    del unchanged
    text = Tree(path.parent).read(path.name, MAX_JSON_BYTES)
    try:
        content = json.loads(text, object_pairs_hook=_slim)
    except (ValueError, RecursionError) as error:
        raise ReadFault(f"`{path}` is no JSON: {error}.") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(n), list) for n in _LISTS):
        raise ReadFault(
            f"`{path}` has no instances as COCO has them. Expected: an object with the lists "
            f"{', '.join(_LISTS)}."
        )
    return _instances(content)


def _slim(pairs):
    """An object without what is not needed, so that it can go at once. Raises ValueError."""
    kept = [pair for pair in pairs if pair[0] in _KEPT]
    found = dict(kept)
    if len(found) < len(kept):
        names = [name for name, _ in kept]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice in an object")
    return found


def _instances(content):
    faults = []
    categories = {}
    for position, found in enumerate(content["categories"]):
        if not _is_id(found, "id") or not isinstance(found.get("name"), str):
            faults.append((f"categories[{position}]", "The category has no id or no name."))
        elif found["id"] in categories:
            fault = f"Another category has the id {found['id']}: {categories[found['id']]!r}."
            faults.append((f"categories[{position}]", fault))
        else:
            categories[found["id"]] = found["name"]
    images = {}
    for position, found in enumerate(content["images"]):
        fault = _image_fault(found, images)
        if fault:
            faults.append((f"images[{position}]", fault))
        else:
            size = (found["height"], found["width"]) if "height" in found else None
            images[found["id"]] = CocoImage(found["file_name"], size)
    for position, found in enumerate(content["annotations"]):
        image = images.get(found["image_id"]) if _is_id(found, "image_id") else None
        if image is None:
            said = found.get("image_id") if isinstance(found, dict) else found
            fault = f"The annotation belongs to an image that is not there ({said!r})."
            faults.append((f"annotations[{position}]", fault))
            continue
        image.fault = image.fault or _annotation_fault(position, found, categories)
        image.boxes.append(found.get("bbox"))
        image.categories.append(found.get("category_id"))
        image.crowds.append(found.get("iscrowd", 0))
    return Instances(dict(sorted(categories.items())), list(images.values()), faults)


def _is_id(found, name):
    return isinstance(found, dict) and type(found.get(name)) is int


def _is_number(found):
    # JSON has integers of any length; as a float a longer one is an error.
    return type(found) is float or (type(found) is int and abs(found) < 2**63)


def _image_fault(found, known):
    if not _is_id(found, "id") or not isinstance(found.get("file_name"), str):
        return "The image has no id or no file_name."
    if found["id"] in known:
        return f"Another image has the id {found['id']}."
    has_size = "height" in found or "width" in found
    if has_size and not (_is_id(found, "height") and _is_id(found, "width")):
        return "The image's height and width must be integers."
    return None


def _annotation_fault(position, found, categories):
    where = f"The annotation {position} (id {found.get('id')!r})"
    if not _is_id(found, "category_id") or found["category_id"] not in categories:
        return f"{where} has the category {found.get('category_id')!r}, which is not there."
    box = found.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return f"{where} needs a bbox of four numbers, not {box!r}."
    if type(found.get("iscrowd", 0)) is not int or found.get("iscrowd", 0) not in (0, 1):
        return f"{where} needs an iscrowd of 0 or 1, not {found['iscrowd']!r}."
    return None
