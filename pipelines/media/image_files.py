"""Encoded images without TensorFlow: encode, check, normalise, measure (Pillow).

What is stored must look the same to TensorFlow's `decode_image` in the serving graph as it does to
Pillow here. For 8-bit grey, grey with alpha, RGB and RGBA PNG and for grey and RGB JPEG it does, so
those bytes stay as they are. Everything else (palette, 1-bit and 16-bit PNG, CMYK JPEG, EXIF
rotation, other formats) is decoded, brought to 8-bit grey or RGB and stored as PNG, without loss.
Of an animation the first frame is taken.
"""

import io
import math
import warnings
from functools import lru_cache

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from penstock.pipelines.media import png_files
from penstock.pipelines.media.png_files import MAX_SIDE

KEPT_MODES = {"PNG": ("L", "LA", "RGB", "RGBA"), "JPEG": ("L", "RGB")}

_NO_EXIF = ("xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where Pillow, but neither a browser nor a served model, looks for an orientation, too."""
_SIGNATURES = {"PNG": png_files.SIGNATURE, "JPEG": b"\xff\xd8\xff"}
_LEVELS = np.arange(256, dtype=np.int64)


@lru_cache
def readable_formats() -> tuple[str, ...]:
    """All that Pillow reads but EPS, for which it starts Ghostscript: a program run on the data."""
    Image.init()
    return tuple(name for name in Image.ID if name != "EPS")


class ImageFault(ValueError):
    """The bytes are no usable image; the message is the reason, a sentence."""


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 [height, width] or [height, width, 3] -> PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def open_image(data: bytes) -> Image.Image:
    """Decodes an image fully.

    Raises:
        ImageFault: empty, not an image, cut off or damaged, larger than Pillow's limit
            (`Image.MAX_IMAGE_PIXELS`: a small file can claim a huge picture) or than `MAX_SIDE`.
    """
    if not data:
        raise ImageFault("The file is empty.")
    if png_files.has_too_many_parts(data):
        raise ImageFault(f"The image is damaged: it has {png_files.MOST_PARTS} parts or more.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_formats_of(data))
            if max(image.size) > MAX_SIDE:
                raise ImageFault(
                    f"The image is {image.width} pixels wide and {image.height} high; at most "
                    f"{MAX_SIDE} are read."
                )
            image.load()
    except ImageFault:
        raise
    except UnidentifiedImageError:
        raise ImageFault("It is no image of a known format.") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = Image.MAX_IMAGE_PIXELS
        raise ImageFault(f"The image has more than {limit} pixels.") from None
    except Exception as error:
        # Pillow's decoders raise many types (OSError, SyntaxError, struct.error, ...).
        raise _damaged(error) from None
    return image


def _formats_of(data):
    """Which decoders to ask: asking each of the 40 takes as long as decoding a small picture."""
    for name, signature in _SIGNATURES.items():
        if data.startswith(signature):
            return (name,)
    return readable_formats()


def _damaged(error: Exception) -> ImageFault:
    text = " ".join(str(error).split()).rstrip(".")
    return ImageFault(f"The image is damaged: {text or type(error).__name__}.")


def normalise(data: bytes) -> bytes:
    """Encoded image -> PNG or JPEG bytes that TensorFlow decodes to the same picture.

    Raises:
        ImageFault: see `open_image`.
    """
    if png_files.is_plain_png(data, Image.MAX_IMAGE_PIXELS or 0):
        return data
    image = open_image(data)
    try:
        return _normalised(image, data)
    except ImageFault:
        raise
    except Exception as error:  # a damaged EXIF block, a colour space that cannot be converted
        raise _damaged(error) from None


def _normalised(image, data):
    exact = image.format != "PNG" or is_exact_png(data)
    for name in _NO_EXIF:
        image.info.pop(name, None)
    rotated = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    if exact and not rotated and not _needs_conversion(image, data):
        return data
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        pixels = _to_8_bit(image)
    else:
        if image.mode == "P":
            image = image.convert("RGBA")  # straight to RGB, Pillow warns of lost transparency
        grey = image.mode in ("1", "L", "LA")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return encode_png(pixels)


def is_exact_png(data: bytes) -> bool:
    """`png_files.is_exact_png`; damage is an `ImageFault`."""
    try:
        return png_files.is_exact_png(data)
    except ValueError as error:
        raise _damaged(error) from None


def _needs_conversion(image, data):
    if image.format == "JPEG" and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        # All pixels are there, but without the end marker TensorFlow may refuse them.
        return True
    if image.mode not in KEPT_MODES.get(image.format, ()) or getattr(image, "n_frames", 1) > 1:
        return True
    # Pillow opens 16-bit RGB PNGs as 8-bit RGB; byte 24 of a PNG is its bit depth.
    return image.format == "PNG" and data[24] != 8


def _to_8_bit(image):
    """The upper byte of 16-bit grey, as libpng strips it. Raises ImageFault for other ranges."""
    pixels = np.asarray(image)
    if image.mode.startswith("I;16") or image.format == "PNG":
        return (pixels.astype(np.uint32) >> 8).astype(np.uint8)
    low, high = pixels.min(), pixels.max()
    if image.mode.startswith("F") or low < 0 or high > 255:
        kind = "floating-point" if image.mode.startswith("F") else "32-bit"
        raise ImageFault(
            f"The image has {kind} pixels, from {low:g} to {high:g}: on which scale is not said. Save "
            "it with 8 or 16 bits."
        )
    return pixels.astype(np.uint8)


def image_size(data: bytes) -> tuple[int, int]:
    """(height, width) of what `normalise` returned; only the header is read."""
    image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    return image.height, image.width


def measure(data: bytes) -> dict[str, float]:
    """Height and width in pixels, channels, and mean and contrast of the pixels in 0..1.

    `brightness` is the mean of all pixels and channels over 255, `contrast` their standard
    deviation over 255 (alpha left out).
    """
    image = open_image(data)
    counted = image if image.mode in ("L", "RGB") else image.convert("RGB")
    # In whole numbers from the histogram: exact, and a third of the time of an array's mean and std.
    counts = np.array(counted.histogram(), np.int64).reshape(-1, 256).sum(axis=0)
    number, total = int(counts.sum()), int(counts @ _LEVELS)
    squares = int(counts @ _LEVELS**2)
    return {
        "height": image.height,
        "width": image.width,
        "channels": len(image.getbands()),
        "brightness": total / number / 255.0,
        "contrast": math.sqrt(number * squares - total * total) / number / 255.0,
    }
