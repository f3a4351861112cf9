"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), by Google's `rouge_score`.

Comes in: summaries, and of each example all references. Goes out: of each example the F-measures against
the reference that has the highest ROUGE-1 (as Cachola et al., arXiv:2004.15011, take several), and those
of the two extracts (`extracts.py`); their means are the metrics. Words are runs of letters and digits of
any script, in lower case, English ones stemmed; without blanks between words (Chinese, Japanese) ROUGE
says little.
"""

import re

import numpy as np
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from penstock.models.text.summarization import extracts

KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
_WORD = re.compile(r"[^\W_]+")


class Words(Tokenizer):
    """`rouge_score`'s own rule, which knows ASCII alone, for all scripts."""

    def __init__(self):
        self._stemmer = PorterStemmer()

    def tokenize(self, text):
        return [self._stem(word) for word in _WORD.findall(text.lower())]

    def _stem(self, word):
        # As there: short words stay.
        return self._stemmer.stem(word) if word.isascii() and len(word) > 3 else word


SCORER = RougeScorer(list(KINDS.values()), tokenizer=Words())
COLUMNS = (*(f"{by}{kind}" for by in ("", "lead/", "random/") for kind in KINDS), "complete")
"""What `summarise` reads."""


def example_columns(
    documents: list[str], hypotheses: list[str], references: list[list[str]], lead_sentences: int
) -> dict[str, np.ndarray]:
    """Columns of a batch, see the module's docstring; all float64 [batch], 0...1.

    Returns:
        error_rate: 1 - rouge_l; rouge_1, rouge_2, rouge_l of the summaries, and the same of `lead/` and
        `random/`.
    """
    lead = [extracts.lead(document, lead_sentences) for document in documents]
    lengths = [len(several[0].split()) if several else 0 for several in references]
    pairs = zip(documents, lengths, strict=True)
    any_one = [extracts.random_sentence(text, words) for text, words in pairs]
    ours = _scores(hypotheses, references)
    return {
        "error_rate": 1.0 - ours["rouge_l"],
        **ours,
        **{f"lead/{kind}": values for kind, values in _scores(lead, references).items()},
        **{f"random/{kind}": values for kind, values in _scores(any_one, references).items()},
    }


def summarise(columns: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean of each column; complete: share of summaries that no limit cut."""
    if not len(columns["complete"]):
        return {}
    return {name: float(columns[name].mean()) for name in COLUMNS}


def baselines(columns: dict[str, np.ndarray], lead_sentences: int) -> dict[str, dict[str, float]]:
    """The extracts' metrics by their names, for the table beside the model's own."""
    found = summarise(columns)
    return {
        title: {kind: found[f"{by}/{kind}"] for kind in KINDS if f"{by}/{kind}" in found}
        for title, by in ((f"lead-{lead_sentences}", "lead"), ("random sentence", "random"))
    }


def _scores(texts, references):
    rows = [
        max(
            (SCORER.score(one, text) for one in several or [""]),
            key=lambda row: row["rouge1"].fmeasure,
        )
        for text, several in zip(texts, references, strict=True)
    ]
    return {
        name: np.array([row[kind].fmeasure for row in rows], np.float64)
        for name, kind in KINDS.items()
    }
