"""Translation: a text in one language to a text in another.

Joins preparation, networks and search of `penstock/models/sequence_to_sequence/` with what a
translation is measured by. A request carries one text for each example; the answer is its translation.
"""

import numpy as np

from penstock.models.by_length import by_length, words_of
from penstock.models.sequence_to_sequence.task import TextToText, texts
from penstock.models.text.translation import evaluation
from penstock.models.text.translation.data import Data


class Task(TextToText, Data):
    """Translation; `self.config` is a `config.Config`."""

    summary_columns = evaluation.COLUMNS
    proportions = ("complete",)

    def evaluate_batch(self, decoded, targets, features, state):
        """source, hypothesis, reference: str; complete: bool; and see `evaluation.example_columns`."""
        del targets, state
        hypotheses = texts(decoded["text"])
        references = texts(features[self.prepare.target_feature])
        return {
            "source": np.array(texts(features[self.prepare.source_feature]), np.str_),
            "hypothesis": np.array(hypotheses, np.str_),
            "reference": np.array(references, np.str_),
            "complete": decoded["complete"],
            **evaluation.example_columns(hypotheses, references),
        }

    def summarise(self, columns, state):
        """See `evaluation.summarise`."""
        del state
        return evaluation.summarise(columns)

    def details(self, columns, state):
        """The metrics' signatures, and BLEU by the length of the source."""
        del state
        return {
            "signatures": evaluation.signatures(),
            "by_length": by_length(
                columns,
                words_of(columns["source"].tolist()),
                lambda part: evaluation.summarise(part)["bleu"],
                unit="words of the source",
                metric="BLEU",
            ),
        }
