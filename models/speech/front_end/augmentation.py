"""Random changes of training waveforms, from a given seed.

Comes in: int16 [batch, samples], padded with zeros, their lengths, a seed. Goes out: the same shapes and
dtypes. TensorFlow's stateless random numbers, in tf.data; masks over the spectrogram are a layer of
the model (`spec_augment.py`).
"""

import tensorflow as tf

from penstock.models.speech.front_end.config import Augment, Noise

SPEED_AND_SHIFT, GAIN, NOISE = range(3)
"""What each change folds into the seed, so that one of them does not depend on the others."""


# No Python control flow over tensors: the search for it takes longer than the trace.
@tf.autograph.experimental.do_not_convert
def augment(waveforms, lengths, config: Augment, rate_hz: int, seed, cuts: bool = True):
    """Speed, shift, gain and noise, in this order; the rest of a section is not looked at.

    Args:
        waveforms: int16 [batch, samples], 0 behind the end.
        lengths: int32 [batch], samples of each that are of the recording.
        config: the `augment` section.
        rate_hz: of the waveforms.
        seed: int32 [2]; equal seeds give equal results.
        cuts: see `change_speed_and_shift`.

    Returns:
        waveforms: int16 [batch, samples], 0 behind the end, rounded and clipped once, after the last
        change.
        lengths: int32 [batch]; `speed` changes them.
    """

    def folded(change):
        return tf.random.experimental.stateless_fold_in(seed, change)

    x = tf.cast(waveforms, tf.float32)
    if config.speed or config.shift_ms:
        reach = config.shift_ms * rate_hz / 1000
        x, lengths = change_speed_and_shift(
            x, lengths, config.speed, reach, folded(SPEED_AND_SHIFT), cuts
        )
    if config.gain_db:
        decibels = _uniform(x, folded(GAIN), -config.gain_db, config.gain_db)
        x *= _amplitude(decibels)
    if config.noise:
        x += background_noise(x, lengths, config.noise, folded(NOISE))
    x = tf.clip_by_value(tf.round(x), -32768.0, 32767.0)
    return tf.ensure_shape(tf.cast(x, tf.int16), waveforms.shape), lengths


def change_speed_and_shift(x, lengths, speed: float, reach: float, seed, cuts: bool = True):
    """Plays each waveform at 1 - speed .. 1 + speed times its speed, up to `reach` samples off.

    Between samples by linear interpolation. What is played faster is shorter, what is played slower
    longer, up to all samples that there are; its middle stays the middle but for the shift, which is by
    whole samples, with silence from the one end and a cut at the other.

    Args:
        x: float32 [batch, samples].
        lengths: int32 [batch].
        cuts: whether what is played slower than there is room for loses its ends; else it is played
            only as slowly as there is room for.

    Returns:
        x, lengths: as they came in.
    """
    seeds = tf.random.split(seed, 2)
    factor = _uniform(x, seeds[0], 1.0 - speed, 1.0 + speed)
    shift = tf.round(_uniform(x, seeds[1], -reach, reach))
    samples = tf.cast(tf.shape(x)[1], tf.float32)
    before = tf.cast(lengths, tf.float32)[:, None]
    if not cuts:
        factor = tf.maximum(factor, before / samples)
    after = tf.clip_by_value(tf.round(before / factor), 1.0, samples)
    places = (tf.range(samples) - after / 2) * factor + before / 2 - shift
    whole = tf.floor(places)
    fraction = places - whole
    first = tf.cast(whole, tf.int32)
    found = _at(x, first) * (1.0 - fraction) + _at(x, first + 1) * fraction
    lengths = tf.cast(after[:, 0], lengths.dtype)
    return found * _inside(x, lengths), lengths


def background_noise(x, lengths, config: Noise, seed):
    """The noise to be added, float32 [batch, samples]; none to silence and behind the end."""
    kinds = {"white": [white], "pink": [pink], "either": [white, pink]}[config.colour]
    chance, kind, ratio, *draws = tf.unstack(tf.random.split(seed, 3 + len(kinds)))
    noises = [make(tf.shape(x), draw) for make, draw in zip(kinds, draws, strict=True)]
    chosen = _uniform(x, kind, 0.0, 1.0) * len(kinds) < 1.0
    noise = tf.where(chosen, noises[0], noises[-1])
    energy = tf.reduce_sum(tf.square(x), axis=1, keepdims=True)
    power = energy / tf.cast(lengths, tf.float32)[:, None]
    level = tf.sqrt(power) * _amplitude(-_uniform(x, ratio, *config.snr_db))
    is_noisy = _uniform(x, chance, 0.0, 1.0) < config.probability
    return tf.where(is_noisy, level * noise, tf.zeros_like(x)) * _inside(x, lengths)


def white(shape, seed):
    """Noise of power 1 with equal power at all frequencies, float32 [batch, samples]."""
    return _of_power_one(tf.random.stateless_normal(shape, seed))


def pink(shape, seed):
    """Noise of power 1 whose power falls as 1 / f, float32 [batch, samples]; none at 0 Hz."""
    spectrum = tf.signal.rfft(tf.random.stateless_normal(shape, seed))
    places = tf.range(tf.shape(spectrum)[1])
    falling = tf.where(places > 0, tf.math.rsqrt(tf.cast(tf.maximum(places, 1), tf.float32)), 0.0)
    shaped = tf.signal.irfft(spectrum * tf.cast(falling, tf.complex64), [shape[1]])
    return _of_power_one(shaped)


def _of_power_one(noise):
    power = tf.reduce_mean(tf.square(noise), axis=1, keepdims=True)
    return noise * tf.math.rsqrt(tf.maximum(power, 1e-12))


def _uniform(x, seed, low: float, high: float):
    """A number for each waveform, float32 [batch, 1]."""
    return tf.random.stateless_uniform([tf.shape(x)[0], 1], seed, low, high)


def _amplitude(decibels):
    return tf.pow(10.0, decibels / 20.0)


def _at(x, places):
    """The samples of each row at its places, int32 [batch, samples]; 0 where there are none."""
    last = tf.shape(x)[1] - 1
    is_there = (places >= 0) & (places <= last)
    found = tf.gather(x, tf.clip_by_value(places, 0, last), batch_dims=1)
    return tf.where(is_there, found, tf.zeros_like(found))


def _inside(x, lengths):
    """1 in the recordings, 0 behind their ends, float32 [batch, samples]."""
    return tf.sequence_mask(lengths, tf.shape(x)[1], tf.float32)
