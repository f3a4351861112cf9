"""Delimited text: bytes -> rows of cells, and where to cut a large file.

The grammar is that of Python's `csv` module in strict mode; it alone decides where a row ends, so
that a file cut into chunks gives the same rows as the whole. Only bytes without a quote, where a row
is a line, are cut without it.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import BinaryIO

from penstock.pipelines.reading.tree import ReadFault

CHUNK_BYTES = 2**20
HEADER_BYTES = 2**20
"""A header must end within so much."""
MAX_ROW_BYTES = 4 * 2**20
"""A longer row is a bad one: probably a quote that is never closed."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_OPEN_QUOTE = "A quote is opened and not closed."
_CARRIAGE_RETURN = (
    "The row has a carriage return (\\r) outside quotes that ends no line. Lines must end in \\n or "
    "\\r\\n: convert the file."
)


@dataclass(frozen=True)
class Dialect:
    """How a file is written; see `sources/csv.py` for the fields."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    comment: str | None = None
    encoding: str = "utf-8"
    skip_rows: int = 0
    has_header: bool = True
    max_row_bytes: int = MAX_ROW_BYTES

    def reader(self, lines):
        """Python's parser over lines of text."""
        csv.field_size_limit(max(csv.field_size_limit(), self.max_row_bytes))
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar=self.escape,
            doublequote=self.escape is None,
            strict=True,
        )

    @cached_property
    def special(self) -> tuple[bytes, ...]:
        """What bytes must not have if each of their lines is to be a row."""
        found = (self.quote, self.escape, self.comment)
        return tuple(letter.encode(self.encoding) for letter in found if letter)

    def is_plain(self, data: bytes) -> bool:
        """Whether each line is a row."""
        return not any(letter in data for letter in self.special)


@dataclass
class Rows:
    """The rows of some bytes.

    `cells[i]` are the cells of row i, or a reason (a text) if it is a bad one, or None for a comment
    or a blank line. Row i takes the lines `starts[i]` to `starts[i + 1]` of `data`. `size` is the
    number of bytes up to the end of the last complete row.
    """

    data: bytes
    cells: list
    starts: list[int] | range
    size: int

    @cached_property
    def _offsets(self):
        return [0, *accumulate(len(line) + 1 for line in self.data.split(b"\n"))]

    def raw(self, row: int) -> tuple[int, bytes]:
        """(offset in `data`, bytes without the line's end) of a row."""
        start = self._offsets[self.starts[row]]
        last = row + 1 == len(self.cells)
        end = self.size if last else self._offsets[self.starts[row + 1]]
        return start, self.data[start:end].rstrip(b"\r\n")


def parse(data: bytes, dialect: Dialect, is_end: bool = True) -> Rows:
    """Parses bytes that begin at a row.

    Args:
        is_end: whether nothing comes behind them; otherwise an unfinished row is left out.
    """
    size = len(data) if is_end else data.rfind(b"\n") + 1
    complete = data[:size]
    if dialect.is_plain(complete) and b"\0" not in complete:
        try:
            text = complete.decode(dialect.encoding)
            cells = [row or None for row in dialect.reader(io.StringIO(text, newline="\n"))]
            return Rows(data, cells, range(len(cells)), size)
        except (UnicodeError, csv.Error):
            pass
    return _parse_carefully(data, dialect, size, is_end)


def _parse_carefully(data, dialect, size, is_end, only_first=False):
    """Row by row: with quotes, comments, or something that is no text of this kind.

    With `only_first` up to the first row that is no comment and not blank.
    """
    raw_lines = io.BytesIO(data[:size]).readlines()
    lines, unreadable = _decoded(raw_lines, dialect.encoding)
    feed = _Feed(lines, dialect.max_row_bytes)
    reader = dialect.reader(feed)
    cells, starts = [], []
    while feed.position < len(lines) and not (only_first and cells and cells[-1]):
        start = feed.begin()
        starts.append(start)
        if dialect.comment and lines[start].startswith(dialect.comment):
            feed.position += 1
            cells.append(None)
            continue
        try:
            row = next(reader)
        except csv.Error as error:
            if not feed.ran_out:
                is_newline = str(error).startswith("new-line character")
                cells.append(
                    _CARRIAGE_RETURN if is_newline else f"The row cannot be parsed: {error}."
                )
                continue
            if not is_end and not feed.too_long:
                starts.pop()
                return Rows(data, cells, starts, sum(map(len, raw_lines[:start])))
            cells.append(_OPEN_QUOTE)
            feed.position = start + 1
            # Or a file of such lines would be read once for each of them.
            feed.most_letters //= 2
            reader = dialect.reader(feed)
            continue
        fault = _byte_fault(unreadable, start, feed.position)
        cells.append(fault or row or None)
    if only_first:
        size = sum(map(len, raw_lines[: feed.position]))
    return Rows(data, cells, starts, size)


class _Feed:
    """Gives lines to a `csv.reader`, which takes as many as a row has."""

    def __init__(self, lines, most_letters):
        self._lines = lines
        self.most_letters = most_letters
        self.position = 0

    def begin(self) -> int:
        """Notes where a row begins."""
        self._letters = 0
        self.ran_out = self.too_long = False
        return self.position

    def __iter__(self):
        return self

    def __next__(self):
        self.too_long = self._letters > self.most_letters
        if self.too_long or self.position == len(self._lines):
            self.ran_out = True
            raise StopIteration
        line = self._lines[self.position]
        self.position += 1
        self._letters += len(line)
        return line


def _decoded(raw_lines, encoding):
    """(lines, {number of a line: why it is no text})."""
    lines, unreadable = [], {}
    for number, raw in enumerate(raw_lines):
        try:
            lines.append(raw.decode(encoding))
        except UnicodeError:
            lines.append(raw.decode("latin-1"))
            unreadable[number] = f"is not valid {encoding.upper()}"
        if b"\0" in raw:
            unreadable[number] = "contains a zero byte"
    return lines, unreadable


def _byte_fault(unreadable, start, end):
    if unreadable:
        for number in range(start, end):
            if number in unreadable:
                return f"The row {unreadable[number]}."
    return None


@dataclass(frozen=True)
class Chunk:
    """Complete rows of a file: bytes from `offset`, of which the first row has the position `index`.

    `fault` instead of rows: one bad record, `data` as far as it was read.
    """

    offset: int
    index: int
    data: bytes
    rows: Rows | None = None
    fault: str | None = None


def header(stream: BinaryIO, dialect: Dialect) -> tuple[list[str], int, bytes]:
    """Reads up to the first row behind the header.

    Returns:
        The names of the columns (none for a file without a row, or where `has_header` is False),
        the offset of the first row, and the bytes that were read from there.

    Raises:
        ReadFault: no header in the first megabyte, or it cannot be parsed.
    """
    # Damage behind what is read here is found when the rows are.
    data, is_all, damage = _filled(stream, HEADER_BYTES)
    if damage and not data:
        raise ReadFault(damage)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ReadFault(
            "The file is UTF-16; only encodings that extend ASCII are read. Convert it."
        )
    offset = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    for _ in range(dialect.skip_rows):
        end = data.find(b"\n", offset)
        offset = len(data) if end < 0 else end + 1
    if not dialect.has_header:
        return [], offset, data[offset:]
    # The header alone: what comes behind it may be damaged.
    rest = data[offset:]
    found = _parse_carefully(rest, dialect, len(rest), is_end=True, only_first=True)
    names = found.cells[-1] if found.cells else None
    if isinstance(names, str):
        raise ReadFault(f"The header is damaged. {names}")
    is_cut = not is_all and found.size == len(rest)
    if is_cut and (names is None or not rest.endswith(b"\n")):
        raise ReadFault(
            f"The header does not end within the first {HEADER_BYTES:,} bytes: it is no table of this kind."
        )
    offset += found.size
    if names is None:
        return [], offset, b""
    names = [name or f"column_{position}" for position, name in enumerate(names)]
    return names, offset, data[offset:]


def chunks(stream: BinaryIO, offset: int, begun: bytes, dialect: Dialect) -> Iterator[Chunk]:
    """Cuts the rest of a stream where rows end.

    Args:
        offset: of the first row.
        begun: what was read already from there.
    """
    index, data = 0, begun
    source = _Blocks(stream)
    while True:
        finished = source.is_end
        # Of a damaged file the last row may be cut, so it is not taken.
        rows, size, count = _complete(data, dialect, finished and not source.fault)
        if size:
            yield Chunk(offset, index, data[:size], rows)
            offset, index, data = offset + size, index + count, data[size:]
        if finished:
            break
        if not size and len(data) > dialect.max_row_bytes:
            long = f"The row is longer than {dialect.max_row_bytes:,} bytes."
            line, end, _ = data.partition(b"\n")
            reason = _OPEN_QUOTE if end else long
            yield Chunk(offset, index, line[:CHUNK_BYTES], fault=reason)
            skipped, data = source.skip_line(data)
            offset, index = offset + skipped, index + 1
        if not source.is_end:
            data += source.read()
    if source.fault:
        yield Chunk(offset, index, data, fault=source.fault)


class _Blocks:
    """A stream, block by block; damage is its end, with a reason."""

    def __init__(self, stream):
        self._stream = stream
        self.is_end = False
        self.fault = None

    def read(self) -> bytes:
        """The next block."""
        block, self.is_end, self.fault = _filled(self._stream, CHUNK_BYTES)
        return block

    def skip_line(self, data: bytes) -> tuple[int, bytes]:
        """(bytes up to the end of a line, what was read behind it)."""
        skipped = 0
        while True:
            end = data.find(b"\n") + 1
            if end:
                return skipped + end, data[end:]
            skipped += len(data)
            if self.is_end:
                return skipped, b""
            data = self.read()


def beginning(stream: BinaryIO) -> tuple[int, bytes]:
    """(offset behind a byte order mark, the first bytes from there)."""
    data = _filled(stream, len(BYTE_ORDER_MARK))[0]
    return (len(data), b"") if data == BYTE_ORDER_MARK else (0, data)


def _filled(stream, size):
    """(up to `size` bytes, whether they are the last ones, why they are or None).

    Not by one `read`, which at damage would lose what it has read so far.
    """
    pieces, missing = [], size
    try:
        while missing:
            piece = stream.read1(missing)
            if not piece:
                return b"".join(pieces), True, None
            pieces.append(piece)
            missing -= len(piece)
    except ReadFault as damage:
        return b"".join(pieces), True, str(damage)
    except OSError as error:
        return b"".join(pieces), True, f"The file cannot be read: {error.strerror}."
    return b"".join(pieces), False, None


def _complete(data, dialect, is_end):
    """(rows if they had to be parsed, bytes of all complete rows, their number)."""
    size = len(data) if is_end else data.rfind(b"\n") + 1
    if not size:
        return None, 0, 0
    if dialect.is_plain(data[:size]):
        return None, size, data.count(b"\n", 0, size) + (not data[:size].endswith(b"\n"))
    rows = parse(data, dialect, is_end)
    return rows, rows.size, len(rows.cells)
