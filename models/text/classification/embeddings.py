"""Word vectors from a file, for the words of a vocabulary.

Comes in: text, UTF-8, plain or `.gz`, a word and its numbers a line, separated by blanks: GloVe's
(Pennington et al. 2014), and word2vec's (Mikolov et al., arXiv:1301.3781), whose first line says how
many words and numbers there are. Goes out: a matrix with a row for each id. NumPy only; of the file
only the vocabulary's words are kept.
"""

import gzip
from pathlib import Path

import numpy as np


def filled(initial: np.ndarray, words, path: Path) -> tuple[np.ndarray, int]:
    """The vectors of a file where it has the word, random ones elsewhere.

    Args:
        initial: float32 [ids, dim], random; its rows are stretched to the standard deviation of the
            file's numbers, as Kim 2014 (arXiv:1408.5882, section 4.3) found to help.
        words: the word of each id; "" for ids that are no word.
        path: the file.

    Returns:
        float32 [ids, dim], and how many of the words have a vector in the file.

    Raises:
        ValueError: a line has another number of numbers, or no word is known.
    """
    found = _read(path, {word: i for i, word in enumerate(words) if word}, initial.shape[1])
    if not found:
        raise ValueError(
            "`model.embeddings` must have vectors of the vocabulary's words. Received: "
            f"{str(path)!r}, which has none of {sum(map(bool, words)):,} words. Is it of another "
            "language, or cased where `prepare.lowercase` is true?"
        )
    known = np.stack(list(found.values()))
    vectors = initial * (known.std() / max(initial.std(), 1e-12))
    vectors[list(found)] = known
    return vectors.astype(np.float32), len(found)


def _read(path, ids: dict[str, int], dim: int) -> dict[int, np.ndarray]:
    """id -> float32 [dim]; of a word that stands twice the first vector."""
    opened = gzip.open if Path(path).suffix == ".gz" else open
    found = {}
    with opened(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            # From the right: GloVe has words with a blank in them, though not among the first.
            word, *numbers = line.rstrip().rsplit(" ", dim if number > 2 else -1)
            if number == 1 and len(numbers) == 1 and dim > 1:
                _check_header(path, numbers[0], dim)
            elif len(numbers) != dim:
                raise ValueError(_fault(path, number, dim, f"{len(numbers)} numbers"))
            elif word in ids and ids[word] not in found:
                found[ids[word]] = _vector(path, number, numbers)
    return found


def _vector(path, number, numbers):
    try:
        return np.array(numbers, np.float32)
    except ValueError:
        raise ValueError(
            _fault(path, number, len(numbers), "something that is no number")
        ) from None


def _check_header(path, found, dim):
    if found != str(dim):
        raise ValueError(_fault(path, 1, dim, f"vectors of {found} numbers"))


def _fault(path, line, dim, received):
    return (
        f"`model.embeddings`: each line must hold a word and `model.embedding_dim` numbers ({dim}). "
        f"Received: {received} in line {line} of {str(path)!r}. Set `model.embedding_dim` to what the "
        "file has."
    )
