"""Summaries that are sentences of the document: what a summary must be better than. Python only.

A line of a document is a sentence, where it has several lines; else a sentence ends with a full stop, a
question or an exclamation mark before a blank and a digit or a letter that is no small one, or with one
of Chinese and Japanese. What is abbreviated before a number ends none.
"""

import random
import re
import zlib

_END = re.compile(r"(?<=[.!?])\s+(?=[^\W_])|(?<=[。！？])")
_BEFORE_NUMBERS = {"al.", "Fig.", "Figs.", "Eq.", "Eqs.", "Sec.", "Tab.", "No.", "Nr.", "p.", "pp."}
LONGEST_SENTENCE = 400
"""Characters of a sentence that count: what has no marks is no sentence, and slow to compare."""


def sentences(document: str) -> list[str]:
    """The sentences of a document, without white space around them."""
    lines = [line.strip() for line in document.splitlines() if line.strip()]
    found = lines if len(lines) > 1 else _divided(lines[0]) if lines else []
    return [sentence[:LONGEST_SENTENCE] for sentence in found if sentence]


def _divided(line: str) -> list[str]:
    ends = [end for end in _END.finditer(line) if not end[0] or _is_end(line, end)]
    begins = [0, *(end.end() for end in ends)]
    return [
        line[b:e] for b, e in zip(begins, [*(end.start() for end in ends), len(line)], strict=True)
    ]


def _is_end(line: str, blank: re.Match) -> bool:
    """Whether a sentence ends before this blank."""
    last, following = line[: blank.start()].split()[-1], line[blank.end()]
    if following.isdigit():
        return last.lstrip("([") not in _BEFORE_NUMBERS
    return not following.islower()


def lead(document: str, count: int) -> str:
    """The first `count` sentences."""
    return " ".join(sentences(document)[:count])


def random_sentence(document: str, words: int) -> str:
    """Sentences from a random one on, cut after `words` words; the same for the same document."""
    found = sentences(document)
    if not found:
        return ""
    first = random.Random(zlib.crc32(document.encode())).randrange(len(found))
    text = " ".join(found[first:] + found[:first])
    return " ".join(text.split()[:words])
