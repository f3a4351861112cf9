"""PNG bytes without Pillow: whether they are complete, and whether libpng takes them as they are.

TensorFlow decodes with libpng. Pillow forgives what libpng does not (a wrong end, a row that lacks, a
window that is too small), and for a small picture it takes five times as long as looking at the
bytes: the parts and their checksums, the compressed data up to their own checksum, as many bytes as
the rows take, and each row's filter (https://www.w3.org/TR/png-3, sections 5, 7, 8 and 10).
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 1_000_000
"""libpng's limit: TensorFlow refuses a PNG that is wider or higher."""
MOST_PARTS = 200_000
"""Of a picture of 89 million pixels libpng writes 33,000; each takes Pillow some 10 microseconds."""
PIECE_BYTES = 2**24
"""What is unpacked at once."""

_PART = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> values of a pixel; 3 is a palette."""
_PLAIN_COLOURS = (0, 2, 4, 6)
_METHODS = (0, 0, 0), (0, 0, 1)
"""Compression, filters and interlacing that there are; Pillow looks at none but the last."""
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SINGLE = (b"IHDR", b"PLTE")
"""libpng refuses a picture in which one of them is repeated; Pillow takes the last one."""
_HARMLESS = {b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"tIME": 7}
"""Parts that may come before the data and change no pixel -> their bytes."""
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Of an interlaced picture: first column and row, and steps between columns and rows."""
_FILTERS = bytes(range(5))
_LARGEST_WINDOW = 7


class Header(NamedTuple):
    """What the first part of a PNG says."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filters: int
    interlace: int

    def row_bytes(self, width: int) -> int:
        """Of a row of so many pixels, with its filter."""
        return 1 + (width * _CHANNELS.get(self.colour, 0) * self.depth + 7) // 8

    def data_bytes(self) -> int:
        """Of all rows, of all passes of an interlaced picture."""
        if not self.interlace:
            return self.height * self.row_bytes(self.width)
        total = 0
        for column, row, columns, rows in _PASSES:
            width = (self.width - column + columns - 1) // columns
            height = (self.height - row + rows - 1) // rows
            total += height * self.row_bytes(width) if width > 0 and height > 0 else 0
        return total


def is_plain_png(data: bytes, most_pixels: int) -> bool:
    """Whether these are the bytes of a plain PNG without any damage, of at most so many pixels.

    Plain: 8-bit grey, grey with alpha, RGB or RGBA, not interlaced, of no parts but those that a
    picture needs and some that change no pixel. What does not pass may still be a picture.
    """
    try:
        parts = _parts(data)
        header = _header(parts)
        if not _is_plain_header(header, most_pixels) or not _are_plain(parts):
            return False
        bodies = _bodies(parts)
        return _is_large_window(bodies, header) and _are_rows(bodies, header)
    except (ValueError, zlib.error):
        return False


def is_exact_png(data: bytes) -> bool:
    """Whether libpng takes a PNG as it is, which Pillow could decode.

    False: all pixels are there, but libpng may not see them: more data than rows, a window that is
    too small, an unknown method, an unknown part that must not be ignored, or a repeated one.

    Raises:
        ValueError: it is damaged; the message says in what way, and has no capital and no stop.
    """
    parts = _parts(data)
    header, bodies = _header(parts), _bodies(parts)
    size, total = header.data_bytes(), 0
    try:
        for piece in _unpacked(bodies):
            total += len(piece)
            if total > size:
                return False
    except zlib.error as error:
        raise ValueError(f"its data cannot be unpacked ({error})") from None
    if total < size:
        raise ValueError(f"its rows take {size:,} bytes, but there are {total:,}")
    kinds = [kind for kind, _ in parts]
    known = all(kind in _CRITICAL or kind[:1].islower() for kind in kinds)
    known = known and all(kinds.count(kind) < 2 for kind in _SINGLE) and (b"PLTE", b"") not in parts
    methods = (header.compression, header.filters, header.interlace)
    return known and methods in _METHODS and _is_large_window(bodies, header)


def has_too_many_parts(data: bytes) -> bool:
    """Whether a PNG has more parts than `MOST_PARTS`: empty ones without an end cost minutes."""
    frame = _PART.size + _CHECKSUM.size
    if len(data) < MOST_PARTS * frame or not data.startswith(SIGNATURE):
        return False
    place = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        if place + _PART.size > len(data):
            return False
        length, kind = _PART.unpack_from(data, place)
        if kind == b"IEND":  # What comes behind it is not looked at.
            return False
        place += frame + length
    return True


def _parts(data):
    """[(kind, body)] up to the end part, whose checksums are right."""
    place, kind, parts = len(SIGNATURE), b"", []
    if not data.startswith(SIGNATURE):
        raise ValueError("it is no PNG")
    if has_too_many_parts(data):
        raise ValueError(f"it has {MOST_PARTS} parts or more")
    while kind != b"IEND":
        start = end = place + _PART.size
        if start <= len(data):
            length, kind = _PART.unpack_from(data, place)
            end += length
        place = end + _CHECKSUM.size
        if place > len(data):
            raise ValueError("it is cut off")
        (checksum,) = _CHECKSUM.unpack_from(data, end)
        body = data[start:end]
        if zlib.crc32(body, zlib.crc32(kind)) != checksum or not kind.isalpha():
            raise ValueError(f"the checksum of its part {kind!r} does not fit")
        parts.append((kind, body))
    return parts


def _header(parts):
    kind, body = parts[0]
    if kind != b"IHDR" or len(body) != _HEADER.size:
        raise ValueError("it does not begin with a header")
    return Header._make(_HEADER.unpack(body))


def _is_plain_header(header, most_pixels):
    width, height, depth, colour, *methods = header
    return (
        depth == 8
        and colour in _PLAIN_COLOURS
        and not any(methods)
        and 0 < width * height <= most_pixels
        and width <= MAX_SIDE
        and height <= MAX_SIDE
    )


def _are_plain(parts):
    """Whether behind the header there are harmless parts, then data, then an empty end."""
    is_data = False
    for kind, body in parts[1:-1]:
        if kind == b"IDAT":
            is_data = True
        elif is_data or _HARMLESS.get(kind) != len(body):
            return False
    return not parts[-1][1]


def _bodies(parts):
    """Of the first run of data parts: others behind it are ignored."""
    bodies = []
    for kind, body in parts:
        if kind == b"IDAT":
            bodies.append(body)
        elif bodies:
            break
    return bodies


def _is_large_window(bodies, header):
    """Whether all bytes that the data refer to lie in the window that they claim.

    libpng takes no larger one; Pillow and Python do.
    """
    window = next((body[0] >> 4 for body in bodies if body), 0)
    return window == _LARGEST_WINDOW or header.data_bytes() <= 1 << (8 + window)


def _unpacked(bodies) -> Iterator[bytes]:
    """What the data hold, piece by piece; raises ValueError or zlib.error."""
    unpacking = zlib.decompressobj()
    for body in bodies:
        while body and not unpacking.eof:
            yield unpacking.decompress(body, PIECE_BYTES)
            body = unpacking.unconsumed_tail
    if not unpacking.eof:
        # Some bytes may wait for room that the last piece did not have.
        yield unpacking.flush()
    if not unpacking.eof:
        raise ValueError("its data are cut off")


def _are_rows(bodies, header):
    """Whether the data are so many rows, each with a filter there is, and nothing more."""
    row_bytes, size, place = header.row_bytes(header.width), header.data_bytes(), 0
    for piece in _unpacked(bodies):
        # The first bytes of the rows; those that are filters are taken away.
        if piece[-place % row_bytes :: row_bytes].translate(None, _FILTERS):
            return False
        place += len(piece)
        if place > size:
            return False
    return place == size
