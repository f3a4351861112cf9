"""BLEU and chrF, by sacreBLEU (Post 2018, arXiv:1804.08771).

Comes in: answers and references, as they are written. Goes out: of each example the counts that both
metrics sum up, so that a metric of any set of examples is computed from its rows alone, and equals what
`corpus_score` says of these texts.
"""

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

COLUMNS = (
    "bleu_counts",
    "bleu_totals",
    "hypothesis_tokens",
    "reference_tokens",
    "chrf_counts",
    "complete",
)
"""What `Metrics.summarise` reads."""


class Metrics:
    """BLEU-4 with exponential smoothing, and chrF2: sacreBLEU's defaults.

    Args:
        tokenizer: of BLEU, as sacreBLEU calls it.
        lowercase: whether capitals do not count.
    """

    def __init__(self, tokenizer: str = "13a", lowercase: bool = False):
        self._bleu = BLEU(tokenize=tokenizer, lowercase=lowercase)
        self._chrf = CHRF(lowercase=lowercase)

    def example_columns(
        self, hypotheses: list[str], references: list[str]
    ) -> dict[str, np.ndarray]:
        """Columns of a batch, see the module's docstring.

        Returns:
            chrf: float64 [batch], 0...100, of this example alone; 100 where both texts are empty.
            error_rate: 1 - chrf / 100. bleu_counts, bleu_totals: int64 [batch, 4], matching and all
            n-grams; hypothesis_tokens, reference_tokens: int64 [batch]; chrf_counts: int64 [batch, 18],
            of the answer, the reference and both, for each n.
        """
        pairs = list(zip(hypotheses, references, strict=True))
        bleu = [self._bleu.corpus_score([h], [[r]]) for h, r in pairs]
        # One of the few private functions that are used: no public one gives the counts of chrF.
        chrf = self._chrf._extract_corpus_statistics(hypotheses, [references])
        scores = [
            self._chrf._compute_f_score(counts) if h.strip() or r.strip() else 100.0
            for counts, (h, r) in zip(chrf, pairs, strict=True)
        ]
        return {
            "error_rate": 1.0 - np.array(scores, np.float64) / 100.0,
            "chrf": np.array(scores, np.float64),
            "bleu_counts": np.array([score.counts for score in bleu], np.int64).reshape(-1, 4),
            "bleu_totals": np.array([score.totals for score in bleu], np.int64).reshape(-1, 4),
            "hypothesis_tokens": np.array([score.sys_len for score in bleu], np.int64),
            "reference_tokens": np.array([score.ref_len for score in bleu], np.int64),
            "chrf_counts": np.array(chrf, np.int64).reshape(len(hypotheses), -1),
        }

    def summarise(self, columns: dict[str, np.ndarray]) -> dict[str, float]:
        """bleu and chrf of all examples together, 0...100; length_ratio: tokens of the answers to those
        of the references; complete: share of answers that no limit cut.
        """
        if not len(columns["complete"]):
            return {}
        ours, theirs = columns["hypothesis_tokens"].sum(), columns["reference_tokens"].sum()
        bleu = BLEU.compute_bleu(
            columns["bleu_counts"].sum(axis=0).tolist(),
            columns["bleu_totals"].sum(axis=0).tolist(),
            int(ours),
            int(theirs),
            smooth_method=self._bleu.smooth_method,
        )
        counts = columns["chrf_counts"].sum(axis=0).tolist()
        metrics = {
            "bleu": float(bleu.score),
            "chrf": float(self._chrf._compute_f_score(counts)),
            "complete": float(columns["complete"].mean()),
        }
        if theirs:
            metrics["length_ratio"] = float(ours / theirs)
        return metrics

    def signatures(self) -> dict[str, str]:
        """By which settings and version each metric was computed, as sacreBLEU writes it."""
        for metric in (self._bleu, self._chrf):
            metric.corpus_score(["a"], [["a"]])  # the signature has the number of references in it
        return {"bleu": str(self._bleu.get_signature()), "chrf": str(self._chrf.get_signature())}
