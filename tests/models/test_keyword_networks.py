"""Settings and networks of keyword spotting: parameters by hand, faults of a config at once."""

import json

import keras
import numpy as np
import pytest

from penstock.models.speech.front_end.layers import FrameNormalization
from penstock.models.speech.keyword_spotting import networks
from penstock.models.speech.keyword_spotting.config import Config

RECORDINGS = [
    np.random.default_rng(n).integers(-3000, 3000, n).astype(np.int16) for n in (2000, 1, 700, 1921)
]
PREPARE = {"sample_rate_hz": 8000}


def padded(recordings, samples):
    """As the network takes them."""
    rows = [np.pad(recording, (0, samples - len(recording))) for recording in recordings]
    lengths = [len(recording) for recording in recordings]
    return {"waveforms": np.stack(rows), "lengths": np.array(lengths, np.int32)}


def config(model=None, **sections):
    document = {"prepare": PREPARE, "model": model or {"type": "crnn"}, **sections}
    return Config.model_validate_json(json.dumps(document))


def normalised(units):
    """Scale, offset and two moving statistics."""
    return 4 * units


# 40 bands, whose normalisation has two moving statistics.
SPECTROGRAM = 2 * 40
PARAMETERS = {
    # Zhang et al., table 2: a convolution, then depthwise 3x3 and pointwise ones.
    "ds_cnn": (
        {"type": "ds_cnn", "blocks": 4},
        (10 * 4 * 64 + normalised(64))
        + 4 * (9 * 64 + normalised(64) + 64 * 64 + normalised(64))
        + (64 * 10 + 10),
    ),
    # Pooled from 40 bands to 13 of 32 filters; their 416 averages over time into the bottleneck.
    "cnn": (
        {"type": "cnn"},
        (20 * 8 * 32 + normalised(32))
        + (10 * 4 * 32 * 32 + normalised(32))
        + (416 * 32 + 32)
        + (32 * 128 + 128)
        + (128 * 10 + 10),
    ),
    # Pooled twice to 10 bands of 12 filters: 120 a frame, three gates and (reset_after) two biases.
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
            "pooling": [3, 2],
            "bidirectional": False,
            "recurrent_layers": 2,
            "recurrent_pooling": "last",
        },
        (9 * 6 + normalised(6)) + 3 * 16 * (120 + 16 + 2) + 3 * 16 * (16 + 16 + 2) + (16 * 10 + 10),
    ),
}


def shaken(model):
    """Weights at random, offsets and means too, which begin at 0, where padding might hide."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        noise = generator.uniform(0.1, 0.3, weight.shape) * np.sign(
            generator.normal(size=weight.shape)
        )
        weight.assign(noise if "variance" not in weight.path else 0.5 + abs(noise))
    model.get_layer("log_mel_normalization").moving_variance.assign(np.full(40, 400.0))
    return model


@pytest.mark.parametrize(("model", "parameters"), PARAMETERS.values(), ids=PARAMETERS)
def test_padding_changes_no_answer(model, parameters):
    """Of the longest 2,000 samples are 16 frames; 1,921 are the sample that begins the last."""
    network = shaken(networks.build(config(model), num_classes=10))
    assert network.count_params() == SPECTROGRAM + parameters
    alone = np.concatenate([network(padded([r], len(r))).numpy() for r in RECORDINGS])
    assert alone.shape == (4, 10)
    assert np.abs(np.diff(alone, axis=0)).max(axis=1).min() > 1e-3
    for samples in (2049, 5000):
        together = network(padded(RECORDINGS, samples)).numpy()
        np.testing.assert_allclose(together, alone, atol=1e-5 * np.abs(alone).max())


@pytest.mark.parametrize("model", ["cnn", "ds_cnn", "crnn"])
def test_a_batch_of_one_recording_teaches_too(model):
    """Normalised by the examples of its batch, any recording would get the same answer."""
    network = shaken(networks.build(config({"type": model}), num_classes=10))
    first, second = (network(padded([RECORDINGS[n]], 2000), training=True) for n in (0, 2))
    assert np.abs(np.subtract(first, second)).max() > 1e-3


def test_recurrent_layers_are_averaged_over_the_frames_of_the_recording():
    """700 samples are 6 frames, which pooling makes 3; 2,000 are 16 and 8."""
    network = networks.build(config({"type": "crnn", "filters": [4], "units": 8}), 3)
    recurrent = network.get_layer("gru_1")
    shown = keras.Model(network.input, [recurrent.output, network.get_layer("logits").input])
    states, pooled = (np.asarray(x) for x in shown(padded(RECORDINGS, 2000)))
    for row, frames in ((0, 8), (2, 3)):
        np.testing.assert_allclose(pooled[row], states[row, :frames].mean(axis=0), rtol=1e-5)


def test_normalization_is_by_the_frames_of_the_recordings():
    """1, 3 and 8 have the mean 4 and the variance 26 / 3; what is masked becomes 0."""
    x = np.array([[1.0, 3.0, 99.0], [8.0, 99.0, 99.0]], np.float32)[:, :, None, None]
    x = np.repeat(x, 2, axis=2)
    mask = np.array([[True, True, False], [True, False, False]])
    layer = FrameNormalization(momentum=0.0, epsilon=0.0)
    found = np.asarray(layer(x, mask, training=True))
    expected = np.array([[-3.0, -1.0, 0.0], [4.0, 0.0, 0.0]]) / np.sqrt(26 / 3)
    np.testing.assert_allclose(found[:, :, 0, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[:, :, 0], found[:, :, 1])
    np.testing.assert_allclose(layer.moving_mean, [4.0], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, [26 / 3], rtol=1e-5)
    np.testing.assert_allclose(layer(x, mask), found, rtol=1e-5)


def test_masks_are_in_training_alone():
    masks = {"time_masks": 1, "time_share": 0.6, "frequency_masks": 0}
    network = networks.build(config(augment={"spec_augment": masks}), 3)
    layer = network.get_layer("spec_augment")
    assert (layer.time_share, layer.frequency_masks, layer.frequency_width) == (0.6, 0, 8)
    batch = padded(RECORDINGS, 2000)
    np.testing.assert_array_equal(network(batch), network(batch))


FAULTS = {
    "edges": (
        {"spectrogram": {"min_hz": 100.0, "max_hz": 5000.0}},
        r"`max_hz` must ascend, up to half of `prepare.sample_rate_hz` \(4000\). Received: 100, 5000",
    ),
    "bands": ({"spectrogram": {"mel_bands": 128}}, "4 would be empty. Received: mel_bands=128"),
    "pooling": (
        {"model": {"type": "crnn", "filters": [4] * 6}},
        "needs at least 64 mel bands. Received: 40",
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
        config({"type": "crnn", "filters": [4] * 8}, spectrogram={"mel_bands": 128})
