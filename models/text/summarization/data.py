"""From a document and its summary to ids.

As `penstock/models/sequence_to_sequence/data.py`, but that there may be several summaries: the first is
learned.
"""

import tensorflow as tf

from penstock.models.preparation import needed_text
from penstock.models.sequence_to_sequence.data import TextPairs
from penstock.pipelines.features import Features, Sequence, Text


class Data(TextPairs):
    """Preparation of summarization; `self.prepare` is a `config.Prepare`."""

    def target_features(self, source: Features) -> Features:
        name = self.prepare.target_feature
        found = needed_text(source, name, "prepare.target_feature", (Text, Sequence))
        if isinstance(found, Sequence) and not isinstance(found.of, Text):
            raise ValueError(
                f"`prepare.target_feature` must name a text or a sequence of texts. Received: `{name}`, "
                f"a sequence of kind {found.of.kind}."
            )
        return {name: found}

    def target_text(self, features):
        """string [batch]; of a list of texts the first, of an empty one the empty text."""
        text = features[self.prepare.target_feature]
        if isinstance(text, tf.RaggedTensor):
            return tf.strings.reduce_join(text[:, :1], axis=1)
        return text
