"""Images with boxes as Pascal VOC keeps them, in a folder or an archive.

`Annotations/<id>.xml` has the boxes of `JPEGImages/<id>.jpg` (or `.jpeg`, `.png`), and
`ImageSets/Main/<set>.txt` the ids of a set. Only images of the chosen sets are records; their split
is the set's. Without image sets every annotation is a record, and splits are made as for any source.
A record's key is its id.

VOC counts pixels from 1 and a box includes its last pixel, so that (1, 1, width, height) is the
whole image: `coordinates: pixels_from_1` takes xmin - 1 and xmax as edges, and a box with xmin =
xmax is one pixel wide. Many programs that write VOC files, and TFDS, take the numbers themselves for
edges: `coordinates: edges_from_0`.

Features: `image`, `boxes` (fractions), `classes` (as many), and with `difficult: true` the flag of
each box. Bad records are those without a readable image or annotation, an image of another size
than the annotation says, and boxes out of the image, unless `boxes_outside: clip` cuts them.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Literal

from penstock.pipelines.features import Boxes, Features, Image, Label, Number, Sequence
from penstock.pipelines.reading.file_source import FileSource
from penstock.pipelines.reading.media_files import (
    ImageReader,
    MediaFault,
    Part,
    bad_record,
    parts_of,
    read_part,
    trees_of,
)
from penstock.pipelines.reading.tree import ReadFault, Tree
from penstock.pipelines.reading.voc_annotation import MAX_XML_BYTES, AnnotationFault, parse
from penstock.pipelines.reading.voc_layout import (
    SETS_FOLDER,
    USUAL_SETS,
    Sample,
    known_sets,
    samples_of,
)
from penstock.pipelines.sources.source import Record


class Source(FileSource):
    """Images with boxes and their classes.

    Args:
        classes: their names in the order of their ids; None: those that occur, sorted.
        image_sets: split -> image set; empty: `train`, `val` and `test`, those that are there.
        coordinates: what the numbers of a box mean, see above.
        boxes_outside: what becomes of an image with a box that reaches out of it.
        difficult: whether the flags are a feature.
    """

    type: Literal["voc"] = "voc"
    classes: tuple[str, ...] | None = None
    image_sets: dict[str, str] = {}
    coordinates: Literal["pixels_from_1", "edges_from_0"] = "pixels_from_1"
    boxes_outside: Literal["reject", "clip"] = "reject"
    difficult: bool = False

    libraries = ("pillow", "defusedxml")

    def check(self) -> list[str]:
        faults = super().check()
        if faults:
            return faults
        for _, tree in self._trees:
            folders = set(tree.folders())
            missing = [name for name in ("Annotations", "JPEGImages") if name not in folders]
            if missing:
                faults.append(
                    "`data.source.path` must have the folders `Annotations` and `JPEGImages`. "
                    f"Received: `{tree.path}`, without {' and '.join(missing)}. Correct the path; "
                    "in an archive it may go on to an inner folder."
                )
            known = known_sets(tree)
            faults += [
                f"`data.source.image_sets.{split}` names no image set of `{tree.path}`. Received: "
                f"{name!r}. Known sets: {', '.join(known) or '(none)'}."
                for split, name in self.image_sets.items()
                if name not in known
            ]
        if not faults and not self._samples:
            faults = [
                f"`data.source.path` has no annotation (`Annotations/<id>.xml`) in the image sets "
                f"that are read. Received: {str(self.path)!r}. Correct `data.source.image_sets`."
            ]
        return faults

    def files(self) -> list[Path]:
        """Archives; of folders the image sets, annotations and images that are read."""
        found = set()
        for _, tree in self._trees:
            if tree.is_archive:
                found.update(tree.disk_files())
            else:
                chosen = self._chosen_sets(tree).values()
                found.update(Path(tree.path, SETS_FOLDER, f"{name}.txt") for name in chosen)
        for sample in self._samples:
            if not sample.tree.is_archive:
                paths = [Path(sample.tree.path, n) for n in (sample.annotation, sample.image) if n]
                # Without a fault both can be read; with one, perhaps one of them.
                found.update(p for p in paths if sample.fault is None or _can_be_read(p))
        return sorted(found)

    def fingerprint(self) -> dict:
        """The ids that cannot be read: no file shows them."""
        left_out = {sample.key: sample.fault for sample in self._samples if sample.fault}
        in_folders = any(not tree.is_archive for _, tree in self._trees)
        return {"left_out": left_out} if in_folders and left_out else {}

    def features(self) -> Features:
        described = {
            "image": Image(),
            "boxes": Boxes(),
            "classes": Sequence(of=Label(names=self._class_names)),
        }
        if self.difficult:
            described["difficult"] = Sequence(of=Number(dtype="int64"))
        return described

    def own_splits(self) -> frozenset[str | None]:
        return frozenset(sample.split for sample in self._samples)

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise ValueError(faults[0])
        return (
            pipeline
            | "Samples" >> beam.Create(parts_of(self._samples)).with_output_types(tuple)
            | "ReadImages"
            >> beam.FlatMap(
                read_samples,
                classes=self._class_names,
                coordinates=self.coordinates,
                outside=self.boxes_outside,
                difficult=self.difficult,
            )
        )

    @cached_property
    def _trees(self) -> list[tuple[str, Tree]]:
        try:
            return trees_of(self.path, self.paths())
        except ReadFault:  # `check` says it
            return []

    @cached_property
    def _samples(self) -> list[Sample]:
        return [
            sample
            for prefix, tree in self._trees
            for sample in samples_of(prefix, tree, self._chosen_sets(tree))
        ]

    def _chosen_sets(self, tree):
        if self.image_sets:
            return self.image_sets
        known = known_sets(tree)
        return {name: name for name in USUAL_SETS if name in known}

    @cached_property
    def _class_names(self) -> tuple[str, ...]:
        if self.classes is not None:
            return self.classes
        found = set()
        for sample in self._samples:
            try:
                found.update(_annotation(sample).names)
            except (ReadFault, AnnotationFault):
                continue  # a bad record
        return tuple(sorted(found))


def _can_be_read(path):
    return path.is_file() and os.access(path, os.R_OK)


def _annotation(sample):
    return parse(sample.tree.read(sample.annotation, MAX_XML_BYTES))


def read_samples(
    part: Part,
    classes: tuple[str, ...],
    coordinates: str,
    outside: str,
    difficult: bool,
):
    """Yields a record for each `Sample` of a part."""
    from penstock.pipelines.reading.boxes import BoxFault

    ids = {name: index for index, name in enumerate(classes)}
    for index, sample in part.numbered():
        data = b""
        try:
            if sample.fault:
                raise MediaFault(sample.fault)
            data = sample.tree.read(sample.annotation, MAX_XML_BYTES)
            values = _values(sample, parse(data), ids, coordinates, outside)
        except MediaFault as fault:
            yield bad_record(sample.where, index, fault, sample.key)
        except (ReadFault, AnnotationFault, BoxFault) as fault:
            fault = MediaFault(str(fault), data)
            yield bad_record(sample.where, index, fault, sample.key)
        else:
            if not difficult:
                del values["difficult"]
            yield Record(sample.key, values, sample.split, sample.where, index)


def _values(sample, annotation, ids, coordinates, outside):
    from penstock.pipelines.media.image_files import image_size
    from penstock.pipelines.reading.boxes import fractions

    unknown = sorted(set(annotation.names) - ids.keys())
    if unknown:
        raise AnnotationFault(f"Its annotation has classes that are not known: {unknown}.")
    image = read_part(ImageReader(), sample.tree, sample.image, "image")
    height, width = image_size(image)
    if annotation.size not in (None, (height, width)):
        said_height, said_width = annotation.size
        raise AnnotationFault(
            f"The image has {width} x {height} pixels, but its annotation says {said_width} x "
            f"{said_height}."
        )
    for index, (x0, y0, x1, y1) in enumerate(annotation.boxes):
        # Counted from 1, the last pixel in front of the first one would be a box without a width.
        if x1 < x0 or y1 < y0:
            raise AnnotationFault(
                f"The object {index} of the annotation has its corners in the wrong order: xmin {x0:g}, "
                f"xmax {x1:g}, ymin {y0:g}, ymax {y1:g}."
            )
    first = 1 if coordinates == "pixels_from_1" else 0
    edges = [(y0 - first, x0 - first, y1, x1) for x0, y0, x1, y1 in annotation.boxes]
    return {
        "image": image,
        "boxes": fractions(edges, height, width, outside),
        "classes": [ids[name] for name in annotation.names],
        "difficult": annotation.difficult,
    }
