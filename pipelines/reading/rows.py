"""The base of all sources of rows: CSV, JSON lines, Parquet, manifests.

A format gives tables: the cells of some rows, column by column, with where each row stands. What is
the same for all is here: which columns are features, which are key, group or split, what is missing,
and how a row that does not fit becomes a bad record.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from typing import ClassVar

from pydantic import ConfigDict, Field

from penstock.pipelines.features import Feature, Features, Label, Number, Sequence, Text
from penstock.pipelines.ingest.splits import NAME
from penstock.pipelines.reading.file_source import DataFile, FileSource, data_files
from penstock.pipelines.reading.name_pattern import SplitPatterns
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources.source import BadRecord, Record


@dataclass
class Table:
    """Some rows of one file.

    `columns` maps a column's name to its cells; `indices` are the rows' positions in their file.
    `raw` tells of a position in the table where the row begins in its file, in bytes, and its bytes.
    """

    columns: dict[str, list]
    indices: list[int] | range
    raw: Callable[[int], tuple[int | None, bytes]] = lambda position: (None, b"")
    bad: list[BadRecord] = field(default_factory=list)


class RowSource(FileSource, SplitPatterns):
    """Rows of files.

    Args:
        features: what a column is, by the feature's name; the others are inferred from all rows.
        columns: those to read, or {feature: column} to rename them; None: all.
        label: the column (or several) whose values are classes.
        key: the column that names a row; without one a key is `<file>:<position of the row>`, which
            stays when rows are appended or files are added. It is no feature.
        group: the column whose rows stay in one split (a patient); it stays a feature.
        split: the column that names a row's split. It is no feature. Where the file's name says it,
            give `split_patterns`: `{train: '^train', test: '^test'}`.
        missing: what stands for a missing value, in any column.
        split_on: column -> separator of the parts of its cells: a sequence.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    described: dict[str, Feature] = Field({}, alias="features")
    columns: tuple[str, ...] | dict[str, str] | None = None
    label: str | tuple[str, ...] = ()
    key: str | None = None
    group: str | None = None
    split: str | None = None
    missing: tuple[str, ...] = ()
    split_on: dict[str, str] = {}

    suffixes: ClassVar[tuple[str, ...]] = ()
    """What the files in a folder or archive are called that is named as a whole."""
    kinds: ClassVar[tuple[type, ...]] = (Text, Label, Number, Sequence)
    """Of features that cells can become."""

    def find_columns(self) -> list[str]:
        """The columns there are; the same in all files.

        Raises:
            ValueError: the files do not agree, or cannot be read.
        """
        raise NotImplementedError

    def known_columns(self) -> list[str]:
        """As `find_columns`, once in a process as long as the files stay."""
        return list(_columns(*self._identity()))

    def early_columns(self) -> list[str] | None:
        """The columns as far as they show before any data is read; None: they do not show."""
        return self.known_columns()

    def infer(self, wanted: dict[str, str]) -> Features:
        """Feature for each of {feature: column}, from the data. Raises ValueError."""
        raise NotImplementedError

    def parts(self, file: DataFile) -> Iterator[object]:
        """Divides a file into parts to be read in parallel; bad records pass through."""
        raise NotImplementedError

    def tables(self, file: DataFile, part, columns: list[str]) -> Iterator[Table]:
        """Reads at least these columns of a part. What cannot be read is in a table's `bad`."""
        raise NotImplementedError

    def convert(self, column: str, cells: list, feature: Feature) -> tuple[list, dict[int, str]]:
        """The cells of a column -> values, and faults by position (see `columns.py`)."""
        raise NotImplementedError

    def text_of(self, cell) -> str | None:
        """A cell as a key, a group or a split; None where it is missing or no text."""
        if isinstance(cell, bytes):
            try:
                cell = cell.decode()
            except UnicodeDecodeError:
                return None
        return None if cell is None or cell in self.missing else str(cell)

    def data_files(self) -> list[DataFile]:
        """The files to read, sorted by name."""
        return data_files(self.path, self.paths(), self.suffixes)

    def check(self) -> list[str]:
        faults = (
            self._check_splits()
            or super().check()
            or self._check_files()
            or [*self._check_kinds(), *self._check_chosen()]
        )
        if faults:
            return faults
        try:
            known = self.early_columns()
        except ValueError as fault:
            return [f"`data.source.path`: {fault}"]
        return [] if known is None else self._unknown_columns(known)

    def _check_splits(self):
        if self.split is not None and self.split_patterns:
            return [
                "The split of a row is said twice: by the column of `data.source.split` "
                f"({self.split!r}) and by `data.source.split_patterns`. Leave out one of them."
            ]
        return self.split_pattern_faults()

    def _unknown_columns(self, known):
        return [
            _unknown(setting, column, known)
            for setting, column in self._named_columns()
            if column not in known
        ]

    def _check_files(self):
        try:
            found = self.data_files()
        except ReadFault as fault:
            return [f"`data.source.path`: {fault}"]
        if found:
            return []
        return [
            f"`data.source.path` has no file to read. Expected: names that end in "
            f"{', '.join(self.suffixes)}. Received: {str(self.path)!r}. Put files there, or name "
            "them with a wildcard."
        ]

    def _check_kinds(self):
        faults = []
        for name, feature in self.described.items():
            if not isinstance(feature, self.kinds):
                expected = ", ".join(kind.__name__.lower() for kind in self.kinds)
                faults.append(
                    f"`data.source.features.{name}` must be one of the kinds that this source reads: "
                    f"{expected}. Received: {feature.kind}."
                )
        return faults

    def _check_chosen(self):
        """Settings of columns that `columns` leaves out would have no effect."""
        if self.columns is None:
            return []
        columns = self.columns.values() if isinstance(self.columns, dict) else self.columns
        named = [
            *(("label", name, self.columns) for name in self._labels()),
            *(("features", name, self.columns) for name in self.described),
            *(("split_on", column, columns) for column in self.split_on),
        ]
        return [
            f"`data.source.{setting}` names {name!r}, which `data.source.columns` leaves out. "
            f"Expected: one of {', '.join(chosen)}. Add it there."
            for setting, name, chosen in named
            if name not in chosen
        ]

    def _labels(self):
        return (self.label,) if isinstance(self.label, str) else self.label

    def _named_columns(self):
        """(setting, column) of all columns that the config names."""
        chosen = self.columns
        if chosen is not None:
            named = chosen.values() if isinstance(chosen, dict) else chosen
            yield from (("columns", column) for column in named)
        renamed = chosen if isinstance(chosen, dict) else {}
        yield from (("features", renamed.get(name, name)) for name in self.described)
        yield from (("label", renamed.get(name, name)) for name in self._labels())
        yield from (("split_on", column) for column in self.split_on)
        yield from (
            (setting, getattr(self, setting))
            for setting in ("key", "group", "split")
            if getattr(self, setting) is not None
        )

    def wanted(self) -> dict[str, str]:
        """{feature: column}, in the order of the columns."""
        if isinstance(self.columns, dict):
            return dict(self.columns)
        names = self.known_columns() if self.columns is None else self.columns
        return {name: name for name in names if name not in (self.key, self.split)}

    def named(self) -> list[str]:
        """All columns that are read: of features, key, group and split."""
        read = [*self.wanted().values(), self.key, self.group, self.split]
        return list(dict.fromkeys(column for column in read if column is not None))

    def is_label(self, name: str) -> bool:
        """Whether a feature's values are classes."""
        return name in self._labels()

    def early_labels(self) -> list[str] | None:
        if self.columns is None and self.early_columns() is None:
            return None
        # One that is not described is a label too if the data turn out to be true and false.
        return [
            name
            for name in self.wanted()
            if isinstance(self.described.get(name, Label(names=())), Label)
        ]

    def own_splits(self) -> frozenset[str | None] | None:
        if self.split is not None:
            return None
        if not self.split_patterns:
            return frozenset({None})
        return frozenset(self.split_by_patterns(file.name) for file in self.data_files())

    def features(self) -> Features:
        """Of columns that the config does not describe: by a pass over all rows (see `inference.py`).

        Once in a process, as long as the files stay.
        """
        return dict(_inferred(*self._identity()))

    def _identity(self):
        """What is known from a pass over the files stays as long as this does."""
        return type(self).__module__, self.model_dump_json(by_alias=True), file_facts(self)

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check() or self._unknown_columns(self.known_columns())
        if faults:
            raise ValueError(faults[0])
        reader = RowReader(self, self.features(), self.wanted())
        return (
            pipeline
            | "Files" >> beam.Create(self.data_files())
            | "Parts" >> beam.FlatMap(file_parts, self)
            | "Spread" >> beam.Reshuffle()
            | "ReadRows" >> beam.FlatMap(reader.records)
        )


def file_parts(file: DataFile, source: RowSource):
    """Yields (file, part) for each part, and bad records as they are."""
    file = file.as_it_is()
    for part in source.parts(file):
        yield part if isinstance(part, BadRecord) else (file, part)


def file_facts(source: FileSource) -> tuple:
    """Of all files what changes when they do."""
    stats = [(path, path.stat()) for path in source.files()]
    return tuple(
        (str(path), found.st_size, found.st_mtime_ns, found.st_ino) for path, found in stats
    )


def again(module: str, document: str) -> "RowSource":
    """The source that a cached function is asked about."""
    return import_module(module).Source.model_validate_json(document)


@lru_cache(maxsize=32)
def _columns(module, document, facts):
    del facts
    return tuple(again(module, document).find_columns())


@lru_cache(maxsize=32)
def _inferred(module, document, facts):
    del facts
    source = again(module, document)
    wanted = source.wanted()
    faults = source._unknown_columns(source.known_columns())
    if faults:
        raise ValueError(faults[0])
    unknown = {name: column for name, column in wanted.items() if name not in source.described}
    found = source.infer(unknown) if unknown else {}
    return tuple((name, source.described.get(name) or found[name]) for name in wanted)


def _unknown(setting, column, known):
    near = get_close_matches(column, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"`data.source.{setting}` names a column that is not there. Received: {column!r}.{hint} "
        f"Columns: {', '.join(known)}."
    )


class RowReader:
    """Tables -> records. Picklable.

    Args:
        source: reads parts of files.
        features: what the records consist of.
        wanted: {feature: column}.
    """

    def __init__(self, source: RowSource, features: Features, wanted: dict[str, str]):
        self._source = source
        self._features = features
        self._wanted = wanted
        # Not found out again in each process.
        self._columns = source.named()

    def records(self, item) -> Iterator[Record | BadRecord]:
        """(file, part), or a bad record, which comes out again."""
        if isinstance(item, BadRecord):
            yield item
            return
        file, part = item
        file.check_unchanged()
        try:
            for table in self._source.tables(file, part, self._columns):
                yield from table.bad
                if table.indices:
                    yield from self._of_table(file, table)
        except ReadFault as fault:
            # It could be read when its parts were planned.
            file.check_unchanged()
            raise ReadFault(f"`{file.where}` cannot be read any more: {fault}") from None
        file.check_unchanged()

    def _of_table(self, file, table):
        names, converted, faults = list(self._wanted), [], {}
        for name, column in self._wanted.items():
            cells = table.columns[column]
            values, column_faults = self._source.convert(column, cells, self._features[name])
            converted.append(values)
            for position, fault in column_faults.items():
                faults.setdefault(position, f"The feature `{name}` {fault}.")
        keys = self._keys(file, table, faults)
        by_name = self._source.split_by_patterns(file.name)
        splits = (
            [by_name] * len(table.indices) if by_name else self._texts(table, self._source.split)
        )
        groups = self._texts(table, self._source.group)
        for position, split in enumerate(splits):
            if split is not None and not NAME.fullmatch(split):
                fault = f"It names the split {split!r}; a split's name is letters, digits and `_`."
                faults.setdefault(position, fault)
        where = file.where
        rows = zip(keys, splits, groups, table.indices, *converted, strict=True)
        if not faults:
            for key, split, group, index, *values in rows:
                yield Record(key, dict(zip(names, values, strict=True)), split, where, index, group)
            return
        for position, (key, split, group, index, *values) in enumerate(rows):
            if position in faults:
                offset, data = table.raw(position)
                yield BadRecord(where, index, faults[position], key or "", offset, data)
            else:
                yield Record(key, dict(zip(names, values, strict=True)), split, where, index, group)

    def _keys(self, file, table, faults):
        if self._source.key is None:
            return [f"{file.name}:{index}" for index in table.indices]
        keys = self._texts(table, self._source.key)
        for position, key in enumerate(keys):
            if not key:
                faults.setdefault(position, f"The key's column `{self._source.key}` has no value.")
        return keys

    def _texts(self, table, column) -> Iterable[str | None]:
        """The cells of a column that is no feature, as texts; None where there is no such column."""
        if column is None:
            return [None] * len(table.indices)
        return [self._source.text_of(cell) for cell in table.columns[column]]
