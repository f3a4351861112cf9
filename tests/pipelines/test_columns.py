"""Cells to values: what fits, what does not, and what kind a column is."""

import itertools
import math
import random

import numpy as np
import pytest

from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.reading.columns import convert_text, convert_typed
from penstock.pipelines.reading.inference import (
    ColumnFault,
    TextColumn,
    TypedColumn,
)

INT, FLOAT = Number(dtype="int64"), Number()
NONE = frozenset()
EMPTY = frozenset([""])


@pytest.mark.parametrize(
    ("feature", "cell", "value"),
    [
        (INT, "0", 0),
        (INT, "-007", -7),
        (INT, "+5", 5),
        (INT, "9223372036854775807", 2**63 - 1),
        (INT, "-9223372036854775807", -(2**63) + 1),
        (FLOAT, "1", 1.0),
        (FLOAT, "-.5e-3", -0.0005),
        (FLOAT, "1.", 1.0),
        (FLOAT, "16777216", 16777216.0),
        (FLOAT, "33554432", 33554432.0),
        (FLOAT, "12345678.9", 12345678.9),
        (FLOAT, "3.4e38", 3.4e38),
        (Text(), " as it is ", " as it is "),
        (Label(names=("a", "b")), "b", 1),
        (Label(names=("false", "true")), "TRUE", 1),
    ],
)
def test_cells_that_fit(feature, cell, value):
    # Alone and among others: the fast way and the careful one agree.
    for cells in ([cell], [cell, cell]):
        assert convert_text(cells, feature, NONE) == ([value] * len(cells), {})


@pytest.mark.parametrize(
    ("feature", "cell", "fault"),
    [
        (INT, "9223372036854775808", "does not fit into an int64"),
        (INT, "-9223372036854775808", "does not fit into an int64"),  # stands for missing
        (INT, "1e5", "is '1e5', which is no integer"),
        (INT, "1.0", "no integer"),
        (INT, "1_000", "no integer"),
        (INT, " 5", "no integer"),
        (INT, "\u0665", "no integer"),  # a digit that `int` takes
        (INT, "+-5", "no integer"),
        (INT, "", "no integer"),
        (INT, "9" * 5000, "no integer"),  # `int` itself refuses so many digits
        (FLOAT, "16777217", "of which float32 would lose digits"),
        (FLOAT, "-900719925474099300001", "lose digits"),
        (FLOAT, "nan", "no number"),
        (FLOAT, "inf", "no number"),
        (FLOAT, "1,5", "no number"),
        (FLOAT, "1e400", "not finite as a float32"),
        (FLOAT, "3.5e38", "not finite as a float32"),
        (FLOAT, ".", "no number"),
        (FLOAT, "0x10", "no number"),
        (Label(names=("a", "b")), "c", "is 'c', which is none of its 2 classes (a, b)"),
        (Label(names=("a", "b")), "A", "none of its 2 classes"),
    ],
)
def test_cells_that_do_not_fit(feature, cell, fault):
    good = "a" if isinstance(feature, Label) else "1"
    values, faults = convert_text([good, cell, good], feature, NONE)
    assert list(faults) == [1]
    assert fault in faults[1]
    assert values[0] == values[2] == (0 if good == "a" else 1)


def test_missing_cells():
    cells = ["1", "", "NA", "4"]
    missing = frozenset(["", "NA"])
    optional = Number(dtype="int64", optional=True)
    assert convert_text(cells, optional, missing) == ([1, None, None, 4], {})
    values, faults = convert_text(cells, INT, missing)
    assert faults == {1: "is missing", 2: "is missing"}
    values, faults = convert_text(["x", "", "4"], optional, missing)
    assert (values, list(faults)) == ([None, None, 4], [0])
    texts = convert_text(cells, Sequence(of=Text()), missing, "|")
    assert texts == ([["1"], [], [], ["4"]], {})


def test_sequences_of_text():
    cells = ["1|2", "3", "x|4", "5|6|7"]
    values, faults = convert_text(cells, Sequence(of=INT), EMPTY, "|")
    assert [values[0], values[1], values[3]] == [[1, 2], [3], [5, 6, 7]]
    assert list(faults) == [2]
    assert "is 'x', which is no integer" in faults[2]


@pytest.mark.parametrize(
    ("feature", "cell", "value"),
    [
        (INT, 2**63 - 1, 2**63 - 1),
        (FLOAT, 3, 3.0),
        (FLOAT, 1.5, 1.5),
        (Text(), "x", "x"),
        (Label(names=("7", "8")), 8, 1),
        (Label(names=("false", "true")), True, 1),
        (Sequence(of=FLOAT), [1, 2.5], [1.0, 2.5]),
        (Sequence(of=Text()), [], []),
    ],
)
def test_typed_values_that_fit(feature, cell, value):
    assert convert_typed([cell, cell], feature) == ([value, value], {})
    assert convert_typed([], feature) == ([], {})


@pytest.mark.parametrize(
    ("feature", "cell", "fault"),
    [
        (INT, True, "is a boolean (True), but must be an integer"),
        (INT, 1.0, "a number with a fraction"),
        (INT, "1", "is a text ('1'), but must be an integer"),
        (INT, 2**63, "does not fit into an int64"),
        (FLOAT, 2**24 + 1, "float32 would lose digits"),
        (FLOAT, math.inf, "not finite"),
        (FLOAT, "1.5", "must be a number"),
        (Text(), 5, "must be a text"),
        (Text(), "\ud800", "half of a surrogate pair"),
        (Text(), b"\xff", "no valid UTF-8"),
        (Label(names=("a",)), 1.5, "must be the name of a class"),
        (Sequence(of=INT), 5, "must be a list"),
        (Sequence(of=INT), [1, None], "a missing part"),
        (Sequence(of=INT), [1, "x"], "must be an integer"),
        (Number(shape=(2,)), [1.0], "must have the shape (2,)"),
        (Number(shape=(2,)), [1.0, "x"], "must be a number"),
        (INT, None, "is missing"),
    ],
)
def test_typed_values_that_do_not_fit(feature, cell, fault):
    _, faults = convert_typed([cell], feature)
    assert fault in faults[0]


def test_arrays():
    values, faults = convert_typed([[[1, 2], [3, 4]]], Number(dtype="int64", shape=(2, 2)))
    assert faults == {}
    np.testing.assert_array_equal(values[0], np.array([[1, 2], [3, 4]], np.int64), strict=True)


def kind(cells, missing=EMPTY, **more):
    """What a column is; the same for any order of its chunks."""
    found = set()
    for order in itertools.islice(itertools.permutations(range(3)), 6):
        column = TextColumn("x", missing, more.get("separator"), more.get("is_label", False))
        third = len(cells) // 3 + 1
        for part in order:
            column.add(cells[part * third : (part + 1) * third])
        found.add(column.feature().model_dump_json())
    assert len(found) == 1
    return column.feature()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-2", "+3"], INT),
        (["1", "2.5", "3"], FLOAT),
        (["1", "1e5"], FLOAT),
        (["1400269500", "1362683700"], INT),
        (["007", "123"], Text()),
        (["12345678901234567890", "1"], Text()),
        (["2024-01-31"], Text()),
        (["true", "False", "TRUE"], Label(names=("false", "true"))),
        (["0", "1"], INT),
        (["nan", "1"], Text()),
        (["1", "", "3"], Number(dtype="int64", optional=True)),
        (["", ""], Text(optional=True)),
        ([], Text(optional=True)),
        (["a", ""], Text(optional=True)),
        (["5"] * 99 + ["x"], INT),
        (["5"] * 98 + ["x"], Text()),
        (["1.5"] * 990 + ["?"] * 10, FLOAT),
        (["1.5"] * 989 + ["?"] * 11, Text()),
        # Long integers must not lose digits because of a few damaged cells.
        (["123456789"] * 200 + ["1.5"], INT),
        (["123456789", "1.5"], FLOAT),
    ],
)
def test_what_a_column_of_text_is(cells, expected):
    assert kind(cells) == expected


def test_classes_of_a_label():
    assert kind(["b", "a", "b"], is_label=True) == Label(names=("a", "b"))
    assert kind(["10", "9", "-1"], is_label=True) == Label(names=("-1", "9", "10"))
    assert kind(["a", ""], is_label=True) == Label(names=("a",), optional=True)
    assert kind(["a|b", "c"], is_label=True, separator="|") == Sequence(
        of=Label(names=("a", "b", "c"))
    )
    assert kind(["a|b"], separator="|") == Sequence(of=Text())
    with pytest.raises(ColumnFault, match="The label `x` has no value in any row"):
        kind(["", ""], is_label=True)


def test_what_a_column_of_typed_values_is():
    def typed(cells, **more):
        column = TypedColumn("x", NONE, more.get("is_label", False))
        random.Random(1).shuffle(cells)
        for start in range(0, len(cells), 3):
            column.add(cells[start : start + 3])
        return column.feature()

    assert typed([1, 2, None]) == Number(dtype="int64", optional=True)
    assert typed([1, 2.5]) == FLOAT
    assert typed([True, False]) == Label(names=("false", "true"))
    assert typed([[1.5], [], [2]]) == Sequence(of=FLOAT)
    assert typed([[], []]) == Sequence(of=Text())
    assert typed([3, 1], is_label=True) == Label(names=("1", "3"))
    assert typed([["b"], ["a"]], is_label=True) == Sequence(of=Label(names=("a", "b")))
    assert typed([1] * 99 + ["x"]) == INT
    with pytest.raises(ColumnFault, match="no one kind: integer 1, text 1. Leave it out by"):
        typed([1, "x"])
    with pytest.raises(ColumnFault, match="lists of lists"):
        typed([[[1]]])
