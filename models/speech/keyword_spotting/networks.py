"""The networks of keyword spotting: int16 waveforms -> logits.

Comes in: the task's config, the number of classes. Goes out: a Keras model of layers with fixed names,
from int16 [batch, samples] of any length, padded with zeros, and the lengths, int32 [batch], to
float32 logits [batch, classes]. Padding changes no answer: behind the end of a recording each
convolution over time sees zeros, and all else looks at its frames alone (`front_end/layers.py`).

All begin with the normalised log-mel spectrogram of `front_end/network_input.py`.
"""

import keras
from keras import layers

from penstock.models.speech.front_end.layers import FrameNormalization
from penstock.models.speech.front_end.network_input import NetworkInput
from penstock.models.speech.keyword_spotting.config import CNN, CRNN, DSCNN, Config


def build(config: Config, num_classes: int) -> keras.Model:
    """The network that `model.type` names.

    Args:
        config: the task's sections.
        num_classes: width of the output.
    """
    begin = NetworkInput(
        config.prepare,
        config.spectrogram,
        config.augment.spec_augment,
        config.model.normalization_momentum,
        config.model.frames_divisor,
    )
    x = begin.spectrogram
    # As an image of one channel: [batch, frames, bands, 1].
    x = layers.Reshape((-1, x.shape[2], 1), name="image")(x)
    network = {"cnn": _cnn, "ds_cnn": _ds_cnn, "crnn": _crnn}[config.model.type]
    x = network(x, begin.mask_of, config.model)
    if config.model.dropout:
        x = layers.Dropout(config.model.dropout, name="dropout")(x)
    # float32 also under mixed precision: softmax of 16-bit logits loses small probabilities.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(begin.inputs, logits, name=config.model.type)


def _cnn(x, mask_of, config: CNN):
    """Convolution, pooling, convolution, bottleneck of the average over time, dense layer."""
    first, second = config.filters
    x = layers.Conv2D(first, config.first_kernel, padding="same", use_bias=False, name="conv_1")(x)
    x = _activated(x, mask_of(x), config, "conv_1")
    x = layers.MaxPooling2D(config.pooling, name="pooling")(x)
    mask = mask_of(x, config.frames_divisor)
    x = layers.Conv2D(second, config.second_kernel, padding="same", use_bias=False, name="conv_2")(
        x
    )
    x = _activated(x, mask, config, "conv_2")
    x = layers.GlobalAveragePooling1D(name="head_pooling")(_sequence(x), mask=mask)
    x = layers.Dense(config.bottleneck_units, name="bottleneck")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="bottleneck_dropout")(x)
    # Not normalised: of a batch of one recording, as buckets make them, nothing would be left.
    return layers.Dense(config.dense_units, activation="relu", name="dense")(x)


def _ds_cnn(x, mask_of, config: DSCNN):
    """One convolution, then depthwise and pointwise ones, and their average."""
    x = layers.Conv2D(
        config.filters,
        config.first_kernel,
        strides=config.first_strides,
        padding="same",
        use_bias=False,
        name="conv",
    )(x)
    mask = mask_of(x, config.frames_divisor)
    x = _activated(x, mask, config, "conv")
    for block in range(1, config.blocks + 1):
        depthwise, pointwise = f"block_{block}_depthwise", f"block_{block}_pointwise"
        x = layers.DepthwiseConv2D(config.kernel, padding="same", use_bias=False, name=depthwise)(x)
        x = _activated(x, mask, config, depthwise)
        x = layers.Conv2D(config.filters, 1, use_bias=False, name=pointwise)(x)
        x = _activated(x, mask, config, pointwise)
    x = layers.AveragePooling2D((1, x.shape[2]), name="band_pooling")(x)
    return layers.GlobalAveragePooling1D(name="head_pooling")(_sequence(x), mask=mask)


def _crnn(x, mask_of, config: CRNN):
    """Convolution blocks, then recurrent layers over time, and their last or average."""
    mask, divisor = mask_of(x), 1
    for block, filters in enumerate(config.filters, start=1):
        name = f"conv_{block}"
        x = layers.Conv2D(filters, config.kernel, padding="same", use_bias=False, name=name)(x)
        x = _activated(x, mask, config, name)
        x = layers.MaxPooling2D(config.pooling, name=f"pooling_{block}")(x)
        divisor *= config.pooling[0]
        mask = mask_of(x, divisor)
    x = _sequence(x)
    for number in range(1, config.recurrent_layers + 1):
        is_last = number == config.recurrent_layers
        returns_all = not is_last or config.recurrent_pooling != "last"
        x = _recurrent(x, mask, config, f"gru_{number}", returns_all)
    if config.recurrent_pooling == "average":
        return layers.GlobalAveragePooling1D(name="head_pooling")(x, mask=mask)
    return x


def _sequence(x):
    """[batch, frames, bands, filters] -> [batch, frames, bands * filters]."""
    return layers.Reshape((-1, x.shape[2] * x.shape[3]), name="sequence")(x)


def _recurrent(x, mask, config: CRNN, name: str, returns_all: bool):
    """A recurrent layer, one way or both."""
    if not config.bidirectional:
        return layers.GRU(config.units, return_sequences=returns_all, name=name)(x, mask=mask)
    # The inner layer's name is in the weights' paths.
    inner = layers.GRU(config.units, return_sequences=returns_all, name=f"{name}_cells")
    return layers.Bidirectional(inner, name=name)(x, mask=mask)


def _activated(x, mask, config, name: str):
    """Batch normalisation (its offset stands in for the bias of the layer before) and ReLU."""
    momentum = config.normalization_momentum
    x = FrameNormalization(momentum=momentum, name=f"{name}_normalization")(x, mask)
    return layers.ReLU(name=f"{name}_relu")(x)
