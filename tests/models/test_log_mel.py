"""The log-mel layer against HTK's formulas in NumPy, and what it must not look at."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.front_end.config import Spectrogram
from penstock.models.speech.front_end.spectrogram import LogMel

SETTINGS = {
    "rate_hz": 8000,
    "window": 200,
    "hop": 80,
    "fft_length": 256,
    "bands": 20,
    "min_hz": 60.0,
    "max_hz": 3800.0,
}


def expected(waveform):
    """Equation 5.13 and figure 5.3 of the HTK Book, with power instead of magnitude."""
    window, hop, fft = SETTINGS["window"], SETTINGS["hop"], SETTINGS["fft_length"]
    # A frame has its middle at each hop; silence lies before and behind.
    padded = np.pad(waveform / 32768.0, fft // 2)
    starts = np.arange(0, len(waveform), hop)
    taper = np.zeros(fft)
    # A periodic Hann window in the middle of the transform.
    taper[28 : 28 + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(fft)] * taper)) ** 2

    def mel(hz):
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    edges = np.linspace(mel(60.0), mel(3800.0), SETTINGS["bands"] + 2)
    bins = mel(np.arange(fft // 2 + 1) * 8000 / fft)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return 10 * np.log10(np.maximum(power @ np.clip(np.minimum(rising, falling), 0, None), 1e-10))


def noise(level, samples, batch=1):
    drawn = np.random.default_rng(samples).normal(0, level, (batch, samples))
    return drawn.round().clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("samples", [4000, 3999, 4079])
def test_bands_are_htks(samples):
    waveforms = noise(3000, samples)
    layer = LogMel(**SETTINGS)
    found = layer(waveforms)
    assert found.shape == (1, math.ceil(samples / 80), 20)
    assert layer(keras.Input((samples,), dtype="int16")).shape[1:] == found.shape[1:]
    np.testing.assert_allclose(found[0], expected(waveforms[0]), atol=2e-3)


def test_padding_changes_no_frame():
    """130 samples are two hops, which two further frames make a multiple of four."""
    waveforms = noise(3000, 130)
    layer = LogMel(**SETTINGS, multiple=4)
    found = layer(waveforms)
    assert found.shape == (1, 4, 20)
    padded = layer(np.pad(waveforms, [(0, 0), (0, 1000)]))
    assert padded.shape == (1, 16, 20)
    np.testing.assert_allclose(padded[:, :4], found, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 128, 1000])
def test_the_shape_is_known_before_there_are_waveforms(samples):
    """As under JAX, which cannot trace an unknown number of samples."""
    layer = LogMel(**SETTINGS, multiple=4)
    told = layer.compute_output_shape((2, samples))
    assert tuple(layer(noise(0.5, samples, 2)).shape) == told
    assert layer.compute_output_shape((None, None)) == (None, None, told[2])


def test_silence_is_the_floor_whatever_is_beside_it():
    """Keras's layer would raise the floor of all to 80 dB below the loudest of the batch."""
    layer = LogMel(**SETTINGS)
    both = np.concatenate([noise(0.4, 2000), noise(9000, 2000), np.zeros((1, 2000), np.int16)])
    found = layer(both)
    np.testing.assert_allclose(found[0], layer(both[:1])[0], rtol=1e-5)
    np.testing.assert_array_equal(found[2], np.full((25, 20), -100.0))


def test_it_compiles_and_stays_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = LogMel(**SETTINGS)
    finally:
        keras.config.set_dtype_policy("float32")
    waveforms = tf.constant(noise(3000, 2000, batch=2))
    found = tf.function(lambda x: layer(x), jit_compile=True)(waveforms)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, LogMel(**SETTINGS)(waveforms), atol=1e-3)


@pytest.mark.parametrize(("bands", "empty"), [(40, 0), (80, 0), (128, 4)])
def test_empty_bands_are_counted(bands, empty):
    """Columns of Keras's matrix without any weight, for 20..4000 Hz and a transform of 256."""
    layer = keras.layers.MelSpectrogram(fft_length=256)
    matrix = layer.linear_to_mel_weight_matrix(bands, 129, 8000, 20.0, 4000.0)
    assert (np.asarray(matrix).max(axis=0) == 0).sum() == empty
    assert Spectrogram(mel_bands=bands).empty_bands(8000) == empty
