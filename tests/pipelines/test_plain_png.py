"""What passes as a plain PNG is the same picture for Pillow and TensorFlow; plain ones pass."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from penstock.pipelines.media.plain_png import MOST_BYTES, is_plain_png

RNG = np.random.default_rng(0)
COLOURS = {"L": (0, 1), "LA": (4, 2), "RGB": (2, 3), "RGBA": (6, 4)}
"""Mode of Pillow -> (colour type, channels) of PNG."""
HEIGHT, WIDTH = 5, 7


def part(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(colour, width=WIDTH, height=HEIGHT, depth=8, methods=(0, 0, 0)):
    return part(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, *methods))


def png(*parts):
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rows(channels, filters=range(HEIGHT)):
    """Unpacked data, each row with its filter; any bytes behind the filter are a picture."""
    body = [bytes([kind]) + RNG.bytes(WIDTH * channels) for kind in filters]
    return b"".join(body)


def written(colour, data, *, cuts=()):
    """A PNG of compressed data, in as many parts as `cuts` makes of them."""
    places = [0, *sorted(cuts), len(data)]
    bodies = [data[a:b] for a, b in zip(places, places[1:], strict=False)]
    return png(header(colour), *(part(b"IDAT", body) for body in bodies), part(b"IEND", b""))


def same_picture(data):
    """Decodes with both; their pixels are equal."""
    image = Image.open(io.BytesIO(data), formats=("PNG",))
    seen = np.asarray(image).reshape(image.height, image.width, -1)
    np.testing.assert_array_equal(tf.io.decode_png(data).numpy(), seen)


@pytest.mark.parametrize("mode", COLOURS)
def test_plain_pictures_pass(mode):
    colour, channels = COLOURS[mode]
    pixels = RNG.integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, "PNG")
    packed = zlib.compress(rows(channels))
    for data in (
        buffer.getvalue(),
        # libpng claims a window that is no larger than a small picture needs.
        tf.io.encode_png(pixels).numpy(),
        written(colour, packed, cuts=(1, 1, 9)),
        written(colour, packed) + b"behind the end",
    ):
        assert is_plain_png(data)
        same_picture(data)


GREY = rows(1)
PACKED = zlib.compress(GREY)
END = part(b"IEND", b"")


def _small_window():
    """A window of 256 bytes is claimed, but the second half repeats what is 1,000 bytes before."""
    noise = RNG.bytes(999)
    packed = bytearray(zlib.compress((b"\0" + noise) * 2))
    packed[0] = 0x08
    packed[1] = 31 - packed[0] * 256 % 31
    return png(header(0, 999, 2), part(b"IDAT", bytes(packed)), END)


LEFT_TO_PILLOW = {
    "nothing": b"",
    "text": b"no picture",
    "no-data": png(header(0), END),
    "no-end": png(header(0), part(b"IDAT", PACKED)),
    "cut-off": written(0, PACKED)[:-1],
    "wrong-header": written(0, PACKED)[:20] + b"\1" + written(0, PACKED)[21:],
    "wrong-checksum": written(0, PACKED)[:-14] + b"\0\0" + written(0, PACKED)[-12:],
    "other-part": png(header(0), part(b"tEXt", b"a\0b"), part(b"IDAT", PACKED), END),
    "16-bit": png(header(0, depth=16), part(b"IDAT", PACKED), END),
    "palette": png(header(3), part(b"IDAT", PACKED), END),
    "interlaced": png(header(0, methods=(0, 0, 1)), part(b"IDAT", PACKED), END),
    "no-width": png(header(0, width=0), part(b"IDAT", zlib.compress(b"\0" * 5)), END),
    "a-row-less": written(0, zlib.compress(GREY[: -WIDTH - 1])),
    "a-byte-more": written(0, zlib.compress(GREY + b"\0")),
    "no-such-filter": written(0, zlib.compress(rows(1, (0, 1, 5, 2, 3)))),
    "data-cut-off": written(0, PACKED[:-1]),
    "data-go-on": written(0, PACKED + b"\0"),
    "no-zlib": written(0, GREY),
    "small-window": _small_window(),
    "large": png(
        header(0, width=MOST_BYTES, height=1),
        part(b"IDAT", zlib.compress(b"\0" * (MOST_BYTES + 1))),
        END,
    ),
}


@pytest.mark.parametrize("kind", LEFT_TO_PILLOW)
def test_all_else_is_left_to_pillow(kind):
    assert not is_plain_png(LEFT_TO_PILLOW[kind])


def test_a_small_file_of_much_data_is_not_unpacked():
    """A claim of 35 bytes, and data that unpack to 100 MB."""
    assert not is_plain_png(written(0, zlib.compress(b"\0" * 100_000_000, 9)))


def damaged(generator):
    """A plain PNG changed in one to three places, behind right checksums more often than not."""
    colour, channels = list(COLOURS.values())[generator.integers(4)]
    unpacked = bytearray(rows(channels, generator.integers(0, 5, HEIGHT).tolist()))
    level = int(generator.integers(0, 10))
    places = {"unpacked", "packed", "header", "file", "cuts"}
    chosen = set(generator.choice(sorted(places), generator.integers(1, 4)).tolist())

    def change(data):
        place = generator.integers(len(data))
        # Of a change of one bit more passes than of one of a byte.
        data[place] ^= 1 << generator.integers(8)
        return data

    if "unpacked" in chosen:
        unpacked = change(unpacked)
    packed = bytearray(zlib.compress(bytes(unpacked), level))
    if "packed" in chosen:
        packed = change(packed)
    head = bytearray(struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, colour, 0, 0, 0))
    if "header" in chosen:
        head = change(head)
    cuts = generator.integers(0, len(packed), 3).tolist() if "cuts" in chosen else ()
    data = bytearray(written(colour, bytes(packed), cuts=cuts))
    data[8:33] = part(b"IHDR", bytes(head))
    return bytes(change(data) if "file" in chosen else data)


def test_what_passes_is_one_picture_for_pillow_and_tensorflow():
    generator = np.random.default_rng(2)
    passed = 0
    for _ in range(400):
        data = damaged(generator)
        if is_plain_png(data):
            same_picture(data)
            passed += 1
    assert 50 < passed < 350
