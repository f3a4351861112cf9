"""Parquet files, row group by row group; also in an archive.

Types are carried over exactly: booleans -> `Label(("false", "true"))`; integers -> int64; floats ->
float32 (NaN is a missing value); strings -> `Text`; dictionaries as their values; lists -> sequences
(not of times or decimals); lists of fixed size -> arrays; structs -> features called `outer.inner`;
nulls are missing values.
Dates and timestamps -> int64, microseconds since 1970-01-01 (UTC, or local time as written), times
and durations -> int64, microseconds; decimals -> int64 if they have no fraction, else float32. What
does not fit, such as a nanosecond, makes the record a bad one. Binary columns must be described in
`features` as images or recordings.

Each file is decoded once before its rows are given out. Where the pages have checksums (pyarrow:
`write_table(..., write_page_checksum=True)`), the rows of a damaged row group are bad records. Most
files have none: then damage that shows anywhere in what is read makes all rows of the file bad ones,
since what else is wrong would not show. A single changed byte that is still a value shows nowhere in
such a file, to no reader.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from penstock.pipelines.features import (
    Audio,
    Features,
    Image,
    Label,
    Number,
    Sequence,
    Text,
)
from penstock.pipelines.reading import rows
from penstock.pipelines.reading.columns import BOOLEANS, convert_typed
from penstock.pipelines.reading.file_source import DataFile
from penstock.pipelines.reading.inference import Classes, ColumnFault
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources.source import BadRecord

BATCH_ROWS = 8192
MOST_LOST_ROWS = 10**6
"""Each row behind a damaged place of a row group is a bad record; damage may claim any number."""
MAX_ARCHIVED_BYTES = 2 * 2**30
"""Of a file inside an archive, which must be read into memory: Parquet is read from its end."""
_PAGE_WITH_CHECKSUM = re.compile(rb"(\x15[\x80-\xff]*[\x00-\x7f]){3}\x15", re.DOTALL)


class Source(rows.RowSource):
    """Rows of Parquet files; see `RowSource` for the fields."""

    type: Literal["parquet"] = "parquet"

    suffixes: ClassVar = (".parquet", ".pq")
    libraries: ClassVar = ("pyarrow",)
    kinds: ClassVar = (Text, Label, Number, Sequence, Image, Audio)

    def check(self) -> list[str]:
        if self.split_on:
            return [
                "`data.source.split_on` is for text; in Parquet a sequence is a list. Remove it."
            ]
        return super().check()

    def early_columns(self) -> None:
        """They are in the files, but reading them takes pyarrow, which takes a second to import."""
        return None

    def find_columns(self) -> list[str]:
        return list(self._fields())

    def _fields(self):
        """{column: its Arrow type}; the same in all files."""
        known, first, fault = None, None, None
        for file in self.data_files():
            try:
                with _opened(file) as opened:
                    found = list(_flat_fields(opened.schema_arrow, ""))
            except ReadFault as error:
                fault = fault or f"`{file.where}`: {error}"
                continue
            fields = dict(found)
            if len(fields) < len(found):
                names = [name for name, _ in found]
                twice = sorted({name for name in names if names.count(name) > 1})
                raise ValueError(
                    f"`{file.where}` has several columns of the same name: {', '.join(twice)}. "
                    "Rename them; `a.b` may be a column or the part `b` of a struct `a`."
                )
            if known is not None and fields != known:
                differ = sorted(
                    name for name in {*fields, *known} if fields.get(name) != known.get(name)
                )
                raise ValueError(
                    f"`{file.where}` has other columns than `{first.where}`. Different: "
                    f"{', '.join(differ)}. Read them by two configs, or write them with one schema."
                )
            known, first = fields, first or file
        if known is None:
            raise ValueError(fault or f"No file matches `{self.path}`.")
        return known

    def infer(self, wanted: dict[str, str]) -> Features:
        fields = self._fields()
        labels = {
            name: Classes(name)
            for name in wanted
            if self.is_label(name) and not _is_boolean(fields[wanted[name]])
        }
        for name in labels:
            _check_label(name, fields[wanted[name]])
        gaps = self._scan(wanted, labels)
        found = {}
        for name, column in wanted.items():
            feature = _feature(name, fields[column], name in gaps)
            if name in labels:
                label = Label(names=labels[name].names())
                is_list = isinstance(feature, Sequence)
                feature = (
                    Sequence(of=label, optional=name in gaps)
                    if is_list
                    else label.model_copy(update={"optional": name in gaps})
                )
            found[name] = feature
        return found

    def _scan(self, wanted, labels):
        """Notes the classes of labels; returns the features with a missing value."""

        gaps = set()
        for file in self.data_files():
            with contextlib.suppress(ReadFault):  # The rows behind it are bad records.
                for batch in _batches(file, None, list(wanted.values())):
                    for name, column in wanted.items():
                        if _has_gap(batch[column]):
                            gaps.add(name)
                        if name in labels:
                            found = _distinct(batch[column])
                            labels[name].add([str(v) for v in found - {None, *self.missing}])
        return gaps

    def parts(self, file: DataFile) -> Iterator[object]:
        """(row group, position of its first row, number of its rows, why it cannot be used)."""
        try:
            counts = _row_counts(file)
        except ReadFault as fault:
            yield BadRecord(file.where, 0, str(fault), offset=0)
            return
        # Without `columns` all of them are read, whatever they are called.
        faults = _faults(file, counts, None if self.columns is None else self.named())
        reason = None
        if faults and not _has_checksums(file):
            first_fault = next(iter(faults.values()))
            reason = f"{first_fault} Its pages have no checksums, so no row of it is used."
        first = 0
        for group, count in enumerate(counts):
            yield group, first, count, reason or faults.get(group)
            first += count

    def tables(self, file: DataFile, part, columns: list[str]) -> Iterator[rows.Table]:
        """Of a row group."""
        group, index, count, fault = part
        end = index + min(count, MOST_LOST_ROWS)
        if not fault:
            for batch in _batches(file, [group], columns):
                cells = {column: _cells(batch[column]) for column in columns}
                yield rows.Table(cells, range(index, index + batch.num_rows))
                index += batch.num_rows
            return
        yield rows.Table(
            {}, [], bad=[BadRecord(file.where, row, fault) for row in range(index, end)]
        )

    def convert(self, column, cells, feature):
        return convert_typed(cells, feature, frozenset(self.missing))


@contextlib.contextmanager
def _seekable(file):
    """The file's bytes, to be read from any position. Raises ReadFault."""
    with file.open() as stream:
        if not file.tree.is_archive:
            yield stream
            return
        data = stream.read(MAX_ARCHIVED_BYTES + 1)
    if len(data) > MAX_ARCHIVED_BYTES:
        raise ReadFault("A Parquet file of more than 2 GiB in an archive: unpack the archive.")
    yield io.BytesIO(data)


@contextlib.contextmanager
def _opened(file):
    """The file, opened by pyarrow. Raises ReadFault."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _seekable(file) as source:
        try:
            opened = pq.ParquetFile(source, page_checksum_verification=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ReadFault(f"It is no readable Parquet file: {_first_line(error)}") from None
        with opened:
            yield opened


def _first_line(error):
    text = str(error).strip().splitlines()
    return (text[0].rstrip(".") if text else type(error).__name__) + "."


def _batches(file, groups, columns):
    """Yields flat batches as `pyarrow.Table`; raises ReadFault where the rest cannot be read."""
    import pyarrow as pa

    try:
        with _opened(file) as opened:
            for batch in opened.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns):
                table = pa.Table.from_batches([batch])
                while any(pa.types.is_struct(field.type) for field in table.schema):
                    table = table.flatten()
                table.validate(full=True)
                yield table
    except ReadFault:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ReadFault(_first_line(error)) from None


def _row_counts(file):
    """Of each row group. Raises ReadFault."""
    with _opened(file) as opened:
        facts = opened.metadata
        counts = [facts.row_group(group).num_rows for group in range(facts.num_row_groups)]
    if sum(counts) != facts.num_rows or min(counts, default=0) < 0:
        raise ReadFault(
            f"Its footer is damaged: it promises {facts.num_rows:,} rows, and its row groups "
            f"{sum(counts):,}."
        )
    return counts


def _faults(file, counts, columns):
    """{row group: why it cannot be decoded}; decodes all of them and keeps nothing."""
    if not _fault(file, None, sum(counts), columns):
        return {}
    found = {group: _fault(file, [group], count, columns) for group, count in enumerate(counts)}
    return {
        group: f"The file is damaged in row group {group}: {fault}"
        for group, fault in found.items()
        if fault
    }


def _fault(file, groups, count, columns):
    try:
        there = sum(batch.num_rows for batch in _batches(file, groups, columns))
    except ReadFault as fault:
        return str(fault)
    return None if there == count else f"It has {there:,} rows instead of {count:,}."


def _has_checksums(file):
    """Whether the first page of each column of each row group has one; then all pages have.

    Arrow does not tell. A page's header begins with its type and two sizes; the fourth field is the
    checksum (PageHeader in parquet.thrift, in Thrift's compact protocol: a byte 0x15 in front of each
    integer that follows its predecessor).
    """
    with _opened(file) as opened, _seekable(file) as stream:
        facts = opened.metadata
        for group in range(facts.num_row_groups):
            for column in range(facts.num_columns):
                chunk = facts.row_group(group).column(column)
                place = chunk.dictionary_page_offset or chunk.data_page_offset
                if place < 0:  # a damaged footer
                    return False
                stream.seek(place)
                if not _PAGE_WITH_CHECKSUM.match(stream.read(32)):
                    return False
    return True


def _has_gap(cells):
    import pyarrow as pa
    import pyarrow.compute as pc

    is_float = pa.types.is_floating(cells.type)
    return cells.null_count > 0 or (is_float and pc.any(pc.is_nan(cells)).as_py())


def _distinct(cells):
    import pyarrow.compute as pc

    if _is_list(cells.type):
        return {part for parts in cells.to_pylist() for part in parts or ()}
    return set(pc.unique(cells).to_pylist())


def _flat_fields(schema, prefix):
    import pyarrow as pa

    for field in schema:
        if pa.types.is_struct(field.type):
            yield from _flat_fields(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.type


def _value_type(kind):
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_boolean(kind):
    import pyarrow as pa

    return pa.types.is_boolean(_value_type(kind))


def _is_list(kind):
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_nested(kind):
    import pyarrow as pa

    return _is_list(kind) or pa.types.is_fixed_size_list(kind)


def _needs_conversion(kind):
    import pyarrow as pa

    kind = _value_type(kind)
    return pa.types.is_temporal(kind) or pa.types.is_decimal(kind)


def _is_time(kind):
    import pyarrow as pa

    return pa.types.is_temporal(kind) and not pa.types.is_interval(kind)


def _check_label(name, kind):
    """Raises ColumnFault for a type whose values are no names of classes."""
    import pyarrow as pa

    value, types = _value_type(kind), pa.types
    value = _value_type(value.value_type) if _is_list(value) else value
    if types.is_temporal(value) or types.is_floating(value) or types.is_decimal(value):
        raise ColumnFault(
            f"The label `{name}` has the type {kind}. Expected: texts, integers or booleans. Name "
            "another column in `label`, or write it as one of these."
        )


def _feature(name, kind, optional):
    """The feature of an Arrow type."""
    import pyarrow as pa

    kind, types = _value_type(kind), pa.types
    if types.is_boolean(kind):
        return Label(names=BOOLEANS, optional=optional)
    if types.is_integer(kind) or _is_time(kind) or (types.is_decimal(kind) and kind.scale <= 0):
        return Number(dtype="int64", optional=optional)
    if types.is_floating(kind) or types.is_decimal(kind):
        return Number(dtype="float32", optional=optional)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Text(optional=optional)
    if types.is_null(kind):
        return Text(optional=True)
    # What is in a list comes as Python's own values: a `datetime` is no number.
    plain = not (_is_nested(kind) and _needs_conversion(kind.value_type))
    if _is_list(kind) and plain:
        part = _feature(name, kind.value_type, False)
        if isinstance(part, Text | Label | Number) and not getattr(part, "shape", ()):
            return Sequence(of=part.model_copy(update={"optional": False}), optional=optional)
    if types.is_fixed_size_list(kind) and plain:
        part = _feature(name, kind.value_type, False)
        if isinstance(part, Number):
            return Number(dtype=part.dtype, shape=(kind.list_size, *part.shape), optional=optional)
    raise ColumnFault(
        f"The column `{name}` has the type {kind}, for which there is no feature. Leave it out by "
        "`columns`; describe a column of encoded images or recordings in `features`."
    )


def _cells(column):
    """A column as Python's own values, missing ones as None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(column), None, column).to_pylist()
    if _is_time(kind):
        return _microseconds(column)
    if pa.types.is_decimal(kind):
        as_number = int if kind.scale <= 0 else float
        return [None if cell is None else as_number(cell) for cell in column.to_pylist()]
    return column.to_pylist()


def _microseconds(column):
    """Integers; a number with a fraction where there are nanoseconds, which is then a fault."""
    import pyarrow as pa

    kind, types = column.type, pa.types
    is_32 = types.is_time32(kind) or types.is_date32(kind)
    numbers = column.cast(pa.int32() if is_32 else pa.int64()).to_pylist()
    parts = {"s": (10**6, 1), "ms": (10**3, 1), "us": (1, 1), "ns": (1, 1000)}
    if types.is_date(kind):
        times, over = (86_400 * 10**6, 1) if types.is_date32(kind) else parts["ms"]
    else:
        times, over = parts[kind.unit]

    def converted(cell):
        return cell / over if cell % over else cell * times // over

    return [None if cell is None else converted(cell) for cell in numbers]
