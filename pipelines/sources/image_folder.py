"""A folder of images, a folder for each class: `<path>/<class>/**/<image>`.

With `splits_from_folders` the first level is the split: `<path>/<split>/<class>/**/<image>`. The
class names are the folders' names, sorted; a record's key is its path relative to `path`. Files
whose names do not end in one of `extensions`, and hidden ones, are no records. Every image is
decoded in full while reading; see `image_files.py` for what is kept and what is converted.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from penstock.pipelines.features import Features, Image, Label
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record

FILES_AT_ONCE = 256


class Source(source.Source):
    """Images in class folders."""

    type: Literal["image_folder"] = "image_folder"
    path: Path
    extensions: tuple[str, ...] = (
        ".png",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
    )
    channels: Literal[1, 3] = 3
    splits_from_folders: bool = False

    libraries = ("pillow",)

    def check(self) -> list[str]:
        layout = "<split>/<class>/<image>" if self.splits_from_folders else "<class>/<image>"
        if not self.path.is_dir():
            found = "a file" if self.path.is_file() else "nothing there"
            return [
                f"`data.source.path` must be a folder. Expected: `{layout}` under it. "
                f"Received: {str(self.path)!r} ({found}). Correct the path or create the folder."
            ]
        if not self.classes():
            return [
                f"`data.source.path` has no class folders. Expected: `{layout}` under it. "
                f"Received: {str(self.path)!r}. Put the images of each class into a folder of its "
                "own, or correct `splits_from_folders`."
            ]
        return []

    def classes(self) -> list[str]:
        """Names of the class folders, sorted."""
        roots = _folders(self.path) if self.splits_from_folders else [self.path]
        return sorted({folder.name for root in roots for folder in _folders(root)})

    def files(self) -> list[Path]:
        return sorted(self.path / relative for relative in self._walk())

    def features(self) -> Features:
        return {
            "image": Image(channels=self.channels, encoding="any"),
            "label": Label(names=tuple(self.classes())),
        }

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise FileNotFoundError(faults[0])
        paths = sorted(self._walk())
        parts = [
            (start, paths[start : start + FILES_AT_ONCE])
            for start in range(0, len(paths), FILES_AT_ONCE)
        ]
        return (
            pipeline
            | "Files" >> beam.Create(parts)
            | "ReadImages" >> beam.FlatMap(read_images, str(self.path), self._labels())
        )

    def _walk(self) -> Iterator[str]:
        """Paths of the images relative to `path`, in class folders only, in no order."""
        depth = 3 if self.splits_from_folders else 2
        endings = tuple(ending.lower() for ending in self.extensions)
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                relative = Path(folder, name).relative_to(self.path)
                hidden = name.startswith(".")
                if len(relative.parts) >= depth and name.lower().endswith(endings) and not hidden:
                    yield relative.as_posix()

    def _labels(self):
        """First path parts of a record -> (split, class id), as a lookup for `read_images`."""
        ids = {name: index for index, name in enumerate(self.classes())}
        return {"ids": ids, "with_split": self.splits_from_folders}


def _folders(path):
    return [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def read_images(part: tuple[int, list[str]], root: str, labels: dict):
    """Yields a record for each path: (index of the first, paths relative to `root`)."""
    from penstock.pipelines.image_files import ImageFault, normalise

    start, paths = part
    for index, relative in enumerate(paths, start):
        path = os.path.join(root, relative)
        first, second, *_ = relative.split("/")
        split, name = (first, second) if labels["with_split"] else (None, first)
        try:
            with open(path, "rb") as file:
                image = normalise(file.read())
        except ImageFault as fault:
            yield BadRecord(path, index, str(fault), relative)
        except OSError as error:
            yield BadRecord(path, index, f"The file cannot be read: {error.strerror}.", relative)
        else:
            yield Record(
                relative, {"image": image, "label": labels["ids"][name]}, split, path, index
            )
