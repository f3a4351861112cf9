"""A residual network for small images, as a KerasHub backbone.

KerasHub's own ResNet begins by dividing the image's sides by four, which leaves nothing of 28
pixels after its stages. This one begins at full size, as He et al. did for CIFAR-10.
"""

import keras
import keras_hub
from keras import layers


@keras.saving.register_keras_serializable(package="penstock")
class SmallResNetBackbone(keras_hub.models.Backbone):
    """uint8 or float images, 0..255 -> feature maps.

    He et al., arXiv:1512.03385, section 4.2: a 3x3 convolution, then stages of basic blocks (two 3x3
    convolutions each), the first block of every stage but the first with stride 2. The first layer
    scales pixels to 0..1, so that a preset of this backbone needs no converter beside it.

    Activations follow the addition, as there; moving them before the convolutions (He et al.,
    arXiv:1603.05027) pays for a hundred layers and more. Different from there: where a block changes
    the shape, the shortcut is a projection (option B: 1x1 convolution and normalisation), not a
    padded identity (A), for numbers of filters that need not double.

    Args:
        filters: of each stage.
        blocks: of each stage.
        activation: a name of `keras.activations`.
        batch_normalization: whether each convolution is followed by it; without it they have biases.
        normalization_momentum: of its moving moments.
        image_shape: (height, width, channels); height and width may be None.

    Input shape: [batch, height, width, channels]. Output shape: [batch, height / 2**s, width / 2**s,
    filters[-1]], rounded up, with s = stages - 1.

    Example:
        >>> backbone = SmallResNetBackbone(filters=(16, 32), blocks=(1, 1), image_shape=(28, 28, 1))
        >>> backbone.output_shape
        (None, 14, 14, 32)
    """

    def __init__(
        self,
        filters,
        blocks,
        activation="relu",
        batch_normalization=True,
        normalization_momentum=0.9,
        image_shape=(None, None, 3),
        dtype=None,
        **kwargs,
    ):
        block = _Block(activation, batch_normalization, normalization_momentum, dtype)
        images = keras.Input(image_shape, name="images")
        x = layers.Rescaling(1.0 / 255.0, dtype=dtype, name="scale")(images)
        x = block.activated(block.convolution(x, filters[0], 3, 1, "stem"), "stem")
        for stage, (width, count) in enumerate(zip(filters, blocks, strict=True), start=1):
            for number in range(1, count + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                x = block(x, width, stride, f"stage_{stage}_block_{number}")
        super().__init__(inputs=images, outputs=x, dtype=dtype, **kwargs)
        self.filters = tuple(filters)
        self.blocks = tuple(blocks)
        self.activation = activation
        self.batch_normalization = batch_normalization
        self.normalization_momentum = normalization_momentum
        self.image_shape = tuple(image_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "blocks": self.blocks,
            "activation": self.activation,
            "batch_normalization": self.batch_normalization,
            "normalization_momentum": self.normalization_momentum,
            "image_shape": self.image_shape,
        }


class _Block:
    """The basic block with its shortcut, on a tensor of the functional model."""

    def __init__(self, activation, batch_normalization, momentum, dtype):
        self._activation = activation
        self._normalised = batch_normalization
        self._momentum = momentum
        self._dtype = dtype

    def __call__(self, x, filters: int, stride: int, name: str):
        """activation(two convolutions of x + shortcut of x)."""
        shortcut = x
        if stride > 1 or x.shape[-1] != filters:
            shortcut = self.convolution(x, filters, 1, stride, f"{name}_shortcut")
        x = self.convolution(x, filters, 3, stride, f"{name}_convolution_1")
        x = self.activated(x, f"{name}_convolution_1")
        x = self.convolution(x, filters, 3, 1, f"{name}_convolution_2")
        x = layers.Add(dtype=self._dtype, name=f"{name}_sum")([x, shortcut])
        return self.activated(x, name)

    def convolution(self, x, filters: int, size: int, stride: int, name: str):
        """A convolution and its normalisation. He et al., arXiv:1502.01852, for the first weights."""
        x = layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            use_bias=not self._normalised,
            kernel_initializer="he_normal",
            dtype=self._dtype,
            name=name,
        )(x)
        if not self._normalised:
            return x
        return layers.BatchNormalization(
            momentum=self._momentum, dtype=self._dtype, name=f"{name}_normalization"
        )(x)

    def activated(self, x, name: str):
        """The activation."""
        return layers.Activation(
            self._activation, dtype=self._dtype, name=f"{name}_{self._activation}"
        )(x)
