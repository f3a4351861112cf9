"""How much of what was said was written down: columns of examples -> error rates.

Comes in: texts, cleaned alike. Goes out: counts of each example, by `jiwer` (Levenshtein distance of
words and of characters), and rates over all of them: errors of all examples over words of all.
"""

import jiwer
import numpy as np

BINS = 6


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
        "hypothesis": np.array(hypotheses, np.str_),
        "reference": np.array(references, np.str_),
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


def by_length(columns) -> dict:
    """The word error rate by the number of words, in up to `BINS` ranges of about as many examples."""
    words = columns["words"]
    edges = np.unique(np.quantile(words, np.arange(1, BINS + 1) / BINS, method="inverted_cdf"))
    places = np.searchsorted(edges, words)
    bins = []
    for place in np.unique(places):
        here = places == place
        rate = summarise({name: column[here] for name, column in columns.items()}).get("wer")
        if rate is not None:
            lowest, highest = int(words[here].min()), int(words[here].max())
            bins.append({"from": lowest, "to": highest, "examples": int(here.sum()), "value": rate})
    return {"unit": "words of the reference", "metric": "wer", "bins": bins}
