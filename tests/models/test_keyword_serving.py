"""What a served keyword spotter answers to odd recordings: a class, or an error that says why."""

import io
import json

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from penstock.models.speech.keyword_spotting.config import Config
from penstock.models.speech.keyword_spotting.task import Task
from penstock.pipelines.examples import request_signature
from penstock.pipelines.features import Audio, Label, Text
from penstock.pipelines.transform.state import State
from penstock.tfx.training import export

SOURCE = {"audio": Audio(), "label": Label(names=("yes", "no", "stop"))}
CONFIG = {
    "prepare": {"sample_rate_hz": 8000, "max_seconds": 0.5},
    "spectrogram": {"max_hz": 3500.0},
    "model": {"type": "ds_cnn", "filters": 8, "blocks": 1},
}


def task():
    return Task(Config.model_validate_json(json.dumps(CONFIG)))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The signature of an exported, untrained model, read back: WAV files -> answers."""
    directory = tmp_path_factory.mktemp("served")
    keras.utils.set_random_seed(0)
    state, made = State(SOURCE), task()
    model = made.build(state)
    signature = request_signature(made.input_features(SOURCE))
    functions = export.serving_functions(made, model, state, signature)
    export.save_servable(directory, model, state, functions)
    function = tf.saved_model.load(str(directory)).signatures["serving_default"]
    return lambda *recordings: function(audio=tf.constant(recordings))


def wav(samples, rate_hz=8000, subtype="PCM_16"):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, subtype=subtype, format="WAV")
    return stream.getvalue()


def sound(seconds, rate_hz=8000, highest_hz=3500):
    """Partials in every band of the spectrogram, so that no answer hangs on rounding errors."""
    hz = np.arange(100, highest_hz, 50)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, len(hz))
    times = np.arange(round(seconds * rate_hz))[:, None] / rate_hz
    return 0.02 * np.cos(2 * np.pi * hz * times + phases).sum(axis=1)


WORD = np.rint(32768 * sound(0.5)).astype(np.int16)
SAME = {
    # The same samples in other bytes; in 8 bits and at other rates nearly the same.
    "24-bit": (wav(WORD, subtype="PCM_24"), 1e-6),
    "float": (wav(WORD / 32768, subtype="FLOAT"), 1e-6),
    "stereo": (wav(np.stack([WORD, WORD], axis=1)), 1e-6),
    "longer": (wav(np.pad(WORD, 4000)), 1e-6),
    "8-bit": (wav(WORD, subtype="PCM_U8"), 0.02),
    "44100-hz": (wav(sound(0.5, 44_100), 44_100), 0.02),
    "192000-hz": (wav(sound(0.5, 192_000), 192_000), 0.02),
}


@pytest.mark.parametrize(("recording", "tolerance"), SAME.values(), ids=SAME)
def test_the_same_sound_gets_the_same_answer(served, recording, tolerance):
    expected, found = np.asarray(served(wav(WORD), recording)["probabilities"])
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_what_else_is_in_a_request_changes_no_answer(served):
    short = wav(WORD[:1700])
    [alone] = served(short)["probabilities"]
    together = served(wav(WORD), short, wav([0.5]))["probabilities"]
    np.testing.assert_allclose(together[1], alone, atol=1e-6)


ODD = {
    "silence": wav(np.zeros(4000)),
    "one-sample": wav([0.5]),
    "three-minutes": wav(np.tile(sound(1), 180)),
    "loudest": wav(np.ones(4000)),
    "4000-hz": wav(sound(0.5, 4000, 1900), 4000),
}


@pytest.mark.parametrize("recording", ODD.values(), ids=ODD)
def test_whatever_can_be_read_is_answered(served, recording):
    answer = served(recording)
    assert answer["label"].numpy()[0].decode() in SOURCE["label"].names
    assert np.isfinite(answer["probabilities"]).all()
    assert np.asarray(answer["probabilities"]).sum() == pytest.approx(1.0, rel=1e-5)


REFUSED = {
    "empty": (b"", "it is empty"),
    "no-wav": (b"\x89PNG\r\n\x1a\n" + bytes(40), "it does not begin as a WAV does"),
    "cut-off": (wav(WORD)[:-100], "it is cut off"),
    "no-samples": (wav(np.zeros(0)), "it has no samples"),
    "slow": (wav(sound(0.5, 2000, 900), 2000), "4000 to 192000 samples a second"),
}


@pytest.mark.parametrize(("recording", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused(served, recording, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served(wav(WORD), recording)


def test_the_source_must_have_recordings():
    source = {"sentence": Text(), "sound": Audio()}
    with pytest.raises(ValueError, match="`prepare.audio_feature` must .* of that kind: sound"):
        task().input_features(source)
