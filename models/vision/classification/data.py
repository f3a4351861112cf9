"""From an encoded image and a label to what the network and the loss take.

Comes in: PNG or JPEG bytes, string [batch]; a class id, int64 [batch]. Goes out: uint8 images
[batch, height, width, channels]; targets int64 [batch]; with class weights, float32 [batch].
"""

from difflib import get_close_matches

import tensorflow as tf

from penstock.models.preparation import Preparation
from penstock.pipelines.features import Features, Image, Label
from penstock.pipelines.transform.analyzers import ValueCounts

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green, blue: ITU-R BT.601, as JPEG itself and PIL's mode "L"."""


class Data(Preparation):
    """Preparation of image classification; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.image_feature
        return {name: _feature(source, name, Image, "prepare.image_feature")}

    def target_features(self, source: Features) -> Features:
        name = self.prepare.label_feature
        label = _feature(source, name, Label, "prepare.label_feature")
        if isinstance(self.prepare.class_weights, dict):
            _check_known(self.prepare.class_weights, label.names)
        return {name: label}

    def analyzers(self, source: Features) -> dict:
        del source
        if self.prepare.class_weights != "balanced":
            return {}
        name = self.prepare.label_feature
        return {"label_counts": ValueCounts(lambda features: features[name])}

    def prepare_inputs(self, features, state):
        """string [batch] -> uint8 [batch, height, width, channels]."""
        shape = self.image_shape(state)
        return tf.map_fn(
            lambda encoded: resize(decode(encoded, shape[2]), shape[0], shape[1]),
            features[self.prepare.image_feature],
            fn_output_signature=tf.TensorSpec(shape, tf.uint8),
        )

    def prepare_targets(self, features, state):
        """int64 [batch] -> the same, and each example's weight, float32 [batch], or None."""
        labels = features[self.prepare.label_feature]
        if self.prepare.class_weights is None:
            return labels, None
        return labels, tf.gather(tf.constant(self.class_weights(state), tf.float32), labels)

    def image_shape(self, state) -> tuple[int, int, int]:
        """(height, width, channels) of a prepared image."""
        channels = self.prepare.channels
        if channels is None:
            channels = min(state.features[self.prepare.image_feature].channels, 3)
        return self.prepare.height, self.prepare.width, channels

    def class_names(self, state) -> tuple[str, ...]:
        """The classes' names; a class's id is its position."""
        return state.features[self.prepare.label_feature].names

    def class_weights(self, state) -> list[float]:
        """The weight of each class, by id.

        Balanced: n / (k * count) over the k classes that occur in the training split (King and Zeng
        2001, as scikit-learn's `compute_class_weight`); a class that does not occur there has 1.
        """
        names, weights = self.class_names(state), self.prepare.class_weights
        if isinstance(weights, dict):
            return [float(weights.get(name, 1.0)) for name in names]
        counts = [state["label_counts"].get(str(label), 0) for label in range(len(names))]
        balanced = sum(counts) / sum(count > 0 for count in counts)
        return [balanced / count if count else 1.0 for count in counts]


def decode(encoded, channels: int):
    """One PNG or JPEG, string [] -> float32 [height, width, channels], 0..255; alpha is dropped.

    The op is called after JPEG and reads PNG too. INTEGER_ACCURATE gives the pixels that libjpeg
    and PIL give (the op's default is faster and off by up to 3 of 255: measured). Always decoded as
    RGB: asked for one channel, it takes JPEG's own luma and refuses CMYK, unlike for PNG.
    """
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    image = tf.cast(image, tf.float32)
    if channels == 1:
        return tf.reduce_sum(image * LUMA, axis=-1, keepdims=True)
    return image


def resize(image, height: int, width: int):
    """float32 [any, any, channels], 0..255 -> uint8 [height, width, channels].

    Bilinear, with antialiasing where it shrinks. Rounded to uint8, because graph rewriting moves
    the last bit of floats and must not move pixels.
    """
    image = tf.image.resize(image, (height, width), method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)


def _feature(source: Features, name: str, kind: type, setting: str):
    """The source's feature `name`, which must be of the class `kind`."""
    found = source.get(name)
    if isinstance(found, kind):
        return found
    fitting = [name for name, feature in source.items() if isinstance(feature, kind)]
    received = f"`{name}` of kind {found.kind}" if found else f"no feature `{name}`"
    raise ValueError(
        f"`{setting}` must name a feature of kind {kind.__name__.lower()} of the source. "
        f"Received: {received}. Features of that kind: {', '.join(fitting) or 'none'}."
    )


def _check_known(weights: dict[str, float], names: tuple[str, ...]) -> None:
    """All faults at once: every weighted class must exist."""
    unknown = sorted(set(weights) - set(names))
    if unknown:
        near = {hit for name in unknown for hit in get_close_matches(name, names, n=2)}
        raise ValueError(
            f"`prepare.class_weights` names classes that the source does not have. "
            f"Received: {', '.join(unknown)}. Nearest: {', '.join(sorted(near) or names[:10])}."
        )
