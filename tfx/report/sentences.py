"""An answer that is a text beside what it should have been, the words marked that differ.

Comes in: a row of an Evaluation with `hypothesis` and `reference`, and `source` where there is one.
Goes out: pieces for the template. The words are aligned by `difflib` (the longest equal stretches
first), which reads better than the fewest edits and need not be as many as an error rate counts.
"""

import difflib
import unicodedata

from penstock.tfx.report import formats

LONGEST = 600
"""Characters that are shown of a text."""
COLUMNS = ("source", "hypothesis", "reference")


def of_row(row: dict) -> dict | None:
    """What the template draws; None for a row whose answer is no text.

    Returns:
        source: text or None; hypothesis, reference: lists of (text, mark), where the mark "added"
        is on words that only the hypothesis has, "lacking" on those that only the reference has, and
        "" on what both have; cut: names of the texts that go on.
    """
    if not all(isinstance(row.get(name), str) for name in COLUMNS[1:]):
        return None
    texts = {n: " ".join(row[n].split()) for n in COLUMNS if isinstance(row.get(n), str)}
    cut = [name for name, text in texts.items() if len(text) > LONGEST]
    shown = {name: formats.printable(text[:LONGEST]) for name, text in texts.items()}
    hypothesis, reference = compared(shown["hypothesis"], shown["reference"])
    found = {"source": shown.get("source"), "hypothesis": hypothesis, "reference": reference}
    return {**found, "cut": cut}


def compared(hypothesis: str, reference: str) -> tuple[list, list]:
    """Both texts as (text, mark) pieces; see `of_row`."""
    by_character = any(map(_is_written_together, hypothesis + reference))
    ours, theirs = (list(t) if by_character else t.split() for t in (hypothesis, reference))
    joint = "" if by_character else " "
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    left, right = [], []
    for kind, a, b, c, d in matcher.get_opcodes():
        same = kind == "equal"
        left.append((joint.join(ours[a:b]), "" if same else "added"))
        right.append((joint.join(theirs[c:d]), "" if same else "lacking"))
    return _spaced(left, joint), _spaced(right, joint)


def _is_written_together(character: str) -> bool:
    """Chinese and Japanese are compared by character: words are not set apart."""
    scripts = ("CJK UNIFIED", "CJK COMPATIBILITY", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA")
    return unicodedata.name(character, "").startswith(scripts)


def _spaced(pieces, joint: str) -> list[tuple[str, str]]:
    """The blank between two pieces has no mark."""
    spaced = []
    for text, mark in pieces:
        if text:
            spaced += [(joint, "")] * bool(spaced and joint) + [(text, mark)]
    return spaced
