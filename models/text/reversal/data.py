"""From a string to the ids of its characters, and of the reversed string.

Comes in: UTF-8, string [batch]. Goes out: inputs int64 [batch, max_characters], padded; targets
int64 [batch, max_characters + 1]: the characters backwards, then END, padded.
"""

import tensorflow as tf

from penstock.models.preparation import Preparation, feature_of_kind
from penstock.pipelines.features import Features, Text
from penstock.pipelines.transform.analyzers import Vocabulary

PADDING, UNKNOWN, START, END = range(4)
RESERVED = 4


class Data(Preparation):
    """Preparation of string reversal; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.text_feature
        return {name: feature_of_kind(source, name, Text, "prepare.text_feature")}

    def target_features(self, source: Features) -> Features:
        del source
        return {}

    def analyzers(self, source: Features) -> dict:
        del source
        return {"characters": Vocabulary(self._characters)}

    def prepare_inputs(self, features, state):
        ids = self._ids(features, state)
        return ids.to_tensor(PADDING, shape=[None, self.prepare.max_characters])

    def prepare_targets(self, features, state):
        ids = self._ids(features, state)
        ends = tf.fill([ids.nrows(), 1], tf.constant(END, tf.int64))
        targets = tf.concat([tf.reverse(ids, axis=[1]), ends], axis=1)
        return targets.to_tensor(PADDING, shape=[None, self.prepare.max_characters + 1]), None

    def _characters(self, features):
        """string [batch] -> ragged string [batch, (characters)], cut to the longest length."""
        text = features[self.prepare.text_feature]
        return tf.strings.unicode_split(text, "UTF-8")[:, : self.prepare.max_characters]

    def _ids(self, features, state):
        """string [batch] -> ragged int64 [batch, (characters)]."""
        table = state.lookup("characters", reserved=RESERVED, default=UNKNOWN)
        return tf.ragged.map_flat_values(table.lookup, self._characters(features))
