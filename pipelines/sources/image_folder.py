"""A folder of images, a folder for each class: `<path>/<class>/**/<image>`.

With `splits_from_folders` the first level is the split: `<path>/<split>/<class>/**/<image>`. The
class names are the folders' names, sorted; a record's key is its path relative to `path`. Files
whose names do not end in one of `extensions`, and hidden ones, are no records. Links are followed,
except those to a folder that they are in. Every image is decoded in full while reading; see
`image_files.py` for what is kept and what is converted. What has an image's name, but cannot be
read (a link that leads nowhere, a pipe, a name that is not UTF-8), is a bad record.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from penstock.pipelines.features import Features, Image, Label, unfit_class_names
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record

FILES_AT_ONCE = 256
MAX_FILE_BYTES = 512 * 2**20
"""A larger file would only fill memory: Pillow's limit of 89 million pixels is 358 MB of 8-bit RGBA.

Of 16-bit RGBA it is 716 MB: such a picture is refused if it hardly compresses.
"""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


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
                f"Received: {str(self.path)!r} ({found}{_relative_to(self.path)}). Correct the path "
                "or create the folder."
            ]
        if not os.access(self.path, os.R_OK | os.X_OK):
            return [
                f"`data.source.path` cannot be read: permission denied. "
                f"Received: {str(self.path)!r}. Give the user who runs this access to it."
            ]
        if not self.classes():
            return [
                f"`data.source.path` has no class folders. Expected: `{layout}` under it. "
                f"Received: {str(self.path)!r}. Put the images of each class into a folder of its "
                "own, or correct `splits_from_folders`."
            ]
        unfit = unfit_class_names(tuple(self.classes()))
        if unfit:
            return [
                "`data.source.path` has class folders whose names cannot be class names. Expected: "
                "one line that neither begins nor ends with white space. "
                f"Received: {', '.join(map(repr, unfit))} (in {str(self.path)!r}). Rename them."
            ]
        if not any(True for _ in self._walk()):
            return [
                f"`data.source.path` has class folders, but no image in them. Expected: `{layout}`, "
                f"names that end in {', '.join(self.extensions)}. Received: {str(self.path)!r}. "
                "Put images there, or name their endings in `data.source.extensions`."
            ]
        return []

    def classes(self) -> list[str]:
        """Names of the class folders, sorted."""
        roots = _folders(self.path) if self.splits_from_folders else [self.path]
        return sorted({folder.name for root in roots for folder in _folders(root)})

    def files(self) -> list[Path]:
        """The files that can be read; see `fingerprint` for the others."""
        # Sorted as strings: paths compare part by part, which takes longer than the walk.
        names = sorted(name for name, fault in self._walk() if fault is None)
        folder = str(self.path)
        return [Path(folder, name) for name in names]

    def fingerprint(self) -> dict:
        """What `files` does not show: names of folders, and bad records that are no file's content.

        A folder without an image adds a class, but no file. `left_out` has the reason of each name.
        """
        if not self.path.is_dir():
            return {}
        facts = {"classes": self.classes()}
        if self.splits_from_folders:
            facts["splits"] = sorted(folder.name for folder in _folders(self.path))
        left_out = {name: fault for name, fault in sorted(self._walk()) if fault is not None}
        return {**facts, "left_out": left_out} if left_out else facts

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
        found = sorted(self._walk(), key=lambda entry: entry[0])
        parts = [
            (start, found[start : start + FILES_AT_ONCE])
            for start in range(0, len(found), FILES_AT_ONCE)
        ]
        return (
            pipeline
            # Untold, Beam would look at every name to find its type: a tenth of the whole time.
            | "Files" >> beam.Create(parts).with_output_types(tuple)
            | "ReadImages" >> beam.FlatMap(read_images, str(self.path), self._labels())
        )

    def _walk(self) -> Iterator[tuple[str, str | None]]:
        """(path relative to `path`, None or why it cannot be read), in no order.

        Of names that are not UTF-8 the path is what can be shown: `\\xff` for a byte.
        """
        endings = tuple(extension.lower() for extension in self.extensions)
        pending = [(str(self.path), "", frozenset())] if self.path.is_dir() else []
        while pending:
            folder, prefix, above = pending.pop()
            try:
                identity = _identity(folder)
                if not prefix or os.path.islink(folder):
                    above |= set(map(_identity, Path(os.path.realpath(folder)).parents))
                if identity in above:
                    continue  # A link to a folder that it is in: without an end.
                with os.scandir(folder) as listed:
                    entries = [entry for entry in listed if not entry.name.startswith(".")]
            except OSError as error:
                yield prefix.rstrip("/"), f"The folder cannot be read: {error.strerror}."
                continue
            # Beside the class folders, not in one, nothing is an image.
            deep_enough = prefix.count("/") >= (2 if self.splits_from_folders else 1)
            for entry in entries:
                is_folder = _is_folder(entry)
                if not is_folder and not (deep_enough and entry.name.lower().endswith(endings)):
                    continue
                name = prefix + _shown(entry.name)
                if not _is_utf8(entry.name):
                    yield name, _not_utf8(is_folder)
                elif is_folder:
                    pending.append((entry.path, f"{name}/", above | {identity}))
                else:
                    yield name, _fault_of(entry)

    def _labels(self):
        """First path parts of a record -> (split, class id), as a lookup for `read_images`."""
        ids = {name: index for index, name in enumerate(self.classes())}
        return {"ids": ids, "with_split": self.splits_from_folders}


def _relative_to(path):
    """Where a relative path was looked for: the config may have been written for another folder."""
    return "" if path.is_absolute() else f" in the current folder, {os.getcwd()!r}"


def _folders(path):
    """The folders whose names are classes or splits; what is not among them `_walk` explains."""
    real = Path(os.path.realpath(path))
    loops = {real, *real.parents}
    try:
        with os.scandir(path) as listed:
            entries = [e for e in listed if not e.name.startswith(".") and _is_utf8(e.name)]
    except OSError:
        return []
    found = [Path(entry.path) for entry in entries if _is_folder(entry)]
    return [f for f in found if not f.is_symlink() or Path(os.path.realpath(f)) not in loops]


def _identity(folder):
    """What a folder has in common with all links to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, or into a folder that cannot be entered.
        return False


def _is_utf8(name):
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name):
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def _not_utf8(is_folder):
    if is_folder:
        return "The folder's name is not valid UTF-8, so nothing in it is read. Rename it."
    return "The file's name is not valid UTF-8. Rename it."


def _fault_of(entry):
    """Why what a name stands for cannot be read as a file, or None. Opens nothing."""
    try:
        if not entry.is_file(follow_symlinks=False):
            mode = os.stat(entry.path).st_mode
            if not stat.S_ISREG(mode):
                return f"It is no file, but {_KINDS.get(stat.S_IFMT(mode), 'something else')}."
    except FileNotFoundError:
        return "It is a link that leads nowhere."
    except OSError as error:
        return f"The file cannot be read: {error.strerror}."
    readable = os.access(entry.path, os.R_OK)
    return None if readable else "The file cannot be read: Permission denied."


def read_images(part: tuple[int, list[tuple[str, str | None]]], root: str, labels: dict):
    """Yields a record for each: (index of the first, [(path relative to `root`, fault)])."""
    from penstock.pipelines.image_files import ImageFault, normalise

    start, found = part
    for index, (relative, fault) in enumerate(found, start):
        path = os.path.join(root, relative)
        if fault is not None:
            yield BadRecord(path, index, fault, relative)
            continue
        first, second, *_ = relative.split("/")
        split, name = (first, second) if labels["with_split"] else (None, first)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > MAX_FILE_BYTES:
                    raise ImageFault(
                        f"The file has {size} bytes; at most {MAX_FILE_BYTES} are read."
                    )
                image = normalise(file.read())
        except ImageFault as fault:
            yield BadRecord(path, index, str(fault), relative)
        except OSError as error:
            yield BadRecord(path, index, f"The file cannot be read: {error.strerror}.", relative)
        else:
            yield Record(
                relative, {"image": image, "label": labels["ids"][name]}, split, path, index
            )
