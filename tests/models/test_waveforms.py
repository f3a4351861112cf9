"""Waveforms of one rate and length: mixed down, cropped and padded, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.keyword_spotting.waveforms import waveforms
from penstock.pipelines.media.audio_files import encode_wav


def wav(samples, channels=1, rate_hz=8_000):
    return encode_wav(np.asarray(samples, "<i2").tobytes(), rate_hz, channels)


def of(*recordings, length=6):
    return waveforms(tf.constant(recordings), 8_000, length).numpy()


CASES = {
    "as-it-is": (wav([1, -2, 3, -32768, 32767, 6]), [1, -2, 3, -32768, 32767, 6]),
    "even-gap": (wav([1, 2]), [0, 0, 1, 2, 0, 0]),
    "odd-gap": (wav([1, 2, 3]), [0, 0, 1, 2, 3, 0]),
    "one-sample": (wav([7]), [0, 0, 0, 7, 0, 0]),
    "even-surplus": (wav(range(10)), [2, 3, 4, 5, 6, 7]),
    "odd-surplus": (wav(range(9)), [1, 2, 3, 4, 5, 6]),
    # 1.5 and 2.5 go to the even number.
    "stereo": (wav([1, 2, 3, 2, -32768, -32768] * 2, 2), [2, 2, -32768, 2, 2, -32768]),
    "three-channels": (wav([3, 6, 0] * 6, 3), [3] * 6),
    # A constant stays one, but near its ends, where silence begins.
    "other-rate": (wav([1000] * 400, 1, 16_000), [1000] * 6),
}


@pytest.mark.parametrize(("recording", "expected"), CASES.values(), ids=CASES)
def test_waveforms_by_hand(recording, expected):
    found = of(recording)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, [expected])


def test_recordings_of_one_batch_do_not_touch_each_other():
    recordings = [recording for recording, _ in CASES.values()]
    np.testing.assert_array_equal(of(*recordings), [expected for _, expected in CASES.values()])


def test_no_recordings_give_no_waveforms():
    assert waveforms(tf.zeros([0], tf.string), 8_000, 6).shape == (0, 6)
