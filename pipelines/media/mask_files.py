"""Encoded segmentation masks without TensorFlow: a class id a pixel (Pillow).

A stored mask is an 8-bit grey PNG whose pixels are class ids or the value to ignore; such a file
stays as it is. Of other lossless images the numbers are kept, not the colours: the indices of a
palette image, 0 and 1 of a 1-bit one, 0..3 and 0..15 of 2 and 4-bit grey. A mask with an EXIF
orientation is turned as its image is. A JPEG, also within a TIFF, is refused: its pixels are only
nearly what was written; so is a GIF, whose writers renumber the palette, and so are colours: which
class a colour means is not said.
"""

import numpy as np
from PIL import ExifTags, ImageOps, TiffImagePlugin

from penstock.pipelines.media.image_files import ImageFault, encode_png, is_exact_png, open_image

__all__ = ["ImageFault", "normalise"]

_LOSSLESS = ("PNG", "BMP", "TIFF")
_LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")
_SHOWN = 5


def normalise(data: bytes, classes: int, ignore: int | None = None) -> bytes:
    """Encoded mask -> 8-bit grey PNG whose pixels are 0..classes-1 or `ignore`.

    Raises:
        ImageFault: no usable image, a lossy format, colours, or pixels of another value.
    """
    image = open_image(data)
    inside = image.info.get("compression")
    if image.format not in _LOSSLESS or (image.format == "TIFF" and inside in _LOSSY_IN_TIFF):
        form = f"{image.format} with {inside}" if image.format == "TIFF" else image.format
        raise ImageFault(f"A mask must be stored without loss (PNG, BMP or TIFF), not as {form}.")
    depth = _depth(image, data)
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    pixels = _pixels(ImageOps.exif_transpose(image) if turned else image, depth)
    _check_values(pixels, classes, ignore)
    exact = image.format == "PNG" and is_exact_png(data)
    if exact and image.mode == "L" and depth == 8 and not turned:
        return data
    return encode_png(pixels.astype(np.uint8))


def _depth(image, data):
    """Bits of a pixel of a grey image: Pillow stretches 2 and 4 bits to 0..255."""
    if image.format == "TIFF":
        return image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))[0]
    return data[24] if image.format == "PNG" else 8


def _pixels(image, depth):
    pixels = np.asarray(image)
    if image.mode in ("1", "P") or image.mode.startswith("I"):
        return pixels.astype(np.int64)
    if image.mode != "L":
        raise ImageFault(
            f"A mask must have one whole number a pixel, not colours or fractions (mode {image.mode}). "
            "Save it in grey or with a palette, class ids as pixels."
        )
    return pixels // (255 // (2**depth - 1)) if depth < 8 else pixels


def _check_values(pixels, classes, ignore):
    values, counts = np.unique(pixels, return_counts=True)
    wrong = (values < 0) | (values >= classes)
    if ignore is not None:
        wrong &= values != ignore
    if not wrong.any():
        return
    order = np.argsort(-counts[wrong], kind="stable")
    found = [f"{values[wrong][i]} ({counts[wrong][i]} pixels)" for i in order[:_SHOWN]]
    more = f" and {len(order) - _SHOWN} more values" if len(order) > _SHOWN else ""
    expected = f"0 to {classes - 1}" + ("" if ignore is None else f", and {ignore} to be ignored")
    raise ImageFault(
        f"The mask has pixels that are no class: {', '.join(found)}{more}; expected {expected}."
    )
