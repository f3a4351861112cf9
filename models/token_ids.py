"""Ids of tokens in batches: texts without a token, and padding. Every task that reads a text has these."""

import tensorflow as tf

from penstock.pipelines.transform.subwords import PADDING, UNKNOWN


def at_least_one(ids):
    """Ragged int [batch, (tokens)] -> the same, rows without a token have one, UNKNOWN."""
    empty = tf.cast(ids.row_lengths() == 0, ids.row_splits.dtype)
    unknown = tf.fill([tf.reduce_sum(empty)], tf.constant(UNKNOWN, ids.dtype))
    return tf.concat([ids, tf.RaggedTensor.from_row_lengths(unknown, empty)], axis=1)


def padded(ids, length: int | None = None):
    """Ragged int [batch, (tokens)] -> dense [batch, length], or as long as the longest row, at least 1.

    What is dense comes from the input pipeline, which has padded it to the bound of a bucket; what is
    behind `length` there is padding alone, and is cut off.
    """
    if isinstance(ids, tf.RaggedTensor):
        if length is None:
            # Of a batch without examples too: no layer has to stand a length of 0.
            length = tf.maximum(ids.bounding_shape(axis=1), 1)
        dense = ids.to_tensor(PADDING, shape=tf.stack([-1, tf.cast(length, tf.int64)]))
        return tf.ensure_shape(dense, [ids.shape[0], length if isinstance(length, int) else None])
    return ids if length is None else ids[:, :length]
