"""Waveforms of one rate: mixed down, cut and padded, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.front_end.waveforms import beginnings, padded, waveforms, whole_lengths
from penstock.pipelines.media.audio_files import encode_wav


def wav(samples, channels=1, rate_hz=8_000):
    return encode_wav(np.asarray(samples, "<i2").tobytes(), rate_hz, channels)


def of(*recordings, longest=6):
    return waveforms(tf.constant(recordings), 8_000, longest)


CASES = {
    "as-it-is": (wav([1, -2, 3, -32768, 32767, 6]), [1, -2, 3, -32768, 32767, 6]),
    "shorter": (wav([1, 2, 3]), [1, 2, 3]),
    "one-sample": (wav([7]), [7]),
    "silence": (wav([0, 0]), [0, 0]),
    "even-surplus": (wav(range(10)), [2, 3, 4, 5, 6, 7]),
    "odd-surplus": (wav(range(9)), [1, 2, 3, 4, 5, 6]),
    # 1.5 and 2.5 go to the even number.
    "stereo": (wav([1, 2, 3, 2, -32768, -32768] * 2, 2), [2, 2, -32768, 2, 2, -32768]),
    "three-channels": (wav([3, 6, 0] * 6, 3), [3] * 6),
    # A constant stays one, but near its ends, where silence begins.
    "other-rate": (wav([1000] * 400, 1, 16_000), [1000] * 6),
    # ceil(5 / 2) samples.
    "other-length": (wav([0] * 5, 1, 16_000), [0, 0, 0]),
}


@pytest.mark.parametrize(("recording", "expected"), CASES.values(), ids=CASES)
def test_waveforms_by_hand(recording, expected):
    found = of(recording)
    assert found.dtype == tf.int16
    assert found.to_list() == [expected]


def test_recordings_of_one_batch_do_not_touch_each_other():
    recordings = [recording for recording, _ in CASES.values()]
    assert of(*recordings).to_list() == [expected for _, expected in CASES.values()]


def test_the_beginning_may_be_kept_instead_of_the_middle():
    found, lengths = beginnings(tf.constant([wav(range(10)), wav([1, 2])]), 8_000, 6)
    assert found.to_list() == [[0, 1, 2, 3, 4, 5], [1, 2]]
    assert (lengths.numpy().tolist(), lengths.dtype) == ([10, 2], tf.int32)


def test_lengths_are_those_of_whole_recordings():
    """At twice the rate 9 frames are 4.5 samples, of which there are five."""
    recordings = [wav(range(10)), wav([1, 2] * 3, 2), wav(range(9), 1, 16_000)]
    found = whole_lengths(tf.constant(recordings), 8_000)
    assert (found.numpy().tolist(), found.dtype) == ([10, 3, 5], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="it is empty"):
        whole_lengths(tf.constant([b""]), 8_000)


def test_no_recordings_give_no_waveforms():
    found = waveforms(tf.zeros([0], tf.string), 8_000, 6)
    assert (found.shape.as_list(), found.dtype) == ([0, None], tf.int16)


def test_zeros_lie_behind_the_end():
    found = of(wav([1, 2]), wav([3]))
    assert padded(found).numpy().tolist() == [[1, 2], [3, 0]]
    assert padded(found, 4).numpy().tolist() == [[1, 2, 0, 0], [3, 0, 0, 0]]
    dense = tf.zeros([2, 5], tf.int16)
    assert padded(dense, 4) is dense
