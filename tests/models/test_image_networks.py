"""Networks and config of vision.classification."""

import json
from typing import get_args

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from penstock.models.classification.config import Activation
from penstock.models.vision.classification.config import CNN, MLP, Config
from penstock.models.vision.classification.networks import build


def config(**sections):
    return Config.model_validate_json(json.dumps(sections))


def names(model):
    return [layer.name for layer in model.layers]


def test_mlp_has_the_layers_of_its_config():
    settings = MLP(
        type="mlp", hidden_units=(12, 7), activation="tanh", dropout=0.2, batch_normalization=True
    )
    model = build(settings, (6, 5, 3), 4)
    assert names(model) == [
        "images",
        "scale",
        "flatten",
        "dense_1",
        "dense_1_normalization",
        "dense_1_tanh",
        "dense_1_dropout",
        "dense_2",
        "dense_2_normalization",
        "dense_2_tanh",
        "dense_2_dropout",
        "logits",
    ]
    # 6 * 5 * 3 = 90 inputs; normalised layers have no bias, their normalisation two rows of each
    # trainable and not: 90 * 12 + 4 * 12 + 12 * 7 + 4 * 7 + (7 + 1) * 4 = 1,272.
    assert model.count_params() == 1272
    assert model.output_shape == (None, 4)


def test_cnn_has_the_layers_of_its_config():
    settings = CNN(filters=(4, 6), kernel_size=5, convolutions_per_block=2, dense_units=(9,))
    model = build(settings, (8, 12, 1), 3)
    assert names(model) == [
        "images",
        "scale",
        "block_1_convolution_1",
        "block_1_convolution_1_relu",
        "block_1_convolution_2",
        "block_1_convolution_2_relu",
        "block_1_pooling",
        "block_2_convolution_1",
        "block_2_convolution_1_relu",
        "block_2_convolution_2",
        "block_2_convolution_2_relu",
        "block_2_pooling",
        "head_pooling",
        "dense_1",
        "dense_1_relu",
        "logits",
    ]
    # Convolutions: 25*1*4+4 + 25*4*4+4 + 25*4*6+6 + 25*6*6+6 = 2,020; two poolings leave
    # 2 * 3 * 6 = 36 inputs: 36*9+9 = 333; 9*3+3 = 30.
    assert model.count_params() == 2020 + 333 + 30


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("head", ["flatten", "average", "max"])
def test_pooling_by_hand(pooling, head):
    """One 1 x 1 convolution of weight 255, so that pixels come through scale and layer as such."""
    settings = CNN(filters=(1,), kernel_size=1, pooling=pooling, head_pooling=head)
    model = build(settings, (2, 4, 1), 1)
    model.get_layer("block_1_convolution_1").set_weights(
        [np.full((1, 1, 1, 1), 255.0), np.zeros(1)]
    )
    last = model.get_layer("logits")
    last.set_weights([np.ones_like(last.get_weights()[0]), np.zeros(1)])
    pixels = np.array([[1, 2, 3, 8], [6, 7, 9, 12]], np.uint8)[None, ..., None]
    # Windows {1, 2, 6, 7} and {3, 8, 9, 12}: maxima 7 and 12, means 4 and 8; flatten, then the
    # logits' ones, add the two.
    pooled = {"max": [7, 12], "average": [4, 8]}[pooling]
    expected = {"flatten": sum(pooled), "average": sum(pooled) / 2, "max": max(pooled)}[head]
    assert float(model(pixels)[0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_activations_are_those_of_keras(activation):
    model = build(MLP(type="mlp", hidden_units=(3,), activation=activation), (2, 2, 1), 2)
    layer = model.get_layer(f"dense_1_{activation}")
    assert layer.activation is keras.activations.get(activation)
    values = np.linspace(-2, 2, 5, dtype=np.float32)
    assert np.isfinite(keras.ops.convert_to_numpy(layer(values))).all()


def test_l2_adds_the_squares_of_every_kernel():
    model = build(CNN(filters=(2,), dense_units=(3,), l2=0.01), (4, 4, 1), 2)
    kernels = [w for w in model.weights if w.name == "kernel"]
    assert len(kernels) == 3
    expected = 0.01 * sum(float((k.numpy() ** 2).sum()) for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_dropout_is_where_the_config_says():
    model = build(
        CNN(filters=(2, 2), dropout=0.4, block_dropout=0.1, dense_units=(3,)), (4, 4, 1), 2
    )
    rates = {layer.name: layer.rate for layer in model.layers if hasattr(layer, "rate")}
    assert rates == {
        "block_1_dropout": 0.1,
        "block_2_dropout": 0.1,
        "head_dropout": 0.4,
        "dense_1_dropout": 0.4,
    }


def test_pixels_are_scaled_in_the_model():
    model = build(MLP(type="mlp", hidden_units=()), (1, 1, 1), 1)
    model.get_layer("logits").set_weights([np.ones((1, 1)), np.zeros(1)])
    answers = model(np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)).numpy()
    assert answers[:, 0] == pytest.approx([0.0, 0.2, 1.0])


def test_model_type_selects_the_network():
    assert isinstance(config().model, CNN)
    assert isinstance(config(model={"type": "mlp", "hidden_units": [3]}).model, MLP)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"type": "rnn"}}, "Input tag 'rnn' found using 'type' does not match"),
        ({"model": {"type": "mlp", "filters": [3]}}, "Extra inputs are not permitted"),
        ({"model": {"type": "cnn", "activation": "rellu"}}, "'relu', 'relu6'"),
        ({"model": {"type": "cnn", "dropout": 1.0}}, "less than 1"),
        ({"model": {"type": "cnn", "filters": []}}, "at least 1 item"),
        ({"augment": {"cut_mix": {"alpha": 0.0}}}, "greater than 0"),
        ({"loss": {"label_smoothing": "0.1"}}, "valid number"),
        (
            {"prepare": {"height": 8, "width": 6}, "model": {"type": "cnn", "filters": [8, 8, 8]}},
            "3 poolings by 2 need a shorter side of at least 8 pixels.*Give `model.filters` fewer",
        ),
        (
            {"prepare": {"class_weights": "balanced"}, "augment": {"mix_up": {}}},
            "`prepare.class_weights` excludes .* `augment.mix_up`.* Received: .*balanced. Leave out",
        ),
        (
            {
                "prepare": {"height": 1, "class_weights": {"a": 2.0}},
                "augment": {"cut_mix": {}},
            },
            "Received: prepare.height=1.* `prepare.class_weights` excludes `augment.cut_mix`",
        ),
    ],
    ids=[
        "network",
        "key",
        "activation",
        "dropout",
        "no_filters",
        "alpha",
        "type",
        "too_deep",
        "weights_of_mixed",
        "two_faults",
    ],
)
def test_config_faults(sections, message):
    with pytest.raises(ValidationError, match=message):
        config(**sections)
