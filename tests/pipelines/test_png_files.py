"""What passes is the same picture for Pillow and TensorFlow; plain pictures pass without Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from penstock.pipelines.media import png_files
from penstock.pipelines.media.image_files import ImageFault, normalise

RNG = np.random.default_rng(0)
COLOURS = {"L": (0, 1), "LA": (4, 2), "RGB": (2, 3), "RGBA": (6, 4)}
"""Mode of Pillow -> (colour type, channels) of PNG."""
HEIGHT, WIDTH = 5, 7


def is_plain_png(data):
    return png_files.is_plain_png(data, 10_000)


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


END = part(b"IEND", b"")


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
        written(colour, packed + b"behind the data"),
        png(header(colour), part(b"gAMA", b"\0\0\xb1\x8f"), part(b"IDAT", packed), END),
    ):
        assert is_plain_png(data)
        same_picture(data)


GREY = rows(1)
PACKED = zlib.compress(GREY)


def _small_window():
    """A window of 256 bytes is claimed, but the second half repeats what is 1,000 bytes before."""
    noise = RNG.bytes(999)
    packed = bytearray(zlib.compress((b"\0" + noise) * 2))
    packed[0] = 0x08
    packed[1] = 31 - packed[0] * 256 % 31
    return png(header(0, 999, 2), part(b"IDAT", bytes(packed)), END)


INTERLACED_BYTES = 2 + 2 + 3 + 2 * 3 + 5 + 3 * 4 + 2 * 8
"""Of 7x5 pixels: rows of each pass (section 8.1 of the standard) times its pixels and a filter."""
DAMAGED = {
    "nothing": b"",
    "text": b"no picture",
    "no-data": png(header(0), END),
    "no-end": png(header(0), part(b"IDAT", PACKED)),
    "cut-off": written(0, PACKED)[:-1],
    "wrong-header": written(0, PACKED)[:20] + b"\1" + written(0, PACKED)[21:],
    "wrong-checksum": written(0, PACKED)[:-14] + b"\0\0" + written(0, PACKED)[-12:],
    "no-width": png(header(0, width=0), part(b"IDAT", zlib.compress(b"\0" * 5)), END),
    "a-row-less": written(0, zlib.compress(GREY[: -WIDTH - 1])),
    "no-such-filter": written(0, zlib.compress(rows(1, (0, 1, 5, 2, 3)))),
    "data-cut-off": written(0, PACKED[:-1]),
    "wrong-data-checksum": written(0, PACKED[:-1] + bytes([PACKED[-1] ^ 1])),
    "no-zlib": written(0, GREY),
    "an-interlaced-byte-less": png(
        header(0, methods=(0, 0, 1)),
        part(b"IDAT", zlib.compress(bytes(INTERLACED_BYTES - 1))),
        END,
    ),
    "a-palette's-row-less": png(
        header(3),
        part(b"PLTE", bytes(768)),
        part(b"IDAT", zlib.compress(b"\0" * 32)),
        END,
    ),
    "much-data": written(0, zlib.compress(b"\5" * 10_000_000, 9)),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_a_fault(kind):
    assert not is_plain_png(DAMAGED[kind])
    with pytest.raises(ImageFault):
        normalise(DAMAGED[kind])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("a-row-less", "its rows take 40 bytes, but there are 32."),
        ("data-cut-off", "its data are cut off."),
        ("a-palette's-row-less", "its rows take 40 bytes, but there are 32."),
    ],
)
def test_what_pillow_forgives_has_a_reason(kind, reason):
    with pytest.raises(ImageFault) as raised:
        normalise(DAMAGED[kind])
    assert str(raised.value).startswith(f"The image is damaged: {reason}")


def test_parts_are_counted_up_to_the_end(monkeypatch):
    monkeypatch.setattr(png_files, "MOST_PARTS", 10)
    text = part(b"tEXt", b"a\0b")
    parts = [header(0), part(b"IDAT", PACKED), *[text] * 7]
    assert not png_files.has_too_many_parts(png(*parts, END))
    assert png_files.has_too_many_parts(png(*parts, text))
    with pytest.raises(ImageFault, match="it has 10 parts or more"):
        normalise(png(*parts, text, END))
    few = png(*parts, END, *[text] * 100)
    assert not png_files.has_too_many_parts(few)
    assert normalise(few) is few
    same_picture(few)


LEFT_TO_PILLOW = {
    "text-part": png(header(0), part(b"tEXt", b"a\0b"), part(b"IDAT", PACKED), END),
    "interlaced": png(
        header(0, methods=(0, 0, 1)),
        part(b"IDAT", zlib.compress(bytes(INTERLACED_BYTES))),
        END,
    ),
    "a-byte-more": written(0, zlib.compress(GREY + b"\0")),
    "small-window": _small_window(),
    "header-twice": png(header(0), header(0), part(b"IDAT", PACKED), END),
    "header-behind-the-data": png(header(0), part(b"IDAT", PACKED), header(0), END),
    "palette-twice": png(header(0), *[part(b"PLTE", bytes(6))] * 2, part(b"IDAT", PACKED), END),
    "empty-palette": png(header(2), part(b"PLTE", b""), part(b"IDAT", zlib.compress(rows(3))), END),
    "unneeded-palette": png(
        header(2), part(b"PLTE", bytes(6)), part(b"IDAT", zlib.compress(rows(3))), END
    ),
    "unknown-part": png(header(0), part(b"IDAT", PACKED), part(b"ABCD", b""), END),
    "many-pixels": png(
        header(0, width=10_001, height=1), part(b"IDAT", zlib.compress(bytes(10_002))), END
    ),
}
TAKEN_BY_LIBPNG = ("text-part", "interlaced", "unneeded-palette", "many-pixels")
REFUSED_BY_LIBPNG = (
    "header-twice",
    "header-behind-the-data",
    "palette-twice",
    "empty-palette",
    "small-window",
    "unknown-part",
)


@pytest.mark.parametrize("kind", LEFT_TO_PILLOW)
def test_the_rest_is_left_to_pillow(kind):
    """And written anew where libpng might not take it."""
    data = LEFT_TO_PILLOW[kind]
    assert not is_plain_png(data)
    normal = normalise(data)
    assert (normal is data) == (kind in TAKEN_BY_LIBPNG)
    same_picture(normal)
    seen = [np.asarray(Image.open(io.BytesIO(one))) for one in (data, normal)]
    np.testing.assert_array_equal(*seen)
    if kind in REFUSED_BY_LIBPNG:
        with pytest.raises(tf.errors.InvalidArgumentError):
            tf.io.decode_png(data)


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
        try:
            normal = normalise(data)
        except ImageFault:
            assert not is_plain_png(data)
            continue
        same_picture(normal)
        passed += 1
    assert 50 < passed < 350
