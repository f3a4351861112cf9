"""Every setting of translation, with its default and its limits (no TensorFlow here)."""

from penstock.models.sequence_to_sequence.config import TextPairConfig


class Config(TextPairConfig):
    """The task's sections of a config."""

    def metric_names(self):
        """See `evaluation.summarise`."""
        return ("bleu", "chrf", "length_ratio", "complete")

    def libraries(self) -> tuple[str, ...]:
        return (*super().libraries(), "sacrebleu")
