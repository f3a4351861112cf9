"""Every setting of image classification, with its default and its limits (no TensorFlow here)."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from penstock.models.classification.config import (
    Activation,
    ClassifierConfig,
    Fraction,
    LabelPrepare,
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
    """What both networks share. `l2` is the factor of `keras.regularizers.L2` on every kernel.

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


class Augment(Section):
    """Random changes of training images, in this order; everything is off by default.

    Each image is shifted by up to `shift` of its height and width, turned by up to
    `rotation_degrees` either way, zoomed in or out by up to `zoom`, each drawn uniformly; flips
    happen with probability 1/2. `fill_mode` is what appears at the edges, as in Keras's layers.
    `interpolation: nearest` moves whole pixels: bilinear blurs, which very small images feel.
    With both `cut_mix` and `mix_up` each batch gets one of them, with equal chances.
    """

    flip: Literal["horizontal", "vertical", "both"] | None = None
    shift: Fraction = 0.0
    rotation_degrees: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    zoom: Fraction = 0.0
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect"
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    rand_augment: RandAugment | None = None
    cut_mix: CutMix | None = None
    mix_up: MixUp | None = None

    @property
    def mixes(self) -> bool:
        """Whether examples are mixed, so that a training target is a distribution over classes."""
        return self.cut_mix is not None or self.mix_up is not None


class Config(ClassifierConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    model: Annotated[MLP | CNN, Field(discriminator="type")] = CNN()
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _pooling_fits(self):
        """Every pooling divides the image's sides; the last one must still find a whole window."""
        if isinstance(self.model, CNN):
            side, blocks = min(self.prepare.height, self.prepare.width), len(self.model.filters)
            window = self.model.pool_size**blocks
            if window > side:
                raise ValueError(
                    f"`model.filters` has too many blocks for the image: {blocks} poolings by "
                    f"{self.model.pool_size} need a shorter side of at least {window} pixels. "
                    f"Received: prepare.height={self.prepare.height}, "
                    f"prepare.width={self.prepare.width}. Give `model.filters` fewer numbers, "
                    f"lower `model.pool_size` or raise `prepare.height` and `prepare.width`."
                )
        return self
