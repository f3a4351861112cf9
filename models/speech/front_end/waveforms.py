"""Recordings of any rate, length and number of channels -> waveforms of one rate.

Comes in: WAV files, string [batch]. Goes out: ragged int16 [batch, (samples)]. Channels are averaged;
of a long recording the middle is kept. Integers, as graph rewriting moves the last bit of floats, and
half as large as those.
"""

import tensorflow as tf

from penstock.models.speech.front_end.resampling import resample, resampled_length
from penstock.models.speech.front_end.wav import decode


# No Python control flow over tensors: the search for it takes as long as five traces.
@tf.autograph.experimental.do_not_convert
def waveforms(encoded, rate_hz: int, longest: int):
    """WAV files -> waveforms.

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
        lambda one: waveform(one, rate_hz, longest),
        encoded,
        fn_output_signature=tf.RaggedTensorSpec([None], tf.int16),
    )


def waveform(encoded, rate_hz: int, longest: int):
    """One WAV file, string [] -> int16 [samples]."""
    samples, own_rate_hz = decode(encoded)
    mono = tf.reduce_mean(tf.cast(samples, tf.float64), axis=1)
    whole = resampled_length(tf.size(mono, tf.int64), own_rate_hz, rate_hz)
    count = tf.minimum(whole, longest)
    found = resample(mono, own_rate_hz, rate_hz, (whole - count) // 2, count)
    return tf.cast(tf.clip_by_value(tf.round(found), -32768.0, 32767.0), tf.int16)


def padded(recordings, longest: int | None = None):
    """Ragged int16 [batch, (samples)] -> dense [batch, longest], or as long as the longest of them.

    Zeros behind the end. What is dense comes from the input pipeline, which has padded it, and stays
    as it is.
    """
    if not isinstance(recordings, tf.RaggedTensor):
        return recordings
    return recordings.to_tensor(shape=[None, longest])
