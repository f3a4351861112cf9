"""A text with the words marked that its answer rests on, for the template.

Comes in: a text as it is stored, and of its words the place and by how much the probability of the
given answer drops without it (`explanations.json` of an Evaluation). A mark is a class of
`style.css`: `for` or `against` the answer, and one of four strengths, beside the text's own strongest
word; numbers stand under the text, for it is their size that tells whether any word matters.
"""

import re

from penstock.tfx.report import formats

LONGEST = 600
"""Characters that are shown of a text."""
LEAST = 0.005
"""A smaller change of the probability is none: it would read 0.00."""
STRENGTHS, NAMED = 4, 3


def marked(text: str, words: list) -> dict:
    """What the template draws.

    Args:
        words: lists of (start, end, drop), in the order of the text; what fits no place is ignored.

    Returns:
        pieces: (text, mark, number), mark and number "" between the words; strongest: (word,
        number), those that change most; cut: whether there is more text; tried: how many words were
        left out where others come after them, else None.
    """
    words = _fitting(words, len(text))
    largest = max((abs(drop) for _, _, drop in words), default=0.0)
    pieces, end = [], 0
    for start, stop, drop in words:
        if stop > LONGEST:
            break
        mark = _mark(drop, largest)
        if mark:
            pieces += [_piece(text[end:start]), _piece(text[start:stop], mark, _number(drop))]
            end = stop
    pieces.append(_piece(text[end : max(end, LONGEST)]))
    strongest = sorted((w for w in words if abs(w[2]) >= LEAST), key=lambda word: -abs(word[2]))
    last = words[-1][1] if words else 0
    behind = any(character.isalnum() for character in text[last:])
    return {
        "pieces": [piece for piece in pieces if piece[0]],
        "strongest": [(formats.label(text[a:b]), _number(d)) for a, b, d in strongest[:NAMED]],
        "cut": len(text) > LONGEST,
        "tried": len(words) if words and behind else None,
    }


def _fitting(words, length: int) -> list[tuple[int, int, float]]:
    """The words that lie in the text, one behind the other."""
    fitting, end = [], 0
    for word in words if isinstance(words, list) else ():
        start, stop, drop = word if isinstance(word, list) and len(word) == 3 else (-1, -1, 0)
        are_places = type(start) is int and type(stop) is int
        if are_places and isinstance(drop, int | float) and end <= start < stop <= length:
            fitting.append((start, stop, drop))
            end = stop
    return fitting


def _mark(drop: float, largest: float) -> str:
    """ "for s1" to "for s4" or "against s1" to "against s4"; "" for a word that matters little."""
    strength = round(STRENGTHS * abs(drop) / largest) if abs(drop) >= LEAST else 0
    return f"{'for' if drop > 0 else 'against'} s{strength}" if strength else ""


def _number(drop: float) -> str:
    return f"{drop:+.2f}".replace("-", "\N{MINUS SIGN}")


def _piece(text: str, mark: str = "", number: str = "") -> tuple[str, str, str]:
    return formats.printable(re.sub(r"\s+", " ", text)), mark, number
