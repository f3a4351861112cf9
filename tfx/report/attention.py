"""What each token of an answer looked at, as a picture: tokens of the answer down, the source across.

Comes in: `attention` of an Evaluation's `explanations.json`. Goes out: an `<svg>` element, written
by hand: a picture of Matplotlib with so many fields takes a second and ten times the space.
"""

import numpy as np
from markupsafe import Markup, escape

from penstock.tfx.report import formats

MOST_TOKENS = 30
"""Of each side are drawn."""
FIELD, FONT, LONGEST = 18, 11, 14
"""Side of a field and size of letters in CSS pixels; characters of a token."""
LEAST = 0.02
"""A field that is fainter beside the strongest is left empty."""
NAMED = 3


def section(said) -> dict | None:
    """{svg, cut}: the picture, and whether there are more tokens; None for what does not fit."""
    found = _checked(said)
    if found is None:
        return None
    source, target, weights = found
    cut = max(weights.shape) > MOST_TOKENS
    source, target = source[:MOST_TOKENS], target[:MOST_TOKENS]
    weights = weights[:MOST_TOKENS, :MOST_TOKENS]
    return {"svg": _draw(source, target, weights), "cut": cut}


def _checked(said) -> tuple[list, list, np.ndarray] | None:
    if not isinstance(said, dict):
        return None
    source, target = said.get("source"), said.get("target")
    if not (isinstance(source, list) and isinstance(target, list) and source and target):
        return None
    try:
        weights = np.asarray(said.get("weights"), np.float64)
    except (TypeError, ValueError):
        return None
    if weights.shape != (len(target), len(source)) or not np.isfinite(weights).all():
        return None
    return source, target, np.maximum(weights, 0.0)


def _draw(source: list, target: list, weights: np.ndarray) -> Markup:
    across = [formats.label(token, LONGEST) for token in source]
    down = [formats.label(token, LONGEST) for token in target]
    left = 8 + round(FONT * max(map(formats.width, down)))
    top = 8 + round(FONT * max(map(formats.width, across)))
    columns = [left + FIELD * place for place in range(len(across) + 1)]
    rows = [top + FIELD * place for place in range(len(down) + 1)]
    parts = [*_tokens(across, down, columns, rows), _grid(columns, rows)]
    strongest = weights.max() or 1.0
    parts += [
        f'<rect x="{columns[i]}" y="{rows[j]}" fill-opacity="{weights[j, i] / strongest:.2f}"/>'
        for j, i in np.argwhere(weights >= LEAST * strongest)
    ]
    width, height = columns[-1] + 2, rows[-1] + 2
    return Markup(
        f'<svg class="attention" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(_said(across, down, weights))}">{"".join(parts)}</svg>'
    )


def _tokens(across, down, columns, rows):
    """The tokens of the source, upright, and those of the answer, up to their row."""
    middle, left, top = FIELD // 2 + 4, columns[0] - 5, rows[0] - 5
    for token, x in zip(across, columns, strict=False):
        place = f"{x + middle} {top}"
        yield f'<text transform="translate({place}) rotate(-90)">{escape(token)}</text>'
    for token, y in zip(down, rows, strict=False):
        yield f'<text x="{left}" y="{y + middle}" text-anchor="end">{escape(token)}</text>'


def _grid(columns, rows) -> str:
    upright = [f"M{x} {rows[0]}V{rows[-1]}" for x in columns]
    level = [f"M{columns[0]} {y}H{columns[-1]}" for y in rows]
    return f'<path class="grid" d="{"".join(upright + level)}"/>'


def _said(across, down, weights) -> str:
    """What a screen reader says: which tokens look most at which."""
    order = np.argsort(-weights, axis=None, kind="stable")[:NAMED]
    places = [np.unravel_index(place, weights.shape) for place in order]
    pairs = [f"{down[j]} at {across[i]} ({weights[j, i]:.2f})" for j, i in places]
    return (
        f"Attention of {formats.count(len(down), 'token')} of the answer to "
        f"{formats.count(len(across), 'token')} of the source; most look {', '.join(pairs)}."
    )
