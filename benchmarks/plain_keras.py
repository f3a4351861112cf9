"""The peer: what one writes in plain Keras to train the networks of `training.py`, and no more.

`python benchmarks/plain_keras.py [--network cnn] [--input arrays|tf.data] [--count 20000] [--epochs
3]` trains on generated pictures, texts or recordings and prints Keras's own progress. No statistics,
checkpoints, seeds, lineage, gates or SavedModel.
"""

import argparse

import generated_images
import generated_sounds
import generated_texts
import keras
import numpy as np
import tensorflow as tf
from keras import layers

NETWORKS = ("cnn", "mlp", "small_resnet", "text_gru", "speech_crnn")
OF_MANY_LENGTHS = {"text_gru": generated_texts, "speech_crnn": generated_sounds}
"""Networks whose examples are padded -> where `LONGEST` and the buckets' `BOUNDARIES` stand."""


def network(kind: str) -> keras.Model:
    """One of those of `training.py`."""
    others = {"text_gru": _text_gru, "speech_crnn": _speech_crnn}
    inputs, x = others[kind]() if kind in others else _of_pictures(kind)
    model = keras.Model(inputs, layers.Dense(generated_images.CLASSES)(x))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # XLA, Keras's own choice, is the faster one for pictures; it compiles again for each shape, and
        # the last batch of a bucket has another size in each epoch.
        jit_compile=False if kind in OF_MANY_LENGTHS else "auto",
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


def _speech_crnn():
    """After Arik et al., arXiv:1703.05390: convolutions over the log-mel spectrogram, then a GRU."""
    waveforms = keras.Input((None,), dtype="int16")
    x = layers.Rescaling(1 / 32768)(waveforms)
    # Windows of 32 ms every 16 ms at 8 kHz; 40 bands from 20 Hz to half the rate.
    x = layers.MelSpectrogram(
        fft_length=256,
        sequence_length=256,
        sequence_stride=128,
        sampling_rate=generated_sounds.RATE_HZ,
        num_mel_bins=40,
        min_freq=20.0,
    )(x)
    x = layers.Permute((2, 1))(x)
    # Frames of padding are all silence: what is normalised and averaged leaves them out.
    mask = keras.ops.any(x > keras.ops.min(x), axis=2)
    x = layers.BatchNormalization(center=False, scale=False)(x, mask=mask)
    x = layers.Reshape((-1, 40, 1))(x)
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x, mask=mask[:, :, None]))
        x, mask = layers.MaxPooling2D()(x), mask[:, :-1:2]
    x = layers.Reshape((-1, 10 * 64))(x)
    x = layers.Bidirectional(layers.GRU(64, return_sequences=True))(x, mask=mask)
    return waveforms, layers.GlobalAveragePooling1D()(x, mask=mask)


def data_of(kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What a network is trained on: examples and their classes, as `train` takes them."""
    if kind == "text_gru":
        return generated_texts.ids_of(count)
    if kind == "speech_crnn":
        return generated_sounds.waveforms_of(count)
    images, labels = generated_images.pixels_of(count)
    return images[..., None], labels


def train(
    kind: str, given: str, training, validation, *, batch_size: int, **options
) -> keras.Model:
    """Trains on (examples, labels).

    Args:
        given: "arrays" hands NumPy arrays to `fit`, "tf.data" a shuffled, prefetched dataset. Texts and
            recordings are padded to the longest of all in arrays, in a dataset to that of their bucket.
        training, validation: (uint8 [n, 28, 28, 1], or object [n] of int32 ids or int16 samples, int64
            [n]).
        options: further arguments of `fit`: epochs, callbacks, verbose.
    """
    model = network(kind)
    options = {"verbose": 0, **options}
    if given == "arrays":
        if kind in OF_MANY_LENGTHS:
            training, validation = _padded(kind, *training), _padded(kind, *validation)
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


def _padded(kind, inputs, labels):
    longest, dtype = OF_MANY_LENGTHS[kind].LONGEST, inputs[0].dtype
    return keras.utils.pad_sequences(list(inputs), longest, dtype, padding="post"), labels


def _examples(kind, inputs, labels):
    if kind not in OF_MANY_LENGTHS:
        return tf.data.Dataset.from_tensor_slices((inputs, labels))
    lengths = [len(row) for row in inputs]
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(inputs), lengths)
    rows = tf.data.Dataset.from_tensor_slices((ragged, labels))
    # A row of a ragged tensor still counts as ragged, which padded batches do not take.
    return rows.map(lambda row, label: (tf.identity(row), label))


def _batches(kind, examples, batch_size):
    if kind not in OF_MANY_LENGTHS:
        return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    bounds = [longest + 1 for longest in OF_MANY_LENGTHS[kind].BOUNDARIES]
    batches = examples.bucket_by_sequence_length(
        lambda row, label: tf.shape(row)[0],
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
