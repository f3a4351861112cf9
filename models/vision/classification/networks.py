"""The networks of image classification: uint8 images -> logits.

Comes in: the `model` section, the image's shape, the number of classes. Goes out: a Keras model of
layers with fixed names, from uint8 [batch, height, width, channels] to float32 logits
[batch, classes]. Scaling is a layer of the model, so that images travel and rest as uint8.
"""

from pathlib import Path

import keras
from keras import layers

from penstock.models.vision.classification.config import (
    CNN,
    MLP,
    Backbone,
    Preset,
    SmallResNet,
)

BACKBONE = "backbone"
"""Name of the layer, so that `layer_rates` and checkpoints find it whatever it is."""


def build(
    config: MLP | CNN | SmallResNet | Backbone | Preset,
    image_shape: tuple[int, int, int],
    num_classes: int,
) -> keras.Model:
    """The network that `config.type` names.

    Args:
        config: the `model` section.
        image_shape: (height, width, channels).
        num_classes: width of the output.
    """
    images = keras.Input(image_shape, dtype="uint8", name="images")
    if isinstance(config, MLP | CNN):
        x = layers.Rescaling(1.0 / 255.0, name="scale")(images)
        x = _mlp(x, config) if isinstance(config, MLP) else _cnn(x, config)
    else:
        x = _on_backbone(images, config)
    # float32 also under mixed precision: softmax of 16-bit logits loses small probabilities.
    logits = layers.Dense(
        num_classes, kernel_regularizer=_l2(config), dtype="float32", name="logits"
    )(x)
    model = keras.Model(images, logits, name=config.type)
    if not isinstance(config, MLP | CNN):
        _regularise(model, config)
    return model


def save_preset(model: keras.Model, directory: Path) -> None:
    """Writes the model's backbone as a KerasHub preset; nothing where it has none."""
    if any(layer.name == BACKBONE for layer in model.layers):
        from penstock.models.vision.classification import backbones

        backbones.save_preset(model, directory)


def _on_backbone(images, config: SmallResNet | Backbone | Preset):
    """The backbone's features, averaged over the image, or those of a Transformer's class token."""
    # KerasHub takes a second and 200 MB to import, which the other networks do without.
    from penstock.models.vision.classification import backbones

    scaling, backbone = backbones.build(config, images.shape[1:], BACKBONE)
    x = scaling(images) if scaling else images
    x = backbone(x)
    x = x[:, 0] if len(x.shape) == 3 else layers.GlobalAveragePooling2D(name="head_pooling")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="head_dropout")(x)
    return x


def _regularise(model, config: SmallResNet | Backbone | Preset):
    """L2 on the kernels that train, those of a backbone that came without it, too."""
    for variable in model.trainable_variables if config.l2 else ():
        if variable.name == "kernel":
            variable.regularizer = keras.regularizers.L2(config.l2)


def _mlp(x, config: MLP):
    """Flattened image through `hidden_units`."""
    x = layers.Flatten(name="flatten")(x)
    return _dense_layers(x, config.hidden_units, config)


def _cnn(x, config: CNN):
    """Convolution blocks, then the head."""
    pool = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[config.pooling]
    for block, filters in enumerate(config.filters, start=1):
        for number in range(1, config.convolutions_per_block + 1):
            name = f"block_{block}_convolution_{number}"
            x = _convolution(x, filters, config, name)
        x = pool(config.pool_size, name=f"block_{block}_pooling")(x)
        if config.block_dropout:
            x = layers.SpatialDropout2D(config.block_dropout, name=f"block_{block}_dropout")(x)
    head = {
        "flatten": layers.Flatten,
        "average": layers.GlobalAveragePooling2D,
        "max": layers.GlobalMaxPooling2D,
    }[config.head_pooling]
    x = head(name="head_pooling")(x)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="head_dropout")(x)
    return _dense_layers(x, config.dense_units, config)


def _convolution(x, filters: int, config: CNN, name: str):
    """One convolution that keeps the image's size, with normalisation and activation."""
    x = layers.Conv2D(
        filters,
        config.kernel_size,
        padding="same",
        use_bias=not config.batch_normalization,
        kernel_regularizer=_l2(config),
        name=name,
    )(x)
    return _activated(x, config, name)


def _dense_layers(x, units: tuple[int, ...], config: MLP | CNN):
    """Dense layers, each with normalisation, activation and dropout."""
    for number, width in enumerate(units, start=1):
        name = f"dense_{number}"
        x = layers.Dense(
            width,
            use_bias=not config.batch_normalization,
            kernel_regularizer=_l2(config),
            name=name,
        )(x)
        x = _activated(x, config, name)
        if config.dropout:
            x = layers.Dropout(config.dropout, name=f"{name}_dropout")(x)
    return x


def _activated(x, config: MLP | CNN, name: str):
    """Normalisation (it has its own offset, so that the layer before needs no bias), activation."""
    if config.batch_normalization:
        x = layers.BatchNormalization(
            momentum=config.normalization_momentum, name=f"{name}_normalization"
        )(x)
    return layers.Activation(config.activation, name=f"{name}_{config.activation}")(x)


def _l2(config):
    """A new regularizer for each layer, or None."""
    return keras.regularizers.L2(config.l2) if config.l2 else None
