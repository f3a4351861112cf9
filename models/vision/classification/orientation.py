"""EXIF orientation in TensorFlow: a photo as it is to be seen.

Cameras store a picture as the sensor lay, and note in its EXIF block how it was held. TensorFlow's
decoders do not look there. ExampleGen does, and stores such a picture upright; a request brings the
file as the camera wrote it, so that the served model must turn it, too. Comes in: the bytes of a
PNG or JPEG file and its decoded pixels. Goes out: the pixels as `PIL.ImageOps.exif_transpose` has
them.

EXIF 2.32 (CIPA DC-008), sections 4.5 (files), 4.6.2 (entries) and 4.6.4 (the tag); PNG, 3rd edition,
section 11.3.4.7 (`eXIf`). Whatever is not as it is said there means orientation 1: as it is stored.
Unlike Pillow, this looks for the block only before the pixels, where cameras write it.
"""

import numpy as np
import tensorflow as tf

_MARKER, _OTHER_MARKERS = 0xFF, 0xE0
"""Markers from this one on say something about a JPEG; those before are part of the picture."""
_EXIF_MARKER = [0xFF, 0xE1, *b"Exif\0\0"]
"""First of a JPEG's EXIF block, but for its length, which stands behind the second byte."""
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4
_ENTRY_BYTES = 12
_MOST_PARTS = 1000
"""Before the pixels: a bound for files that are made to take long."""
_FLIPS_ROWS = [False, False, False, True, True, False, False, True, True]
_FLIPS_COLUMNS = [False, False, True, True, False, False, True, True, False]
"""By orientation; those from 5 on exchange rows and columns first."""


def upright(pixels, encoded):
    """[height, width, channels] as stored -> the same, or [width, height, channels], as it is seen.

    Args:
        pixels: any dtype.
        encoded: the file, string [].
    """
    return _turned(pixels, orientation(encoded))


def all_plain(encoded):
    """Whether all of the files, string [batch], are PNG or JPEG and can have no EXIF block; bool [].

    Most have none, those of ExampleGen among them, and one look at a whole batch costs nothing:
    `upright` takes 80 microseconds of CPU an image.
    """
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=41)  # cut off, or filled with 0

    def has(start, expected):
        part = head[:, start : start + len(expected)]
        return tf.reduce_all(part == list(expected), axis=1)

    # The pixels of a PNG right behind its header; the tables of a JPEG right behind JFIF's block.
    png = has(0, b"\x89PNG\r\n\x1a\n") & has(37, b"IDAT")
    jpeg = has(0, b"\xff\xd8\xff\xe0\0\x10JFIF") & has(20, b"\xff\xdb")
    return tf.reduce_all(png | jpeg)


def orientation(encoded):
    """The bytes of a PNG or JPEG file, string [] -> int32 [], 1 to 8."""
    is_jpeg = _bytes(encoded, 0, 1)[0] == _MARKER
    exif = tf.cond(is_jpeg, lambda: _exif_of_jpeg(encoded), lambda: _exif_of_png(encoded))
    return tf.cond(tf.strings.length(exif) >= 8, lambda: _of_exif(exif), lambda: 1)


def _turned(pixels, turn):
    def turned():
        exchanged = tf.transpose(pixels, tf.where(turn >= 5, [1, 0, 2], [0, 1, 2]))
        flips = tf.stack([tf.gather(_FLIPS_ROWS, turn), tf.gather(_FLIPS_COLUMNS, turn)])
        flipped = tf.reverse(exchanged, tf.boolean_mask([0, 1], flips))
        return tf.ensure_shape(flipped, (None, None, pixels.shape[-1]))

    return tf.cond(turn > 1, turned, lambda: pixels)


def _exif_of_jpeg(encoded):
    """The first EXIF block before the picture's own, a TIFF file; empty where there is none."""

    def is_other(place):
        head = _bytes(encoded, place, 10)
        return (head[0] == _MARKER) & (head[1] >= _OTHER_MARKERS) & ~_is_exif(head)

    def following(place):
        head = _bytes(encoded, place, 4)
        block = 2 + _integer(head[2:], True)
        # Any number of 0xFF may stand before a marker.
        return place + tf.where(head[1] == _MARKER, tf.ones_like(block), block)

    place = _first(2, is_other, following)
    head = _bytes(encoded, place, 10)
    length = tf.where(_is_exif(head), _integer(head[2:4], True) - 8, 0)
    return _part(encoded, place + 10, length)


def _is_exif(head):
    return tf.reduce_all(tf.concat([head[:2], head[4:]], 0) == _EXIF_MARKER)


def _exif_of_png(encoded):
    """The part `eXIf` before the pixels; empty where there is none."""

    def is_other(place):
        return tf.reduce_all(_part(encoded, place + 4, 4) != [b"eXIf", b"IDAT", b""])

    def length(place):
        return _integer(_bytes(encoded, place, 4), True)

    # Length, kind and checksum are four bytes each.
    place = _first(8, is_other, lambda place: place + length(place) + 12)
    is_exif = _part(encoded, place + 4, 4) == b"eXIf"
    return _part(encoded, place + 8, tf.where(is_exif, length(place), 0))


def _first(start: int, is_other, following):
    """The first place in a file at which not `is_other`, int64 []."""
    start = tf.constant(start, tf.int64)
    return tf.while_loop(
        is_other, lambda place: (following(place),), (start,), maximum_iterations=_MOST_PARTS
    )[0]


def _of_exif(exif):
    """A TIFF file of at least 8 bytes -> the orientation of its first image, int32 []."""
    is_big = _bytes(exif, 0, 1)[0] == ord("M")
    is_tiff = tf.reduce_any(_part(exif, 0, 4) == [b"II*\0", b"MM\0*"])
    start = _integer(_bytes(exif, 4, 4), is_big)
    number = _integer(_bytes(exif, start, 2), is_big)
    table = tf.io.decode_raw(_part(exif, start + 2, number * _ENTRY_BYTES), tf.uint8)
    whole = tf.size(table) // _ENTRY_BYTES
    entries = tf.reshape(table[: whole * _ENTRY_BYTES], [-1, _ENTRY_BYTES])
    entries = tf.cast(entries, tf.int64)
    tag, kind, count, short, long = (
        _integer(entries[:, first:end], is_big)
        for first, end in ((0, 2), (2, 4), (4, 8), (8, 10), (8, 12))
    )
    size = tf.where(kind == _SHORT, 2 * count, tf.where(kind == _LONG, 4 * count, 0))
    is_number = (size > 0) & (size <= 4)  # larger values stand elsewhere
    found = tf.boolean_mask(
        tf.where(kind == _SHORT, short, long), is_number & (tag == _ORIENTATION)
    )
    last = tf.concat([tf.constant([1], tf.int64), found], 0)[-1]
    return tf.cast(tf.where(is_tiff & (last >= 1) & (last <= 8), last, 1), tf.int32)


def _integer(values, is_big):
    """Bytes [..., size], the most or least significant first -> int64 [...]."""
    weights = 256 ** np.arange(values.shape[-1], dtype=np.int64)
    return tf.reduce_sum(values * tf.where(is_big, weights[::-1], weights), axis=-1)


def _bytes(encoded, place, number: int):
    """So many bytes from a place on, int64 [number]; 0 where the file has ended."""
    part = _part(encoded, place, number)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=number), tf.int64)


def _part(encoded, place, number):
    """So many bytes from a place on, or as many as there are, string []."""
    size = tf.cast(tf.strings.length(encoded), tf.int64)
    place = tf.minimum(tf.cast(place, tf.int64), size)
    return tf.strings.substr(encoded, place, tf.maximum(tf.cast(number, tf.int64), 0))
