"""How much of what was said was written down: columns of examples -> error rates.

Comes in: texts, cleaned alike. Goes out: counts of each example, by `jiwer` (Levenshtein distance of
words and of characters), and rates over all of them: errors of all examples over words of all.
"""

import jiwer
import numpy as np

from penstock.models.by_length import by_length
from penstock.models.text_columns import text_columns


def example_columns(hypotheses: list[str], references: list[str]) -> dict[str, np.ndarray]:
    """What is known of each example.

    Returns:
        hypothesis, reference: str; words, word_errors, characters, character_errors: int64, of the
        reference and in the hypothesis (substituted, left out or added); error_rate: float64, word
        errors over words (over 1 where nothing was said), which can be above 1; correct: bool.
    """
    words = np.array(
        [_counts(jiwer.process_words, r, h) for r, h in _pairs(references, hypotheses)]
    )
    characters = np.array(
        [_counts(jiwer.process_characters, r, h) for r, h in _pairs(references, hypotheses)]
    )
    words, characters = (np.reshape(x, (-1, 2)).astype(np.int64) for x in (words, characters))
    return {
        **text_columns(hypothesis=hypotheses, reference=references),
        "words": words[:, 0],
        "word_errors": words[:, 1],
        "characters": characters[:, 0],
        "character_errors": characters[:, 1],
        "error_rate": words[:, 1] / np.maximum(words[:, 0], 1),
        "correct": characters[:, 1] == 0,
    }


def _pairs(references, hypotheses):
    return zip(references, hypotheses, strict=True)


def _counts(process, reference, hypothesis):
    """Parts of the reference, and errors."""
    found = process(reference, hypothesis)
    missing = found.substitutions + found.deletions
    return found.hits + missing, missing + found.insertions


def summarise(columns) -> dict[str, float]:
    """wer, cer: errors over words or characters of the references, can be above 1; exact_match: share
    of texts without an error. Rates of nothing said are left out."""
    metrics = {}
    for name, part in (("wer", "word"), ("cer", "character")):
        said = int(columns[f"{part}s"].sum())
        if said:
            metrics[name] = float(columns[f"{part}_errors"].sum() / said)
    if len(columns["correct"]):
        metrics["exact_match"] = float(columns["correct"].mean())
    return metrics


def by_words(columns) -> dict:
    """The word error rate by the number of words, for the report."""
    return by_length(
        columns,
        columns["words"],
        lambda part: summarise(part).get("wer"),
        unit="words of the reference",
        metric="wer",
    )
