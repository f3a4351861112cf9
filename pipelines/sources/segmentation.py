"""Images with a mask each: the class of every pixel.

Either two folders, `images` and `masks` under `path`, whose files have the same names apart from
their endings; or a `pattern` (`reading/name_pattern.py`) that finds the images by their names
relative to `path`, and `mask`, the name of the mask made of the pattern's groups:

    path: camvid.zip/CamVid
    pattern: '^(?P<split>train|val|test)/(?P<frame>.+)\\.jpg$'
    mask: '{split}annot/{frame}.png'
    classes: [Sky, Building, ...]
    ignore: 11

`path` is a folder or an archive. A pixel of a mask is the position of its class in `classes`, or
`ignore`; `mask_files.py` says which files are read. Features: `image`, `mask`, and what else the
pattern finds, as in `image_folder`. With a pattern other files are none of this source's. A record's
key is the image's name. Bad records are images without a mask, masks without an image (of two
folders), a mask of another size than its image, and pixels that are neither a class nor `ignore`.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from penstock.pipelines.features import Features, Image, Mask, unfit_class_names
from penstock.pipelines.reading.file_source import FileSource
from penstock.pipelines.reading.media_files import (
    IMAGE_ENDINGS,
    ImageReader,
    MaskReader,
    MediaFault,
    Part,
    bad_record,
    parts_of,
    read_part,
    trees_of,
)
from penstock.pipelines.reading.name_pattern import NameFault, NamePattern, NameReader
from penstock.pipelines.reading.tree import Entry, ReadFault, Tree
from penstock.pipelines.sources.source import Record

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask in a tree, or why it is none."""

    key: str
    tree: Tree
    image: Entry
    mask: str
    fault: str | None = None

    @property
    def where(self) -> str:
        """The image's path, for people."""
        return str(Path(self.tree.path, self.image.name))


class Source(FileSource, NamePattern):
    """Images with masks.

    Args:
        classes: their names, in the order of the pixels' values.
        ignore: the value of pixels without a class.
        images: the folder of the images, where there is no `pattern`.
        masks: the folder of the masks, where there is no `pattern`.
        mask: the mask's name by the `pattern`'s groups, each in braces.
        channels: of the images.
    """

    type: Literal["segmentation"] = "segmentation"
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    ignore: Annotated[int, Field(ge=0, le=255)] | None = None
    images: str = "images"
    masks: str = "masks"
    mask: str | None = None
    channels: Literal[1, 3] = 3
    unmatched: Literal["skip"] = "skip"

    libraries = ("pillow",)

    def check(self) -> list[str]:
        faults = self.pattern_faults() + self._mask_faults()
        try:
            Mask(names=self.classes, ignore=self.ignore)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            faults.append(f"`data.source.classes` and `data.source.ignore`: {said}")
        unfit = unfit_class_names(self.classes)
        if unfit:
            faults.append(
                "`data.source.classes` has names that cannot be stored. Expected: one line that "
                f"neither begins nor ends with white space. Received: {', '.join(map(repr, unfit))}."
            )
        faults = faults or super().check()
        if faults or self._pairs:
            return faults
        where = "match `data.source.pattern`" if self.pattern else f"lie in `{self.images}`"
        return [
            f"`data.source.path` has no images that {where}. Received: {str(self.path)!r}. Names are "
            f"relative to it and end in {', '.join(IMAGE_ENDINGS)}. Correct it or the path."
        ]

    def _mask_faults(self):
        if (self.pattern is None) != (self.mask is None):
            return [
                "`data.source.pattern` and `data.source.mask` belong together: the pattern finds "
                "images, `mask` is the name of an image's mask. Give both, or neither for two folders."
            ]
        if self.mask is None:
            return []
        known = self.group_names()
        unknown = [name for name in _PLACE.findall(self.mask) if name not in known]
        if not unknown:
            return []
        return [
            "`data.source.mask` must be made of the groups of `data.source.pattern`, each in braces. "
            f"Expected: {', '.join(known) or '(it has none)'}. Received: {', '.join(unknown)}."
        ]

    def files(self) -> list[Path]:
        """Archives; of folders the images and masks that can be read."""
        found = set()
        for _, tree in self._trees:
            if tree.is_archive:
                found.update(tree.disk_files())
        for pair in self._pairs:
            if not pair.tree.is_archive and pair.image.fault is None:
                found.add(Path(pair.where))
                if pair.fault is None:
                    found.add(Path(pair.tree.path, pair.mask))
        return sorted(found)

    def fingerprint(self) -> dict:
        """What is no pair: no file that can be read shows it."""
        left_out = {p.key: p.fault for p in self._pairs if p.fault and not p.tree.is_archive}
        return {"left_out": left_out} if left_out else {}

    def features(self) -> Features:
        return {
            "image": Image(channels=self.channels),
            "mask": Mask(names=self.classes, ignore=self.ignore),
            **self._names.features(),
        }

    def own_splits(self) -> frozenset[str | None]:
        return self.splits_of(pair.image.name for pair in self._pairs)

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise ValueError(faults[0])
        masks = MaskReader(len(self.classes), self.ignore)
        return (
            pipeline
            | "Pairs" >> beam.Create(parts_of(self._pairs)).with_output_types(tuple)
            | "ReadPairs" >> beam.FlatMap(read_pairs, self._names, masks)
        )

    @cached_property
    def _trees(self) -> list[tuple[str, Tree]]:
        try:
            return trees_of(self.path, self.paths())
        except ReadFault:  # `check` says it
            return []

    @cached_property
    def _names(self) -> NameReader:
        return NameReader(self, [pair.image.name for pair in self._pairs if pair.fault is None])

    @cached_property
    def _pairs(self) -> list[Pair]:
        pair_up = self._by_folder if self.pattern is None else self._by_pattern
        return [pair for prefix, tree in self._trees for pair in pair_up(prefix, tree)]

    def _by_pattern(self, prefix, tree):
        entries = {entry.name: entry for entry in tree.entries()}
        for name, entry in entries.items():
            groups = self.groups_of(name)
            if groups is None or not name.lower().endswith(IMAGE_ENDINGS):
                continue
            mask = _PLACE.sub(lambda match, groups=groups: groups.get(match[1], ""), self.mask)
            yield _pair(prefix, tree, entry, entries.get(mask), mask)

    def _by_folder(self, prefix, tree):
        images, masks = {}, {}
        for entry in tree.entries():
            for folder, found in ((self.images, images), (self.masks, masks)):
                start = f"{folder.strip('/')}/"
                if entry.name.startswith(start) and entry.name.lower().endswith(IMAGE_ENDINGS):
                    stem = str(PurePosixPath(entry.name.removeprefix(start)).with_suffix(""))
                    found.setdefault(stem, []).append(entry)
        for stem in sorted(images.keys() | masks.keys()):
            mask, found = masks.get(stem, [None]), images.get(stem, [])
            for image in found:
                twice = found if len(found) > 1 else mask
                if len(twice) > 1:
                    names = ", ".join(repr(entry.name) for entry in twice)
                    fault = f"There are several files of this name: {names}."
                    yield Pair(prefix + image.name, tree, image, "", fault)
                else:
                    yield _pair(prefix, tree, image, mask[0], f"{self.masks}/{stem}")
            if stem not in images:
                for entry in mask:
                    fault = f"There is no image for this mask in {self.images!r}."
                    yield Pair(prefix + entry.name, tree, entry, "", fault)


def _pair(prefix, tree, image, mask, expected):
    fault = image.fault
    if mask is None:
        fault = fault or f"There is no mask {expected!r} for it."
        return Pair(prefix + image.name, tree, image, "", fault)
    if mask.fault:
        fault = fault or f"The mask {mask.name!r}: {mask.fault}"
    return Pair(prefix + image.name, tree, image, mask.name, fault)


def read_pairs(part: Part, names: NameReader, masks: MaskReader):
    """Yields a record for each `Pair` of a part."""
    from penstock.pipelines.media.image_files import image_size

    for index, pair in part.numbered():
        try:
            if pair.fault:
                raise MediaFault(pair.fault)
            named = names.read(pair.image.name)
            image = ImageReader().read(pair.tree, pair.image.name)
            mask = read_part(masks, pair.tree, pair.mask, "mask")
            (height, width), (mask_height, mask_width) = image_size(image), image_size(mask)
            if (height, width) != (mask_height, mask_width):
                raise MediaFault(
                    f"The image has {width} x {height} pixels, but its mask {pair.mask!r} has "
                    f"{mask_width} x {mask_height}."
                )
        except (MediaFault, NameFault) as fault:
            yield bad_record(pair.where, index, fault, pair.key)
        else:
            values = {"image": image, "mask": mask, **named.values}
            yield Record(pair.key, values, named.split, pair.where, index, named.group)
