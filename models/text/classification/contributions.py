"""The words that an answer rests on: what becomes of a class's probability without each of them.

Comes in: a function from texts to probabilities (a served model, whatever its tokens are) and a
text. Goes out: for each word the drop. This is erasure as in Li, Monroe and Jurafsky
(arXiv:1612.08220), in probabilities and not in log-likelihoods, or occlusion (Zeiler and Fergus,
arXiv:1311.2901) of words. It says what the model does with this text without a word, nothing more:
of two words that say the same neither may matter alone. NumPy only.

What a word is does not depend on the model's tokens, for it is to be read by people: as `data.py`
cuts texts, but an emoji of several characters is one, and so is each character of Chinese and
Japanese, which write no blanks.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_WORD = re.compile("HM*|[LMJ]+(?:I[LMJ]+)*|SM*(?:JS?M*)*|[PI]")
"""Over the kinds of characters, see `_kind`."""
_ALONE = re.compile(
    "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Hiragana, katakana and Han characters."""
_JOINER = "\u200d"
_SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")


@dataclass(frozen=True)
class Contribution:
    """A word of a text.

    Attributes:
        start, end: its place, in characters of the text.
        word: as it stands there.
        drop: probability of the class with the word minus that without it, -1...1; above 0 where
            the word speaks for the class.
    """

    start: int
    end: int
    word: str
    drop: float


def contributions(
    probabilities: Callable[[Sequence[str]], np.ndarray],
    text: str,
    label_id: int,
    max_words: int = 200,
) -> list[Contribution]:
    """How much each word of a text speaks for a class.

    Args:
        probabilities: texts -> float [texts, classes]; called once, with a text for each word and
            the whole one. Of a served model:
            `lambda texts: signature(text=tf.constant(texts))["probabilities"].numpy()`.
        text: the text as it is sent to the model.
        label_id: the class, an index of `probabilities`.
        max_words: words behind so many are not left out.

    Returns:
        The words in the order of the text, each place of a word by itself.
    """
    places = words(text)[:max_words]
    # A blank in the gap: "bad" and "good" of "bad/good" must not become one word.
    without = [f"{text[:start]} {text[end:]}" for start, end in places]
    of_class = np.asarray(probabilities([text, *without]), np.float64)[:, label_id]
    return [
        Contribution(start, end, text[start:end], float(of_class[0] - probability))
        for (start, end), probability in zip(places, of_class[1:], strict=True)
    ]


def words(text: str) -> list[tuple[int, int]]:
    """Start and end of each word, and of each other character that is no white space.

    Words have apostrophes and hyphens inside; combining marks belong to what they follow.
    """
    return [match.span() for match in _WORD.finditer("".join(map(_kind, text)))]


def _kind(character: str) -> str:
    """A letter for the kind of a character.

    L of a word, M a mark, J the joiner of emoji and of letters, I inside of words too, P punctuation,
    S a symbol, H a word by itself, and a blank.
    """
    category = unicodedata.category(character)
    if character in "'’-":
        return "I"
    if character == _JOINER:
        return "J"
    if category[0] == "M" or _SKIN_TONES.match(character):
        return "M"
    if category[0] == "Z" or category == "Cc":
        return " "
    if _ALONE.match(character):
        return "H"
    return category[0] if category[0] in "PS" else "L"
