"""Cells of a table -> feature values, a column at a time.

Comes in: the cells of one column, as text (CSV) or as values with a type (JSON, Parquet), and the
feature that they shall be. Goes out: raw values (see `features.py`), None for what is missing, and a
reason for each cell that does not fit: no value is ever rounded, cut or cast to make it fit, except
that numbers with a fraction are stored as float32.
"""

import math
import struct
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate, compress

from penstock.pipelines.features import MISSING_INT64, Feature, Label, Number, Sequence, Text

INT64_MAX = 2**63 - 1
FLOAT32_MAX = (2 - 2**-23) * 2.0**127
EXACT_FLOAT32 = 2**24
"""Up to here float32 holds every integer."""
BOOLEANS = ("false", "true")
"""The classes of a column of booleans, whatever their capitals."""

Cells = list
Faults = dict[int, str]
"""Position of a cell -> why it does not fit: the end of a sentence that begins with the column."""


def convert_text(
    cells: Cells, feature: Feature, missing: frozenset[str], separator: str | None = None
) -> tuple[list, Faults]:
    """Converts cells that are text.

    Args:
        feature: `Text`, `Label`, `Number` without a shape, or `Sequence` of them.
        missing: what stands for a missing value.
        separator: between the parts of a sequence.
    """
    if missing.isdisjoint(cells):
        return _present(cells, feature, separator)
    there = [cell not in missing for cell in cells]
    return _with_gaps(cells, there, feature, lambda present: _present(present, feature, separator))


def convert_typed(
    cells: Cells, feature: Feature, missing: frozenset[str] = frozenset()
) -> tuple[list, Faults]:
    """Converts cells that have types of their own; None, and texts in `missing`, are missing."""
    there = [
        cell is not None and not (missing and isinstance(cell, str) and cell in missing)
        for cell in cells
    ]
    return _with_gaps(cells, there, feature, lambda present: _typed(present, feature))


def _with_gaps(cells, there, feature, convert):
    """Converts the cells that are there; of others None, or a fault."""
    values, faults = convert(list(compress(cells, there)))
    if all(there):
        return values, faults
    positions = list(compress(range(len(cells)), there))
    woven = [None] * len(cells)
    for position, value in zip(positions, values, strict=True):
        woven[position] = value
    faults = {positions[position]: fault for position, fault in faults.items()}
    if isinstance(feature, Sequence) and not feature.optional:
        woven = [value if is_there else [] for value, is_there in zip(woven, there, strict=True)]
    elif not getattr(feature, "optional", False):
        lacking = {
            position: "is missing" for position, is_there in enumerate(there) if not is_there
        }
        faults |= lacking
    return woven, faults


def _present(cells, feature, separator):
    if isinstance(feature, Text):
        return cells, {}
    if isinstance(feature, Sequence):
        return _split(cells, feature, separator)
    if isinstance(feature, Label):
        return _lookup(cells, feature)
    whole, one = (_integers, _integer) if feature.dtype == "int64" else (_floats, _float)
    values = whole(cells)
    return (values, {}) if values is not None else _one_by_one(cells, one)


def _one_by_one(cells, one: Callable):
    values, faults = [], {}
    for position, cell in enumerate(cells):
        try:
            values.append(one(cell))
        except ValueError as fault:
            values.append(None)
            faults[position] = str(fault)
    return values, faults


def _split(cells, feature, separator):
    """Converts the parts of all cells at once, then divides them again."""
    lists = [cell.split(separator) for cell in cells]
    return _parts(lists, lambda parts: _present(parts, feature.of, None))


def _parts(lists, convert):
    ends = list(accumulate(map(len, lists)))
    values, part_faults = convert([part for parts in lists for part in parts])
    starts = [0, *ends][: len(ends)]
    faults = {}
    for position, fault in part_faults.items():
        faults.setdefault(bisect_right(ends, position), fault)
    return [values[start:end] for start, end in zip(starts, ends, strict=True)], faults


def _lookup(cells, feature):
    ids = {name: number for number, name in enumerate(feature.names)}
    if feature.names == BOOLEANS:
        cells = [cell.lower() for cell in cells]
    values = list(map(ids.get, cells))
    if None not in values:
        return values, {}
    faults = {
        position: f"is {_shown(cell)}, which is none of its {len(ids)} classes ({_listed(ids)})"
        for position, (cell, value) in enumerate(zip(cells, values, strict=True))
        if value is None
    }
    return values, faults


def _listed(names):
    names = list(names)
    return ", ".join(names[:5] + ["..."] * (len(names) > 5))


def _shown(cell):
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _only(cells, letters):
    """Whether all cells together consist of some ASCII letters."""
    text = "".join(cells)
    return text.isascii() and not text.encode().translate(None, letters)


def _integers(cells):
    """All cells as int64, or None if one is none. `int` alone would take `1_000` and ` 5`."""
    if not _only(cells, b"0123456789+-"):
        return None
    try:
        values = list(map(int, cells))
    except ValueError:
        return None
    fits = not values or (max(values) <= INT64_MAX and min(values) > MISSING_INT64)
    return values if fits else None


def _integer(cell):
    if not _only([cell], b"0123456789+-"):
        raise ValueError(f"is {_shown(cell)}, which is no integer")
    try:
        value = int(cell)
    except ValueError:
        raise ValueError(f"is {_shown(cell)}, which is no integer") from None
    return _checked_integer(value)


def _checked_integer(value):
    # -2**63 itself stands for a missing value.
    if not MISSING_INT64 < value <= INT64_MAX:
        raise ValueError(f"is {_shown(value)}, which does not fit into an int64")
    return value


def _floats(cells):
    """All cells as floats that float32 can hold, or None if one must be looked at.

    `float` alone would take `nan`, `inf`, `1_000` and ` 5`.
    """
    if not _only(cells, b"0123456789+-.eE"):
        return None
    try:
        values = list(map(float, cells))
    except ValueError:
        return None
    return values if not values or _within(values, EXACT_FLOAT32) else None


def _within(values, limit):
    return -limit <= min(values) and max(values) <= limit


def _float(cell):
    if not _only([cell], b"0123456789+-.eE"):
        raise ValueError(f"is {_shown(cell)}, which is no number")
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"is {_shown(cell)}, which is no number") from None
    if EXACT_FLOAT32 < abs(value) < math.inf and cell.lstrip("+-").isdigit():
        return _checked_whole(int(cell))
    return _checked_float(value, cell)


def _checked_whole(value):
    """An integer as a float, if float32 holds all of its digits."""
    if abs(value) > FLOAT32_MAX or int(struct.unpack("f", struct.pack("f", value))[0]) != value:
        raise ValueError(
            f"is {_shown(value)}, of which float32 would lose digits: make the feature an int64 or a text"
        )
    return float(value)


def _checked_float(value, cell):
    if not math.isfinite(value) or abs(value) > FLOAT32_MAX:
        raise ValueError(f"is {_shown(cell)}, which is not finite as a float32")
    return value


def _typed(cells, feature):
    if isinstance(feature, Sequence):
        return _typed_sequence(cells, feature)
    one = _TYPED.get(feature.kind)
    if isinstance(feature, Number):
        if feature.shape:
            one = _array_of(feature)
        else:
            one = _typed_integer if feature.dtype == "int64" else _typed_float
    elif isinstance(feature, Label):
        return _typed_label(cells, feature)
    if _all_fit(cells, feature):
        return cells, {}
    return _one_by_one(cells, one)


def _all_fit(cells, feature):
    """Whether all cells are values already: some ten times as fast as to look at each."""
    kinds = set(map(type, cells))
    if isinstance(feature, Text) and kinds == {str}:
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            return False
        return True
    if not isinstance(feature, Number) or feature.shape:
        return False
    if feature.dtype == "int64":
        return kinds == {int} and min(cells) > MISSING_INT64 and max(cells) <= INT64_MAX
    return kinds == {float} and all(map(math.isfinite, cells)) and _within(cells, FLOAT32_MAX)


def _typed_sequence(cells, feature):
    faults = {
        position: f"is {_kind(cell)}, but must be a list"
        for position, cell in enumerate(cells)
        if not isinstance(cell, list)
    }
    lists = [[] if position in faults else cell for position, cell in enumerate(cells)]
    for position, parts in enumerate(lists):
        if any(part is None for part in parts):
            faults[position] = "has a missing part in its list"
            lists[position] = []
    values, part_faults = _parts(lists, lambda parts: _typed(parts, feature.of))
    return values, part_faults | faults


def _typed_label(cells, feature):
    """Classes are named by texts; an integer or a boolean is taken as it is written."""
    cells = [cell.decode("utf-8", "replace") if type(cell) is bytes else cell for cell in cells]
    names = [str(cell) if isinstance(cell, str | int) else None for cell in cells]
    values, faults = _lookup([name if name is not None else "" for name in names], feature)
    for position, name in enumerate(names):
        if name is None:
            faults[position] = f"is {_kind(cells[position])}, but must be the name of a class"
    return values, faults


def _typed_integer(cell):
    if type(cell) is int:
        return _checked_integer(cell)
    raise ValueError(f"is {_kind(cell)}, but must be an integer")


def _typed_float(cell):
    if type(cell) is float:
        return _checked_float(cell, cell)
    if type(cell) is int:
        return _checked_whole(int(cell))
    raise ValueError(f"is {_kind(cell)}, but must be a number")


def _array_of(feature):
    import numpy as np

    one = _typed_integer if feature.dtype == "int64" else _typed_float

    def convert(cell):
        def flat(part, shape):
            if not shape:
                return [one(part)]
            if not isinstance(part, list) or len(part) != shape[0]:
                raise ValueError(f"must have the shape {feature.shape}")
            return [value for inner in part for value in flat(inner, shape[1:])]

        return np.array(flat(cell, feature.shape), feature.dtype).reshape(feature.shape)

    return convert


def _typed_text(cell):
    if isinstance(cell, str):
        return _utf8(cell)
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            raise ValueError(f"is {_shown(cell)}, which is no valid UTF-8") from None
    raise ValueError(f"is {_kind(cell)}, but must be a text")


def _utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is no valid Unicode (half of a surrogate pair)") from None
    return text


def _typed_image(cell):
    from penstock.pipelines.media.image_files import normalise

    return _normalised(cell, normalise)


def _typed_audio(cell):
    from penstock.pipelines.media.audio_files import normalise

    return _normalised(cell, normalise)


def _normalised(cell, normalise):
    try:
        return normalise(_bytes(cell))
    except ValueError as fault:
        raise ValueError(f"cannot be used: {str(fault).rstrip('.')}") from None


def _bytes(cell):
    if isinstance(cell, bytes):
        return cell
    raise ValueError(f"it is {_kind(cell)}, but must be the bytes of a file")


_TYPED = {"text": _typed_text, "image": _typed_image, "audio": _typed_audio}


def _kind(cell):
    """`a text ('x')`: what a value is, in words."""
    named = {
        bool: "a boolean",
        int: "an integer",
        float: "a number with a fraction",
        str: "a text",
        bytes: "bytes",
        list: "a list",
        dict: "an object",
    }
    return f"{named.get(type(cell), type(cell).__name__)} ({_shown(cell)})"
