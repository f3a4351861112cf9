"""Every setting of image classification, with its default and its limits (no TensorFlow here)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from penstock.models.classification.config import (
    Activation,
    ClassifierConfig,
    Fraction,
    LabelPrepare,
    PresetWeights,
)
from penstock.models.preset_files import (
    backbone_class,
    is_directory_name,
    preset_faults,
    preset_files,
)
from penstock.pipelines.config import Config as Section


class Prepare(LabelPrepare):
    """From an encoded image to uint8 [height, width, channels], and from a label to its id.

    `channels: null` keeps the source's (RGBA becomes RGB).
    """

    image_feature: str = "image"
    height: PositiveInt = 32
    width: PositiveInt = 32
    channels: Literal[1, 3] | None = None


class Layers(Section):
    """What these networks share. `l2` is the factor of `keras.regularizers.L2` on every kernel.

    `normalization_momentum` is how slowly batch normalisation's moving statistics follow. Keras's
    default of 0.99 needs some 500 steps: 15 epochs of digits reached a training accuracy of 1.00
    and a validation accuracy of 0.76 with it, 0.99 with 0.9 (measured).
    """

    activation: Activation = "relu"
    dropout: Fraction = 0.0
    batch_normalization: bool = False
    normalization_momentum: Fraction = 0.9
    l2: NonNegativeFloat = 0.0


class MLP(Layers):
    """Dense layers on the flattened image; each is dense, normalisation, activation, dropout."""

    type: Literal["mlp"]
    hidden_units: tuple[PositiveInt, ...] = (128, 64)


class CNN(Layers):
    """Blocks of convolutions, each closed by pooling, then a dense head.

    One block for each number of `filters`: `convolutions_per_block` times convolution,
    normalisation, activation; then pooling and `block_dropout` (whole feature maps). `head_pooling`
    makes a vector of the last feature maps; `dropout` follows it and each layer of `dense_units`.
    """

    type: Literal["cnn"] = "cnn"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64)
    kernel_size: PositiveInt = 3
    convolutions_per_block: PositiveInt = 1
    pooling: Literal["max", "average"] = "max"
    pool_size: PositiveInt = 2
    block_dropout: Fraction = 0.0
    head_pooling: Literal["flatten", "average", "max"] = "flatten"
    dense_units: tuple[PositiveInt, ...] = ()


class SmallResNet(Layers):
    """A residual network for images of some 28 to 64 pixels; see `small_resnet.py`.

    One stage for each number of `filters`, each of `blocks` blocks (a number, or one for each
    stage); every stage but the first halves the image. `dropout` stands before the logits.
    """

    type: Literal["small_resnet"]
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
    blocks: PositiveInt | tuple[PositiveInt, ...] = 2
    batch_normalization: bool = True

    @property
    def blocks_of_stages(self) -> tuple[int, ...]:
        """One number for each stage."""
        if isinstance(self.blocks, int):
            return (self.blocks,) * len(self.filters)
        return self.blocks

    @model_validator(mode="after")
    def _as_many_blocks_as_stages(self):
        if len(self.blocks_of_stages) != len(self.filters):
            raise ValueError(
                f"`blocks` must be one number, or as many as `filters` ({len(self.filters)}). "
                f"Received: {len(self.blocks_of_stages)} numbers."
            )
        return self


class Head(Section):
    """What stands behind a backbone: `dropout`, then logits. `l2` is as in the other networks."""

    dropout: Fraction = 0.0
    l2: NonNegativeFloat = 0.0


SIZES = {
    "resnet": ("18", "34", "50", "101", "152"),
    "densenet": ("121", "169", "201"),
    "efficientnet": ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"),
    "mobilenet_v3": ("small", "large"),
    "vit": ("tiny", "small", "base", "large"),
}
"""Families of backbones and the sizes of each; see `backbones.py`."""
SMALLEST_SIDE = 32
"""Of an image: the convolutional families halve it five times."""
PATCH_SIDE = 16
"""Pixels of the side of a vision Transformer's patch (Dosovitskiy et al., arXiv:2010.11929)."""


class Backbone(Head):
    """A well-known network for images from some 96 pixels, with random weights.

    Weights that somebody else trained come by `type: preset`.
    """

    type: Literal["backbone"]
    family: Literal["resnet", "densenet", "efficientnet", "mobilenet_v3", "vit"]
    size: str | int

    @model_validator(mode="after")
    def _size_is_known(self):
        if str(self.size) not in SIZES[self.family]:
            raise ValueError(
                f"`size` must be one of {', '.join(SIZES[self.family])} for the family "
                f"{self.family}. Received: {self.size}."
            )
        return self


class Preset(PresetWeights, Head):
    """The backbone of a KerasHub preset, under a new head: transfer learning.

    `preset` is a directory, as a run of this task leaves it in its Model artifact (`parts/preset`),
    or the name of one that KerasHub downloads (`resnet_18_imagenet`, `kaggle://...`, `hf://...`).
    `train.optimizer.layer_rates: {backbone/*: 0.1}` lets what was learnt before change more slowly.
    """

    type: Literal["preset"]
    preset: Annotated[str, Field(min_length=1)]


Model = Annotated[MLP | CNN | SmallResNet | Backbone | Preset, Field(discriminator="type")]


class CutMix(Section):
    """A rectangle of another image (Yun et al., arXiv:1905.04899); areas are Beta(alpha, alpha)."""

    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


class MixUp(Section):
    """A blend of two images (Zhang et al., arXiv:1710.09412); shares are Beta(alpha, alpha)."""

    alpha: PositiveFloat = 0.2


class RandAugment(Section):
    """`num_ops` random operations of strength `magnitude` (Cubuk et al., arXiv:1909.13719)."""

    num_ops: PositiveInt = 2
    magnitude: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3


class RandomErasing(Section):
    """A rectangle of noise in a share of the images (Zhong et al., arXiv:1708.04896).

    `probability`: that an image is changed; `area`: least and largest share of it that is erased;
    `fill`: the value of the erased pixels, 0 to 255, or null for noise, as
    `keras.layers.RandomErasing` draws it.
    """

    probability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    area: Annotated[
        tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...], Field(min_length=2, max_length=2)
    ] = (0.02, 0.33)
    fill: Annotated[float, Field(ge=0.0, le=255.0)] | None = None


class Augment(Section):
    """Random changes of training images, in this order; everything is off by default.

    Each image is shifted by up to `shift` of its height and width, turned by up to
    `rotation_degrees` either way, zoomed in or out by up to `zoom`, each drawn uniformly; flips
    happen with probability 1/2. `fill_mode` is what appears at the edges, as in Keras's layers.
    `interpolation: nearest` moves whole pixels: bilinear blurs, which very small images feel.
    With both `cut_mix` and `mix_up` each batch gets one of them, with equal chances. Neither goes
    with `prepare.class_weights`.
    """

    flip: Literal["horizontal", "vertical", "both"] | None = None
    shift: Fraction = 0.0
    rotation_degrees: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    zoom: Fraction = 0.0
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect"
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    rand_augment: RandAugment | None = None
    random_erasing: RandomErasing | None = None
    cut_mix: CutMix | None = None
    mix_up: MixUp | None = None

    @property
    def mixes(self) -> bool:
        """Whether examples are mixed, so that a training target is a distribution over classes."""
        return self.cut_mix is not None or self.mix_up is not None


class Config(ClassifierConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    model: Model = CNN()
    augment: Augment = Augment()

    def files(self) -> list[Path]:
        return preset_files(self.model.preset) if isinstance(self.model, Preset) else []

    def preparation_files(self) -> list[Path]:
        return []  # the network alone has a preset

    def check(self) -> list[str]:
        """A preset that is not there, or does not say what it makes of pixels."""
        return _preset_faults(self.model.preset) if isinstance(self.model, Preset) else []

    @model_validator(mode="after")
    def _fits_together(self):
        faults = []
        fault = _size_fault(self.model, self.prepare.height, self.prepare.width)
        if fault:
            faults.append(
                f"{fault} Received: prepare.height={self.prepare.height}, "
                f"prepare.width={self.prepare.width}."
            )
        if self.augment.mixes and self.prepare.class_weights is not None:
            faults.append(
                "`prepare.class_weights` excludes `augment.cut_mix` and `augment.mix_up`: a mixed "
                "image has two classes, and would have the weight of one. Received: "
                f"prepare.class_weights={self.prepare.class_weights}. Leave out one or the other."
            )
        if faults:
            raise ValueError(" ".join(faults))
        return self


def _preset_faults(preset: str) -> list[str]:
    """Of a local preset; one with a `SmallResNetBackbone` scales pixels for itself."""
    faults = preset_faults(preset, "model.preset")
    if (
        not faults
        and is_directory_name(preset)
        and not Path(preset, "image_converter.json").is_file()
        and backbone_class(preset) != "SmallResNetBackbone"
    ):
        faults.append(
            "`model.preset` must say how pixels are scaled, in an `image_converter.json`. Received: "
            f"{preset!r}, which has none. `save_to_preset` of the backbone's image converter "
            "(`keras_hub.layers.ImageConverter`) adds it."
        )
    return faults


def _size_fault(model, height: int, width: int) -> str | None:
    """Why a network cannot take images of that size, and what to do."""
    side = min(height, width)
    if isinstance(model, CNN) and model.pool_size ** len(model.filters) > side:
        # The last pooling must still find a whole window.
        return (
            f"`model.filters` has too many blocks for the image: {len(model.filters)} poolings by "
            f"{model.pool_size} need a shorter side of at least "
            f"{model.pool_size ** len(model.filters)} pixels. Give `model.filters` fewer numbers, "
            "lower `model.pool_size` or raise `prepare.height` and `prepare.width`."
        )
    if isinstance(model, SmallResNet) and 2 ** (len(model.filters) - 1) > side:
        return (
            f"`model.filters` has too many stages for the image: {len(model.filters)} need a shorter "
            f"side of at least {2 ** (len(model.filters) - 1)} pixels. Give it fewer numbers, or "
            "raise `prepare.height` and `prepare.width`."
        )
    if isinstance(model, Backbone) and side < SMALLEST_SIDE:
        return (
            f"`model.family: {model.family}` needs images of at least {SMALLEST_SIDE} pixels a side, "
            "and is made for 96 and more. Raise `prepare.height` and `prepare.width`, or set "
            "`model.type: small_resnet`."
        )
    if isinstance(model, Backbone) and model.family == "vit" and (height | width) % PATCH_SIDE:
        return (
            f"`model.family: vit` cuts images into patches of {PATCH_SIDE} pixels a side: "
            f"`prepare.height` and `prepare.width` must be multiples of {PATCH_SIDE}."
        )
    return None
