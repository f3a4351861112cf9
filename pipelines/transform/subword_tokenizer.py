"""Applies a subword vocabulary with plain TensorFlow ops: in tf.data, in Beam and when served.

TensorFlow Text (and with it KerasHub's tokenizers) has ops of its own, which a process that imports
TensorFlow alone, or a plain TensorFlow Serving, cannot load. Here all distinct words of a batch go
through the merges together: a step merges, in each word, the pair of lowest rank, and looks up the
two pairs that this makes.
"""

import numpy as np
import tensorflow as tf

from penstock.pipelines.transform.subwords import (
    ALPHABET,
    MAX_WORD_BYTES,
    SPECIAL_TOKENS,
    WORD,
    Subwords,
    unprintable,
)

_END_OF_WORD = b"\xff"
"""A byte that no UTF-8 text has."""
_NO_MERGE = 2**62
_NOTHING = -1


class SubwordTokenizer(tf.Module):
    """Text <-> ids. `State.tokenizer` makes one and has the SavedModel track its tables."""

    def __init__(self, subwords: Subwords):
        super().__init__(name="subword_tokenizer")
        self.size = len(subwords)
        ids = {token: index for index, token in enumerate(subwords.tokens)}
        pairs, merged = [], []
        for rank, (left, right) in enumerate(subwords.merges):
            pairs.append(ids[left] * self.size + ids[right])
            # The smaller one has the lower rank, and the id of what comes of it is in it.
            merged.append(rank * self.size + ids[left + right])
        self._merges = _table(pairs or [_NOTHING], merged or [_NO_MERGE], tf.int64, _NO_MERGE)
        texts = [unprintable(token) for token in subwords.tokens[len(SPECIAL_TOKENS) :]]
        numbers = list(range(len(SPECIAL_TOKENS), self.size))
        self._texts = _table(numbers, texts, tf.string, b"")
        self._byte_ids = np.array([ids[character] for character in ALPHABET])

    def tokenize(self, texts):
        """Encodes texts; bytes that are no UTF-8 become U+FFFD first.

        Args:
            texts: string [batch], or ragged string [batch, (n)].

        Returns:
            int32 ragged [batch, (tokens)], or [batch, (n), (tokens)]; no special tokens in it.
        """
        if isinstance(texts, tf.RaggedTensor):
            return texts.with_values(self.tokenize(texts.values))
        # Where the tables are: on an accelerator each of the many small steps would go to and fro.
        with tf.device("/CPU:0"):
            return self._tokenize(texts)

    def _tokenize(self, texts):
        words = split_words(texts)
        distinct, places = tf.unique(words.values, out_idx=tf.int64)
        ids = self._merge(*self._bytes(distinct))
        lengths = tf.reduce_sum(tf.cast(ids != _NOTHING, tf.int64), axis=1)
        of_word = tf.RaggedTensor.from_tensor(tf.gather(ids, places), tf.gather(lengths, places))
        return tf.cast(words.with_values(of_word).merge_dims(1, 2), tf.int32)

    def detokenize(self, ids):
        """Decodes ids; special tokens and ids that there are not become nothing.

        Exactly the text that was encoded. Other ids may give bytes that are no UTF-8; these become
        U+FFFD.

        Args:
            ids: int32 or int64 [batch, n], or ragged [batch, (n)] or [batch, (m), (n)].

        Returns:
            string of the same shape without the last axis.
        """
        with tf.device("/CPU:0"):
            return self._detokenize(ids)

    def _detokenize(self, ids):
        if isinstance(ids, tf.RaggedTensor):
            pieces = ids.with_flat_values(self._texts.lookup(tf.cast(ids.flat_values, tf.int64)))
            joined = tf.strings.reduce_join(pieces, axis=ids.ragged_rank)
            return tf.ragged.map_flat_values(_valid, joined)
        return _valid(tf.strings.reduce_join(self._texts.lookup(tf.cast(ids, tf.int64)), axis=-1))

    def _bytes(self, words):
        """Distinct words -> int64 ids of their bytes [words, longest], and of their pairs."""
        lengths = tf.strings.length(words)
        longest = tf.reduce_max(tf.concat([lengths, [1]], 0))
        codes = tf.cast(tf.io.decode_raw(words, tf.uint8, fixed_length=MAX_WORD_BYTES), tf.int32)
        ids = tf.gather(tf.constant(self._byte_ids, tf.int64), codes[:, :longest])
        ids = tf.where(tf.sequence_mask(lengths, longest), ids, _NOTHING)
        return ids, self._lookup(ids, _shifted(ids, _NOTHING))

    def _lookup(self, left, right):
        """What the pairs merge to: rank * size + id, or `_NO_MERGE`."""
        pair = tf.where(
            (left < 0) | (right < 0), tf.constant(_NOTHING, tf.int64), left * self.size + right
        )
        return self._merges.lookup(pair)

    def _merge(self, ids, pairs):
        """int64 [words, longest] ids of bytes -> of tokens, -1 behind the last one."""
        column = tf.range(tf.shape(ids, tf.int64)[1])[tf.newaxis]

        def step(ids, pairs, best):
            place = tf.argmin(pairs, axis=1)[:, tf.newaxis]
            best = best[:, tf.newaxis]
            # Words that are ready change nowhere.
            place = tf.where(best == _NO_MERGE, tf.shape(ids, tf.int64)[1] + 1, place)
            moved = tf.where(column > place, _shifted(ids, _NOTHING), ids)
            ids = tf.where(column == place, best % self.size, moved)
            around = tf.concat([place - 1, place, place + 1], axis=1)
            last = tf.shape(ids, tf.int64)[1] - 1
            near = tf.gather(ids, tf.clip_by_value(around, 0, last), batch_dims=1)
            near = tf.where((around < 0) | (around > last), tf.constant(_NOTHING, tf.int64), near)
            new = self._lookup(near[:, :2], near[:, 1:])
            pairs = tf.where(column > place, _shifted(pairs, _NO_MERGE), pairs)
            pairs = tf.where(column == place - 1, new[:, :1], pairs)
            pairs = tf.where(column == place, new[:, 1:], pairs)
            return ids, pairs, tf.reduce_min(pairs, axis=1)

        def unready(ids, pairs, best):
            del ids, pairs
            return tf.reduce_any(best < _NO_MERGE)

        shape = tf.TensorShape([None, None])
        ids, _, _ = tf.while_loop(
            unready,
            step,
            (ids, pairs, tf.reduce_min(pairs, axis=1)),
            shape_invariants=(shape, shape, tf.TensorShape([None])),
        )
        return ids


def split_words(texts):
    """string [batch] -> ragged string [batch, (words)], cut by the rule of `subwords.py`."""
    marked = tf.strings.regex_replace(_valid(texts), f"({WORD})", b"\\1" + _END_OF_WORD)
    words = tf.strings.split(marked, _END_OF_WORD)[:, :-1]
    longest = tf.reduce_max(tf.concat([tf.strings.length(words.values), [0]], 0))
    return tf.cond(longest > MAX_WORD_BYTES, lambda: _cut(words), lambda: words)


def _cut(words):
    """Cuts words of more than `MAX_WORD_BYTES`."""
    marked = tf.strings.regex_replace(
        words.values, f"(\\C{{1,{MAX_WORD_BYTES}}})", b"\\1" + _END_OF_WORD
    )
    parts = tf.strings.split(marked, _END_OF_WORD)[:, :-1]
    return words.with_values(parts).merge_dims(1, 2)


def _valid(texts):
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")


def _shifted(matrix, fill):
    """Each row one to the left."""
    return tf.pad(matrix[:, 1:], [[0, 0], [0, 1]], constant_values=fill)


def _table(keys, values, dtype, default):
    # Outside of any graph that is being traced: the table must outlive it.
    with tf.init_scope(), tf.device("/CPU:0"):
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values, tf.int64, dtype)
        return tf.lookup.StaticHashTable(initializer, default)
