"""How numbers, times and texts of others are written for a reader."""

import math
import time
import unicodedata

MISSING = "–"
TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks of the direction of writing, and of the order of bytes."""


def number(value, digits: int = 4) -> str:
    """A number in at most `digits` significant digits; whole numbers with thousands separators."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING if value is None else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def fixed(value, places: int = 3) -> str:
    """A metric: always with the same number of decimal places, so that columns line up."""
    if value is None:
        return MISSING
    small = value and abs(value) < 10**-places
    text = f"{value:.2g}" if small else f"{value:,.{places}f}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if value < 0 else text


def percent(share: float, places: int = 1) -> str:
    """A share as a percentage; never 0 % for what is there, never 100 % for what is not all."""
    text = f"{100 * share:.{places}f} %"
    least = 10.0**-places
    if 0 < 100 * share < least / 2:
        return f"< {least:g} %"
    if share < 1 and text.startswith("100"):
        return f"> {100 - least:g} %"
    return text


def seconds(value: float | None) -> str:
    """A duration: "0.4 s", "17.4 s", "3 min 20 s", "2 h 5 min"."""
    if value is None:
        return MISSING
    if value < 60:
        return f"{value:.1f} s" if value >= 0.05 else f"{1000 * value:.0f} ms"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def moment(value: float) -> str:
    """A time on this machine's clock: "24 November 2026, 13:15 UTC"."""
    there = time.localtime(value)
    return f"{there.tm_mday} {time.strftime('%B %Y, %H:%M %Z', there)}"


def count(amount: int, noun: str, plural: str | None = None) -> str:
    """ "1 example", "1,797 examples"."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"


def label(value, longest: int = 28) -> str:
    """A text of unknown origin as one short line that every font and every parser can take."""
    text = printable(" ".join(str(value).split()))
    if not text:
        return "(empty)"
    return text if len(text) <= longest else text[: longest - 1] + "…"


def printable(text: str) -> str:
    """The text with U+FFFD for each character that not every font and every parser can take."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _unprintable(c) else c for c in text)


def key(text: str, longest: int = 60) -> str:
    """A key as a label; a long one is cut in the middle: paths differ at their end."""
    whole = label(text, 10_000)
    if len(whole) <= longest:
        return whole
    begin = longest // 3
    return f"{whole[:begin]}…{whole[len(whole) - (longest - begin - 1) :]}"


def width(text: str) -> float:
    """About how wide a text is, in heights of its letters, where nothing can measure it."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    broad = sum(character.isupper() or character in "mw" for character in text)
    return 0.58 * len(text) + 0.46 * wide + 0.18 * broad


def _unprintable(character: str) -> bool:
    """Control characters, lone surrogates and unassigned code points; XML takes none of them.

    Marks of the direction would change how the text around them reads. Other characters of format
    (Cf) stay: Persian words and emoji of several people are joined by them.
    """
    return character in TURNING or unicodedata.category(character) in ("Cc", "Cs", "Cn")


def value(entry) -> str:
    """A setting or a measured value in a table."""
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    if entry is None:
        return "none"
    if isinstance(entry, int | float):
        return number(entry)
    if isinstance(entry, list | tuple):
        return ", ".join(value(part) for part in entry) or "none"
    if isinstance(entry, dict):
        return ", ".join(f"{key}: {value(part)}" for key, part in entry.items()) or "none"
    return str(entry)
