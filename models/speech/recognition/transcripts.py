"""Texts <-> tokens, inside a TensorFlow graph.

Id 0 is CTC's blank, which no text has; tokens follow. Of subwords the ids 1 to 3 are special tokens,
which no text has either.
"""

import tensorflow as tf

from penstock.models.speech.recognition.config import Prepare
from penstock.pipelines.transform.analyzers import SubwordVocabulary, Vocabulary
from penstock.pipelines.transform.subwords import SPECIAL_TOKENS, unprintable

BLANK = 0

_LETTERS = r"[^\p{P}\p{S}\p{Z}]+"
_WORD_OR_MARK = rf"({_LETTERS}(?:['’-]{_LETTERS})*)|[\p{{P}}\p{{S}}]"
"""RE2. Of a mark the group is empty."""


def cleaned(texts, prepare: Prepare):
    """string [batch] -> the same: valid UTF-8, as `prepare` makes texts alike, single blanks."""
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    texts = tf.strings.regex_replace(texts, r"[\p{Z}\p{Cc}]", " ")
    if prepare.lowercase:
        texts = tf.strings.lower(texts, encoding="utf-8")
    if prepare.punctuation == "remove":
        texts = tf.strings.regex_replace(texts, _WORD_OR_MARK, r" \1 ")
    return with_single_blanks(texts)


def with_single_blanks(texts):
    """string [batch] -> the same, without blanks at either end and with one between words."""
    return tf.strings.strip(tf.strings.regex_replace(texts, " +", " "))


def analyzer(prepare: Prepare):
    """What finds the tokens in the training split."""

    def texts(features):
        return cleaned(features[prepare.text_feature], prepare)

    if prepare.tokens == "subwords":
        return SubwordVocabulary(texts, prepare.vocabulary_size, prepare.minimum_count)

    def characters(features):
        return tf.strings.unicode_split(texts(features), "UTF-8")

    return Vocabulary(characters, prepare.vocabulary_size, prepare.minimum_count)


def token_ids(texts, prepare: Prepare, state):
    """Cleaned texts, string [batch] -> ragged int32 [batch, (tokens)]; unknown characters left out."""
    if prepare.tokens == "subwords":
        return state.tokenizer("subwords").tokenize(texts)
    table = state.lookup("characters", reserved=BLANK + 1, default=BLANK)
    characters = tf.strings.unicode_split(texts, "UTF-8")
    ids = tf.cast(tf.ragged.map_flat_values(table.lookup, characters), tf.int32)
    return tf.ragged.boolean_mask(ids, ids != BLANK)


def token_texts(prepare: Prepare, state) -> list[bytes]:
    """What each id is written as, bytes; blank and special tokens as nothing."""
    if prepare.tokens == "subwords":
        tokens = state["subwords"].tokens[len(SPECIAL_TOKENS) :]
        return [b""] * len(SPECIAL_TOKENS) + [unprintable(token) for token in tokens]
    characters = [text.encode("utf-8", "surrogateescape") for text in state["characters"]]
    return [b""] * (BLANK + 1) + characters
