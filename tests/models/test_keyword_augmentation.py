"""Augmented waveforms and masked spectrograms: each change does what it says, by its seed alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.keyword_spotting import augmentation
from penstock.models.speech.keyword_spotting.config import Augment, Noise
from penstock.models.speech.keyword_spotting.spec_augment import SpecAugment

SEED = np.array([1, 2], np.int32)
NOISE = np.random.default_rng(0).normal(0, 1000, (32, 400)).round().astype(np.int16)


def augmented(waveforms, seed=SEED, **settings):
    config = Augment(**settings)
    return augmentation.augment(tf.constant(waveforms), config, 8000, seed).numpy()


def test_nothing_is_the_default():
    np.testing.assert_array_equal(augmented(NOISE), NOISE)


def test_a_shift_moves_each_waveform_by_whole_samples_into_silence():
    """5 ms are 40 samples at 8 kHz."""
    found = augmented(NOISE, shift_ms=5.0)
    shifts = []
    for before, after in zip(NOISE.astype(int), found.astype(int), strict=True):
        padded = np.pad(before, 40)
        candidates = [padded[40 - s : 440 - s] for s in range(-40, 41)]
        [fitting] = [n for n, moved in enumerate(candidates) if np.array_equal(moved, after)]
        shifts.append(fitting - 40)
    assert len(set(shifts)) > 10
    assert min(shifts) < -20 < 20 < max(shifts)


def test_speed_changes_the_pitch_around_the_middle():
    """A sine of 1 kHz at 0.8 to 1.2 times its speed has 800 to 1,200 Hz."""
    times = (np.arange(4000) - 2000) / 8000
    sines = np.tile(10_000 * np.cos(2 * np.pi * 1000 * times), (16, 1)).astype(np.int16)
    found = augmented(sines, speed=0.2).astype(float)
    window = np.hanning(2000)
    # The middle half: a slower one does not fill more, a faster one leaves silence at the ends.
    spectra = np.abs(np.fft.rfft(found[:, 1000:3000] * window))
    peaks = spectra.argmax(axis=1) * 8000 / 2000
    assert 796 <= peaks.min() < 900
    assert 1100 < peaks.max() <= 1204
    np.testing.assert_array_equal(found[:, 2000], sines[:, 2000])


def test_gain_is_one_factor_for_each_waveform():
    found = augmented(NOISE, gain_db=6.0).astype(float)
    powers = (found**2).mean(axis=1) / (NOISE.astype(float) ** 2).mean(axis=1)
    decibels = 10 * np.log10(powers)
    assert -6.01 <= decibels.min() < -3
    assert 3 < decibels.max() <= 6.01
    loud = augmented(np.full((8, 10), 30_000, np.int16), gain_db=6.0)
    assert loud.max() == 32767  # clipped, not wrapped


@pytest.mark.parametrize("colour", ["white", "pink", "either"])
def test_noise_has_the_ratio_that_was_drawn(colour):
    config = {"colour": colour, "probability": 0.5, "snr_db": (10.0, 20.0)}
    waveforms = np.concatenate([NOISE] * 4)
    added = augmented(waveforms, noise=Noise(**config)).astype(float) - waveforms
    is_noisy = added.any(axis=1)
    assert 40 < is_noisy.sum() < 88  # of 128; six standard deviations are 34
    ratios = (waveforms.astype(float) ** 2).mean(axis=1)[is_noisy] / (added[is_noisy] ** 2).mean(
        axis=1
    )
    decibels = 10 * np.log10(ratios)
    assert 9.9 < decibels.min() < 12
    assert 18 < decibels.max() < 20.1
    silent = np.zeros((4, 100), np.int16)
    np.testing.assert_array_equal(augmented(silent, noise=Noise(**config)), silent)


@pytest.mark.parametrize(("make", "slope"), [(augmentation.white, 0.0), (augmentation.pink, -1.0)])
def test_noise_has_its_colour(make, slope):
    """The exponent of f in the power spectrum, fitted on logarithms."""
    noise = make([64, 4096], SEED).numpy()
    np.testing.assert_allclose((noise**2).mean(axis=1), 1.0, rtol=1e-3)
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(axis=0)[1:-1]
    fitted = np.polyfit(np.log(np.arange(1, len(power) + 1)), np.log(power), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.05)


def test_changes_do_not_depend_on_each_other():
    """Switching the noise off leaves shifts as they were."""
    both = augmented(NOISE, shift_ms=5.0, noise=Noise(snr_db=(60.0, 60.0)))
    np.testing.assert_allclose(both, augmented(NOISE, shift_ms=5.0), atol=8)


@pytest.fixture(scope="module")
def masked():
    """Ones [200, 50 frames, 40 bands], masked once in time and once in frequency."""
    keras.utils.set_random_seed(0)
    layer = SpecAugment(time_masks=1, time_width=10, frequency_masks=1, frequency_width=8)
    ones = np.ones((200, 50, 40), np.float32)
    np.testing.assert_array_equal(layer(ones), ones)
    np.testing.assert_array_equal(layer(ones, training=False), ones)
    return np.asarray(layer(ones, training=True))


@pytest.mark.parametrize(("axis", "widest"), [(1, 10), (2, 8)], ids=["time", "frequency"])
def test_masks_are_stretches_of_zeros(masked, axis, widest):
    """Widths 0..widest alike often (200 draws), anywhere; the other mask never covers all."""
    is_hidden = (masked == 0).all(axis=3 - axis)
    widths = is_hidden.sum(axis=1)
    edges = np.abs(np.diff(np.pad(is_hidden, [(0, 0), (1, 1)]).astype(int))).sum(axis=1)
    np.testing.assert_array_equal(edges, 2 * (widths > 0))
    assert set(widths) == set(range(widest + 1))
    assert widths.mean() == pytest.approx(widest / 2, rel=0.15)
    assert is_hidden.any(axis=0).all()


def test_masks_are_those_of_time_and_frequency_alone(masked):
    rows, columns = (masked == 0).all(axis=2), (masked == 0).all(axis=1)
    np.testing.assert_array_equal(masked == 0, rows[:, :, None] | columns[:, None, :])
    assert set(np.unique(masked)) == {0.0, 1.0}
