"""Translation: a text in one language to a text in another.

Joins preparation, networks and search of `penstock/models/sequence_to_sequence/` with what a
translation is measured by. A request carries one text for each example; the answer is its translation.
"""

from penstock.models.by_length import by_length, words_of
from penstock.models.sequence_to_sequence.task import TextToText
from penstock.models.text.translation import evaluation
from penstock.models.text.translation.data import Data
from penstock.models.text_columns import text_columns, texts


class Task(TextToText, Data):
    """Translation; `self.config` is a `config.Config`."""

    summary_columns = evaluation.COLUMNS
    proportions = ("complete",)

    def __init__(self, config):
        super().__init__(config)
        self._metrics = evaluation.Metrics(config.metrics.bleu_tokenizer, config.prepare.lowercase)

    def evaluate_batch(self, decoded, targets, features, state):
        """source, hypothesis, reference: str; complete: bool; and see `evaluation.Metrics`."""
        del targets, state
        hypotheses = texts(decoded["text"])
        references = texts(features[self.prepare.target_feature])
        return {
            **text_columns(
                source=texts(features[self.prepare.source_feature]),
                hypothesis=hypotheses,
                reference=self.cased(references),
            ),
            "complete": decoded["complete"],
            **self._metrics.example_columns(hypotheses, references),
        }

    def summarise(self, columns, state):
        """See `evaluation.Metrics.summarise`."""
        del state
        return self._metrics.summarise(columns)

    def details(self, columns, state):
        """The metrics' signatures, and BLEU by the length of the source."""
        del state
        return {
            "signatures": self._metrics.signatures(),
            "by_length": by_length(
                columns,
                words_of(columns["source"].tolist()),
                lambda part: self._metrics.summarise(part)["bleu"],
                unit="words of the source",
                metric="BLEU",
            ),
        }
