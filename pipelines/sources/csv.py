"""Tables as text: one row a line (CSV, TSV), plain, `.gz` or in an archive.

The grammar is that of Python's `csv` module in strict mode (RFC 4180; quoted cells may have
newlines). Every row must have as many cells as there are columns. Blank lines and comments are no
rows, but count in the positions of rows, which keys are made of. A quote that is not closed within
4 MiB, or at all, spoils its own line only.

A type that is not given by `features` is inferred from all rows (`reading/inference.py`). Numbers
with a fraction are stored as float32, integers exactly, as int64.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penstock.pipelines.features import Features, Sequence
from penstock.pipelines.reading import delimited, rows
from penstock.pipelines.reading.columns import convert_text
from penstock.pipelines.reading.delimited import Dialect
from penstock.pipelines.reading.file_source import DataFile
from penstock.pipelines.reading.inference import TextColumn
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources.source import KEPT_BYTES, BadRecord

DELIMITERS = ",;\t|"
Letter = Annotated[str, Field(pattern=r"^[^\r\n]$")]


class Source(rows.RowSource):
    """Rows of delimited text; see `RowSource` for `path`, `features`, `label`, `key` and others.

    Args:
        delimiter: between cells.
        quote: around cells that contain a delimiter, a quote or a newline; None: no quoting.
        escape: in front of a quote inside a cell; None: such a quote is doubled.
        column_names: of files without a header.
        comment: a line that begins with it is no row.
        encoding: one that extends ASCII.
        skip_rows: lines in front of the header.
    """

    type: Literal["csv"] = "csv"
    delimiter: Letter = ","
    quote: Letter | None = '"'
    escape: Letter | None = None
    column_names: tuple[str, ...] | None = None
    comment: Letter | None = None
    encoding: str = "utf-8"
    skip_rows: Annotated[int, Field(ge=0)] = 0
    missing: tuple[str, ...] = ("",)

    suffixes: ClassVar = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

    def check(self) -> list[str]:
        return self._check_dialect() or self._check_cells() or super().check()

    def _check_cells(self):
        """What a cell of text cannot become."""
        faults = [
            f"`data.source.split_on.{column}` must be the separator of the parts. Received: ''."
            for column, separator in self.split_on.items()
            if not separator
        ]
        renamed = self.columns if isinstance(self.columns, dict) else {}
        for name, feature in self.described.items():
            column = renamed.get(name, name)
            if isinstance(feature, Sequence) and column not in self.split_on:
                faults.append(
                    f"`data.source.features.{name}` is a sequence. Say how its parts are separated: "
                    f'`split_on: {{{column}: "|"}}`.'
                )
            one = getattr(feature, "of", feature)
            if getattr(one, "shape", ()):
                faults.append(
                    f"`data.source.features.{name}` must be a single number: a cell has no shape. "
                    f"Received: the shape {one.shape}. Use `json_lines` or `parquet` for arrays."
                )
        return faults

    def _check_dialect(self):
        letters = [x for x in (self.delimiter, self.quote, self.escape, self.comment) if x]
        if len(set(letters)) < len(letters):
            return [
                "`data.source`: delimiter, quote, escape and comment must be different letters. "
                f"Received: {', '.join(map(repr, letters))}."
            ]
        try:
            ascii_letters = bytes(range(128)).decode("ascii")
            extends_ascii = ascii_letters.encode(self.encoding) == bytes(range(128))
            codecs.lookup(self.encoding)
        except (LookupError, UnicodeError):
            extends_ascii = False
        if not extends_ascii:
            return [
                "`data.source.encoding` must be one that Python knows and that extends ASCII, such as "
                f"utf-8, latin-1 or cp1252. Received: {self.encoding!r}. Convert other files."
            ]
        return []

    def _dialect(self):
        return Dialect(
            self.delimiter,
            self.quote,
            self.escape,
            self.comment,
            self.encoding,
            self.skip_rows,
            self.column_names is None,
        )

    def find_columns(self) -> list[str]:
        if self.column_names is not None:
            return list(self.column_names)
        known, first, fault = None, None, None
        for file in self.data_files():
            try:
                names, _, _, stream = self._begin(file)
                stream.close()
            except ReadFault as error:
                fault = fault or f"`{file.where}`: {error}"
                continue
            if not names:
                continue  # An empty file has no header either.
            if len(set(names)) < len(names):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise ValueError(
                    f"`{file.where}` has several columns of the same name: {', '.join(twice)}. "
                    "Rename them, or give `column_names` and `skip_rows: 1`."
                )
            self._check_delimiter(file, names)
            if known is not None and set(known) != set(names):
                raise ValueError(
                    f"`{file.where}` has other columns than `{first.where}`. Only there: "
                    f"{sorted(set(names) - set(known))}. Missing there: "
                    f"{sorted(set(known) - set(names))}. Read them by two configs, or correct the header."
                )
            known, first = known or names, first or file
        if known is None:
            raise ValueError(fault or f"No file of `{self.path}` has a row.")
        return known

    def _check_delimiter(self, file, names):
        """Else each row would become one text, which nothing finds fault with."""
        found = [letter for letter in DELIMITERS if len(names) == 1 and letter in names[0]]
        if found and self.delimiter not in found:
            raise ValueError(
                f"`{file.where}` has one column, whose name has {found[0]!r} in it: {names[0]!r}. Set "
                f"`data.source.delimiter: {json.dumps(found[0])}`; or, if it is one column, give "
                "`column_names` and `skip_rows: 1`."
            )

    def _begin(self, file):
        """(columns, offset of the first row, bytes from there, stream)."""
        stream = file.open()
        try:
            names, offset, begun = delimited.header(stream, self._dialect())
        except ReadFault:
            stream.close()
            raise
        return list(self.column_names or names), offset, begun, stream

    def infer(self, wanted: dict[str, str]) -> Features:
        missing = frozenset(self.missing)
        found = {
            name: TextColumn(name, missing, self.split_on.get(column), self.is_label(name))
            for name, column in wanted.items()
        }
        for file in self.data_files():
            if file.damage():
                continue
            for table in self.tables(file, None, []):
                for name, column in wanted.items():
                    if column in table.columns:
                        found[name].add(table.columns[column])
        return {name: column.feature() for name, column in found.items()}

    def parts(self, file: DataFile) -> Iterator[object]:
        """(offset, bytes, position of the first row, columns) of a file on disk, else None."""
        if not file.on_disk:
            damage = file.damage()
            yield BadRecord(file.where, 0, damage, offset=0) if damage else None
            return
        try:
            names, offset, begun, stream = self._begin(file)
        except ReadFault as fault:
            yield BadRecord(file.where, 0, str(fault), offset=0)
            return
        with stream:
            for chunk in delimited.chunks(stream, offset, begun, self._dialect()):
                if chunk.fault:
                    yield _bad(file, chunk)
                else:
                    yield chunk.offset, len(chunk.data), chunk.index, names

    def tables(self, file: DataFile, part, columns: list[str]) -> Iterator[rows.Table]:
        """Of a part, or with None of the whole file; all columns, because a row is parsed whole."""
        del columns
        if part is not None:
            offset, size, index, names = part
            parsed = delimited.parse(file.read_part(offset, size), self._dialect())
            yield self._table(file, names, parsed, offset, index)
            return
        try:
            names, offset, begun, stream = self._begin(file)
        except ReadFault as fault:
            yield rows.Table({}, [], bad=[BadRecord(file.where, 0, str(fault), offset=0)])
            return
        with stream:
            for chunk in delimited.chunks(stream, offset, begun, self._dialect()):
                if chunk.fault:
                    yield rows.Table({}, [], bad=[_bad(file, chunk)])
                else:
                    parsed = chunk.rows or delimited.parse(chunk.data, self._dialect())
                    yield self._table(file, names, parsed, chunk.offset, chunk.index)

    def _table(self, file, names, parsed, offset, index):
        def raw(row):
            start, data = parsed.raw(row)
            return offset + start, data

        cells = parsed.cells
        if set(map(type, cells)) == {list} and set(map(len, cells)) == {len(names)}:
            columns = dict(zip(names, zip(*cells, strict=True), strict=True))
            return rows.Table(columns, range(index, index + len(cells)), raw)
        kept, bad = [], []
        for row, found in enumerate(cells):
            fault = found
            if isinstance(found, list):
                if len(found) == len(names):
                    kept.append(row)
                    continue
                fault = f"The row has {len(found)} cells; there are {len(names)} columns."
            if fault is not None:
                start, data = raw(row)
                bad.append(BadRecord(file.where, index + row, fault, "", start, data))
        columns = {name: [cells[row][i] for row in kept] for i, name in enumerate(names)}
        return rows.Table(
            columns, [index + row for row in kept], lambda position: raw(kept[position]), bad
        )

    def convert(self, column, cells, feature):
        return convert_text(cells, feature, frozenset(self.missing), self.split_on.get(column))


def _bad(file, chunk):
    return BadRecord(
        file.where, chunk.index, chunk.fault, "", chunk.offset, chunk.data[:KEPT_BYTES]
    )
