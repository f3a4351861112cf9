"""Augmented waveforms and masked spectrograms: each change does what it says, by its seed alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.front_end import augmentation
from penstock.models.speech.front_end.config import Augment, Noise
from penstock.models.speech.front_end.spec_augment import SpecAugment

SEED = np.array([1, 2], np.int32)
NOISE = np.random.default_rng(0).normal(0, 1000, (32, 400)).round().astype(np.int16)


def augmented(waveforms, lengths=None, cuts=True, **settings):
    """Waveforms alone, without padding if no lengths are given; else waveforms and lengths."""
    given = [waveforms.shape[1]] * len(waveforms) if lengths is None else lengths
    found, changed = augmentation.augment(
        tf.constant(waveforms), tf.constant(given, tf.int32), Augment(**settings), 8000, SEED, cuts
    )
    return found.numpy() if lengths is None else (found.numpy(), changed.numpy())


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


def test_speed_changes_the_pitch():
    """A sine of 1 kHz at 0.8 to 1.2 times its speed has 800 to 1,200 Hz."""
    times = (np.arange(4000) - 2000) / 8000
    sines = np.tile(10_000 * np.cos(2 * np.pi * 1000 * times), (16, 1)).astype(np.int16)
    found = augmented(sines, speed=0.2).astype(float)
    window = np.hanning(2000)
    # All have so many: the fastest has 3,333.
    spectra = np.abs(np.fft.rfft(found[:, 1000:3000] * window))
    peaks = spectra.argmax(axis=1) * 8000 / 2000
    assert 796 <= peaks.min() < 900
    assert 1100 < peaks.max() <= 1204


def test_speed_changes_the_length_as_far_as_there_is_room():
    """1,000 samples at 0.8 to 1.2 times their speed are 833 to 1,250; of these 1,100 find room."""
    ramps = np.zeros((64, 1100), np.int16)
    ramps[:, :1000] = np.arange(1000) * 10 + 1000
    found, lengths = augmented(ramps, [1000] * 64, speed=0.2)
    assert 833 <= lengths.min() < 860
    assert lengths.max() == 1100
    assert lengths.dtype == np.int32
    for row, length in zip(found, lengths, strict=True):
        inner = row[1 : length - 1].astype(int)
        assert (inner >= 1000).all()
        assert not row[length:].any()
        factor = np.diff(inner).mean() / 10
        assert length == pytest.approx(min(1000 / factor, 1100), abs=1)
        # The middle stays the middle.
        assert inner.mean() == pytest.approx(5995, abs=10)


def test_what_must_stay_whole_is_slowed_only_as_far_as_there_is_room():
    """A ramp of 1,000 samples in 1,100: the slowest is 1 / 1.1 times its speed, and keeps its ends."""
    ramps = np.zeros((64, 1100), np.int16)
    ramps[:, :1000] = np.arange(1000) * 10 + 1000
    found, lengths = augmented(ramps, [1000] * 64, cuts=False, speed=0.2)
    assert 833 <= lengths.min() < 860
    assert lengths.max() == 1100
    for row, length in zip(found, lengths, strict=True):
        assert row[1] == pytest.approx(1000, abs=15)
        assert row[length - 2] == pytest.approx(10_990, abs=25)
        assert not row[length:].any()


def test_nothing_comes_in_behind_the_end():
    """Neither by a shift nor by noise; both go by the recording, not by the padding."""
    lengths = np.arange(32) * 10 + 40
    waveforms = np.where(np.arange(400) < lengths[:, None], NOISE, 0).astype(np.int16)
    noise = Noise(colour="white", probability=1.0, snr_db=(0.0, 0.0))
    found, changed = augmented(waveforms, lengths, shift_ms=5.0)
    np.testing.assert_array_equal(changed, lengths)
    assert not found[np.arange(400) >= lengths[:, None]].any()
    found, _ = augmented(waveforms, lengths, noise=noise)
    assert not found[np.arange(400) >= lengths[:, None]].any()
    added = (found.astype(float) - waveforms)[:, :40]
    # As loud as the recording, which has a power of 1e6, however short it is.
    assert (added**2).mean() == pytest.approx(1e6, rel=0.15)


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
    return hidden_in(np.ones((200, 50), bool))


def hidden_in(mask):
    keras.utils.set_random_seed(0)
    layer = SpecAugment(time_masks=1, time_share=0.2, frequency_masks=1, frequency_width=8)
    ones = np.ones((*mask.shape, 40), np.float32)
    np.testing.assert_array_equal(layer(ones, mask), ones)
    np.testing.assert_array_equal(layer(ones, mask, training=False), ones)
    return np.asarray(layer(ones, mask, training=True))


def test_masks_over_time_are_a_share_of_the_recording():
    """Of 20 frames up to 4 are hidden, all of them among the 20."""
    is_hidden = (hidden_in(np.arange(50) < np.full((200, 1), 20)) == 0).all(axis=2)
    assert set(is_hidden.sum(axis=1)) == set(range(5))
    assert is_hidden.any(axis=0).tolist() == [True] * 20 + [False] * 30


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
