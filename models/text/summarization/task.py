"""Summarization: a document to a short text that says what is in it.

Joins preparation, networks and search of `penstock/models/sequence_to_sequence/` with what a summary is
measured by. A request carries one document for each example; the answer is its summary.
"""

from penstock.models.by_length import by_length, words_of
from penstock.models.sequence_to_sequence.task import TextToText
from penstock.models.text.summarization import evaluation
from penstock.models.text.summarization.data import Data
from penstock.models.text_columns import text_columns, texts


class Task(TextToText, Data):
    """Summarization; `self.config` is a `config.Config`."""

    summary_columns = evaluation.COLUMNS
    proportions = ("complete",)
    needs_whole_source = False

    def evaluate_batch(self, decoded, targets, features, state):
        """source, hypothesis, reference (the first): str; complete: bool; and see
        `evaluation.example_columns`."""
        del targets, state
        documents = texts(features[self.prepare.source_feature])
        hypotheses = texts(decoded["text"])
        references = [_several(value) for value in features[self.prepare.target_feature]]
        first = [several[0] if several else "" for several in references]
        lead = self.config.baselines.lead_sentences
        return {
            **text_columns(source=documents, hypothesis=hypotheses, reference=self.cased(first)),
            "complete": decoded["complete"],
            **evaluation.example_columns(documents, hypotheses, references, lead),
        }

    def summarise(self, columns, state):
        """See `evaluation.summarise`."""
        del state
        return evaluation.summarise(columns)

    def details(self, columns, state):
        """The metrics of the extracts, and ROUGE-L by the length of the document."""
        del state
        return {
            "baselines": evaluation.baselines(columns, self.config.baselines.lead_sentences),
            "by_length": by_length(
                columns,
                words_of(columns["source"].tolist()),
                lambda part: part["rouge_l"].mean(),
                unit="words of the document",
                metric="ROUGE-L",
            ),
        }


def _several(value) -> list[str]:
    """One text of bytes, or an array of them."""
    return texts([value] if isinstance(value, bytes) else value)
