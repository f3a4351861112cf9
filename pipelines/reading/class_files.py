"""Files whose folder or name says what they are: what `image_folder` and `audio_folder` share.

Comes in: a folder or an archive (`tree.py`). Goes out: a record for each file that ends in one of
the `extensions`: its normalised content and what is said about it. By default the folder is the
class (`class_folders.py`); with a `pattern` its name says it (`name_pattern.py`). A record's key is
its path relative to `path`. What has such a name, but cannot be read, is a bad record; hidden files
are none.
"""

from functools import cached_property
from itertools import chain
from pathlib import Path

from penstock.pipelines.features import Features
from penstock.pipelines.reading.class_folders import FolderReader
from penstock.pipelines.reading.file_source import FileSource
from penstock.pipelines.reading.media import Medium
from penstock.pipelines.reading.media_files import (
    MediaFault,
    MediaFile,
    Part,
    Reader,
    bad_record,
    parts_of,
    trees_of,
)
from penstock.pipelines.reading.name_pattern import NameFault, NamePattern, NameReader
from penstock.pipelines.reading.tree import ReadFault, Tree
from penstock.pipelines.sources.source import Record


class ClassFiles(FileSource, NamePattern, Medium):
    """Base of sources of files with classes; a subclass says what a file is.

    Args:
        path: a folder, an archive or a folder in one; wildcards and `{SPAN}` may stand for several.
        splits_from_folders: whether the first folder is the split.
    """

    splits_from_folders: bool = False

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those that read the files."""
        return self.medium_libraries

    def check(self) -> list[str]:
        faults = self.pattern_faults()
        if self.pattern is not None and self.splits_from_folders:
            faults.append(
                "`data.source.splits_from_folders` has no meaning where `data.source.pattern` says "
                "what a file is. Leave it out, and name the split in the pattern: "
                "`^(?P<split>[^/]+)/`."
            )
        if faults:
            return faults
        fault = self._path_fault()
        if fault:
            return [fault]
        faults = [f"{text} It is {str(self.path)!r}." for text in self._names.faults()]
        if not faults and not self._found:
            faults = [
                f"`data.source.path` has no {self.medium} files{self._expected(' in its class folders.')} "
                f"Names must end in {', '.join(self.extensions)}. Received: {str(self.path)!r}. Put "
                "some there, or name their endings in `data.source.extensions`."
            ]
        return faults

    def _path_fault(self):
        try:
            found = [Tree(path).check() for path in self.paths()]
        except ReadFault as fault:
            found = [str(fault)]
        fault = next(filter(None, found), None)
        if fault is None:
            return None
        return (
            "`data.source.path` cannot be read: it must be a folder, or an archive or a folder in "
            f"one.{self._expected('')} {fault}"
        )

    def _expected(self, where):
        """`where` and how a file must lie there; nothing if names say all."""
        if self.pattern is not None:
            return ""
        above = "<split>/" if self.splits_from_folders else ""
        return f"{where} Expected: `{above}<class>/<{self.medium}>`."

    def files(self) -> list[Path]:
        """Archives, and the files in folders that can be read; see `fingerprint` for the others."""
        archives = [tree.disk_files() for _, tree in self._trees if tree.is_archive]
        if len(archives) == len(self._trees):
            return sorted(chain.from_iterable(archives))
        on_disk = [
            Path(found.where)
            for found in self._found
            if not found.tree.is_archive and found.entry.fault is None
        ]
        return [*chain.from_iterable(archives), *on_disk]

    def fingerprint(self) -> dict:
        """What `files` does not show: names of folders, and bad records that are no file's content.

        A folder without a file adds a class. `left_out` has the reason of each name. Of an archive
        its content shows all.
        """
        facts = {}
        if all(tree.is_archive for _, tree in self._trees):
            return facts
        if isinstance(self._names, FolderReader):
            facts["classes"] = list(self._names.classes)
            if self._names.splits:
                facts["splits"] = self._names.splits
        left_out = {f.key: f.entry.fault for f in self._found if f.entry.fault is not None}
        return {**facts, "left_out": left_out} if left_out else facts

    def features(self) -> Features:
        return {self.medium: self.medium_feature(), **self._names.features()}

    def own_splits(self) -> frozenset[str | None]:
        names = (file.entry.name for file in self._found)
        if self.splits_from_folders:
            return frozenset(self.split_by_patterns(n) or n.split("/")[0] for n in names)
        return self.splits_of(names)

    def only(self, files: frozenset[str]) -> "ClassFiles":
        some = self.model_copy()
        # Classes and splits stay those of the whole: they are found before the files are chosen.
        some.__dict__["_found"] = [found for found in self._found if found.where in files]
        return some if some._found else self

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise FileNotFoundError(faults[0])
        return (
            pipeline
            # Untold, Beam would look at every name to find its type: a tenth of the whole time.
            | "Files" >> beam.Create(parts_of(self._found)).with_output_types(tuple)
            | "ReadFiles" >> beam.FlatMap(read_files, self._names, self.medium, self.reader())
        )

    # What is listed once for each object: all of it must speak of the same files.

    @cached_property
    def _trees(self) -> list[tuple[str, Tree]]:
        try:
            return trees_of(self.path, self.paths())
        except ReadFault:  # `check` says it
            return []

    @cached_property
    def _with_endings(self) -> list[MediaFile]:
        return [
            MediaFile(prefix + entry.name, tree, entry)
            for prefix, tree in self._trees
            for entry in tree.entries()
            if entry.is_folder or self.has_ending(entry.name)
        ]

    @cached_property
    def _names(self) -> FolderReader | NameReader:
        # Of the fields alone: in a ring with its source a reader would keep the names of all files in
        # memory.
        fields = NamePattern(**{name: getattr(self, name) for name in NamePattern.model_fields})
        if self.pattern is None:
            folders = chain.from_iterable(tree.folders() for _, tree in self._trees)
            return FolderReader(list(folders), self.splits_from_folders, fields)
        readable = [file.entry for file in self._with_endings if file.entry.fault is None]
        return NameReader(fields, [entry.name for entry in readable])

    @cached_property
    def _found(self) -> list[MediaFile]:
        """The records: files that can be read, and what cannot."""
        return [
            f for f in self._with_endings if f.entry.is_folder or self._names.takes(f.entry.name)
        ]


def read_files(
    part: Part,
    names: FolderReader | NameReader,
    medium: str,
    reader: Reader,
):
    """Yields a record for each `MediaFile` of a part."""
    for index, file in part.numbered():
        name = file.entry.name
        try:
            if file.entry.fault is not None:
                raise MediaFault(file.entry.fault)
            named = names.read(name)
            content = reader.read(file.tree, name)
        except (MediaFault, NameFault) as fault:
            yield bad_record(file.where, index, fault, file.key)
        else:
            values = {medium: content, **named.values}
            yield Record(file.key, values, named.split, file.where, index, named.group)
