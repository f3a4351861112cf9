"""The peer: what one writes in plain Keras to train the networks of `training.py`, and no more.

`python benchmarks/plain_keras.py [--input arrays|tf.data] [--count 20000] [--epochs 3]` trains on
generated pictures and prints Keras's own progress. No statistics, checkpoints, seeds, lineage,
gates or SavedModel.
"""

import argparse

import keras
import tensorflow as tf
from generated_images import CLASSES, SIZE, pixels_of
from keras import layers


def network(kind: str) -> keras.Model:
    """The "cnn" or the "mlp" of `training.py`."""
    images = keras.Input((SIZE, SIZE, 1), dtype="uint8")
    x = layers.Rescaling(1 / 255)(images)
    if kind == "cnn":
        for filters in (32, 64):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    model = keras.Model(images, layers.Dense(CLASSES)(x))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train(
    kind: str, given: str, training, validation, *, batch_size: int, **options
) -> keras.Model:
    """Trains on (images, labels).

    Args:
        given: "arrays" hands NumPy arrays to `fit`, "tf.data" a shuffled, prefetched dataset.
        training, validation: (uint8 [n, 28, 28, 1], int64 [n]).
        options: further arguments of `fit`: epochs, callbacks, verbose.
    """
    model = network(kind)
    options = {"verbose": 0, **options}
    if given == "arrays":
        model.fit(*training, batch_size=batch_size, validation_data=validation, **options)
        return model
    shuffled = tf.data.Dataset.from_tensor_slices(training).shuffle(len(training[0]))
    held_out = tf.data.Dataset.from_tensor_slices(validation)
    model.fit(
        shuffled.batch(batch_size).prefetch(tf.data.AUTOTUNE),
        validation_data=held_out.batch(batch_size).prefetch(tf.data.AUTOTUNE),
        shuffle=False,
        **options,
    )
    return model


def main() -> None:
    """Trains and shows how it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=("cnn", "mlp"), default="cnn")
    parser.add_argument("--input", choices=("arrays", "tf.data"), default="tf.data")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    images, labels = pixels_of(arguments.count)
    images, held_out = images[..., None], arguments.count // 10
    train(
        arguments.network,
        arguments.input,
        (images[held_out:], labels[held_out:]),
        (images[:held_out], labels[:held_out]),
        batch_size=128,
        epochs=arguments.epochs,
        verbose=2,
    )


if __name__ == "__main__":
    main()
