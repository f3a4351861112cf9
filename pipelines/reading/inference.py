"""What kind of feature a column is, from all of its cells.

A full pass, chunk by chunk in bounded memory: counts decide, so that the answer does not depend on
which rows come first. A kind that fits all cells but one in a hundred is taken (`MOST_MISFITS`);
the others then are bad records, as `data.max_bad_fraction` allows by default: one damaged cell does
not turn a column of numbers into text.

| cells                                         | feature                                   |
|-----------------------------------------------|-------------------------------------------|
| true, false (any capitals)                    | `Label(("false", "true"))`                |
| 5, -3 (no leading zeros, fits an int64)       | `Number("int64")`                         |
| 2.5, 1e-3                                     | `Number("float32")`                       |
| anything else: 007, 2024-01-31, a long number | `Text`                                    |
| none at all                                   | `Text(optional=True)`                     |
| of a column named by `label`                  | `Label` of its values, sorted             |
| of a column with a separator                  | `Sequence` of texts or classes            |

With a missing cell anywhere the feature is optional (of a sequence the cell is an empty list).
"""

import re
from collections import Counter

from penstock.pipelines.features import Feature, Label, Number, Sequence, Text
from penstock.pipelines.reading.columns import BOOLEANS, EXACT_FLOAT32, INT64_MAX

MOST_MISFITS = 0.01
MAX_CLASSES = 100_000
MAX_COLUMNS = 10_000
"""Of sources in which any row may bring another one."""

_INTEGER = r"[+-]?(?:0|[1-9][0-9]{0,18})"
_FLOAT = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
# Cells are joined by zero bytes, which no good row has.
_INTEGERS = re.compile(rf"(?:{_INTEGER}\0)*+")
_DECIMALS = re.compile(r"(?:[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\0)*+")
_ONE_INTEGER = re.compile(_INTEGER)
_ONE_FLOAT = re.compile(_FLOAT)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]+")


class ColumnFault(ValueError):
    """A column's kind cannot be found out; the message is a sentence."""


def check_number(names) -> None:
    """Raises ColumnFault for more than `MAX_COLUMNS` names of columns."""
    if len(names) > MAX_COLUMNS:
        shown = ", ".join(map(repr, sorted(names)[:3]))
        raise ColumnFault(
            f"The rows have more than {MAX_COLUMNS:,} different names, such as {shown}. Are they "
            "values (ids, words) and no names of columns? Write them as two lists, of names and of "
            "their values."
        )


class Classes:
    """The different values of a label."""

    def __init__(self, name: str):
        self._name = name
        self._found: set[str] = set()

    def add(self, cells) -> None:
        """Notes the names of classes (texts)."""
        self._found.update(cells)
        if len(self._found) > MAX_CLASSES:
            raise ColumnFault(
                f"The label `{self._name}` has more than {MAX_CLASSES:,} different values. Name "
                "another column in `label`."
            )

    def names(self) -> tuple[str, ...]:
        """Sorted; numbers by their size."""
        if not self._found:
            raise ColumnFault(
                f"The label `{self._name}` has no value in any row that can be a class (a text, an "
                "integer or a boolean). Name another column in `label`."
            )
        if all(re.fullmatch(r"-?[0-9]{1,18}", name) for name in self._found):
            return tuple(sorted(self._found, key=lambda name: (int(name), name)))
        if {name.lower() for name in self._found} <= set(BOOLEANS):
            return BOOLEANS
        return tuple(sorted(self._found))


class TextColumn:
    """Collects the cells of a column of text.

    Args:
        name: of the feature, for messages.
        missing: what stands for a missing value.
        separator: of a sequence, or None.
        is_label: whether its values are classes.
    """

    def __init__(self, name: str, missing: frozenset, separator: str | None, is_label: bool):
        self._missing = missing
        self._separator = separator
        self._classes = Classes(name) if is_label else None
        self._gaps = 0
        self._kinds = Counter()
        self._has_long_integers = False

    def add(self, cells) -> None:
        """Notes the cells of some rows."""
        present = set(cells)
        gaps = 0
        if not self._missing.isdisjoint(present):
            gaps = sum(cell in self._missing for cell in cells)
            present -= self._missing
        self._gaps += gaps
        if self._classes is not None:
            parts = present
            if self._separator is not None:
                parts = {part for cell in present for part in cell.split(self._separator)}
            self._classes.add(parts)
        elif self._separator is None:
            self._count(cells, present, len(cells) - gaps)

    def _count(self, cells, present, number):
        """Adds the kinds of `number` cells, which are those in `present`."""
        dotted = {cell for cell in present if "." in cell}
        kinds = [
            (dotted, self._kind_of_all(dotted, _DECIMALS, "float")),
            (present - dotted, self._kind_of_all(present - dotted, _INTEGERS, "integer")),
        ]
        kinds = [(part, kind) for part, kind in kinds if part]
        if len(kinds) == 1 and kinds[0][1]:
            self._kinds[kinds[0][1]] += number
            return
        known = {}
        for part, kind in kinds:
            known.update(dict.fromkeys(part, kind) if kind else {c: self._kind(c) for c in part})
        counted = Counter(map(known.get, cells))
        counted.pop(None, None)  # missing ones
        self._kinds += counted

    def _kind_of_all(self, cells, pattern, kind):
        """`kind` if all cells fit a pattern (some ten times as fast as one by one), or None."""
        if not pattern.fullmatch("\0".join(cells) + "\0"):
            return None
        if kind == "integer" and cells:
            longest = max(map(len, cells))
            if longest > 18:
                return None  # perhaps more than an int64 holds
            if longest >= 8:  # seven digits, which float32 always holds, and a sign
                self._has_long_integers = self._has_long_integers or any(
                    abs(int(cell)) > EXACT_FLOAT32 for cell in cells
                )
        return kind

    def _kind(self, cell):
        if _ONE_FLOAT.fullmatch(cell):
            if _ONE_INTEGER.fullmatch(cell):
                value = abs(int(cell))
                if value > INT64_MAX:
                    return "text"
                self._has_long_integers |= value > EXACT_FLOAT32
                return "integer"
            if _LEADING_ZERO.fullmatch(cell) or cell.lstrip("+-").isdigit():
                return "text"
            return "float"
        return "boolean" if cell.lower() in BOOLEANS else "text"

    def feature(self) -> Feature:
        """What the column is."""
        if self._separator is not None:
            return Sequence(of=Label(names=self._classes.names()) if self._classes else Text())
        optional = self._gaps > 0
        if self._classes is not None:
            return Label(names=self._classes.names(), optional=optional)
        kind = _majority(self._kinds, self._has_long_integers) or "text"
        return _feature_of(kind, optional or not self._kinds)


def _majority(kinds: Counter, has_long_integers: bool) -> str | None:
    """The kind that fits all cells but a few, or None."""
    total = kinds.total()
    few = total * MOST_MISFITS
    if not total:
        return None
    if kinds["boolean"] >= total - few:
        return "boolean"
    if kinds["integer"] + kinds["float"] >= total - few:
        # Long integers must not become floats because of a few cells.
        whole = not kinds["float"] or (has_long_integers and kinds["float"] <= few)
        return "integer" if whole else "float"
    kind, count = max(kinds.items(), key=lambda item: (item[1], item[0]))
    return kind if count >= total - few else None


def _feature_of(kind, optional):
    if kind == "boolean":
        return Label(names=BOOLEANS, optional=optional)
    if kind == "text":
        return Text(optional=optional)
    return Number(dtype="int64" if kind == "integer" else "float32", optional=optional)


_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "text",
    list: "list",
    dict: "object",
}


class TypedColumn:
    """Collects the cells of a column whose values have types of their own (JSON).

    Args:
        name: of the feature, for messages.
        missing: texts that stand for a missing value, as None does.
        is_label: whether its values are classes.
    """

    def __init__(self, name: str, missing: frozenset, is_label: bool):
        self._name = name
        self._missing = missing
        self._classes = Classes(name) if is_label else None
        self._gaps = 0
        self._kinds = Counter()
        self._has_long_integers = False
        self._parts = None

    def add(self, cells) -> None:
        """Notes the cells of some rows."""
        present = [
            cell
            for cell in cells
            if cell is not None and not (type(cell) is str and cell in self._missing)
        ]
        self._gaps += len(cells) - len(present)
        types = Counter(map(type, present))
        self._kinds.update({_TYPES.get(kind, "object"): n for kind, n in types.items()})
        if types[list]:
            if self._parts is None:
                self._parts = TypedColumn(self._name, frozenset(), self._classes is not None)
            # A missing part makes a bad record.
            lists = [cell for cell in present if type(cell) is list]
            self._parts.add([part for parts in lists for part in parts if part is not None])
        elif self._classes is not None:
            self._classes.add([str(cell) for cell in present if type(cell) in (str, int, bool)])
        if types[int]:
            self._has_long_integers |= any(
                abs(cell) > EXACT_FLOAT32 for cell in present if type(cell) is int
            )

    def feature(self, optional: bool = False) -> Feature:
        """What the column is; `optional` where some rows have no such column at all.

        Raises:
            ColumnFault: values of several kinds, or of one that no feature has.
        """
        optional = optional or self._gaps > 0
        kind = _majority(self._kinds, self._has_long_integers)
        if kind == "list":
            part = self._parts.feature()
            if isinstance(part, Sequence):
                raise ColumnFault(f"`{self._name}` has lists of lists. {_HOW}")
            # Of empty lists only: `Text(optional=True)`.
            return Sequence(of=part.model_copy(update={"optional": False}), optional=optional)
        if self._classes is not None:
            return Label(names=self._classes.names(), optional=optional)
        if not self._kinds:
            return Text(optional=True)
        if kind is None or kind == "object":
            counts = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self._kinds.items()))
            raise ColumnFault(f"`{self._name}` has values that are no one kind: {counts}. {_HOW}")
        return _feature_of(kind, optional)


_HOW = "Leave it out by `columns`, or describe it in `features`; rows that do not fit are then bad."
