"""Summaries that are sentences of the document: what a summary must be better than. Python only.

A line of a document is a sentence, where it has several lines; else a sentence ends with a full stop, a
question or an exclamation mark before a blank and a letter that is no small one.
"""

import random
import re
import zlib

_END = re.compile(r"(?<=[.!?])\s+(?=[^\Wa-z])")


def sentences(document: str) -> list[str]:
    """The sentences of a document, without white space around them."""
    lines = [line.strip() for line in document.splitlines() if line.strip()]
    return lines if len(lines) > 1 else _END.split(lines[0]) if lines else []


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
