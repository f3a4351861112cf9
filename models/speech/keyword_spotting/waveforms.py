"""Recordings of any rate, length and number of channels -> waveforms of one rate and length.

Comes in: WAV files, string [batch]. Goes out: int16 [batch, length]. Channels are averaged. The
middle of a longer recording is kept, a shorter one lies in the middle, in silence. Integers, as
graph rewriting moves the last bit of floats, and half as large as those.
"""

import tensorflow as tf

from penstock.models.speech.keyword_spotting.resampling import resample, resampled_length
from penstock.models.speech.keyword_spotting.wav import decode


def waveforms(encoded, rate_hz: int, length: int):
    """WAV files -> waveforms.

    Args:
        encoded: string [batch], see `wav.decode`.
        rate_hz: of what comes out.
        length: samples of what comes out.

    Returns:
        int16 [batch, length].

    Raises:
        tf.errors.InvalidArgumentError: a recording cannot be read (`wav.decode`), or its rate is out
            of range (`resampling.resample`).
    """
    return tf.map_fn(
        lambda one: waveform(one, rate_hz, length),
        encoded,
        fn_output_signature=tf.TensorSpec([length], tf.int16),
    )


def waveform(encoded, rate_hz: int, length: int):
    """One WAV file, string [] -> int16 [length]."""
    samples, own_rate_hz = decode(encoded)
    mono = tf.reduce_mean(tf.cast(samples, tf.float64), axis=1)
    surplus = resampled_length(tf.size(mono, tf.int64), own_rate_hz, rate_hz) - length
    found = resample(mono, own_rate_hz, rate_hz, surplus // 2, length)
    return tf.cast(tf.clip_by_value(tf.round(found), -32768.0, 32767.0), tf.int16)
