"""A table that names files: what `image_manifest` and `audio_manifest` share.

    rows: {type: csv, path: vctk.zip/metadata.csv, delimiter: "|", column_names: [id, text], quote: null}
    file: 'wavs/{id}.wav'

`rows` is any source of rows (CSV, JSON lines, Parquet), with all its fields. `file` is the name of a
row's file made of its columns, each in braces, and of `{key}`. Names are relative to `root`, a folder
or an archive; by default that is the folder or archive in which the table lies. Names that lead out
of it are refused. Features are the medium and the columns; a column that only serves to name the
file is none, unless `rows.features` describes it. A bad record has the file of the table, the
position of the row, and as reason what is wrong with the row or with its file.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import model_validator

from penstock.pipelines.features import Features, Label, Number, Text
from penstock.pipelines.reading.media import Medium
from penstock.pipelines.reading.media_files import MediaFault, Part, Reader, bad_record, read_part
from penstock.pipelines.reading.rows import RowSource
from penstock.pipelines.reading.tree import ReadFault, Tree
from penstock.pipelines.sources import locate, source
from penstock.pipelines.sources.source import BadRecord, Record

ROWS_AT_ONCE = 64
_PLACE = re.compile(r"\{(\w+)\}")


class Manifest(source.Source, Medium):
    """Base of manifests; a subclass says what a file is.

    Args:
        rows: the section of a source of rows.
        file: the name of a row's file, with columns in braces.
        root: what the names are relative to; None: where the table lies.
    """

    rows: dict[str, Any]
    file: str = "{file}"
    root: Path | None = None

    @model_validator(mode="after")
    def _rows_are_a_source(self):
        if not isinstance(locate.load(self.rows), RowSource):
            raise ValueError(
                "`rows` must be a source of rows (csv, json_lines, parquet or the like). Received: "
                f"{self.rows.get('type')!r}."
            )
        return self

    @cached_property
    def table(self) -> RowSource:
        """The source of the rows; columns that only name the file are read as texts."""
        table = locate.load(self.rows)
        try:
            known = None if table.early_columns() is None else table.wanted()
        except ValueError:  # `check` says it
            return table
        names = {n: {"kind": "text"} for n in self._only_for_names if known is None or n in known}
        return locate.load({**self.rows, "features": {**names, **self.rows.get("features", {})}})

    @cached_property
    def _only_for_names(self) -> tuple[str, ...]:
        """The columns that are no features."""
        labels = self.rows.get("label", ())
        labels = (labels,) if isinstance(labels, str) else labels
        others = (*labels, *self.rows.get("features", {}), "key", self.rows.get("key"))
        return tuple(name for name in _PLACE.findall(self.file) if name not in others)

    @property
    def needs_tensorflow(self) -> bool:
        """Whether reading the rows runs TensorFlow."""
        return self.table.needs_tensorflow

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those that read the files and the rows."""
        return (*self.medium_libraries, *self.table.libraries)

    def modules(self) -> tuple[str, ...]:
        return (locate.source_module(self.rows["type"]), *self.table.modules())

    def check(self) -> list[str]:
        faults = [
            fault.replace("`data.source", "`data.source.rows") for fault in self.table.check()
        ]
        if self.root is not None:
            fault = Tree(self.root).check()
            faults += [f"`data.source.root`: {fault}"] if fault else []
        if not _PLACE.search(self.file):
            faults.append(
                "`data.source.file` must have a column in braces, or all rows would have the same "
                f"file: `{{path}}`. Received: {self.file!r}."
            )
        if faults or self.table.early_columns() is None:
            return faults
        known = self.table.wanted()
        others = (*known, "key", self.table.key)
        unknown = [n for n in _PLACE.findall(self.file) if n not in others]
        if unknown:
            faults.append(
                "`data.source.file` must be made of columns that are read, each in braces, or of "
                f"`{{key}}`. Expected: {', '.join(known)}. Received: {', '.join(unknown)}."
            )
        return faults

    def files(self) -> list[Path]:
        """Those of the table, and the archives or the files with an ending that is read."""
        found = set(self.table.files())
        try:
            roots = [self.root] if self.root else {_folder_of(p) for p in self.table.paths()}
            for tree in map(Tree, roots):
                found.update(
                    p for p in tree.disk_files() if tree.is_archive or self.has_ending(p.name)
                )
        except ReadFault:  # `check` says it
            pass
        return sorted(found)

    def fingerprint(self) -> dict:
        return self.table.fingerprint()

    def features(self) -> Features:
        described = self.table.features()
        kept = self._kept(described)
        if self.medium in kept:
            raise ValueError(
                f"The table has a column `{self.medium}`, which is the name of the file's content. "
                f"Rename it by `data.source.rows.columns: {{other: {self.medium}}}`."
            )
        for name in _PLACE.findall(self.file):
            if not isinstance(described.get(name, Text()), Text | Label | Number):
                raise ValueError(
                    f"`data.source.file` names `{name}`, which is no text, class or number."
                )
        return {self.medium: self.medium_feature(), **kept}

    def early_labels(self) -> list[str] | None:
        labels = self.table.early_labels()
        return None if labels is None else list(self._kept(dict.fromkeys(labels)))

    def own_splits(self) -> frozenset[str | None] | None:
        return self.table.own_splits()

    def _kept(self, described):
        left_out = self._only_for_names
        return {name: feature for name, feature in described.items() if name not in left_out}

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise ValueError(faults[0])
        add = MediumAdder(self, self.table.features(), self.reader())
        return (
            self.table.read(pipeline)
            | "SomeRows" >> beam.BatchElements(ROWS_AT_ONCE, ROWS_AT_ONCE)
            | "PackRows" >> beam.Map(Part.of).with_output_types(tuple)
            | "SpreadRows" >> beam.Reshuffle()
            | "ReadFiles" >> beam.FlatMap(add.records)
        )


def _folder_of(path):
    """Where a table lies: a folder, an archive or a folder in one."""
    return path if path.is_dir() or Tree(path).is_archive and path.is_file() else path.parent


class MediumAdder:
    """Rows -> records with their file's content. Picklable.

    Args:
        manifest: says which file a row has.
        described: the features of the rows.
        reader: reads a file.
    """

    def __init__(self, manifest: Manifest, described: Features, reader: Reader):
        self._manifest = manifest
        self._described = described
        self._kept = tuple(manifest._kept(described))
        self._reader = reader

    def records(self, part: Part) -> Iterator[Record | BadRecord]:
        """Records without their file -> with it; bad records come out as they are."""
        trees: dict[Path, Tree] = {}
        for _, row in part.numbered():
            if isinstance(row, BadRecord):
                yield row
                continue
            try:
                name = self._name(row)
                folder = self._manifest.root or Path(row.file).parent
                tree = trees.setdefault(folder, Tree(folder))
                content = read_part(self._reader, tree, name, "file")
            except MediaFault as fault:
                yield bad_record(row.file, row.index, fault, row.key)
                continue
            values = {name: row.values[name] for name in self._kept if name in row.values}
            values[self._manifest.medium] = content
            yield Record(row.key, values, row.split, row.file, row.index, row.group)

    def _name(self, row):
        name = _PLACE.sub(lambda match: self._text(match[1], row), self._manifest.file)
        if not self._manifest.has_ending(name):
            raise MediaFault(
                f"The file {name!r} has none of the endings that are read "
                "(`data.source.extensions`)."
            )
        return name

    def _text(self, name, row):
        if name not in self._described:  # `key`, or the column that is the key
            return row.key
        value = row.values.get(name)
        if value is None:
            raise MediaFault(f"It has no `{name}`, so it names no file.")
        feature = self._described[name]
        return feature.names[value] if isinstance(feature, Label) else str(value)
