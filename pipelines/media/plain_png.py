"""Whether PNG bytes are certainly a complete, plain picture: a tenth of Pillow's time for a small one.

Plain: 8-bit grey, grey with alpha, RGB or RGBA, not interlaced, of the three kinds of parts that a
picture cannot do without (https://www.w3.org/TR/png-3, sections 5, 9 and 10). All that libpng, which
TensorFlow decodes with, could stumble over is checked: checksums, the compressed data up to their
end, as many bytes as the rows take, and each row's filter. What does not pass may still be a
picture: `image_files.normalise` asks Pillow then, which says what is wrong if it is none.
"""

import struct
import zlib

MOST_BYTES = 2**20
"""Of the rows; behind that decoding takes longer than Pillow takes to begin."""

_START = struct.Struct(">8sI4s")
_HEADER = struct.Struct(">IIBBBBB")
_PART = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
_HEADER_END = _START.size + _HEADER.size
_FIRST_DATA = _HEADER_END + _CHECKSUM.size
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
"""The last part, which is always the same."""
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Colour type -> values of a pixel."""
_FILTERS = bytes(range(5))
_LARGEST_WINDOW = 7


def is_plain_png(data: bytes) -> bool:
    """Whether these are the bytes of a plain PNG without any damage."""
    if len(data) <= _FIRST_DATA or _START.unpack_from(data) != (_SIGNATURE, _HEADER.size, b"IHDR"):
        return False
    width, height, depth, colour, *methods = _HEADER.unpack_from(data, _START.size)
    channels = _CHANNELS.get(colour)
    if depth != 8 or channels is None or any(methods) or not width or not height:
        return False
    (checksum,) = _CHECKSUM.unpack_from(data, _HEADER_END)
    row_bytes = 1 + width * channels
    if height * row_bytes > MOST_BYTES or zlib.crc32(data[12:_HEADER_END]) != checksum:
        return False
    compressed = _compressed(data)
    return compressed is not None and _are_rows(compressed, height, row_bytes)


def _compressed(data):
    """What all data parts hold together; None if a part is damaged or of another kind."""
    place, bodies = _FIRST_DATA, []
    while not data.startswith(_END, place):
        body = place + _PART.size
        if body > len(data):
            return None
        length, kind = _PART.unpack_from(data, place)
        end = body + length
        if kind != b"IDAT" or end + _CHECKSUM.size > len(data):
            return None
        (checksum,) = _CHECKSUM.unpack_from(data, end)
        if zlib.crc32(data[place + 4 : end]) != checksum:
            return None
        bodies.append(data[body:end])
        place = end + _CHECKSUM.size
    return b"".join(bodies)


def _are_rows(compressed, height, row_bytes):
    """Whether the data are unpacked to so many rows and nothing more."""
    size = height * row_bytes
    # libpng takes the window that the data claim, zlib's largest here would hide a wrong claim.
    window = compressed[0] >> 4 if compressed else 0
    if window != _LARGEST_WINDOW and size > 1 << (8 + window):
        return False
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(compressed, size + 1)
    except zlib.error:
        return False
    if len(rows) != size or not unpacking.eof or unpacking.unused_data:
        return False
    # The first byte of each row; all that are filters are taken away.
    return not rows[::row_bytes].translate(None, _FILTERS)
