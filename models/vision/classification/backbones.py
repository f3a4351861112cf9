"""Backbones of image classification: the families that KerasHub has, by size, and presets.

Comes in: a section of the config, the image's shape. Goes out: a KerasHub backbone, and the layer
that scales pixels to what it was, or will be, trained on. Images of one channel keep it: the first
convolution takes one.
"""

from pathlib import Path

import keras
import keras_hub
from keras import layers

from penstock.models import presets
from penstock.models.vision.classification.config import Backbone, Preset, SmallResNet
from penstock.models.vision.classification.families import FAMILIES, Family
from penstock.models.vision.classification.small_resnet import SmallResNetBackbone

SCALE = "scale"
"""Name of the scaling layer, by which `save_preset` finds it."""


def build(config: SmallResNet | Backbone | Preset, image_shape: tuple[int, int, int], name: str):
    """The scaling layer (None: the backbone scales for itself) and the backbone.

    Args:
        config: the `model` section.
        image_shape: (height, width, channels).
        name: of the backbone.

    Raises:
        ValueError: the preset is none, or takes images of another shape.
    """
    # The scope is in the paths of the variables, by which `layer_rates` finds them.
    with keras.name_scope(name):
        if isinstance(config, SmallResNet):
            return None, _small_resnet(config, image_shape, name)
        if isinstance(config, Preset):
            return _from_preset(config, image_shape, name)
        return _of_family(config, image_shape, name)


def save_preset(model: keras.Model, directory: Path) -> None:
    """Writes the backbone of a classifier, with its scaling, as a KerasHub preset.

    Args:
        model: as `networks.build` made it.
        directory: of the preset; made when missing.
    """
    [backbone] = [part for part in model.layers if isinstance(part, keras_hub.models.Backbone)]
    backbone.save_to_preset(str(directory))
    for layer in model.layers:
        if layer.name == SCALE:
            converter = _converter_class(backbone)(scale=layer.scale, offset=layer.offset)
            converter.save_to_preset(str(directory))


def _converter_class(backbone) -> type:
    """KerasHub's layer that keeps the scaling for backbones of this class."""
    general = keras_hub.layers.ImageConverter
    kinds = [kind for kind in vars(keras_hub.layers).values() if isinstance(kind, type)]
    of_images = [kind for kind in kinds if issubclass(kind, general)]
    return next((kind for kind in of_images if kind.backbone_cls is type(backbone)), general)


def _small_resnet(config: SmallResNet, image_shape, name):
    return SmallResNetBackbone(
        config.filters,
        config.blocks_of_stages,
        activation=config.activation,
        batch_normalization=config.batch_normalization,
        normalization_momentum=config.normalization_momentum,
        image_shape=(None, None, image_shape[2]),
        name=name,
    )


def _of_family(config: Backbone, image_shape, name):
    family, channels = FAMILIES[config.family], image_shape[2]
    shape = {"image_shape": (None, None, channels)}
    if config.family == "efficientnet":
        shape = {"input_shape": (None, None, channels)}
    if config.family == "vit":  # its position embedding is made for one size
        shape = {"image_shape": image_shape}
    backbone = family.make(**family.sizes[str(config.size)], **shape, name=name)
    return _scaling(family, channels), backbone


def _from_preset(config: Preset, image_shape, name):
    backbone = presets.read_backbone(config.preset, weights=config.weights, name=name)
    _check_shape(backbone, image_shape)
    presets.freeze(backbone, config.freeze)
    if isinstance(backbone, SmallResNetBackbone):
        return None, backbone
    converter = keras_hub.layers.ImageConverter.from_preset(config.preset)
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return layers.Rescaling(scale, offset, name=SCALE), backbone


def _check_shape(backbone, image_shape) -> None:
    """A preset's own sizes must be the images' (None takes any)."""
    wanted = tuple(backbone.input_shape[1:]) if isinstance(backbone.input_shape, tuple) else ()
    if len(wanted) != 3:
        raise ValueError(
            f"`model.preset` must hold a backbone for images. Received: {type(backbone).__name__}."
        )
    if any(side not in (None, given) for side, given in zip(wanted, image_shape, strict=True)):
        raise ValueError(
            f"`model.preset` takes images of shape {wanted} (height, width, channels). Received: "
            f"{tuple(image_shape)}. Set `prepare.height`, `prepare.width` and `prepare.channels`."
        )


def _scaling(family: Family, channels: int):
    """0..255 -> (pixel / 255 - mean) / deviation; one channel has the three channels' means."""
    mean, deviation = list(family.mean), list(family.deviation)
    if channels == 1:
        mean, deviation = [sum(mean) / 3], [sum(deviation) / 3]
    scale = [1.0 / (255.0 * d) for d in deviation]
    offset = [-m / d for m, d in zip(mean, deviation, strict=True)]
    return layers.Rescaling(scale, offset, name=SCALE)
