"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), by Google's `rouge_score`, with Porter's stemmer.

Comes in: summaries, and of each example all references. Goes out: of each example the F-measures, each the
highest over its references, and those of the two extracts (`extracts.py`); their means are the metrics.
"""

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from penstock.models.text.summarization import extracts

KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
SCORER = RougeScorer(list(KINDS.values()), use_stemmer=True)
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
    pairs = zip(documents, hypotheses, strict=True)
    any_one = [extracts.random_sentence(text, len(summary.split())) for text, summary in pairs]
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
        SCORER.score_multi(several or [""], text)
        for text, several in zip(texts, references, strict=True)
    ]
    return {
        name: np.array([row[kind].fmeasure for row in rows], np.float64)
        for name, kind in KINDS.items()
    }
