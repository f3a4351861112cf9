"""Quarantine: files, kinds of reasons, kept bytes, the limit."""

import base64
import json
import random
import tracemalloc

import numpy as np
import pytest

from penstock.pipelines.quarantine import bad_records, quarantine
from penstock.pipelines.quarantine.bad_records import BadRunWriter, Limits
from penstock.pipelines.quarantine.printable import excerpt, printable
from penstock.pipelines.quarantine.reason_kinds import kind_of
from penstock.pipelines.sources.source import BadRecord

BAD = [
    BadRecord("a.png", 0, "It is no image of a known format."),
    BadRecord("a.png", 1, "The file is empty.", "a"),
    BadRecord("b.csv", 2, "The file is empty.", "b", offset=77, data=b"x\xff;"),
]


def test_files_say_what_is_known_of_each(tmp_path):
    written = quarantine.write(tmp_path, BAD, good=7)
    lines = (tmp_path / "bad_records.jsonl").read_text().splitlines()
    empty = {"file": "a.png", "index": 1, "key": "a", "reason": "The file is empty."}
    assert json.loads(lines[1]) == empty
    third = json.loads(lines[2])
    assert (third["offset"], base64.b64decode(third["data"])) == (77, b"x\xff;")
    assert (written["read"], written["good"], written["bad"]) == (10, 7, 3)
    assert [(r["kind"], r["count"]) for r in written["reasons"]] == [
        ("The file is empty.", 2),
        ("It is no image of a known format.", 1),
    ]
    assert written["reasons"][0]["first"][0] == empty
    assert quarantine.summary(tmp_path) == written
    assert written["format_version"] == 2
    assert quarantine.read(tmp_path) == BAD


def test_numbers_of_numpy_are_stored_as_numbers(tmp_path):
    quarantine.write(tmp_path, [BadRecord("a", np.int64(7), "bad", offset=np.uint8(3))], 1)
    (entry,) = quarantine.entries(tmp_path)
    assert (entry["index"], entry["offset"]) == (7, 3)


def test_the_files_of_an_earlier_version_are_read(tmp_path):
    """As the version before `format_version` wrote them: a count for each reason, no bytes."""
    reasons = ["`label` is 11.", "`label` is 12.", "The file is empty."]
    lines = [json.dumps(BadRecord("a", i, reason).to_json()) for i, reason in enumerate(reasons)]
    (tmp_path / "bad_records.jsonl").write_text("\n".join(lines) + "\n")
    old = {"bad": 3, "good": 7, "reasons": dict.fromkeys(reasons, 1)}
    (tmp_path / "summary.json").write_text(json.dumps(old))
    found = quarantine.summary(tmp_path)
    assert (found["read"], found["bad"], found["kept_bytes"]) == (10, 3, 0)
    assert [(r["kind"], r["count"]) for r in found["reasons"]] == [
        ("`label` is ….", 2),
        ("The file is empty.", 1),
    ]


def test_a_later_version_is_refused(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"format_version": 9}))
    with pytest.raises(ValueError, match="format_version 2 or less. Received: 9"):
        quarantine.summary(tmp_path)


@pytest.mark.parametrize(
    ("good", "limit", "stops"),
    [(7, 0.3, False), (7, 0.29, True), (0, 1.0, False), (0, 0.99, True)],
    ids=["at-limit", "over", "all-allowed", "all-bad"],
)
def test_limit(tmp_path, good, limit, stops):
    # 3 of 10 are 30 %.
    found = quarantine.write(tmp_path, BAD, good)
    assert (quarantine.too_many(found, limit) is not None) == stops


def test_sentence_names_the_most_frequent_reason(tmp_path):
    sentence = quarantine.too_many(quarantine.write(tmp_path, BAD, 7), 0.01)
    assert sentence.startswith("3 of 10 records (30.0%) cannot be used; at most 1.0% may be bad")
    assert "(2 times): The file is empty. First in `a.png`, index 1" in sentence


def test_the_sentence_cannot_command_a_terminal(tmp_path):
    bad = [BadRecord("\x1b[2J\udcff.png", 0, "It is\r\nwrong\u202e.")]
    sentence = quarantine.too_many(quarantine.write(tmp_path, bad, 0), 0.5)
    assert sentence.isprintable()
    assert r"`\x1b[2J\udcff.png`" in sentence
    assert r"It is\r\nwrong\u202e." in sentence


def test_no_records_are_not_too_many(tmp_path):
    assert quarantine.too_many(quarantine.write(tmp_path, [], 0), 0.0) is None


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("`label` is 17; class ids go from 0 to 9.", "`label` is …; class ids go from … to …."),
        ('`x1` is -1.5e-3, not "it\'s".', "`x1` is …, not …."),
        ("The folder's name isn't 'a b'.", "The folder's name isn't …."),
        ("It has the box [0.5, 0.0, 0.25, 1.0] (number 3).", "It has the box […] (number …)."),
        ("It is no UTF-8; an int64 or 16-bit WAV.", "It is no UTF-8; an int64 or 16-bit WAV."),
        (
            "`size` must have the shape (2,), not (1,).",
            "`size` must have the shape (…,), not (…,).",
        ),
        ("`a 7` and `7` stay.", "`a 7` and `7` stay."),
        ("<object at 0x7f3a91> failed.", "<object at …> failed."),
        ("The file has 1,234,567 bytes.", "The file has … bytes."),
    ],
)
def test_kinds_of_reasons(reason, kind):
    assert kind_of(reason) == kind


def bad_lines(count, size=100):
    """Of every seventh the reason is a rare one."""
    return [
        BadRecord(
            f"{i % 3}.csv", i, "Rare." if i % 7 == 0 else f"Cell {i} is bad.", data=bytes(size)
        )
        for i in range(count)
    ]


def write_in_runs(folder, parts, limits):
    """What the quarantine is if each part was found by a process of its own."""
    folder.mkdir()
    names = []
    for part in parts:
        writer = BadRunWriter(folder, limits)
        for record in part:
            writer.add(record)
        writer.flush()
        names += writer.names
    entries = bad_records.merged(folder, names)
    quarantine.write_entries(folder, entries, 5, limits)
    return (folder / "bad_records.jsonl").read_bytes(), (folder / "summary.json").read_bytes()


@pytest.mark.parametrize("limits", [Limits(), Limits(10, 16_000), Limits(100, 800), Limits(0, 0)])
def test_any_order_and_any_division_give_the_same_files(tmp_path, monkeypatch, limits):
    records = bad_lines(1000)
    whole = write_in_runs(tmp_path / "whole", [sorted(records, key=_order)], limits)
    monkeypatch.setattr(bad_records, "RUN_RECORDS", 7)
    monkeypatch.setattr(bad_records, "MOST_OPEN", 5)
    random.Random(1).shuffle(records)
    parts = [records[start : start + 90] for start in range(0, 1000, 90)]
    assert write_in_runs(tmp_path / "parts", parts, limits) == whole


def _order(record):
    return record.file, record.index


def test_bytes_are_kept_up_to_three_limits(tmp_path):
    limits = Limits(record_bytes=40, total_bytes=3200)
    write_in_runs(tmp_path / "q", [sorted(bad_lines(1000), key=_order)], limits)
    found = quarantine.summary(tmp_path / "q")
    # Of one kind an eighth of 3,200 bytes, ten records of 40; there are two kinds.
    assert found["kept_bytes"] == 2 * 400
    entries = list(quarantine.entries(tmp_path / "q"))
    kept = [entry for entry in entries if "data" in entry]
    assert [entry["bytes"] for entry in entries] == [100] * 1000  # what each had
    assert {len(base64.b64decode(entry["data"])) for entry in kept} == {40}
    rare = [entry["index"] for entry in kept if entry["reason"] == "Rare."]
    assert rare == [3 * 7 * i for i in range(10)]  # the first ten in `0.csv`
    assert len(kept) == 20


def test_memory_does_not_grow_with_the_bad_records(tmp_path, monkeypatch):
    """As a list, 6,000 of them with 1,000 bytes each would take more than 6 MB."""
    monkeypatch.setattr(bad_records, "RUN_RECORDS", 200)
    tracemalloc.start()
    try:
        writer = BadRunWriter(tmp_path, Limits())
        for index in range(6000):
            writer.add(BadRecord("a", index, "Bad.", data=bytes(1000)))
        writer.flush()
        found = quarantine.write_entries(
            tmp_path, bad_records.merged(tmp_path, writer.names), 0, Limits()
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["kept_bytes"] == 6_000_000
    assert peak < 3_000_000


def test_the_total_is_the_last_word(tmp_path):
    """Twenty kinds of one byte each, where 16 may be kept: of each kind 2."""
    records = [BadRecord("a", i, f"Reason {'x' * (i + 1)}.", data=b"?") for i in range(20)]
    quarantine.write_entries(
        tmp_path, [bad_records.entry_of(r, Limits()) for r in records], 0, Limits(1, 16)
    )
    assert quarantine.summary(tmp_path)["kept_bytes"] == 16
    assert [bool(record.data) for record in quarantine.read(tmp_path)] == 16 * [True] + 4 * [False]


def test_reasons_without_end_do_not_fill_the_summary(tmp_path, monkeypatch):
    monkeypatch.setattr(quarantine, "MOST_KINDS", 3)
    bad = [BadRecord("a", i, f"Reason {'x' * (i + 1)}.") for i in range(9)]
    found = quarantine.write(tmp_path, bad, 0)
    assert [(r["kind"], r["count"]) for r in found["reasons"]] == [
        ("Another reason.", 6),
        ("Reason x.", 1),
        ("Reason xx.", 1),
        ("Reason xxx.", 1),
    ]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain; text", "plain; text"),
        (b"\x1b]0;title\x07\n\x9b\xff\x00", r"\x1b]0;title\x07\n\x9b\xff\x00"),
        ("ü\u202e".encode(), r"ü\u202e"),
        (b"a" * 50, "a" * 19 + "…"),
        (b"", ""),
    ],
)
def test_hostile_bytes_are_shown_as_escapes(data, shown):
    assert excerpt(data, 20 if len(data) == 50 else 80) == shown
    assert printable(shown) == shown
