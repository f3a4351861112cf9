"""Boxes and masks, drawn over pictures; and the colours that stand for their classes."""

import io

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw

OPACITY = 0.55
_SHADES = [tuple(round(255 * part) for part in rgb[:3]) for rgb in colormaps["tab20"].colors]
COLORS = _SHADES[::2] + _SHADES[1::2]
"""Of classes, the strong ones first; from the 21st class on they come again."""


def color(place: int) -> tuple[int, int, int]:
    """The colour of a class, red, green, blue, 0 to 255."""
    return COLORS[place % len(COLORS)]


def css(place: int) -> str:
    """The same for a style sheet: "#1f77b4"."""
    return "#{:02x}{:02x}{:02x}".format(*color(place))


def draw_boxes(image: Image.Image, boxes: np.ndarray, classes: list[int]) -> Image.Image:
    """A copy with a frame for each box.

    Args:
        boxes: float32 [n, 4]: ymin, xmin, ymax, xmax as fractions of the image.
        classes: an id for each box; other lengths mean that their classes are not known.
    """
    drawn = image.convert("RGB")
    pen, scale = ImageDraw.Draw(drawn), (drawn.height, drawn.width) * 2
    ids = classes if len(classes) == len(boxes) else [0] * len(boxes)
    for box, place in zip(np.nan_to_num(boxes), ids, strict=True):
        top, left, bottom, right = (
            float(np.clip(e, 0, 1)) * s for e, s in zip(box, scale, strict=True)
        )
        corners = min(left, right), min(top, bottom), max(left, right), max(top, bottom)
        pen.rectangle(corners, outline=color(place), width=2)
    return drawn


def blend_mask(image: Image.Image, mask: bytes, classes: int) -> Image.Image:
    """A copy coloured by class; pixels of no class stay as they are.

    Raises:
        OSError: the mask cannot be decoded (`PIL.UnidentifiedImageError` is one).
    """
    with Image.open(io.BytesIO(mask), formats=("PNG",)) as opened:
        # Halves and quarters of a class do not exist: the nearest pixel is taken.
        ids = np.asarray(opened.convert("L").resize(image.size, Image.Resampling.NEAREST))
    palette = np.array([color(place) for place in range(256)], np.float32)
    pixels = np.asarray(image.convert("RGB"), np.float32)
    opacity = np.where(ids < classes, OPACITY, 0.0)[..., None]
    return Image.fromarray((pixels + opacity * (palette[ids] - pixels)).round().astype(np.uint8))
