"""Networks and settings of speech recognition: parameters by hand, padding, faults of a config."""

import json

import keras
import numpy as np
import pytest

from penstock.models.speech.recognition import activations, networks
from penstock.models.speech.recognition.config import Config

RECORDINGS = [
    np.random.default_rng(n).integers(-3000, 3000, n).astype(np.int16) for n in (2000, 1, 700, 1921)
]
IDS = 5


def padded(recordings, samples):
    """As the network takes them."""
    rows = [np.pad(recording, (0, samples - len(recording))) for recording in recordings]
    lengths = [len(recording) for recording in recordings]
    return {"waveforms": np.stack(rows), "lengths": np.array(lengths, np.int32)}


def config(model=None, **sections):
    document = {"prepare": {"sample_rate_hz": 8000}, "spectrogram": {"mel_bands": 8}}
    return Config.model_validate_json(
        json.dumps({**document, "model": model or {"type": "deep_speech"}, **sections})
    )


def normalised(units):
    """Scale, offset and two moving statistics."""
    return 4 * units


def dense(units_in, units):
    return units_in * units + units


# 8 bands, whose normalisation has two moving statistics; a stride of 2 each makes 4 and 2 of them.
DEEP_SPEECH = {"type": "deep_speech", "filters": [4, 6], "kernel": [3, 3], "units": 5}
CONVOLUTIONS = 2 * 8 + (9 * 4 + normalised(4)) + (9 * 4 * 6 + normalised(6))
HEAD = normalised(10) + dense(10, IDS)
LAYER_NORMALIZATION = 2 * 8
CONFORMER_BLOCK = (
    2 * (LAYER_NORMALIZATION + dense(8, 16) + dense(16, 8))
    + (LAYER_NORMALIZATION + 4 * dense(8, 8))
    + (LAYER_NORMALIZATION + 3 * dense(8, 8) + 3 * 8 + normalised(8))
    + LAYER_NORMALIZATION
)
NETWORKS = {
    # Three gates and (reset_after) two biases each way.
    "gru": (
        DEEP_SPEECH,
        CONVOLUTIONS
        + 2 * 3 * 5 * (2 * 6 + 5 + 2)
        + normalised(10)
        + 2 * 3 * 5 * (10 + 5 + 2)
        + HEAD,
        2,
    ),
    "lstm": (
        {**DEEP_SPEECH, "cells": "lstm", "recurrent_layers": 1, "time_stride": 3},
        CONVOLUTIONS + 2 * 4 * 5 * (2 * 6 + 5 + 1) + HEAD,
        3,
    ),
    "conformer": (
        {
            "type": "conformer",
            "filters": 4,
            "dim": 8,
            "num_heads": 2,
            "blocks": 2,
            "kernel": 3,
            "feed_forward_factor": 2,
        },
        2 * 8
        + (9 * 4 + normalised(4))
        + (9 * 4 * 4 + normalised(4))
        + dense(2 * 4, 8)
        + 2 * CONFORMER_BLOCK
        + dense(8, IDS),
        4,
    ),
}


def shaken(model):
    """Weights at random, offsets and means too, which begin at 0, where padding might hide."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        noise = generator.uniform(0.1, 0.3, weight.shape) * np.sign(
            generator.normal(size=weight.shape)
        )
        weight.assign(noise if "variance" not in weight.path else 0.5 + abs(noise))
    model.get_layer("log_mel_normalization").moving_variance.assign(np.full(8, 400.0))
    return model


# Keras's attention warns of a recording of one frame, unless its shape is that of a graph.
@pytest.mark.filterwarnings("ignore:(?s).*You are using a softmax over axis 3")
@pytest.mark.parametrize(("model", "parameters", "divisor"), NETWORKS.values(), ids=NETWORKS)
def test_padding_changes_no_answer(model, parameters, divisor):
    """A hop is 128 samples: of 2,000 there are 16 frames; 1,921 are the first sample of the last."""
    network = shaken(networks.build(config(model), IDS))
    assert sum(int(np.prod(w.shape)) for w in network.weights if "seed" not in w.path) == parameters
    alone = [network(padded([r], len(r))).numpy()[0] for r in RECORDINGS]
    frames = [-(-len(r) // (128 * divisor)) for r in RECORDINGS]
    assert [len(answer) for answer in alone] == frames
    assert np.abs(alone[0][: frames[2]] - alone[2]).max() > 1e-3
    for samples in (2049, 5000):
        together = network(padded(RECORDINGS, samples)).numpy()
        for found, expected, count in zip(together, alone, frames, strict=True):
            np.testing.assert_allclose(
                found[:count], expected, atol=1e-5 * np.abs(expected).max(), rtol=1e-5
            )
            assert (found[count:].argmax(axis=-1) == 0).all()
            assert (np.exp(found[count:, 1:]) == 0).all()


def test_masks_and_dropout_are_in_training_alone():
    network = networks.build(config(augment={"spec_augment": {"bands": 3}}), IDS)
    assert network.get_layer("spec_augment").frequency_width == 3
    batch = padded(RECORDINGS, 2000)
    np.testing.assert_array_equal(network(batch), network(batch))
    assert np.abs(np.subtract(network(batch, training=True), network(batch))).max() > 0


FAULTS = {
    "bands": ({"spectrogram": {"mel_bands": 128}}, "would be empty. Received: mel_bands=128"),
    "shift": ({"augment": {"shift_ms": 20.0}}, "`augment.shift_ms` must be 0: .* Received: 20"),
    "subwords": (
        {"prepare": {"tokens": "subwords", "vocabulary_size": 200}},
        "at least 261, .* Received: 200",
    ),
    "heads": (
        {"model": {"type": "conformer", "dim": 10, "num_heads": 4}},
        "a multiple of `num_heads`. Received: dim=10, num_heads=4",
    ),
    "beam": ({"decode": {"type": "greedy", "beam_size": 3}}, "beam_size"),
    "too-long": ({"prepare": {"max_seconds": 61.0}}, "less than or equal to 60"),
}


@pytest.mark.parametrize(("sections", "message"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_is_refused(sections, message):
    with pytest.raises(ValueError, match=message):
        config(**sections)


def test_all_faults_are_said_at_once():
    with pytest.raises(ValueError, match="(?s)mel_bands.*are too many.*shift_ms"):
        config(spectrogram={"mel_bands": 128}, augment={"shift_ms": 1.0})


def test_the_longest_recording_has_so_many_frames():
    """10 s at 8 kHz are 80,000 samples: 625 hops of 128, and 312.5 times two of them."""
    assert config(DEEP_SPEECH).samples_per_frame == 256
    assert config(DEEP_SPEECH).max_frames == 313


def test_positions_of_a_conformer_are_exact_in_16_bits_too():
    """sin and cos of 400 and its neighbours: bfloat16 has 400 and then 402."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = networks.build(config(NETWORKS["conformer"][0]), IDS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.compute_dtype == "bfloat16"
    positions = network.get_layer("positions")
    place = keras.ops.cast(positions(np.zeros((1, 402, 8), np.float32))[0, 399:402, :2], "float32")
    expected = [[np.sin(n), np.cos(n)] for n in (399, 400, 401)]
    np.testing.assert_allclose(place, expected, atol=1e-3)


def test_memory_by_hand():
    """10 frames of a hop of 128, 8 bands, 5 frames after a stride of 2; 4 bytes and their gradient."""
    small = {**DEEP_SPEECH, "recurrent_layers": 1}
    spectrogram = 10 * (3 * 256 + 6 * 8)
    network = 4 * 5 * (4 * 4 + 2 * 6) + 5 * 2 * 5 * (2 * 3 + 4)
    expected = 8 * 3 * (spectrogram + network + 4 * 5 * IDS)
    assert activations.activation_bytes(config(small), IDS, 3, 1280) == expected


def test_attention_takes_the_square_of_the_length():
    """Ten times the frames take ten times the memory, and of attention a hundred times."""
    long = NETWORKS["conformer"][0]
    one, ten = (activations.activation_bytes(config(long), IDS, 1, n * 512) for n in (40, 400))
    scores = 8 * 2 * 3 * 2 * 40**2
    assert ten == 10 * (one - scores) + 100 * scores
