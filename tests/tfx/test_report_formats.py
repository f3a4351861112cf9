"""How numbers and foreign texts are written; expected texts are written out by hand."""

import time

import pytest

from penstock.tfx.report import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1797, "1,797"),
        (8.0, "8"),
        (0.30511, "0.3051"),
        (86.4732, "86.47"),
        (12345.6, "12,346"),
        (1e-7, "1e-07"),
        (None, "–"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "True"),
    ],
)
def test_number(value, text):
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.98987, "0.990"),
        (1234.5, "1,234.500"),
        (0.00012, "0.00012"),
        (-0.25, "−0.250"),
        (None, "–"),
    ],
)
def test_fixed(value, text):
    assert formats.fixed(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.1234, "12.3 %"),
        (0.0001, "< 0.1 %"),
        (0.99999, "> 99.9 %"),
    ],
)
def test_percent_never_hides_what_is_there(share, text):
    assert formats.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0061, "6 ms"), (17.44, "17.4 s"), (200.2, "3 min 20 s"), (7500, "2 h 5 min"), (None, "–")],
)
def test_seconds(value, text):
    assert formats.seconds(value) == text


def test_a_moment_is_that_of_this_machine(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert formats.moment(0) == "1 January 1970, 00:00 UTC"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\t here", "two lines here"),
        ("bell\x07", "bell\ufffd"),
        ("\ud800", "\ufffd"),
        ("a\u202eb", "a\ufffdb"),  # would turn the direction of what follows
        ("\ufeffa\u200e\u2066", "\ufffda\ufffd\ufffd"),
        # Persian "I want": its parts are joined by U+200C. A family: three emoji and U+200D.
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        ),
        ("x" * 40, "x" * 27 + "…"),
        ("日本", "日本"),
        (None, "None"),
        (" \n", "(empty)"),
    ],
)
def test_labels_are_one_short_printable_line(text, shown):
    assert formats.label(text) == shown


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (True, "yes"),
        (None, "none"),
        ([32, 64], "32, 64"),
        ([], "none"),
        ({"type": "adam", "rate": 0.005}, "type: adam, rate: 0.005"),
    ],
)
def test_values_of_settings(entry, text):
    assert formats.value(entry) == text
