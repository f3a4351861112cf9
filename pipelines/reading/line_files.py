"""Files in which every line is a row: cut into parts that workers read on their own."""

from collections.abc import Iterator

from penstock.pipelines.reading.delimited import (
    Chunk,
    Dialect,
    beginning,
    chunks,
)
from penstock.pipelines.reading.file_source import DataFile
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources.source import KEPT_BYTES, BadRecord

MAX_LINE_BYTES = 64 * 2**20
_LINES = Dialect(quote=None, max_row_bytes=MAX_LINE_BYTES)


def parts(file: DataFile) -> Iterator[object]:
    """(offset, bytes, position of the first line) of a file on disk, else one None.

    What cannot be read comes as a bad record.
    """
    if not file.on_disk:
        damage = file.damage()
        yield BadRecord(file.where, 0, damage, offset=0) if damage else None
        return
    for chunk in whole(file):
        yield bad(file, chunk) if chunk.fault else (chunk.offset, len(chunk.data), chunk.index)


def read(file: DataFile, part) -> Iterator[Chunk]:
    """The lines of a part, or with None of the whole file."""
    if part is None:
        file.check_unchanged()
        yield from whole(file)
        file.check_unchanged()
        return
    offset, size, index = part
    yield Chunk(offset, index, file.read_part(offset, size))


def whole(file: DataFile) -> Iterator[Chunk]:
    """The lines of a file, in chunks."""
    try:
        stream = file.open()
    except ReadFault as fault:
        yield Chunk(0, 0, b"", fault=str(fault))
        return
    with stream:
        offset, begun = beginning(stream)
        yield from chunks(stream, offset, begun, _LINES)


def bad(file: DataFile, chunk: Chunk) -> BadRecord:
    """A chunk with a fault as a bad record."""
    data = chunk.data[:KEPT_BYTES]
    return BadRecord(file.where, chunk.index, chunk.fault, "", chunk.offset, data)
