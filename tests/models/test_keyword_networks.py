"""Settings and networks of keyword spotting: parameters by hand, faults of a config at once."""

import json

import keras
import numpy as np
import pytest

from penstock.models.speech.keyword_spotting import networks
from penstock.models.speech.keyword_spotting.config import Config

WAVEFORMS = np.random.default_rng(0).integers(-3000, 3000, (2, 2000)).astype(np.int16)
PREPARE = {"sample_rate_hz": 8000, "seconds": 0.25}


def config(model=None, **sections):
    document = {"prepare": PREPARE, "model": model or {"type": "crnn"}, **sections}
    return Config.model_validate_json(json.dumps(document))


def normalised(units):
    """Scale, offset and two moving statistics."""
    return 4 * units


# 2,000 samples, a hop of 128: 16 frames of 40 bands, whose normalisation has two moving statistics.
SPECTROGRAM = 2 * 40
PARAMETERS = {
    # Zhang et al., table 2: a convolution, then depthwise 3x3 and pointwise ones.
    "ds_cnn": (
        {"type": "ds_cnn", "blocks": 4},
        (10 * 4 * 64 + normalised(64))
        + 4 * (9 * 64 + normalised(64) + 64 * 64 + normalised(64))
        + (64 * 10 + 10),
    ),
    # Pooled from 16x40 to 8x13 of 32 filters; 8 * 13 * 32 = 3,328 into the bottleneck.
    "cnn": (
        {"type": "cnn"},
        (20 * 8 * 32 + normalised(32))
        + (10 * 4 * 32 * 32 + normalised(32))
        + (3328 * 32 + 32)
        + (32 * 128 + normalised(128))
        + (128 * 10 + 10),
    ),
    # Pooled twice to 4x10 of 12 filters: 120 each frame, three gates and (reset_after) two biases.
    "crnn": (
        {"type": "crnn", "filters": [6, 12], "units": 16},
        (9 * 6 + normalised(6))
        + (9 * 6 * 12 + normalised(12))
        + 2 * 3 * 16 * (120 + 16 + 2)
        + (32 * 10 + 10),
    ),
    "gru-one-way": (
        {
            "type": "crnn",
            "filters": [6],
            "units": 16,
            "bidirectional": False,
            "recurrent_layers": 2,
        },
        (9 * 6 + normalised(6)) + 3 * 16 * (120 + 16 + 2) + 3 * 16 * (16 + 16 + 2) + (16 * 10 + 10),
    ),
}


@pytest.mark.parametrize(("model", "parameters"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters_are_those_of_the_layers(model, parameters):
    network = networks.build(config(model), num_classes=10)
    assert network.count_params() == SPECTROGRAM + parameters
    assert network(WAVEFORMS).shape == (2, 10)


@pytest.mark.parametrize("pooling", ["last", "average", "max"])
def test_recurrent_layers_are_pooled(pooling):
    network = networks.build(
        config({"type": "crnn", "filters": [4], "units": 8, "recurrent_pooling": pooling}), 3
    )
    recurrent = network.get_layer("gru_1")
    shown = keras.Model(network.input, [recurrent.output, network.get_layer("logits").input])
    states, pooled = (np.asarray(x) for x in shown(WAVEFORMS))
    expected = {
        "last": lambda: states,
        "average": lambda: states.mean(axis=1),
        "max": lambda: states.max(axis=1),
    }[pooling]()
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)


def test_masks_are_in_training_alone():
    masks = {"time_masks": 1, "time_ms": 160.0, "frequency_masks": 0}
    network = networks.build(config(augment={"spec_augment": masks}), 3)
    layer = network.get_layer("spec_augment")
    # 160 ms are 10 frames of 16 ms.
    assert (layer.time_width, layer.frequency_masks, layer.frequency_width) == (10, 0, 8)
    np.testing.assert_array_equal(network(WAVEFORMS), network(WAVEFORMS))


FAULTS = {
    "window": ({"spectrogram": {"window_ms": 400.0}}, "`spectrogram.window_ms` must be shorter"),
    "edges": (
        {"spectrogram": {"min_hz": 100.0, "max_hz": 5000.0}},
        r"`max_hz` must ascend, up to half of `prepare.sample_rate_hz` \(4000\). Received: 100, 5000",
    ),
    "bands": ({"spectrogram": {"mel_bands": 128}}, "4 would be empty. Received: mel_bands=128"),
    "pooling": (
        {"model": {"type": "crnn", "filters": [4] * 5}},
        "needs at least 32 frames and 32 mel bands. Received: 16 frames, 40 bands",
    ),
    "snr": ({"augment": {"noise": {"snr_db": [9.0, 3.0]}}}, r"must ascend. Received: \[9.0, 3.0\]"),
    "rate": ({"prepare": {"sample_rate_hz": 200_000}}, "less than or equal to 192000"),
}


@pytest.mark.parametrize(("sections", "message"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_is_refused(sections, message):
    with pytest.raises(ValueError, match=message):
        config(**sections)


def test_all_faults_are_said_at_once():
    with pytest.raises(ValueError, match="(?s)mel_bands.*are too many.*model.pooling"):
        config({"type": "crnn", "filters": [4] * 5}, spectrogram={"mel_bands": 128})
