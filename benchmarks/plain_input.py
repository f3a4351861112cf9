"""The peers of `input_pipeline.py`: what one writes by hand in tf.data for the same files.

Interleaved shards, a shuffle buffer, one parse of a whole batch, parallel maps, prefetch: the
advice of TensorFlow's own guide ("Better performance with the tf.data API"). Not deterministic where
that is faster, not resumable, shuffled within the buffer alone.
"""

import tensorflow as tf

SHUFFLE_BUFFER = 10_000


def records(paths: list[str]) -> tf.data.Dataset:
    """Endless serialised examples, shuffled."""
    shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat()
    found = shards.interleave(
        tf.data.TFRecordDataset,
        cycle_length=4,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    return found.shuffle(SHUFFLE_BUFFER)


def pictures(paths: list[str], size: int, batch_size: int) -> tf.data.Dataset:
    """Stored pixels: `(uint8 [batch, size, size, 1], int64 [batch])`."""
    spec = {
        "inputs": tf.io.FixedLenFeature((), tf.string),
        "targets": tf.io.FixedLenFeature((), tf.int64),
    }

    def parse(serialised):
        parsed = tf.io.parse_example(serialised, spec)
        pixels = tf.io.decode_raw(parsed["inputs"], tf.uint8, fixed_length=size * size)
        return tf.reshape(pixels, [-1, size, size, 1]), parsed["targets"]

    batches = records(paths).batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    return _finished(batches.map(parse, tf.data.AUTOTUNE, deterministic=False))


def photos(paths: list[str], size: int | None, batch_size: int) -> tf.data.Dataset:
    """JPEG decoded and resized example by example: `(uint8 [batch, size, size, 3], int64 [batch])`.

    A `size` of None leaves them as they are.
    """
    spec = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
    }

    def prepare(serialised):
        parsed = tf.io.parse_single_example(serialised, spec)
        image = tf.io.decode_jpeg(parsed["image"], 3, dct_method="INTEGER_ACCURATE")
        if size is not None:
            image = tf.image.resize(image, (size, size), antialias=True)
            image = tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
        return image, parsed["label"]

    examples = records(paths).map(prepare, tf.data.AUTOTUNE, deterministic=False)
    return _finished(examples.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE))


def _text_spec():
    return {name: tf.io.RaggedFeature(tf.int64) for name in ("inputs", "targets")}


def texts(paths: list[str], batch_size: int) -> tf.data.Dataset:
    """Ids padded to the longest of each batch: int64 [batch, longest] twice."""

    def parse(serialised):
        parsed = tf.io.parse_example(serialised, _text_spec())
        return parsed["inputs"].to_tensor(), parsed["targets"].to_tensor()

    batches = records(paths).batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    return _finished(batches.map(parse, tf.data.AUTOTUNE, deterministic=False))


def bucketed_texts(paths: list[str], boundaries: list[int], batch_size: int) -> tf.data.Dataset:
    """Ids padded within buckets, by tf.data's own `bucket_by_sequence_length`."""

    def parse(serialised):
        return tf.io.parse_single_example(serialised, _text_spec())

    examples = records(paths).map(parse, tf.data.AUTOTUNE, deterministic=False)
    batches = examples.bucket_by_sequence_length(
        lambda example: tf.shape(example["inputs"])[0],
        bucket_boundaries=[bound + 1 for bound in boundaries[:-1]],
        bucket_batch_sizes=[batch_size] * len(boundaries),
    )
    return _finished(batches.map(lambda batch: (batch["inputs"], batch["targets"])))


def _finished(dataset):
    return dataset.prefetch(tf.data.AUTOTUNE)
