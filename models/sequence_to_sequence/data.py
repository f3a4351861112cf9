"""From two texts to the ids that network and loss take.

Comes in: UTF-8, string [batch] each. Goes out: inputs, the source's ids, ragged int32 [batch,
(tokens)] of 1 to `max_source_tokens`, and one more where the source is longer, which no network reads:
it says that the source was cut; targets, the target's ids and then END, ragged int32 [batch,
(tokens)] of 1 to `max_target_tokens`.

Any string has an answer. Bytes that are no UTF-8 become U+FFFD, white space and control characters
blanks, of which none stands at an end. A source without a token (the empty string) is one unknown token,
so that no attention ever divides by nothing.
"""

import tensorflow as tf

from penstock.models.preparation import Preparation, needed_text
from penstock.models.token_ids import at_least_one
from penstock.pipelines.features import Features
from penstock.pipelines.transform import subwords
from penstock.pipelines.transform.analyzers import SubwordVocabulary

PADDING, UNKNOWN, START, END = (
    subwords.PADDING,
    subwords.UNKNOWN,
    subwords.START,
    subwords.END,
)


class TextPairs(Preparation):
    """Preparation of text pairs; `self.prepare` is a `config.TextPairPrepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.source_feature
        return {name: needed_text(source, name, "prepare.source_feature")}

    def target_features(self, source: Features) -> Features:
        name = self.prepare.target_feature
        return {name: needed_text(source, name, "prepare.target_feature")}

    def analyzers(self, source: Features) -> dict:
        del source
        size, least = self.prepare.vocabulary_size, self.prepare.minimum_count
        first = self.prepare.source_feature
        if self.prepare.vocabulary == "shared":
            return {"subwords": SubwordVocabulary(self._both, size, least)}
        return {
            "source_subwords": SubwordVocabulary(lambda raw: self.cleaned(raw[first]), size, least),
            "target_subwords": SubwordVocabulary(
                lambda raw: self.cleaned(self.target_text(raw)), size, least
            ),
        }

    def prepare_inputs(self, features, state):
        """string [batch] -> ragged int32 [batch, (tokens)]."""
        ids = self._ids(features[self.prepare.source_feature], self.source_tokenizer(state))
        return at_least_one(ids[:, : self.prepare.max_source_tokens + 1])

    def prepare_targets(self, features, state):
        """string [batch] -> ragged int32 [batch, (tokens)], END behind each that is not cut."""
        ids = self._ids(self.target_text(features), self.target_tokenizer(state))
        ends = tf.fill([ids.nrows(), 1], tf.constant(END, tf.int32))
        return tf.concat([ids, ends], axis=1)[:, : self.prepare.max_target_tokens], None

    def target_text(self, features):
        """What is to be written, string [batch]."""
        return features[self.prepare.target_feature]

    def source_tokenizer(self, state):
        """Text <-> ids of the source."""
        return state.tokenizer(self._vocabulary("source"))

    def target_tokenizer(self, state):
        """Text <-> ids of the target."""
        return state.tokenizer(self._vocabulary("target"))

    def source_subwords(self, state) -> subwords.Subwords:
        """The vocabulary of the source."""
        return state[self._vocabulary("source")]

    def target_subwords(self, state) -> subwords.Subwords:
        """The vocabulary of the target."""
        return state[self._vocabulary("target")]

    def cleaned(self, text):
        """Valid UTF-8 of words with one blank between them, lower case if so set."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.strip(tf.strings.regex_replace(text, r"[\p{Z}\p{Cc}]+", " "))
        return tf.strings.lower(text, encoding="utf-8") if self.prepare.lowercase else text

    def _vocabulary(self, side):
        return "subwords" if self.prepare.vocabulary == "shared" else f"{side}_subwords"

    def _both(self, features):
        texts = features[self.prepare.source_feature], self.target_text(features)
        return tf.concat([self.cleaned(text) for text in texts], axis=0)

    def _ids(self, text, tokenizer):
        return tf.cast(tokenizer.tokenize(self.cleaned(text)), tf.int32)
