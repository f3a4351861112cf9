"""Generated data of `input_pipeline.py`: small pictures, ragged texts and photos, equal in every run.

Shards as Transform and ExampleGen write them, without running these.
"""

import io
from pathlib import Path

import numpy as np

SHARDS = 8
PHOTO_SIZE, PREPARED_SIZE = 256, 128


def write_transformed(directory: Path, tensors: dict, count: int, batch) -> None:
    """TransformedExamples of `count` examples; `batch(rows)` gives their flat tensors."""
    from penstock.pipelines import tfrecord
    from penstock.pipelines.transform import tensor_spec
    from penstock.pipelines.transform.tensor_records import encode

    directory.mkdir()
    for shard, rows in enumerate(np.array_split(np.arange(count), SHARDS)):
        parts = np.array_split(rows, max(1, len(rows) // 1024))
        records = (record for part in parts for record in encode(batch(part), tensors))
        tfrecord.write_records(tensor_spec.shard_path(directory, "train", shard, SHARDS), records)
    tensor_spec.write_spec(directory, tensors, {"train": count}, {"train": SHARDS})


def write_pictures(directory: Path, count: int) -> None:
    """Grey pixels of 28x28 and their classes."""
    import tensorflow as tf
    from generated_images import SIZE, pixels_of

    from penstock.pipelines.transform.tensor_spec import Tensor

    images, labels = pixels_of(count)
    tensors = {
        "inputs": Tensor("uint8", (SIZE, SIZE, 1)),
        "key": Tensor("string", ()),
        "targets": Tensor("int64", ()),
    }

    def batch(rows):
        return {
            "inputs": tf.constant(images[rows][..., None]),
            "key": tf.constant([f"{row:06d}" for row in rows]),
            "targets": tf.constant(labels[rows]),
        }

    write_transformed(directory, tensors, count, batch)


def write_texts(directory: Path, count: int) -> None:
    """Ids and targets of 4 to 64 tokens, most of them short, as sentences are."""
    import tensorflow as tf

    from penstock.pipelines.transform.tensor_spec import Tensor

    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(2.0, 8.0, count).astype(np.int64), 4, 64)
    ragged = Tensor("int64", (None,), 1)
    tensors = {"inputs": ragged, "key": Tensor("string", ()), "targets": ragged}

    def batch(rows):
        def ids():
            values = generator.integers(1, 8000, lengths[rows].sum())
            return tf.RaggedTensor.from_row_lengths(values, lengths[rows])

        keys = tf.constant([f"{row:06d}" for row in rows])
        return {"inputs": ids(), "key": keys, "targets": ids()}

    write_transformed(directory, tensors, count, batch)


def photo_bytes(count: int) -> list[bytes]:
    """JPEG of 256x256, quality 90: coloured noise, smooth at first and ever rougher."""
    from PIL import Image

    generator, encoded = np.random.default_rng(0), []
    for index in range(count):
        stream = io.BytesIO()
        coarse = generator.integers(0, 256, (8 << index % 3, 8 << index % 3, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((PHOTO_SIZE, PHOTO_SIZE), Image.BICUBIC)
        picture.save(stream, "JPEG", quality=90)
        encoded.append(stream.getvalue())
    return encoded


def write_photos(directory: Path, encoded: list[bytes], described: Path, preparation):
    """Raw Examples in `directory`, the description of prepared ones in `described`."""
    from penstock.pipelines import example_codec, examples, tfrecord
    from penstock.pipelines.features import Image, Label
    from penstock.pipelines.inputs.inputs import OnTheFly
    from penstock.pipelines.transform import tensor_spec
    from penstock.pipelines.transform.state import State

    features = {"image": Image(encoding="jpeg"), "label": Label(names=("a", "b"))}
    directory.mkdir()
    for shard, rows in enumerate(np.array_split(np.arange(len(encoded)), SHARDS)):
        records = (
            example_codec.serialise(f"{r:06d}", {"image": encoded[r], "label": r % 2}, features)
            for r in rows.tolist()
        )
        tfrecord.write_records(directory / examples.shard_name("train", shard, SHARDS), records)
    splits, shards = {"train": len(encoded)}, {"train": SHARDS}
    examples.write_description(directory, features, splits, shards)
    way = OnTheFly(directory, preparation, State(features))
    described.mkdir()
    tensor_spec.write_spec(described, way.tensors, splits, {"train": 0}, stored=False)
    return way


def classification():
    """The preparation of the task `vision.classification`."""
    from penstock.models import locate

    size = f'{{"height": {PREPARED_SIZE}, "width": {PREPARED_SIZE}, "channels": 3}}'
    section = locate.config_class("vision.classification").model_fields["prepare"].annotation
    return locate.data_class("vision.classification")(section.model_validate_json(size))


class DecodeOnly:
    """Photos of equal size as they are."""

    def input_features(self, source):
        return {"image": source["image"]}

    def target_features(self, source):
        return {"label": source["label"]}

    def prepare_inputs(self, features, state):
        import tensorflow as tf

        return tf.map_fn(
            lambda data: tf.ensure_shape(
                tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE"),
                [PHOTO_SIZE, PHOTO_SIZE, 3],
            ),
            features["image"],
            fn_output_signature=tf.TensorSpec([PHOTO_SIZE, PHOTO_SIZE, 3], tf.uint8),
        )

    def prepare_targets(self, features, state):
        return features["label"], None
