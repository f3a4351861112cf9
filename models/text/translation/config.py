"""Every setting of translation, with its default and its limits (no TensorFlow here)."""

from typing import Literal

from penstock.models.sequence_to_sequence.config import TextPairConfig
from penstock.pipelines.config import Config as Section


class Metrics(Section):
    """`bleu_tokenizer`: how sacreBLEU cuts texts into words. 13a and intl are for languages that write
    blanks, zh is for Chinese, char for others that do not, none for texts that are cut already. With
    `prepare.lowercase` capitals do not count, which the signature says."""

    bleu_tokenizer: Literal["13a", "intl", "zh", "char", "none"] = "13a"


class Config(TextPairConfig):
    """The task's sections of a config."""

    metrics: Metrics = Metrics()

    def metric_names(self):
        """See `evaluation.Metrics.summarise`."""
        return ("bleu", "chrf", "length_ratio", "complete")

    def libraries(self) -> tuple[str, ...]:
        return (*super().libraries(), "sacrebleu")
