"""Random changes of training images, by Keras's own preprocessing layers, from a given seed.

Comes in: a batch of uint8 images, their class ids, a seed. Goes out: uint8 images of the same
shape, and the ids, or distributions over classes where images were mixed. Runs in tf.data under any
backend (Keras's preprocessing layers use TensorFlow there).
"""

from functools import partial

import keras
import tensorflow as tf
from keras import layers

from penstock.models.vision.classification.config import Augment


class SeedStream(keras.random.SeedGenerator):
    """Seeds that depend on one given seed and on nothing else: the n-th is it, folded with n.

    Keras's own generator counts in a variable, so that a batch would depend on those before it.

    Args:
        seed: int32 [2].
    """

    def __init__(self, seed):
        # Not `super().__init__`: that makes the variable.
        self.seed = seed
        self.drawn = 0

    def next(self, ordered=True):
        """The next seed, int32 [2]."""
        self.drawn += 1
        return tf.random.experimental.stateless_fold_in(self.seed, self.drawn)


class Augmentation:
    """Applies what an `augment` section switches on; costs nothing when that is nothing.

    Make it outside of tf.data: Keras's layers bring variables (which stay unused here), and
    variables cannot be made inside of a graph.

    Args:
        config: the section.
    """

    def __init__(self, config: Augment):
        self.image_layers = _image_layers(config)
        self.mixing_layers = _mixing_layers(config)

    # No Python control flow over tensors: the search for it takes longer than the trace.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, images, targets, seed, num_classes: int):
        """Augments one batch.

        Args:
            images: uint8 [batch, height, width, channels].
            targets: class ids, int64 [batch].
            seed: int32 [2]; equal seeds give equal results.
            num_classes: width of mixed targets.

        Returns:
            images: as they came; targets: as they came, or float32 [batch, classes] with mixing.
        """
        if not (self.image_layers or self.mixing_layers):
            return images, targets
        stream = SeedStream(seed)
        changed = tf.cast(images, tf.float32)
        for layer in self.image_layers:
            changed = _seeded(layer, stream)(changed)
        if self.mixing_layers:
            # Not by `keras.ops`: in tf.data these work under the TensorFlow backend alone.
            targets = tf.one_hot(targets, num_classes)
            changed, targets = self._mix(changed, targets, stream)
        # Rounded once, after the last layer.
        changed = tf.cast(tf.clip_by_value(tf.round(changed), 0.0, 255.0), tf.uint8)
        return tf.ensure_shape(changed, images.shape), targets

    def _mix(self, images, targets, stream):
        """One of the mixing layers on the whole batch."""
        batch = {"images": images, "labels": targets}

        def mix_by(layer, stream):
            mixed = _seeded(layer, stream)(dict(batch))
            return mixed["images"], mixed["labels"]

        branches = [
            partial(mix_by, layer, SeedStream(stream.next())) for layer in self.mixing_layers
        ]
        if len(branches) == 1:
            return branches[0]()
        choice = tf.random.stateless_uniform([], stream.next(), 0, len(branches), tf.int32)
        return tf.switch_case(choice, branches)


def _image_layers(config: Augment) -> list:
    """The layers that change each image by itself, in the order of the config."""
    # float32 whatever the global policy: 16 bits cannot hold 0..255 with fractions.
    moves = {
        "fill_mode": config.fill_mode,
        "interpolation": config.interpolation,
        "dtype": "float32",
    }
    found = []
    if config.flip in ("horizontal", "both"):
        found.append(layers.RandomFlip("horizontal", dtype="float32"))
    if config.flip in ("vertical", "both"):
        # A layer of its own: Keras's "horizontal_and_vertical" tosses one coin for both.
        found.append(layers.RandomFlip("vertical", dtype="float32"))
    if config.shift:
        found.append(layers.RandomTranslation(config.shift, config.shift, **moves))
    if config.rotation_degrees:
        found.append(layers.RandomRotation(config.rotation_degrees / 360.0, **moves))
    if config.zoom:
        found.append(layers.RandomZoom(config.zoom, **moves))
    if config.rand_augment:
        settings = config.rand_augment
        found.append(
            layers.RandAugment(num_ops=settings.num_ops, factor=settings.magnitude, dtype="float32")
        )
    if config.random_erasing:
        erasing = config.random_erasing
        found.append(
            layers.RandomErasing(
                # As a pair the factor is the probability itself; as a number its upper bound.
                (erasing.probability, erasing.probability),
                erasing.area,
                fill_value=erasing.fill,
                dtype="float32",
            )
        )
    return found


def _mixing_layers(config: Augment) -> list:
    """The layers that mix examples."""
    found = []
    if config.cut_mix:
        alpha = config.cut_mix.alpha
        # As a pair the factor is the Beta's parameter itself; as a number its upper bound.
        found.append(layers.CutMix((alpha, alpha), dtype="float32"))
    if config.mix_up:
        found.append(layers.MixUp(config.mix_up.alpha, dtype="float32"))
    return found


def _seeded(layer, stream: SeedStream):
    """Has a Keras layer draw from `stream`, through the method by which every such layer draws."""
    layer._get_seed_generator = lambda backend=None: stream
    return layer
