"""From a text and a label to what the network and the loss take.

Comes in: UTF-8, string [batch]; a class id, int64 [batch]. Goes out: ids of tokens, ragged int32
[batch, (tokens)], of 1 to `max_length` tokens; targets int64 [batch]; with class weights, float32
[batch].

Any string has an answer. Bytes that are no UTF-8 become U+FFFD and control characters blanks. A text
without a token (the empty string; blanks, but for `tokens: characters`, where they are tokens) is one
unknown token, so that no network ever divides by no tokens; a text of unknown words only (another
script) is as many unknown tokens.
"""

import tensorflow as tf

from penstock.models.classification.labels import Labels
from penstock.models.preparation import feature_of_kind
from penstock.models.text.classification import preset
from penstock.models.token_ids import UNKNOWN, at_least_one
from penstock.pipelines.features import Features, Text
from penstock.pipelines.transform.analyzers import SubwordVocabulary, Vocabulary

RESERVED = 2

_LETTERS = r"[^\p{P}\p{S}\p{Z}]+"
_WORD = rf"{_LETTERS}(?:['’-]{_LETTERS})*"
_SYMBOL = r"\p{S}[\p{M}\x{200d}]*"
"""A symbol with its marks, and with U+200D where one joins it to the next. Emoji are symbols."""
_CUTS = {
    "separate": rf"({_WORD}|{_SYMBOL}|\p{{P}})",
    "remove": rf"({_WORD}|{_SYMBOL})|\p{{P}}",
}
"""Each match becomes its group between blanks. RE2."""


class Data(Labels):
    """Preparation of text classification; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.text_feature
        return {name: feature_of_kind(source, name, Text, "prepare.text_feature")}

    def analyzers(self, source: Features) -> dict:
        return {**super().analyzers(source), **self._vocabulary()}

    def prepare_inputs(self, features, state):
        """string [batch] -> ragged int32 [batch, (tokens)]."""
        text = features[self.prepare.text_feature]
        if self.prepare.tokens == "preset":
            return preset.token_ids(text, self.prepare.preset, self.prepare.max_length, state)
        if self.prepare.tokens == "subwords":
            ids = state.tokenizer("subwords").tokenize(self._cleaned(text))
        else:
            table = state.lookup(self.prepare.tokens, reserved=RESERVED, default=UNKNOWN)
            ids = tf.ragged.map_flat_values(table.lookup, self._strings(text))
        return at_least_one(tf.cast(ids[:, : self.prepare.max_length], tf.int32))

    def num_ids(self, state) -> int:
        """How many ids there are, padding and unknown included; not for a preset."""
        if self.prepare.tokens == "subwords":
            return len(state["subwords"])
        return RESERVED + len(state[self.prepare.tokens])

    def _vocabulary(self):
        tokens, size = self.prepare.tokens, self.prepare.vocabulary_size
        least, name = self.prepare.minimum_count, self.prepare.text_feature
        if tokens == "preset":
            return {}
        if tokens == "subwords":
            return {tokens: SubwordVocabulary(lambda raw: self._cleaned(raw[name]), size, least)}
        return {tokens: Vocabulary(lambda raw: self._strings(raw[name]), size, least)}

    def _strings(self, text):
        """string [batch] -> ragged string [batch, (tokens)]: words or characters."""
        text = self._cleaned(text)
        if self.prepare.tokens == "characters":
            return tf.strings.unicode_split(text, "UTF-8")
        if self.prepare.punctuation == "separate":
            text = tf.strings.regex_replace(text, _CUTS["separate"], r" \1 ")
        return tf.strings.split(text)

    def _cleaned(self, text):
        """Valid UTF-8 whose only white space is blanks, lower case and without marks if so set."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.regex_replace(text, r"[\p{Z}\p{Cc}]", " ")
        if self.prepare.lowercase:
            text = tf.strings.lower(text, encoding="utf-8")
        if self.prepare.punctuation == "remove":
            text = tf.strings.regex_replace(text, _CUTS["remove"], r" \1 ")
        return text
