"""The conformer encoder: Gulati et al. 2020 (arXiv:2005.08100), figures 1 to 4."""

import keras_hub
from keras import layers

from penstock.models.speech.front_end.layers import FrameNormalization
from penstock.models.speech.recognition.config import Conformer
from penstock.models.speech.recognition.layers import AttentionMask, ClearFrames


def conformer(x, mask_of, config: Conformer):
    """float [batch, frames, bands, 1] -> [batch, frames / strides, dim]."""
    x = _subsampled(x, mask_of, config)
    mask = mask_of(x, config.frames_divisor)
    x = layers.Dense(config.dim, name="projection")(x)
    # In 16 bits frames that are far from the beginning could not be told apart.
    positions = keras_hub.layers.SinePositionEncoding(name="positions", dtype="float32")(x)
    x = layers.Add(name="positioned")([x, positions])
    x = _dropped(x, config, "positioned")
    seen = AttentionMask(name="attention_mask")(mask)
    for number in range(1, config.blocks + 1):
        x = _block(x, mask, seen, config, f"block_{number}")
    return x


def _subsampled(x, mask_of, config):
    """Two convolutions with strides, as in Dong et al. 2018 and ESPnet; zeros behind the end."""
    divisor = 1
    for number, stride in enumerate(config.strides, start=1):
        name = f"conv_{number}"
        x = layers.Conv2D(
            config.filters, 3, strides=(stride, 2), padding="same", use_bias=False, name=name
        )(x)
        divisor *= stride
        momentum = config.normalization_momentum
        x = FrameNormalization(momentum=momentum, name=f"{name}_normalization")(
            x, mask_of(x, divisor)
        )
        x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.Reshape((-1, x.shape[2] * x.shape[3]), name="sequence")(x)


def _block(x, mask, seen, config, name):
    """Equation 1: half a feed-forward layer, attention, convolution, the other half."""
    x = _half(x, _feed_forward(x, config, f"{name}_first"), f"{name}_first")
    x = layers.Add(name=f"{name}_attended")([x, _attention(x, seen, config, f"{name}_attention")])
    x = layers.Add(name=f"{name}_convolved")([x, _convolution(x, mask, config, f"{name}_conv")])
    x = _half(x, _feed_forward(x, config, f"{name}_last"), f"{name}_last")
    return layers.LayerNormalization(name=f"{name}_normalization")(x)


def _half(x, change, name):
    change = layers.Rescaling(0.5, name=f"{name}_half")(change)
    return layers.Add(name=f"{name}_added")([x, change])


def _feed_forward(x, config, name):
    x = layers.LayerNormalization(name=f"{name}_normalization")(x)
    x = layers.Dense(config.feed_forward_factor * config.dim, "swish", name=f"{name}_wide")(x)
    x = _dropped(x, config, f"{name}_wide")
    x = layers.Dense(config.dim, name=f"{name}_narrow")(x)
    return _dropped(x, config, f"{name}_narrow")


def _attention(x, seen, config, name):
    x = layers.LayerNormalization(name=f"{name}_normalization")(x)
    x = layers.MultiHeadAttention(
        config.num_heads, config.dim // config.num_heads, dropout=config.dropout, name=name
    )(x, x, attention_mask=seen)
    return _dropped(x, config, name)


def _convolution(x, mask, config, name):
    """Pointwise with a gate (GLU), depthwise over time, batch normalisation, swish, pointwise."""
    x = layers.LayerNormalization(name=f"{name}_input_normalization")(x)
    values = layers.Dense(config.dim, name=f"{name}_values")(x)
    gates = layers.Dense(config.dim, "sigmoid", name=f"{name}_gates")(x)
    x = layers.Multiply(name=f"{name}_gated")([values, gates])
    x = ClearFrames(name=f"{name}_cleared")(x, mask)
    x = layers.DepthwiseConv1D(
        config.kernel, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    momentum = config.normalization_momentum
    x = FrameNormalization(momentum=momentum, name=f"{name}_normalization")(x, mask)
    x = layers.Activation("swish", name=f"{name}_swish")(x)
    x = layers.Dense(config.dim, name=f"{name}_pointwise")(x)
    return _dropped(x, config, f"{name}_pointwise")


def _dropped(x, config, name):
    return layers.Dropout(config.dropout, name=f"{name}_dropout")(x) if config.dropout else x
