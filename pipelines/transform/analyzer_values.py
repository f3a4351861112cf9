"""What each analyzer takes from a batch: one traced TensorFlow function for all of them.

Comes in: raw features with a batch axis. Goes out: for each analyzer the arrays that its
accumulator adds (`analyzer_accumulators.py`). Tracing it checks dtypes and shapes, before any data is read.
"""

import tensorflow as tf

from penstock.pipelines.examples import request_signature
from penstock.pipelines.features import Features
from penstock.pipelines.transform.analyzers import (
    ChannelMoments,
    Lengths,
    MinMax,
    Moments,
    Quantiles,
    SubwordVocabulary,
    ValueCounts,
    Vocabulary,
)
from penstock.pipelines.transform.subword_tokenizer import split_words


def values_function(analyzers: dict, features: Features):
    """The traced function: dict of raw features -> analyzer name -> tensor(s).

    Args:
        analyzers: by name.
        features: what the analyzers' `values` functions receive.

    Raises:
        TypeError: an analyzer's values have a dtype that it cannot take.
        ValueError: or a shape.
    """

    # AutoGraph, which the task's own functions may need, would bury the messages of this module.
    @tf.function(input_signature=[request_signature(features)], autograph=False)
    def values_of(batch):
        return {name: _values(name, analyzer, batch) for name, analyzer in analyzers.items()}

    values_of.get_concrete_function()
    return values_of


def _values(name, analyzer, batch):
    who = f"`{name}` ({type(analyzer).__name__})"
    return _TAKEN[type(analyzer)](who, analyzer, _called(analyzer.values, batch), batch)


def _called(function, batch):
    """What a task's function gives."""

    @tf.function
    def traced(batch):
        return function(batch)

    return traced(batch)


def _flat(values):
    return tf.reshape(getattr(values, "flat_values", values), [-1])


def _vocabulary(who, analyzer, values, batch):
    _check(who, values, "strings", values.dtype == tf.string, "Convert them (`tf.strings`)")
    if analyzer.labels is None:
        return _flat(values)
    labels = _called(analyzer.labels, batch)
    if labels.shape.rank != 1 or not labels.dtype.is_integer:
        raise ValueError(
            f"`labels` of {who} must give int64 [batch], the class of each example. Received: "
            f"{labels.dtype.name} of shape {labels.shape}."
        )
    labels = tf.cast(labels, tf.int64)
    rows = tf.range(tf.size(labels, tf.int64))
    if isinstance(values, tf.RaggedTensor):
        while values.ragged_rank > 1:
            values = values.merge_dims(1, 2)
        strings, rows = values.flat_values, values.value_rowids()
    else:
        strings = tf.reshape(values, [tf.shape(values)[0], -1])
        rows = tf.repeat(rows, tf.shape(strings)[1])
    return {"strings": tf.reshape(strings, [-1]), "rows": tf.cast(rows, tf.int64), "labels": labels}


def _subwords(who, analyzer, values, batch):
    del analyzer, batch
    _check(who, values, "texts", values.dtype == tf.string, "Convert them (`tf.strings`)")
    return split_words(_flat(values)).flat_values


def _value_counts(who, analyzer, values, batch):
    del analyzer, batch
    countable = values.dtype.is_integer or values.dtype in (tf.string, tf.bool)
    _check(who, values, "integers or strings", countable, "Use `Quantiles`, or cast them")
    return _flat(values)


def _numbers(who, analyzer, values, batch):
    del batch
    _check_numbers(who, values)
    if getattr(analyzer, "reduce_instance_dims", True):
        return _flat(values)
    if isinstance(values, tf.RaggedTensor) or None in values.shape[1:].as_list():
        raise ValueError(
            f"{who} with `reduce_instance_dims=False` needs a dense tensor of known shape behind "
            f"the batch axis. Received: shape {values.shape}. Pad or cut in `values`, or leave "
            "`reduce_instance_dims` at True."
        )
    return values


def _lengths(who, analyzer, values, batch):
    del analyzer, batch
    if isinstance(values, tf.RaggedTensor):
        return tf.cast(values.row_lengths(axis=1), tf.int64)
    if values.dtype != tf.string:
        raise TypeError(
            f"{who} needs a ragged tensor or strings. Received: a dense tensor of dtype "
            f"{values.dtype.name}, shape {values.shape}, whose rows are all of one length."
        )
    # Bytes that are no UTF-8 would end the run: each becomes U+FFFD.
    valid = tf.strings.unicode_transcode(_flat(values), "UTF-8", "UTF-8", errors="replace")
    return tf.cast(tf.strings.length(valid, unit="UTF8_CHAR"), tf.int64)


def _channels(who, analyzer, values, batch):
    del analyzer, batch
    _check_numbers(who, values)
    channels = values.shape[-1] if values.shape.rank else None
    if values.shape.rank is None or values.shape.rank < 2 or channels is None:
        raise ValueError(
            f"{who} needs numbers [batch, ..., channels] with a known number of channels. Received: "
            f"shape {values.shape}. Use `tf.ensure_shape`, or `Moments` where there are no channels."
        )
    return tf.reshape(getattr(values, "flat_values", values), [-1, channels])


def _check_numbers(who, values):
    number = values.dtype.is_integer or values.dtype.is_floating
    _check(who, values, "numbers", number, "Cast them, or use `Vocabulary` or `ValueCounts`")


def _check(who, values, expected, fits, advice):
    if not fits:
        raise TypeError(
            f"The analyzer {who} needs {expected}. Received: {values.dtype.name}, shape "
            f"{values.shape}. {advice} in the task's `analyzers`."
        )


_TAKEN = {
    Vocabulary: _vocabulary,
    SubwordVocabulary: _subwords,
    ValueCounts: _value_counts,
    Moments: _numbers,
    MinMax: _numbers,
    Quantiles: _numbers,
    Lengths: _lengths,
    ChannelMoments: _channels,
}
