"""Recordings of any rate, length and number of channels -> waveforms of one rate.

Comes in: WAV files, string [batch]. Goes out: ragged int16 [batch, (samples)]. Channels are averaged;
of a long recording the middle is kept, or the beginning. Integers, as graph rewriting moves the last
bit of floats, and half as large as those.
"""

import tensorflow as tf

from penstock.models.speech.front_end.resampling import resample, resampled_length
from penstock.models.speech.front_end.wav import decode, length


# No Python control flow over tensors: the search for it takes as long as five traces.
@tf.autograph.experimental.do_not_convert
def waveforms(encoded, rate_hz: int, longest: int):
    """WAV files -> waveforms; of a longer recording the middle is kept.

    Args:
        encoded: string [batch], see `wav.decode`.
        rate_hz: of what comes out.
        longest: samples of what comes out, at most.

    Returns:
        ragged int16 [batch, (samples)], from 1 to `longest` samples.

    Raises:
        tf.errors.InvalidArgumentError: a recording cannot be read (`wav.decode`), or its rate is out
            of range (`resampling.resample`).
    """
    return tf.map_fn(
        lambda one: _waveform(one, rate_hz, longest, "middle")[0],
        encoded,
        fn_output_signature=tf.RaggedTensorSpec([None], tf.int16),
    )


# As above.
@tf.autograph.experimental.do_not_convert
def beginnings(encoded, rate_hz: int, longest: int):
    """As `waveforms`, but of a longer recording the beginning is kept.

    Returns:
        ragged int16 [batch, (samples)]; int32 [batch], the samples of the whole recordings.
    """
    specs = (tf.RaggedTensorSpec([None], tf.int16), tf.TensorSpec([], tf.int32))
    return tf.map_fn(
        lambda one: _waveform(one, rate_hz, longest, "beginning"),
        encoded,
        fn_output_signature=specs,
    )


# As above.
@tf.autograph.experimental.do_not_convert
def whole_lengths(encoded, rate_hz: int):
    """WAV files, string [batch] -> samples of the whole recordings at the rate, int32 [batch]."""

    def of(one):
        frames, own_rate_hz = length(one)
        return tf.cast(resampled_length(frames, own_rate_hz, rate_hz), tf.int32)

    return tf.map_fn(of, encoded, fn_output_signature=tf.TensorSpec([], tf.int32))


def _waveform(encoded, rate_hz, longest, keep):
    """One WAV file, string [] -> int16 [samples]; int32 [], the samples of all of it."""
    samples, own_rate_hz = decode(encoded)
    mono = tf.reduce_mean(tf.cast(samples, tf.float64), axis=1)
    whole = resampled_length(tf.size(mono, tf.int64), own_rate_hz, rate_hz)
    count = tf.minimum(whole, longest)
    start = (whole - count) // 2 if keep == "middle" else tf.zeros_like(whole)
    found = resample(mono, own_rate_hz, rate_hz, start, count)
    found = tf.cast(tf.clip_by_value(tf.round(found), -32768.0, 32767.0), tf.int16)
    return found, tf.cast(whole, tf.int32)


def padded(recordings, longest: int | None = None):
    """Ragged int16 [batch, (samples)] -> dense [batch, longest], or as long as the longest, at least 1.

    Zeros behind the end. What is dense comes from the input pipeline, which has padded it, and stays
    as it is.
    """
    if not isinstance(recordings, tf.RaggedTensor):
        return recordings
    if longest is None:
        # Of a batch without recordings too: no layer has to stand a length of 0.
        length = tf.maximum(recordings.bounding_shape(axis=1), 1)
        return recordings.to_tensor(shape=tf.stack([-1, length]))
    return recordings.to_tensor(shape=[None, longest])
