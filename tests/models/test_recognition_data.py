"""From recordings and transcripts to waveforms and ids, and back to texts."""

import json

import numpy as np
import pytest
import tensorflow as tf

from penstock.models.speech.recognition import transcripts
from penstock.models.speech.recognition.config import Prepare
from penstock.models.speech.recognition.data import Data
from penstock.pipelines.features import Audio, Text
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.subword_training import train

SOURCE = {"audio": Audio(), "text": Text()}


def wav(samples, rate_hz=8000):
    return encode_wav(np.arange(samples, dtype="<i2").tobytes(), rate_hz, 1)


def data(**settings):
    prepare = {"sample_rate_hz": 8000, "max_seconds": 0.01, **settings}
    return Data(Prepare.model_validate_json(json.dumps(prepare)))


def features(audio, text):
    return {"audio": tf.constant(audio), "text": tf.constant(text)}


CLEANED = {
    "marks": ({}, "Don't, so-called “Rock-’n’-roll”!", "don't so-called rock n roll"),
    "blanks": ({}, "  a\tb\u00a0 c\n", "a b c"),
    "marks-alone": ({}, "?!…", ""),
    "other-scripts": ({}, "ÄRGER, Ελλάδα。日本", "ärger ελλάδα 日本"),
    "kept": ({"punctuation": "keep", "lowercase": False}, "Oh,  no!", "Oh, no!"),
    "no-utf-8": ({"punctuation": "keep"}, b"a\xffb", "a\ufffdb"),
}


@pytest.mark.parametrize(("settings", "text", "expected"), CLEANED.values(), ids=CLEANED)
def test_texts_are_made_alike(settings, text, expected):
    found = transcripts.cleaned(tf.constant([text]), data(**settings).prepare)
    assert found.numpy()[0].decode() == expected


def test_the_beginning_of_a_long_recording_is_kept_and_its_length_said():
    """0.01 s are 80 samples."""
    raw = {"audio": tf.constant([wav(100), wav(80), wav(3)])}
    found = data().prepare_inputs(raw, None)
    assert found["lengths"].numpy().tolist() == [100, 80, 3]
    assert found["lengths"].dtype == tf.int32
    assert found["waveforms"].to_list() == [list(range(80)), list(range(80)), [0, 1, 2]]


def test_characters_that_training_lacks_are_left_out():
    state = State(SOURCE, {"characters": ("a", " ", "b")})
    raw = features([wav(9)] * 4, ["ab a", "A-c b", "", "xyz"])
    ids, weights = data().prepare_targets(raw, state)
    assert weights is None
    # The hyphen inside of the word and c.
    assert ids.to_list() == [[1, 3, 2, 1], [1, 2, 3], [], []]
    assert ids.dtype == tf.int32
    texts = transcripts.token_texts(data().prepare, state)
    assert texts == [b"", b"a", b" ", b"b"]


def test_subwords_are_ids_whose_texts_join_to_the_text():
    subwords = train([(b"one", 9), (b" one", 9), (b" two", 9)], 300, 2)
    state = State(SOURCE, {"subwords": subwords})
    made = data(tokens="subwords", vocabulary_size=300)
    [ids], _ = made.prepare_targets(features([wav(9)], ["One, two ü"]), state)
    texts = transcripts.token_texts(made.prepare, state)
    assert len(texts) == len(subwords)
    assert b"".join(texts[i] for i in ids.numpy()).decode() == "one two ü"
    assert min(ids.numpy()) > 3
    assert len(ids) < 6


def test_a_recording_that_would_be_cut_is_no_training_example():
    state = State(SOURCE, {"characters": ("a",)})
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"at most `prepare.max_seconds` \(0.01\).*leave such recordings out of the data",
    ):
        data().prepare_targets(features([wav(9), wav(81)], ["a", "a"]), state)


def test_every_example_must_have_a_text():
    with pytest.raises(ValueError, match="that every example has. Received: `text`, which some"):
        data().target_features({"audio": Audio(), "text": Text(optional=True)})
    with pytest.raises(ValueError, match="`prepare.text_feature` must .* Received: no feature"):
        data(text_feature="said").target_features(SOURCE)
