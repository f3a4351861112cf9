"""The peer: what one writes in plain Keras to train the networks of `training.py`, and no more.

`python benchmarks/plain_keras.py [--network cnn] [--input arrays|tf.data] [--count 20000] [--epochs
3]` trains on generated pictures or texts and prints Keras's own progress. No statistics, checkpoints,
seeds, lineage, gates or SavedModel.
"""

import argparse

import generated_images
import generated_texts
import keras
import numpy as np
import tensorflow as tf
from keras import layers

NETWORKS = ("cnn", "mlp", "small_resnet", "text_gru")


def network(kind: str) -> keras.Model:
    """One of those of `training.py`."""
    inputs, x = _text_gru() if kind == "text_gru" else _of_pictures(kind)
    model = keras.Model(inputs, layers.Dense(generated_images.CLASSES)(x))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _of_pictures(kind):
    images = keras.Input((generated_images.SIZE, generated_images.SIZE, 1), dtype="uint8")
    x = layers.Rescaling(1 / 255)(images)
    if kind == "small_resnet":
        return images, _small_resnet(x)
    if kind == "cnn":
        for filters in (32, 64):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    return images, layers.Dense(128, activation="relu")(x)


def _small_resnet(x):
    """He et al., arXiv:1512.03385, for small pictures: three stages of one basic block."""
    x = layers.ReLU()(_convolution(x, 16, 3, 1))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        shortcut = x if stride == 1 else _convolution(x, filters, 1, stride)
        x = layers.ReLU()(_convolution(x, filters, 3, stride))
        x = layers.ReLU()(layers.Add()([_convolution(x, filters, 3, 1), shortcut]))
    return layers.GlobalAveragePooling2D()(x)


def _convolution(x, filters, size, stride):
    x = layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return layers.BatchNormalization(momentum=0.9)(x)


def _text_gru():
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(generated_texts.VOCABULARY, 64, mask_zero=True)(ids)
    return ids, layers.Bidirectional(layers.GRU(64))(x)


def data_of(kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What a network is trained on: examples and their classes, as `train` takes them."""
    if kind == "text_gru":
        return generated_texts.ids_of(count)
    images, labels = generated_images.pixels_of(count)
    return images[..., None], labels


def train(
    kind: str, given: str, training, validation, *, batch_size: int, **options
) -> keras.Model:
    """Trains on (examples, labels).

    Args:
        given: "arrays" hands NumPy arrays to `fit`, "tf.data" a shuffled, prefetched dataset. Texts
            are padded to the longest of all in arrays, in a dataset to the longest of their bucket.
        training, validation: (uint8 [n, 28, 28, 1] or object [n] of int32 ids, int64 [n]).
        options: further arguments of `fit`: epochs, callbacks, verbose.
    """
    model = network(kind)
    options = {"verbose": 0, **options}
    if given == "arrays":
        if kind == "text_gru":
            training, validation = _padded(*training), _padded(*validation)
        model.fit(*training, batch_size=batch_size, validation_data=validation, **options)
        return model
    shuffled = _examples(kind, *training).shuffle(len(training[0]))
    held_out = _examples(kind, *validation)
    model.fit(
        _batches(kind, shuffled, batch_size),
        validation_data=_batches(kind, held_out, batch_size),
        shuffle=False,
        **options,
    )
    return model


def _padded(texts, labels):
    longest = generated_texts.LONGEST
    return keras.utils.pad_sequences(list(texts), longest, padding="post"), labels


def _examples(kind, inputs, labels):
    if kind != "text_gru":
        return tf.data.Dataset.from_tensor_slices((inputs, labels))
    lengths = [len(ids) for ids in inputs]
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(inputs), lengths)
    rows = tf.data.Dataset.from_tensor_slices((ragged, labels))
    # A row of a ragged tensor still counts as ragged, which padded batches do not take.
    return rows.map(lambda ids, label: (tf.identity(ids), label))


def _batches(kind, examples, batch_size):
    if kind != "text_gru":
        return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    bounds = [longest + 1 for longest in generated_texts.BOUNDARIES]
    batches = examples.bucket_by_sequence_length(
        lambda ids, label: tf.shape(ids)[0],
        bucket_boundaries=bounds,
        bucket_batch_sizes=[batch_size] * (len(bounds) + 1),
        pad_to_bucket_boundary=True,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def main() -> None:
    """Trains and shows how it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="cnn")
    parser.add_argument("--input", choices=("arrays", "tf.data"), default="tf.data")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    examples, labels = data_of(arguments.network, arguments.count)
    held_out = arguments.count // 10
    train(
        arguments.network,
        arguments.input,
        (examples[held_out:], labels[held_out:]),
        (examples[:held_out], labels[:held_out]),
        batch_size=128,
        epochs=arguments.epochs,
        verbose=2,
    )


if __name__ == "__main__":
    main()
