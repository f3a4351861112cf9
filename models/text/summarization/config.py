"""Every setting of summarization, with its default and its limits (no TensorFlow here)."""

from typing import Annotated

from pydantic import Field, PositiveInt

from penstock.models.sequence_to_sequence.config import (
    GRU,
    LSTM,
    TextPairConfig,
    TextPairPrepare,
    Transformer,
)
from penstock.pipelines.config import Config as Section


class Prepare(TextPairPrepare):
    """As of every pair of texts; the target may be a list of texts.

    Of several summaries of one document the first is learned, and all are references. A summary of a
    document that is longer than `max_source_tokens` is one of its beginning, and is complete as such.
    """

    max_source_tokens: Annotated[int, Field(ge=2)] = 400
    max_target_tokens: Annotated[int, Field(ge=2)] = 60


class Baselines(Section):
    """What the summaries are compared with: the first `lead_sentences` of the document, and a random
    sentence of as many words as the reference."""

    lead_sentences: PositiveInt = 1


class Config(TextPairConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    model: Annotated[Transformer | GRU | LSTM, Field(discriminator="type")] = LSTM(
        type="lstm", pointer_generator=True
    )
    baselines: Baselines = Baselines()

    def metric_names(self):
        """See `evaluation.summarise`."""
        return ("rouge_1", "rouge_2", "rouge_l", "complete", "lead/*", "random/*")

    def libraries(self) -> tuple[str, ...]:
        return (*super().libraries(), "rouge-score", "nltk")
