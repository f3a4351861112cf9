"""Byte-level byte-pair encoding as data: tokens, merges, how a text falls into words, the files.

Comes in and goes out: two text files, `<name>.txt` with a token a line, in order of the ids, and
`<name>.merges.txt` with two tokens a line, in order of rank. They are GPT-2's `merges.txt` and
the keys of its `vocab.json`: each byte is written as a printable character, so that no escapes are
needed. `subword_training.py` makes them, `subword_tokenizer.py` applies them.

Words: a run of letters, up to three digits or a run of punctuation and symbols, each with the blank
before it, or one other white space (GPT-2's rule without its look-ahead, which RE2 lacks; digits
as in GPT-4). The classes are ranges of code points and not Unicode properties, which differ
between regular expression libraries and from one Unicode version to the next. A word of more than
`MAX_WORD_BYTES` is cut there.
"""

from dataclasses import dataclass
from pathlib import Path

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
PADDING, UNKNOWN, START, END = range(4)
"""The ids of the special tokens. No text encodes to them: bytes have no unknown, and the text
"[END]" is five ordinary characters."""

MAX_WORD_BYTES = 64

_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_DIGIT = "0-9"
_SYMBOL = (
    "!-/:-@\\[-`{-~"  # ASCII
    "\xa1-\xbf\u2010-\u2027\u2030-\u205e\u3001-\u303f\uff01-\uff0f\uff1a-\uff20"  # punctuation
    "\u2190-\u2bff\U0001f000-\U0001faff"  # arrows to dingbats, emoji
)
WORD = f" ?[^{_SPACE}{_DIGIT}{_SYMBOL}]+| ?[{_DIGIT}]{{1,3}}| ?[{_SYMBOL}]+|[{_SPACE}]"
"""Matches one word; every character of a text is in exactly one match. RE2, Oniguruma and Python."""


def _alphabet() -> tuple[str, ...]:
    """The printable character of each byte (`bytes_to_unicode` of GPT-2's `encoder.py`)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


ALPHABET = _alphabet()
LEAST_SUBWORDS = len(SPECIAL_TOKENS) + len(ALPHABET) + 1
"""Of a vocabulary: the special tokens, the bytes, and at least one merge."""
_BYTES = {character: byte for byte, character in enumerate(ALPHABET)}


def printable(word: bytes) -> str:
    """Bytes as printable characters, one each."""
    return "".join(ALPHABET[byte] for byte in word)


def unprintable(token: str) -> bytes:
    """The inverse of `printable`."""
    return bytes(_BYTES[character] for character in token)


@dataclass(frozen=True)
class Subwords:
    """A subword vocabulary.

    Args:
        tokens: of each id, special tokens first, the others in printable characters.
        merges: pairs of tokens, the first is merged first.
    """

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def save(self, directory, name: str) -> None:
        """Writes the two files."""
        _write_lines(Path(directory) / f"{name}.txt", self.tokens)
        _write_lines(Path(directory) / f"{name}.merges.txt", map(" ".join, self.merges))

    @classmethod
    def load(cls, directory, name: str) -> "Subwords":
        """Reads the two files."""
        tokens = _read_lines(Path(directory) / f"{name}.txt")
        merges = _read_lines(Path(directory) / f"{name}.merges.txt")
        return cls(tokens, tuple(tuple(line.split(" ")) for line in merges))


def _write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _read_lines(path):
    return tuple(path.read_text(encoding="utf-8").split("\n")[:-1])
