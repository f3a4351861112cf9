"""Applies a WordPiece vocabulary (BERT's) with plain TensorFlow ops.

KerasHub's tokenizer has ops of TensorFlow Text or is Python: neither can be in a SavedModel that
plain TensorFlow loads. Here all distinct words of a batch go through the vocabulary together; a step
finds the longest piece that each word goes on with. Source: Schuster and Nakajima 2012; the rules
for words are those of `keras_hub.tokenizers.WordPieceTokenizer`, which the tests compare with.
"""

import unicodedata
from dataclasses import dataclass

import tensorflow as tf

MAX_WORD_BYTES = 100
"""Longer words are unknown, as for TensorFlow Text's `FastWordpieceTokenizer`."""

_BLANK = r"[\s\p{Cc}\p{Cf}]"
_MARK = r"[!-/:-@\[-`{-~]|\p{P}"
_CJK = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)
_KEPT = b"\xff"
"""What the tables answer for characters that stay; no UTF-8 text has this byte."""


_LAST_WITH_CASE = 0x30000
"""No character from here on has case, accents or a compatible form (Unicode 16)."""


@dataclass(frozen=True)
class Rules:
    """What a tokenizer does to a text before it looks words up, and what its pieces look like."""

    lowercase: bool
    strip_accents: bool
    split_on_cjk: bool = True
    suffix_indicator: str = "##"
    unknown: str = "[UNK]"


class WordPiece(tf.Module):
    """Text -> ids; made by `State.layer`, which has the SavedModel track its tables.

    Args:
        vocabulary: the piece of each id.
        rules: see `Rules`.
    """

    def __init__(self, vocabulary, rules: Rules):
        super().__init__(name="word_piece")
        ids = {piece: index for index, piece in enumerate(vocabulary)}
        suffix = rules.suffix_indicator
        self._unknown = ids[rules.unknown]
        self._longest = max(len(piece.removeprefix(suffix)) for piece in vocabulary)
        self._suffix = suffix
        self._ids = _table(ids, tf.int64, -1)
        self._marks = rf"({_MARK}|{_CJK})" if rules.split_on_cjk else rf"({_MARK})"
        self._stripped = _character_table(_without_accents) if rules.strip_accents else None
        self._folded = _character_table(_folded) if rules.lowercase else None

    def tokenize(self, texts):
        """string [batch] -> ragged int32 [batch, (pieces)]; no special tokens in it."""
        words = self._words(texts)
        distinct, places = tf.unique(words.values, out_idx=tf.int64)
        pieces = tf.gather(self._pieces(distinct), places)
        return tf.cast(words.with_values(pieces).merge_dims(1, 2), tf.int32)

    def _words(self, texts):
        """string [batch] -> ragged string [batch, (words)]."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        if self._stripped is not None:
            texts = _mapped(self._stripped, texts)
        texts = tf.strings.regex_replace(texts, _BLANK, " ")
        words = tf.strings.split(tf.strings.regex_replace(texts, self._marks, r" \1 "))
        if self._folded is None:
            return words
        return words.with_values(_mapped(self._folded, words.values))

    def _pieces(self, words):
        """string [n] -> ragged int64 [n, (pieces)]: of each word, or the unknown token alone."""
        lengths = tf.strings.length(words, unit="UTF8_CHAR")
        known = tf.strings.length(words) <= MAX_WORD_BYTES
        ids = tf.zeros([tf.shape(words)[0], 0], tf.int64)

        def unread(begin, known, ids):
            del ids
            return tf.reduce_any(known & (begin < lengths))

        def step(begin, known, ids):
            piece, size = self._longest_piece(words, lengths, begin)
            done = begin >= lengths
            known = known & (done | (size > 0))
            column = tf.where(done, tf.constant(-1, tf.int64), piece)
            return begin + size, known, tf.concat([ids, column[:, None]], axis=1)

        _, known, ids = tf.while_loop(
            unread,
            step,
            (tf.zeros_like(lengths), known, ids),
            shape_invariants=(lengths.shape, known.shape, tf.TensorShape([None, None])),
        )
        alone = tf.where(known, tf.constant(-1, tf.int64), self._unknown)
        ids = tf.concat([alone[:, None], tf.where(known[:, None], ids, -1)], axis=1)
        return tf.ragged.boolean_mask(ids, ids >= 0)

    def _longest_piece(self, words, lengths, begin):
        """The id (-1: none) and the characters of the longest piece at `begin`; int [n] all."""
        start = tf.where(begin == 0, "", self._suffix)
        ends = tf.minimum(lengths, begin + self._longest)

        def step(size, piece, found):
            sizes = tf.fill(tf.shape(begin), size)
            part = tf.strings.join([start, tf.strings.substr(words, begin, sizes, "UTF8_CHAR")])
            inside = begin + size <= lengths
            ids = tf.where(inside, self._ids.lookup(part), -1)
            hit = ids >= 0
            return size + 1, tf.where(hit, ids, piece), tf.where(hit, size, found)

        _, piece, found = tf.while_loop(
            lambda size, piece, found: tf.reduce_any(begin + size <= ends),
            step,
            (tf.constant(1), tf.fill(tf.shape(words), tf.constant(-1, tf.int64)), 0 * lengths),
        )
        return piece, found


def _without_accents(character):
    """NFD without nonspacing marks."""
    parts = unicodedata.normalize("NFD", character)
    return "".join(part for part in parts if unicodedata.category(part) != "Mn")


def _folded(character):
    """NFKC and case folding, as TensorFlow Text's `case_fold_utf8`; no variation selectors."""
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    folded = unicodedata.normalize("NFKC", character).casefold()
    return unicodedata.normalize("NFKC", folded)


def _character_table(function):
    """Table character -> what it becomes, of the characters that change; `_KEPT` for others."""
    changed = {}
    for code in range(_LAST_WITH_CASE):
        character = chr(code)
        if not 0xD800 <= code <= 0xDFFF and (became := function(character)) != character:
            changed[character] = became
    return _table(changed, tf.string, _KEPT)


def _mapped(table, texts):
    """string [n] -> the same, character by character."""
    characters = tf.strings.unicode_split(texts, "UTF-8")
    became = table.lookup(characters.values)
    became = tf.where(became == _KEPT, characters.values, became)
    return tf.strings.reduce_join(characters.with_values(became), axis=1)


def _table(entries, dtype, default):
    # Outside of any graph that is being traced: the table must outlive it.
    with tf.init_scope():
        keys, values = list(entries), list(entries.values())
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values, tf.string, dtype)
        return tf.lookup.StaticHashTable(initializer, default)
