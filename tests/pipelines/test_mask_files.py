"""Masks: what is kept, what is converted without changing a number, and what is none."""

import io

import numpy as np
import pytest
from PIL import Image

from penstock.pipelines.media.mask_files import ImageFault, normalise

IDS = np.array([[0, 1, 2], [3, 1, 11]], np.uint8)
SMALL = IDS % 4


def encode(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def palette(pixels):
    image = Image.fromarray(pixels, "P")
    image.putpalette([value for i in range(256) for value in (255 - i, i, 99)])
    return image


def grey_png(pixels, depth):
    """Of 2 or 4 bits a pixel, which Pillow does not write: its palette PNG with another header."""
    import struct
    import zlib

    def chunk(kind, body):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    rows = b""
    for row in pixels:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def grey_tiff(pixels):
    """Of 4 bits a pixel, rows filled up to bytes; little-endian, one strip behind the directory."""
    import struct

    height, width = pixels.shape
    rows = b"".join(
        int("".join(f"{v:x}" for v in row) + "0" * (width % 2), 16).to_bytes(
            (width + 1) // 2, "big"
        )
        for row in pixels
    )
    tags = [(256, width), (257, height), (258, 4), (259, 1), (262, 1), (273, 200), (277, 1)]
    tags += [(278, height), (279, len(rows))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    return directory.ljust(200, b"\0") + rows


def orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def turned(pixels, number):
    return encode(Image.fromarray(pixels), exif=orientation(number))


CASES = {
    "grey": (encode(Image.fromarray(IDS)), IDS),
    "palette": (encode(palette(IDS)), IDS),
    "palette-with-transparency": (encode(palette(IDS), transparency=0), IDS),
    "palette-4-bit": (encode(palette(SMALL), bits=4), SMALL),
    "1-bit": (encode(Image.fromarray(IDS > 0)), (IDS > 0).astype(np.uint8)),
    "2-bit": (grey_png(SMALL, 2), SMALL),
    "4-bit": (grey_png(IDS, 4), IDS),
    "16-bit": (encode(Image.fromarray(IDS.astype(np.uint16))), IDS),
    "bmp": (encode(Image.fromarray(IDS), "BMP"), IDS),
    "tiff": (encode(Image.fromarray(IDS), "TIFF"), IDS),
    "tiff-4-bit": (grey_tiff(IDS), IDS),
    # Orientation 3: shown upside down, as its image is.
    "turned": (turned(IDS, 3), IDS[::-1, ::-1]),
    "turned-palette": (encode(palette(IDS), exif=orientation(6)), np.rot90(IDS, -1)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_stay(case):
    data, expected = CASES[case]
    normal = normalise(data, classes=4, ignore=11)
    image = Image.open(io.BytesIO(normal))
    assert (image.format, image.mode) == ("PNG", "L")
    np.testing.assert_array_equal(np.asarray(image), expected)
    assert normalise(normal, classes=4, ignore=11) is normal
    assert (normal is data) == (case == "grey")


FAULTS = {
    "jpeg-in-tiff": (
        encode(Image.fromarray(IDS), "TIFF", compression="jpeg"),
        "A mask must be stored without loss (PNG, BMP or TIFF), not as TIFF with jpeg.",
    ),
    "value": (
        encode(Image.fromarray(IDS)),
        "The mask has pixels that are no class: 11 (1 pixels); expected 0 to 3.",
    ),
    "values": (
        encode(Image.fromarray(np.array([[4, 5, 5, 255, 7, 8, 9, 0]], np.uint8))),
        "The mask has pixels that are no class: 5 (2 pixels), 4 (1 pixels), 7 (1 pixels), 8 (1 "
        "pixels), 9 (1 pixels) and 1 more values; expected 0 to 3.",
    ),
    "16-bit": (
        encode(Image.fromarray(np.array([[256, 0]], np.uint16))),
        "The mask has pixels that are no class: 256 (1 pixels); expected 0 to 3.",
    ),
    "colours": (
        encode(Image.fromarray(np.dstack([IDS] * 3))),
        "A mask must have one whole number a pixel, not colours or fractions (mode RGB).",
    ),
    "alpha": (
        encode(Image.fromarray(np.dstack([IDS] * 2))),
        "A mask must have one whole number a pixel",
    ),
    "jpeg": (
        encode(Image.fromarray(IDS), "JPEG"),
        "A mask must be stored without loss (PNG, BMP or TIFF), not as JPEG.",
    ),
    "gif": (encode(palette(SMALL), "GIF"), "A mask must be stored without loss"),
    "text": (b"no image", "It is no image of a known format."),
    "cut": (encode(Image.fromarray(SMALL))[:-8], "The image is damaged: "),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_no_mask_says_why(case):
    data, reason = FAULTS[case]
    with pytest.raises(ImageFault) as raised:
        normalise(data, classes=4)
    assert str(raised.value).startswith(reason)


def test_the_value_to_ignore_is_named():
    with pytest.raises(ImageFault, match=r"expected 0 to 1, and 255 to be ignored\.$"):
        normalise(CASES["grey"][0], classes=2, ignore=255)
