"""Change of the sample rate by band-limited interpolation, inside a TensorFlow graph.

Comes in: mono samples and their rate, which is known only when the file is read. Goes out: samples
at the rate that the model takes. Source: J. O. Smith, "Digital Audio Resampling Home Page"
(ccrma.stanford.edu/~jos/resample): a sinc under a Kaiser window, evaluated once for each phase that
the two rates have between them. Equal to `scipy.signal.resample_poly` with the same filter. In
float64, as the result is rounded to integers, which the rewriting of graphs must not move.
"""

import math

import tensorflow as tf

from penstock.pipelines.media.audio_containers import MAX_RATE_HZ, MIN_RATE_HZ

ZERO_CROSSINGS = 32
"""Of the sinc on each side, counted at the lower of the two rates."""
KAISER_BETA = 7.857
"""For 80 dB: 0.1102 (80 - 8.7); Oppenheim and Schafer, "Discrete-Time Signal Processing", eq. 7.62."""
CUTOFF = 0.92
"""The point of -6 dB, as a fraction of the lower Nyquist frequency. The transition is
(80 - 8) / (2.285 * 64) = 0.49 rad wide (eq. 7.63): its upper half ends at the Nyquist frequency."""
BLOCK = 1024
"""Samples that are computed at once: 19 MB from 192 kHz to 16.

Beside them the filter has 64 `max(up, down)` weights: 0.2 MB from 44.1 kHz to 16, but 98 MB where the
rates have no common divisor and one of them is near 192 kHz (191,999 Hz)."""


def resampled_length(length, rate_hz, target_hz: int):
    """Samples of a whole recording at the new rate: `ceil(length * target_hz / rate_hz)`."""
    return -(-length * target_hz // rate_hz)


def resample(samples, rate_hz, target_hz: int, start, count):
    """A part of a recording at another rate.

    Args:
        samples: float64 [1 or more], mono.
        rate_hz: int64 [], from 4,000 to 192,000.
        target_hz: the new rate.
        start: int64 [], the first sample that is wanted, counted at the new rate.
        count: int64 [], how many samples are wanted, up to the `resampled_length`.

    Returns:
        float64 [count]; with equal rates the samples as they are.

    Raises:
        tf.errors.InvalidArgumentError: the rate is out of range.
    """
    is_in_range = (rate_hz >= MIN_RATE_HZ) & (rate_hz <= MAX_RATE_HZ)
    text = f"A recording must have {MIN_RATE_HZ} to {MAX_RATE_HZ} samples a second. Received:"
    with tf.control_dependencies([tf.debugging.Assert(is_in_range, [text, rate_hz])]):
        rate_hz = tf.identity(rate_hz)
    places = start + tf.range(count)
    return tf.cond(
        rate_hz == target_hz,
        lambda: tf.gather(samples, places),
        lambda: _interpolate(samples, rate_hz, target_hz, places),
    )


def _interpolate(samples, rate_hz, target_hz, places):
    """The samples at `places`, int64 [count], of the new rate: float64 [count]."""
    divisor = _greatest_common_divisor(rate_hz, target_hz)
    up, down = target_hz // divisor, rate_hz // divisor
    weights, reach = _weights(up, down)
    taps = tf.range(2 * tf.cast(reach, tf.int32))
    # Silence on both sides: the first tap of place 0 is then at position 0.
    samples = tf.pad(samples, [[reach - 1, reach]])

    def block(places):
        before, phase = places * down // up, places * down % up
        window = tf.gather(samples, tf.cast(before, tf.int32)[:, None] + taps)
        return tf.reduce_sum(window * tf.gather(weights, phase), axis=1)

    count = tf.size(places)
    blocks = tf.reshape(tf.pad(places, [[0, -count % BLOCK]]), [-1, BLOCK])
    found = tf.map_fn(block, blocks, fn_output_signature=tf.TensorSpec([BLOCK], tf.float64))
    return tf.reshape(found, [-1])[:count]


def _weights(up, down):
    """The filter at each phase, float64 [up, 2 reach], and its reach to either side, int64 [].

    A place p / up behind a sample takes that sample by the weight at column `reach - 1`, those before
    by the columns to the left.
    """
    # In samples of the recording: the filter is wider where the new rate is the lower one.
    scale = tf.maximum(tf.cast(down / up, tf.float64), 1.0)
    half_width = ZERO_CROSSINGS * scale
    reach = tf.cast(tf.math.ceil(half_width), tf.int64) + 1
    columns = tf.cast(tf.range(1 - reach, reach + 1), tf.float64)
    phases = tf.cast(tf.range(up), tf.float64) / tf.cast(up, tf.float64)
    distance = columns - phases[:, None]
    weights = _kaiser(distance / half_width) * _sinc(distance * CUTOFF / scale)
    # A constant stays what it is.
    return weights * (tf.cast(up, tf.float64) / tf.reduce_sum(weights)), reach


def _kaiser(x):
    """The window from -1 to 1, 0 outside."""
    inside = 1.0 - tf.square(x)
    values = tf.math.bessel_i0(KAISER_BETA * tf.sqrt(tf.maximum(inside, 0.0)))
    return tf.where(inside >= 0.0, values, tf.zeros_like(x))


def _sinc(x):
    x = math.pi * x
    is_zero = x == 0.0
    return tf.where(is_zero, tf.ones_like(x), tf.sin(x) / tf.where(is_zero, tf.ones_like(x), x))


def _greatest_common_divisor(first, second: int):
    """Euclid's algorithm, int64 []."""
    pair = (first, tf.constant(second, tf.int64))
    return tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), pair)[0]
