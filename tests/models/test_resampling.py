"""Resampling: equal to SciPy's polyphase one, deaf to what the new rate cannot hold."""

import functools

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from penstock.models.speech.front_end import resampling

SPECS = (
    tf.TensorSpec([None], tf.float64),
    *(tf.TensorSpec([], tf.int64, name) for name in ("rate_hz", "start", "count")),
)


@functools.cache
def traced(target_hz):
    """As in a graph."""

    def resample(samples, rate_hz, start, count):
        return resampling.resample(samples, rate_hz, target_hz, start, count)

    return tf.function(resample, input_signature=SPECS)


def resampled(samples, rate_hz, target_hz, start=0, count=None):
    """All of the recording, if no count is given."""
    count = -(-len(samples) * target_hz // rate_hz) if count is None else count
    return traced(target_hz)(samples, rate_hz, start, count).numpy()


def tone(hz, rate_hz, seconds=0.25):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def decibels(samples):
    """Of the power in the middle, where no end is near, over that of a sine of amplitude 1."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return 10 * np.log10(2 * np.mean(middle**2) + 1e-30)


@pytest.mark.parametrize(
    ("rate_hz", "target_hz"),
    [(44_100, 16_000), (8_000, 16_000), (48_000, 8_000), (11_025, 8_000), (192_000, 16_000)],
)
def test_it_is_scipys_polyphase_resampling(rate_hz, target_hz):
    samples = np.random.default_rng(0).normal(0, 1000, 3000)
    divisor = np.gcd(rate_hz, target_hz)
    up, down = target_hz // divisor, rate_hz // divisor
    # The same specification: 32 zero crossings, cut off at 0.92 of Nyquist, Kaiser for 80 dB.
    taps = scipy.signal.firwin(
        64 * max(up, down) + 1, 0.92 / max(up, down), window=("kaiser", 7.857)
    )
    expected = scipy.signal.resample_poly(samples, up, down, window=taps)
    np.testing.assert_allclose(resampled(samples, rate_hz, target_hz), expected, atol=1e-8)


@pytest.mark.parametrize("hz", [4_000, 4_100, 5_000, 7_900])
def test_tones_that_the_new_rate_cannot_hold_vanish(hz):
    assert decibels(resampled(tone(hz, 16_000), 16_000, 8_000)) < -60


@pytest.mark.parametrize("rates", [(16_000, 8_000), (44_100, 8_000), (8_000, 16_000)])
@pytest.mark.parametrize("hz", [100, 1_000, 3_300])
def test_tones_that_both_rates_hold_stay_as_they_are(hz, rates):
    """Amplitude, frequency and phase; an image above the old Nyquist frequency would be a rest."""
    found = resampled(tone(hz, rates[0]), *rates)
    assert decibels(found - tone(hz, rates[1])) < -60


def test_a_part_is_a_part_of_the_whole():
    samples = np.random.default_rng(0).normal(0, 1, 5000)
    whole = resampled(samples, 16_000, 8_000)
    np.testing.assert_array_equal(resampled(samples, 16_000, 8_000, 400, 50), whole[400:450])
    # More than are computed at once.
    np.testing.assert_array_equal(resampled(samples, 16_000, 8_000, 7, 2493), whole[7:])


def test_equal_rates_change_nothing():
    samples = np.random.default_rng(0).normal(0, 1, 20)
    np.testing.assert_array_equal(resampled(samples, 8_000, 8_000), samples)
    np.testing.assert_array_equal(resampled(samples, 8_000, 8_000, 3, 9), samples[3:12])


@pytest.mark.parametrize("rate_hz", [3_999, 192_001])
def test_other_rates_are_refused(rate_hz):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"4000 to 192000 samples a second(.|\n)*{rate_hz}"
    ):
        resampled(np.zeros(9), rate_hz, 8_000)
