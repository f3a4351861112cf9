"""Images are kept or normalised so that TensorFlow sees what Pillow sees."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from penstock.pipelines.media.image_files import ImageFault, encode_png, measure, normalise

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 7), np.uint8)
RGB = RNG.integers(0, 256, (9, 7, 3), np.uint8)


def encode(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tensorflow_pixels(data):
    return tf.io.decode_image(data, channels=3, expand_animations=False).numpy()


KEPT = {
    "grey-png": encode(Image.fromarray(GREY), "PNG"),
    "rgb-png": encode(Image.fromarray(RGB), "PNG"),
    "rgba-png": encode(Image.fromarray(np.dstack([RGB, GREY])), "PNG"),
    "one-pixel": encode(Image.fromarray(GREY[:1, :1]), "PNG"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_plain_images_keep_their_bytes(kind):
    data = KEPT[kind]
    assert normalise(data) is data
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(tensorflow_pixels(data), expected)


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_plain_jpegs_keep_their_bytes(pixels):
    data = encode(Image.fromarray(pixels), "JPEG", quality=95)
    assert normalise(data) is data


def _cmyk():
    return encode(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=100)


def _rotated():
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6
    return encode(image, "PNG", exif=exif)


CONVERTED = {
    "palette": (encode(Image.fromarray(RGB).quantize(16), "PNG"), None),
    "one-bit": (encode(Image.fromarray(GREY > 127), "PNG"), (GREY > 127) * np.uint8(255)),
    # The upper byte of 16 bits is what libpng leaves, and so what TensorFlow would see.
    "grey-16": (encode(Image.fromarray(GREY.astype(np.uint16) * 256 + 77), "PNG"), GREY),
    "bmp": (encode(Image.fromarray(RGB), "BMP"), RGB),
    "tiff": (encode(Image.fromarray(RGB), "TIFF"), RGB),
    "webp": (encode(Image.fromarray(RGB), "WEBP", lossless=True), RGB),
    "gif": (encode(Image.fromarray(GREY), "GIF"), GREY),
    "cmyk": (_cmyk(), None),
    # Orientation 6: to be turned by 90 degrees clockwise when shown.
    "rotated": (_rotated(), np.rot90(RGB, -1)),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_other_images_become_png(kind):
    data, expected = CONVERTED[kind]
    normal = normalise(data)
    assert normal.startswith(b"\x89PNG")
    if expected is None:
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    if expected.ndim == 2:
        expected = np.repeat(expected[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(tensorflow_pixels(normal), expected)
    assert normalise(normal) is normal


TURNED = {
    # The EXIF standard's table: where the stored picture's first row and column are shown.
    1: RGB,  # top, left
    2: RGB[:, ::-1],  # top, right
    3: RGB[::-1, ::-1],  # bottom, right
    4: RGB[::-1],  # bottom, left
    5: RGB.transpose(1, 0, 2),  # left, top
    6: RGB.transpose(1, 0, 2)[:, ::-1],  # right, top
    7: RGB.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
    8: RGB.transpose(1, 0, 2)[::-1],  # left, bottom
    9: RGB,  # no such orientation
}


@pytest.mark.parametrize("orientation", TURNED)
def test_every_exif_orientation_is_shown_upright(orientation):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = orientation
    normal = normalise(encode(image, "PNG", exif=exif))
    np.testing.assert_array_equal(tensorflow_pixels(normal), TURNED[orientation])
    assert normalise(normal) is normal


def test_only_exif_says_how_a_photo_was_held():
    """Pillow asks XMP and texts of a PNG, too, which a browser and the served model do not."""
    image, text = Image.fromarray(RGB), PngInfo()
    exif = image.getexif()
    exif[0x0112] = 6
    text.add_text("Raw profile type exif", f"\nexif\n 38\n{exif.tobytes().hex()}")
    png = encode(image, "PNG", pnginfo=text)
    jpeg = encode(image, "JPEG", xmp=b'<rdf:Description tiff:Orientation="6"/>')
    for data in (png, jpeg):
        assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
        assert normalise(data) is data


@pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Corrupt EXIF data")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_damage_anywhere_is_a_fault_or_a_picture(form):
    """Bytes changed at random: whatever Pillow raises (SyntaxError, struct.error), it is a reason."""
    image = Image.fromarray(RGB)
    options = {}
    if form in ("PNG", "JPEG", "WEBP"):
        options["exif"] = image.getexif()
        options["exif"][0x0112] = 6
    data = encode(image, form, **options)
    generator = np.random.default_rng(1)
    outcomes = {"fault": 0, "picture": 0}
    for _ in range(150):
        damaged = bytearray(data)
        for place in generator.integers(0, len(data), 3):
            damaged[place] = generator.integers(256)
        try:
            normal = normalise(bytes(damaged))
        except ImageFault:
            outcomes["fault"] += 1
        else:
            assert tensorflow_pixels(normal).ndim == 3
            outcomes["picture"] += 1
    assert outcomes["fault"]


def chunk(kind, body):
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def _bomb():
    """A PNG of some 100 bytes that claims 20,000 x 20,000 pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The file is empty."),
        (b"not an image at all", "It is no image of a known format."),
        (KEPT["rgb-png"][:60], "The image is damaged: "),
        (encode(Image.fromarray(RGB), "JPEG")[:-40], "The image is damaged: "),
        (_bomb(), "The image has more than 89478485 pixels."),
        (
            KEPT["one-pixel"][:-12] + chunk(b"teXt", b"") * 200_000 + KEPT["one-pixel"][-12:],
            "The image is damaged: it has 200000 parts or more.",
        ),
        (
            encode(Image.new("1", (2, 1_000_001)), "PNG"),
            "The image is 2 pixels wide and 1000001 high; at most 1000000 are read",
        ),
        (
            encode(Image.fromarray(np.array([[0.5, 300.0]], np.float32)), "TIFF"),
            "The image has floating-point pixels, from 0.5 to 300: on which scale is not said.",
        ),
        (
            encode(Image.fromarray(np.array([[-4, 256]], np.int32)), "TIFF"),
            "The image has 32-bit pixels, from -4 to 256: on which scale is not said.",
        ),
    ],
    ids=["empty", "text", "cut-png", "cut-jpeg", "bomb", "parts", "high", "floats", "32-bit"],
)
def test_what_is_no_image_says_why(data, reason):
    with pytest.raises(ImageFault) as raised:
        normalise(data)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_what_passes_is_decoded_by_tensorflow(form):
    data = encode(Image.fromarray(RGB), form)
    faults = 0
    for size in range(len(data)):
        try:
            normal = normalise(data[:size])
        except ImageFault:
            faults += 1
        else:
            assert tensorflow_pixels(normal).shape == (9, 7, 3)
    assert faults > len(data) - 20


def test_measured():
    found = measure(encode_png(RGB))
    assert (found["height"], found["width"], found["channels"]) == (9, 7, 3)
    assert found["brightness"] == pytest.approx(RGB.mean() / 255)
    assert found["contrast"] == pytest.approx(RGB.std() / 255)
    assert measure(encode_png(GREY))["channels"] == 1
