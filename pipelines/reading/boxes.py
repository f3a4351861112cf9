"""Boxes in pixels -> boxes as fractions of the image, as `features.Boxes` has them.

Comes in: edges in pixels, where 0 is the left or upper edge of the image and its width or height
the right or lower one. Goes out: float32 [n, 4] (ymin, xmin, ymax, xmax). Boxes without an area
stay: statistics count them.
"""

from typing import Literal

import numpy as np

Outside = Literal["reject", "clip"]

TOLERANCE_PX = 0.02
"""A box may reach so far out of the image: COCO rounds corner and size to hundredths of a pixel."""


class BoxFault(ValueError):
    """A box that cannot be used; the message is the reason, a sentence with its numbers."""


def fractions(edges_px, height: int, width: int, outside: Outside) -> np.ndarray:
    """Boxes of one image.

    Args:
        edges_px: [n, 4] of ymin, xmin, ymax, xmax in pixels.
        height: of the image, in pixels.
        width: of the image, in pixels.
        outside: what becomes of a box that reaches out of the image: a fault, or it is cut.

    Raises:
        BoxFault: a number that is none, edges in the wrong order, a box that reaches out of the image
            or of which nothing lies in it.
    """
    edges = np.asarray(edges_px, np.float64).reshape(-1, 4)
    limits = np.array([height, width, height, width], np.float64)
    _refuse(~np.isfinite(edges).all(axis=1), edges, "has an edge that is no number")
    crossed = (edges[:, 0] > edges[:, 2]) | (edges[:, 1] > edges[:, 3])
    _refuse(crossed, edges, "has its edges in the wrong order")
    apart = (edges[:, :2] > limits[:2] + TOLERANCE_PX) | (edges[:, 2:] < -TOLERANCE_PX)
    # Cut, nothing would be left of it but a point of the image's edge.
    if outside == "clip":
        where = f"lies outside the image of {width} x {height} pixels"
        _refuse(apart.any(axis=1), edges, where)
    if outside == "reject":
        beyond = ((edges < -TOLERANCE_PX) | (edges > limits + TOLERANCE_PX)).any(axis=1)
        where = f"reaches out of the image of {width} x {height} pixels"
        _refuse(beyond, edges, where, " To cut such boxes, set `data.source.boxes_outside: clip`.")
    return (np.clip(edges, 0, limits) / limits).astype(np.float32)


def _refuse(wrong, edges, fault, hint=""):
    if not wrong.any():
        return
    index = int(np.argmax(wrong))
    ymin, xmin, ymax, xmax = edges[index]
    raise BoxFault(
        f"The box {index} {fault}: x from {xmin:g} to {xmax:g}, y from {ymin:g} to {ymax:g} pixels."
        f"{hint}"
    )
