"""Thumbnails: from encoded images to small ones inside the page."""

import base64
import io
import struct
import warnings

from PIL import Image

from penstock.pipelines.media import image_files

LONGEST = 96
"""Pixels of the longer side; smaller images stay as they are, and the browser enlarges them."""
QUALITY = 80
UNDECODABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error),
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise for what is no image, or a damaged one."""


def thumbnail(data: bytes) -> dict | None:
    """{uri, width, height, original} of an encoded image; None where it cannot be decoded.

    `original` is "width x height" before it was made smaller.
    """
    opened = small(data, LONGEST)
    return None if opened is None else encode(*opened)


def small(data: bytes, longest: int) -> tuple[Image.Image, tuple[int, int]] | None:
    """(the image, its longer side at most `longest` pixels; its size before), or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of Pillow, about the size and the metadata of an image
            with Image.open(io.BytesIO(data), formats=image_files.readable_formats()) as image:
                size = image.size
                image.draft("RGB", (2 * longest, 2 * longest))  # a large JPEG is read at a fraction
                shown = _displayable(image)
                shown.thumbnail((longest, longest))
    except UNDECODABLE:
        return None
    return shown, size


def encode(shown: Image.Image, size: tuple[int, int]) -> dict:
    """{uri, width, height, original} of an image that was once of this size."""
    # JPEG would blur the few pixels of a small image and has no transparency.
    kind = "PNG" if max(size) <= LONGEST or shown.mode in ("RGBA", "LA") else "JPEG"
    stream = io.BytesIO()
    shown.save(stream, kind, **({"quality": QUALITY} if kind == "JPEG" else {"optimize": True}))
    text = base64.b64encode(stream.getvalue()).decode()
    return {
        "uri": f"data:image/{kind.lower()};base64,{text}",
        "width": shown.width,
        "height": shown.height,
        "original": f"{size[0]} × {size[1]}",
    }


def _displayable(image: Image.Image) -> Image.Image:
    """A copy in a mode that PNG and browsers know; 16-bit grey is scaled down, CMYK becomes RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        low, high = image.getextrema()
        scale = 255.0 / ((high - low) or 1)
        return image.convert("F").point(lambda value: value * scale - low * scale).convert("L")
    if image.mode in ("L", "RGB", "RGBA", "LA"):
        return image.copy()
    return image.convert("RGBA" if "transparency" in image.info else "RGB")
