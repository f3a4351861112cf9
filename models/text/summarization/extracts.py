"""Summaries that are sentences of the document: what a summary must be better than. Python only.

A line of a document is a sentence, where it has several lines; else a sentence ends with a full stop, a
question or an exclamation mark before a blank and a letter that is no small one, or with one of Chinese
and Japanese.
"""

import random
import re
import zlib

_END = re.compile(r"(?<=[.!?])\s+(?=[^\Wa-z])|(?<=[。！？])")
LONGEST_SENTENCE = 400
"""Characters of a sentence that count: what has no marks is no sentence, and slow to compare."""


def sentences(document: str) -> list[str]:
    """The sentences of a document, without white space around them."""
    lines = [line.strip() for line in document.splitlines() if line.strip()]
    found = lines if len(lines) > 1 else _END.split(lines[0]) if lines else []
    return [sentence[:LONGEST_SENTENCE] for sentence in found if sentence]


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
