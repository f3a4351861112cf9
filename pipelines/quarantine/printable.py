"""Text of unknown origin as one line that no terminal obeys.

File names, keys and reasons come from data: a control character in them could clear the screen or
forge a line of a log, a mark of direction turns the text around it.
"""

import unicodedata

TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks of the direction of writing, and of the order of bytes."""


def printable(text: str, longest: int | None = None) -> str:
    """The text with escapes (`\\x1b`) for what cannot be printed, cut at `longest` characters."""
    cut = text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_escaped(character) if _is_unfit(character) else character for character in cut)


def excerpt(data: bytes, longest: int) -> str:
    """The beginning of some bytes: as text where it is text, with escapes for everything else."""
    text = data[: 4 * longest].decode("utf-8", "backslashreplace")
    return printable(text, longest)


def _is_unfit(character: str) -> bool:
    """Control characters, line ends, lone surrogates, unassigned code points, marks of direction."""
    is_unfit = unicodedata.category(character) in ("Cc", "Cs", "Cn", "Zl", "Zp")
    return is_unfit or character in TURNING


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
