"""What a served recogniser answers to odd recordings: a text and its times, or an error that says why."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.recognition.config import Config
from penstock.models.speech.recognition.task import Task
from penstock.pipelines.examples import request_signature
from penstock.pipelines.features import Audio, Text
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.transform.state import State
from penstock.tfx.training import export

SOURCE = {"audio": Audio(), "text": Text()}
CONFIG = {
    "prepare": {"sample_rate_hz": 8000, "max_seconds": 0.5},
    "spectrogram": {"mel_bands": 8},
    "model": {"type": "deep_speech", "filters": [4], "units": 8, "recurrent_layers": 1},
}
SECONDS_PER_FRAME = 0.032


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The signatures of an exported, untrained model, read back."""
    directory = tmp_path_factory.mktemp("served")
    keras.utils.set_random_seed(0)
    state = State(SOURCE, {"characters": ("a", " ", "b")})
    task = Task(Config.model_validate_json(json.dumps(CONFIG)))
    model = task.build(state)
    # So that there is much to read.
    model.get_layer("frame_logits").kernel.assign(np.random.default_rng(1).normal(0, 3, (16, 4)))
    signature = request_signature(task.input_features(SOURCE))
    functions = export.serving_functions(task, model, state, signature)
    export.save_servable(directory, model, state, functions)
    return tf.saved_model.load(str(directory)).signatures


def answer(served, *recordings, signature="serving_default"):
    found = served[signature](audio=tf.constant(recordings))
    return {name: value.numpy() for name, value in found.items()}


def wav(samples, rate_hz=8000, channels=1):
    return encode_wav(np.asarray(samples, "<i2").tobytes(), rate_hz, channels)


def tune(samples, seed=0):
    """A tone for each 50 ms, so that there is something to tell apart."""
    hz = np.random.default_rng(seed).uniform(100, 3800, samples // 400 + 1)
    phase = 2 * np.pi * np.cumsum(np.repeat(hz, 400)[:samples]) / 8000
    return (10_000 * np.sin(phase)).astype("<i2")


ODD = {
    "word": (wav(tune(3000)), True),
    "silence": (wav(np.zeros(3000)), True),
    "one-sample": (wav([5]), True),
    "stereo-of-another-rate": (wav(tune(9000), 16_000, 2), True),
    "as-long-as-may-be": (wav(tune(4000)), True),
    "a-sample-longer": (wav(tune(4001)), False),
    "three-minutes": (wav(tune(3 * 60 * 8000)), False),
}


@pytest.mark.parametrize(("recording", "complete"), ODD.values(), ids=ODD)
def test_whatever_can_be_read_is_answered(served, recording, complete):
    found = answer(served, recording)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(found, (1,))
    assert found["complete"].tolist() == [complete]
    assert set(found["text"][0].decode()) <= set("ab ")
    assert np.isfinite(found["score"]).all()
    assert found["score"][0] < 0


def test_of_a_long_recording_the_beginning_is_heard(served):
    long, beginning = tune(9000), tune(9000)[:4000]
    found = answer(served, wav(long), wav(beginning))
    assert found["text"][0] == found["text"][1] != b""
    np.testing.assert_allclose(*found["score"], rtol=1e-5)


@pytest.mark.parametrize("signature", ["serving_default", "transcript"])
def test_no_recordings_at_all_are_answered(served, signature):
    found = served[signature](audio=tf.zeros([0], tf.string))
    assert {value.shape[0] for value in found.values()} == {0}


@pytest.mark.parametrize("signature", ["serving_default", "transcript"])
def test_what_else_is_in_a_request_changes_no_answer(served, signature):
    short, long = wav(tune(1700)), wav(tune(4000, 1))
    alone = answer(served, short, signature=signature)
    together = answer(served, long, short, signature=signature)
    for name, value in together.items():
        assert value.shape == (2, *alone[name].shape[1:])
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value[1:], alone[name], rtol=1e-5)
        else:
            np.testing.assert_array_equal(value[1:], alone[name])


def test_the_words_of_the_text_have_times(served):
    """The longest recording has 16 frames and so up to 8 words."""
    recording = wav(tune(3000))
    [text] = answer(served, recording)["text"]
    found = answer(served, recording, signature="transcript")
    words = text.decode().split()
    assert [word.decode() for word in found["words"][0]] == words + [""] * (8 - len(words))
    starts, ends = found["start_seconds"][0], found["end_seconds"][0]
    count = len(words)
    assert count > 1
    assert (starts[:count] < ends[:count]).all()
    assert (ends[: count - 1] <= starts[1:count]).all()
    assert ends[count - 1] <= 3000 / 8000
    assert not starts[count:].any()
    assert not ends[count:].any()
    frames = starts / SECONDS_PER_FRAME
    np.testing.assert_allclose(frames, np.rint(frames), atol=1e-4)


def test_times_are_what_an_answer_is_explained_by(served):
    task = Task(Config.model_validate_json(json.dumps(CONFIG)))
    recordings = [wav(tune(3000)), wav([5])]
    [said, silent] = task.explain(served, {"audio": np.array(recordings, object)}, {}, None)
    found = answer(served, recordings[0], signature="transcript")
    assert [word for word, _, _ in said["times"]] == [w.decode() for w in found["words"][0] if w]
    assert [start for _, start, _ in said["times"]] == pytest.approx(
        found["start_seconds"][0, : len(said["times"])].tolist(), abs=5e-4
    )
    assert len(silent["times"]) <= 1


REFUSED = {
    "empty": (b"", "it is empty"),
    "no-wav": (b"\x89PNG\r\n\x1a\n" + bytes(40), "it does not begin as a WAV does"),
    "cut-off": (wav(tune(3000))[:-100], "it is cut off"),
    "no-samples": (wav([]), "it has no samples"),
    "slow": (wav(tune(3000), 2000), "4000 to 192000 samples a second"),
}


@pytest.mark.parametrize(("recording", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused(served, recording, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        answer(served, wav(tune(3000)), recording)
