"""The words that an answer rests on: what becomes of a class's probability without each of them.

Comes in: a function from texts to probabilities (a served model, whatever its tokens are) and a
text. Goes out: for each word the drop. This is erasure as in Li, Monroe and Jurafsky
(arXiv:1612.08220), in probabilities and not in log-likelihoods, or occlusion (Zeiler and Fergus,
arXiv:1311.2901) of words. It says what the model does with this text without a word, nothing more:
of two words that say the same neither may matter alone. NumPy only.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
"""A word, with apostrophes and hyphens inside, or one other character that is no white space."""


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
    found = list(WORD.finditer(text))[:max_words]
    without = [text[: match.start()] + text[match.end() :] for match in found]
    of_class = np.asarray(probabilities([text, *without]), np.float64)[:, label_id]
    return [
        Contribution(match.start(), match.end(), match.group(), float(of_class[0] - probability))
        for match, probability in zip(found, of_class[1:], strict=True)
    ]
