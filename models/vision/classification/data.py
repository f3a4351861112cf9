"""From an encoded image and a label to what the network and the loss take.

Comes in: PNG or JPEG bytes, string [batch], as ExampleGen stores them or as a request brings them; a
label (`models/classification/labels.py`). Goes out: uint8 images [batch, height, width, channels].
"""

import tensorflow as tf

from penstock.models.classification.labels import Labels
from penstock.models.preparation import feature_of_kind
from penstock.models.vision.classification.orientation import all_plain, upright
from penstock.pipelines.features import Features, Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
"""What these files begin with."""
LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green, blue: ITU-R BT.601, as JPEG itself and PIL's mode "L"."""


class Data(Labels):
    """Preparation of image classification; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.image_feature
        return {name: feature_of_kind(source, name, Image, "prepare.image_feature")}

    def prepare_inputs(self, features, state):
        """string [batch] -> uint8 [batch, height, width, channels]."""
        height, width, channels = self.image_shape(state)
        encoded = features[self.prepare.image_feature]

        def images(is_plain):
            return tf.map_fn(
                lambda one: resize(decode(one, channels, is_plain), height, width),
                encoded,
                fn_output_signature=tf.TensorSpec((height, width, channels), tf.uint8),
            )

        return tf.cond(all_plain(encoded), lambda: images(True), lambda: images(False))

    def image_shape(self, state) -> tuple[int, int, int]:
        """(height, width, channels) of a prepared image."""
        channels = self.prepare.channels
        if channels is None:
            channels = min(state.features[self.prepare.image_feature].channels, 3)
        return self.prepare.height, self.prepare.width, channels


def decode(encoded, channels: int, is_plain: bool = False):
    """One PNG or JPEG, string [] -> float32 [height, width, channels], 0..255; alpha is dropped.

    Turned as its EXIF block says. Other formats are refused, though TensorFlow reads some of them:
    not all as Pillow does, from which a training example of such a file comes (transparent GIFs and
    BMPs with a palette differ, WebP has another shape: measured).

    The op is called after JPEG and reads PNG too. INTEGER_ACCURATE gives the pixels that libjpeg
    and PIL give (the op's default is faster and off by up to 3 of 255: measured). Always decoded as
    RGB: asked for one channel, it takes JPEG's own luma and refuses CMYK, unlike for PNG.

    Args:
        is_plain: whether `orientation.all_plain` is true of it.
    """
    if not is_plain:
        _check_format(encoded)
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    image = tf.cast(image if is_plain else upright(image, encoded), tf.float32)
    if channels == 1:
        return tf.reduce_sum(image * LUMA, axis=-1, keepdims=True)
    return image


def _check_format(encoded):
    """Has the graph fail at what is neither PNG nor JPEG."""
    first = tf.strings.substr(encoded, 0, len(PNG))
    known = (first == PNG) | (tf.strings.substr(encoded, 0, len(JPEG)) == JPEG)
    message = "An image must be the bytes of a PNG or JPEG file; convert others before. Received, in bytes:"
    tf.debugging.Assert(
        known, [message, tf.strings.length(encoded), "of which the first are", first]
    )


def resize(image, height: int, width: int):
    """float32 [any, any, channels], 0..255 -> uint8 [height, width, channels].

    Bilinear, with antialiasing where it shrinks. Rounded to uint8, because graph rewriting moves
    the last bit of floats and must not move pixels.
    """
    image = tf.image.resize(image, (height, width), method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
