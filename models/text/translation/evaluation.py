"""BLEU and chrF, by sacreBLEU (Post 2018, arXiv:1804.08771).

Comes in: answers and references, as they are written. Goes out: of each example the counts that both
metrics sum up, so that a metric of any set of examples is computed from its rows alone, and equals what
`corpus_score` says of these texts.
"""

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

BLEU_METRIC, CHRF_METRIC = BLEU(), CHRF()
"""With sacreBLEU's defaults: BLEU-4, 13a tokens, mixed case, exponential smoothing; chrF2."""


def example_columns(hypotheses: list[str], references: list[str]) -> dict[str, np.ndarray]:
    """Columns of a batch, see the module's docstring.

    Returns:
        chrf: float64 [batch], 0...100, of this example alone. error_rate: 1 - chrf / 100. bleu_counts,
        bleu_totals: int64 [batch, 4], matching and all n-grams; hypothesis_tokens, reference_tokens:
        int64 [batch]; chrf_counts: int64 [batch, 18], of the answer, the reference and both, for each n.
    """
    bleu = [
        BLEU_METRIC.corpus_score([h], [[r]]) for h, r in zip(hypotheses, references, strict=True)
    ]
    # One of the few private functions that are used: no public one gives the counts of chrF.
    chrf = CHRF_METRIC._extract_corpus_statistics(hypotheses, [references])
    scores = [CHRF_METRIC._compute_f_score(counts) for counts in chrf]
    return {
        "error_rate": 1.0 - np.array(scores, np.float64) / 100.0,
        "chrf": np.array(scores, np.float64),
        "bleu_counts": np.array([score.counts for score in bleu], np.int64).reshape(-1, 4),
        "bleu_totals": np.array([score.totals for score in bleu], np.int64).reshape(-1, 4),
        "hypothesis_tokens": np.array([score.sys_len for score in bleu], np.int64),
        "reference_tokens": np.array([score.ref_len for score in bleu], np.int64),
        "chrf_counts": np.array(chrf, np.int64).reshape(len(hypotheses), -1),
    }


COLUMNS = (
    "bleu_counts",
    "bleu_totals",
    "hypothesis_tokens",
    "reference_tokens",
    "chrf_counts",
    "complete",
)
"""What `summarise` reads."""


def summarise(columns: dict[str, np.ndarray]) -> dict[str, float]:
    """bleu and chrf of all examples together, 0...100; length_ratio: tokens of the answers to those of
    the references; complete: share of answers that no limit cut.
    """
    if not len(columns["complete"]):
        return {}
    ours, theirs = columns["hypothesis_tokens"].sum(), columns["reference_tokens"].sum()
    bleu = BLEU.compute_bleu(
        columns["bleu_counts"].sum(axis=0).tolist(),
        columns["bleu_totals"].sum(axis=0).tolist(),
        int(ours),
        int(theirs),
        smooth_method=BLEU_METRIC.smooth_method,
    )
    metrics = {
        "bleu": float(bleu.score),
        "chrf": float(CHRF_METRIC._compute_f_score(columns["chrf_counts"].sum(axis=0).tolist())),
        "complete": float(columns["complete"].mean()),
    }
    if theirs:
        metrics["length_ratio"] = float(ours / theirs)
    return metrics


def signatures() -> dict[str, str]:
    """By which settings and version each metric was computed, as sacreBLEU writes it."""
    for metric in (BLEU_METRIC, CHRF_METRIC):
        metric.corpus_score(["a"], [["a"]])  # the signature has the number of references in it
    return {"bleu": str(BLEU_METRIC.get_signature()), "chrf": str(CHRF_METRIC.get_signature())}
