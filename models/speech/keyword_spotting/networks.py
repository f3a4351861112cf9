"""The networks of keyword spotting: int16 waveforms -> logits.

Comes in: the task's config, the number of classes. Goes out: a Keras model of layers with fixed names,
from int16 [batch, samples] to float32 logits [batch, classes]. All begin with the log-mel
spectrogram, normalised in each band by the statistics of the training batches (moving ones when
serving), and masked in training where `augment.spec_augment` says so.
"""

import keras
from keras import layers

from penstock.models.speech.keyword_spotting.config import CNN, CRNN, DSCNN, Config
from penstock.models.speech.keyword_spotting.spec_augment import SpecAugment
from penstock.models.speech.keyword_spotting.spectrogram import LogMel


def build(config: Config, num_classes: int) -> keras.Model:
    """The network that `model.type` names.

    Args:
        config: the task's sections.
        num_classes: width of the output.
    """
    waveforms = keras.Input((config.prepare.samples,), dtype="int16", name="waveforms")
    x = _spectrogram(waveforms, config)
    # As an image of one channel: [batch, frames, bands, 1].
    x = layers.Reshape((*x.shape[1:], 1), name="image")(x)
    network = {"cnn": _cnn, "ds_cnn": _ds_cnn, "crnn": _crnn}[config.model.type]
    x = network(x, config.model)
    if config.model.dropout:
        x = layers.Dropout(config.model.dropout, name="dropout")(x)
    # float32 also under mixed precision: softmax of 16-bit logits loses small probabilities.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(waveforms, logits, name=config.model.type)


def _spectrogram(waveforms, config: Config):
    """Normalised log-mel bands, [batch, frames, bands]."""
    rate, settings = config.prepare.sample_rate_hz, config.spectrogram
    x = LogMel(
        rate_hz=rate,
        window=settings.window(rate),
        hop=settings.hop(rate),
        fft_length=settings.fft_length(rate),
        bands=settings.mel_bands,
        min_hz=settings.min_hz,
        max_hz=settings.highest_hz(rate),
    )(waveforms)
    # Without scale and offset of its own, so that 0 is the mean, which masks put in.
    x = layers.BatchNormalization(
        momentum=config.model.normalization_momentum,
        center=False,
        scale=False,
        name="log_mel_normalization",
    )(x)
    masks = config.augment.spec_augment
    if masks:
        x = SpecAugment(
            time_masks=masks.time_masks,
            time_width=round(masks.time_ms / settings.hop_ms),
            frequency_masks=masks.frequency_masks,
            frequency_width=masks.bands,
        )(x)
    return x


def _cnn(x, config: CNN):
    """Convolution, pooling, convolution, bottleneck, dense layer."""
    first, second = config.filters
    x = layers.Conv2D(first, config.first_kernel, padding="same", use_bias=False, name="conv_1")(x)
    x = _activated(x, config, "conv_1")
    x = layers.MaxPooling2D(config.pooling, name="pooling")(x)
    x = layers.Conv2D(second, config.second_kernel, padding="same", use_bias=False, name="conv_2")(
        x
    )
    x = _activated(x, config, "conv_2")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.bottleneck_units, name="bottleneck")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="bottleneck_dropout")(x)
    x = layers.Dense(config.dense_units, use_bias=False, name="dense")(x)
    return _activated(x, config, "dense")


def _ds_cnn(x, config: DSCNN):
    """One convolution, then depthwise and pointwise ones, and their average."""
    x = layers.Conv2D(
        config.filters,
        config.first_kernel,
        strides=config.first_strides,
        padding="same",
        use_bias=False,
        name="conv",
    )(x)
    x = _activated(x, config, "conv")
    for block in range(1, config.blocks + 1):
        depthwise, pointwise = f"block_{block}_depthwise", f"block_{block}_pointwise"
        x = layers.DepthwiseConv2D(config.kernel, padding="same", use_bias=False, name=depthwise)(x)
        x = _activated(x, config, depthwise)
        x = layers.Conv2D(config.filters, 1, use_bias=False, name=pointwise)(x)
        x = _activated(x, config, pointwise)
    return layers.GlobalAveragePooling2D(name="head_pooling")(x)


def _crnn(x, config: CRNN):
    """Convolution blocks, then recurrent layers over time, and their last, average or maximum."""
    for block, filters in enumerate(config.filters, start=1):
        name = f"conv_{block}"
        x = layers.Conv2D(filters, config.kernel, padding="same", use_bias=False, name=name)(x)
        x = _activated(x, config, name)
        x = layers.MaxPooling2D(config.pooling, name=f"pooling_{block}")(x)
    frames, bands, filters = x.shape[1:]
    x = layers.Reshape((frames, bands * filters), name="sequence")(x)
    for number in range(1, config.recurrent_layers + 1):
        is_last = number == config.recurrent_layers
        returns_all = not is_last or config.recurrent_pooling != "last"
        x = _recurrent(x, config, f"gru_{number}", returns_all)
    if config.recurrent_pooling == "average":
        return layers.GlobalAveragePooling1D(name="head_pooling")(x)
    if config.recurrent_pooling == "max":
        return layers.GlobalMaxPooling1D(name="head_pooling")(x)
    return x


def _recurrent(x, config: CRNN, name: str, returns_all: bool):
    """A recurrent layer, one way or both."""
    if not config.bidirectional:
        return layers.GRU(config.units, return_sequences=returns_all, name=name)(x)
    # The inner layer's name is in the weights' paths.
    inner = layers.GRU(config.units, return_sequences=returns_all, name=f"{name}_cells")
    return layers.Bidirectional(inner, name=name)(x)


def _activated(x, config, name: str):
    """Batch normalisation (its offset stands in for the bias of the layer before) and ReLU."""
    momentum = config.normalization_momentum
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_normalization")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
