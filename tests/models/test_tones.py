"""speech.tones: waveforms by hand, and a spectrogram that looks at each recording alone."""

import io
import wave

import numpy as np
import pytest

from penstock.models.speech.tones.config import Config, Prepare
from penstock.models.speech.tones.task import Task
from penstock.pipelines.features import Audio, Label
from penstock.pipelines.transform.state import State

SOURCE = {"audio": Audio(sample_rate_hz=8000), "label": Label(names=("low", "high"))}


def wav(samples, channels=1):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return stream.getvalue()


def task(seconds=0.001, **prepare):
    return Task(Config(prepare=Prepare(seconds=seconds, **prepare)))


def test_waveforms_by_hand():
    """0.001 s at 8 kHz are 8 samples of n / 32768; short ends in silence, long is cut, stereo left."""
    recordings = [
        wav([-32768, 32767, 16384]),
        wav(range(0, 1000, 100)),
        wav([8192, 1, -8192, 2], channels=2),
        wav([]),
    ]
    raw = {"audio": np.array(recordings, object)}
    found = task().prepare_inputs(raw, State(SOURCE)).numpy()
    expected = np.zeros((4, 8))
    expected[0, :3] = [-1, 32767 / 32768, 0.5]
    expected[1] = np.arange(8) * 100 / 32768
    expected[2, :2] = [0.25, -0.25]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_a_loud_neighbour_does_not_change_the_answer():
    """Keras's MelSpectrogram limits the range in decibels by the loudest of the batch."""
    generator = np.random.default_rng(0)
    quiet = generator.normal(0, 1e-5, (1, 4000)).astype(np.float32)
    loud = generator.normal(0, 0.5, (1, 4000)).astype(np.float32)
    model = task(seconds=0.5).build(State(SOURCE))
    alone = np.asarray(model(quiet))
    together = np.asarray(model(np.concatenate([quiet, loud])))
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"audio": Audio(sample_rate_hz=16000)}, "`prepare.sample_rate_hz`=8000. Received: wav at"),
        (
            {"label": Label(names=("a",))},
            "kind audio .* Received: no feature `audio`. Features of that",
        ),
    ],
    ids=["rate", "missing"],
)
def test_recordings_that_do_not_fit_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        task().input_features(source)
