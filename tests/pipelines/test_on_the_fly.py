"""Examples prepared on the fly: the same batches, bit for bit, as those that Transform stores."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Picture

from penstock.pipelines import example_codec, examples, tfrecord
from penstock.pipelines.features import Image, Label, Text
from penstock.pipelines.inputs import inputs
from penstock.pipelines.inputs.input_split import PreparedSplit
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.transform import transform

FEATURES = {
    "image": Image(channels=3, encoding="jpeg"),
    "text": Text(),
    "label": Label(names=("a", "b", "c")),
}
SPLITS = {"train": 41, "test": 7}


class Preparation:
    """Decoded and resized JPEG, ragged characters, a scaled number."""

    def input_features(self, features):
        return {name: features[name] for name in ("image", "text")}

    def target_features(self, features):
        return {"label": features["label"]}

    def analyzers(self, features=None):
        return {}

    def prepare_inputs(self, features, state):
        def pixels(encoded):
            image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
            image = tf.image.resize(tf.cast(image, tf.float32), (6, 5), antialias=True)
            return tf.cast(tf.round(image), tf.uint8)

        image = tf.map_fn(
            pixels, features["image"], fn_output_signature=tf.TensorSpec([6, 5, 3], tf.uint8)
        )
        return {"image": image, "bytes": tf.strings.bytes_split(features["text"])}

    def prepare_targets(self, features, state):
        label = features["label"]
        return {"label": label}, tf.cast(label, tf.float32) / 3


def records(split, count):
    generator = np.random.default_rng(len(split))
    for index in range(count):
        stream = io.BytesIO()
        pixels = generator.integers(0, 256, (9 + index % 4, 11, 3), np.uint8)
        Picture.fromarray(pixels).save(stream, "JPEG")
        values = {"image": stream.getvalue(), "text": "xyz"[: index % 4], "label": index % 3}
        yield example_codec.serialise(f"{split}-{index}", values, FEATURES)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(Examples, state, transformed with `stored=True`, with `stored=False`)."""
    root = tmp_path_factory.mktemp("ways")
    raw = root / "examples"
    raw.mkdir()
    for split, count in SPLITS.items():
        serialised = list(records(split, count))
        for index, part in enumerate((serialised[:5], serialised[5:])):
            tfrecord.write_records(raw / examples.shard_name(split, index, 2), part)
    examples.write_description(raw, FEATURES, SPLITS, dict.fromkeys(SPLITS, 2))
    for stored in (True, False):
        for name in ("state", "transformed", "scratch"):
            (root / f"{name}-{stored}").mkdir()
        assert (
            transform(
                raw,
                Preparation(),
                root / f"state-{stored}",
                root / f"transformed-{stored}",
                root / f"scratch-{stored}",
                "train",
                stored=stored,
            )
            == SPLITS
        )
    return raw, root / "state-False", root / "transformed-True", root / "transformed-False"


@pytest.fixture(scope="module")
def way(both):
    raw, state, _, _ = both
    return inputs.OnTheFly(raw, Preparation(), State.load(state))


def assert_equal(ours, theirs):
    tf.nest.assert_same_structure(ours, theirs, expand_composites=True)
    for a, b in zip(
        tf.nest.flatten(ours, expand_composites=True),
        tf.nest.flatten(theirs, expand_composites=True),
        strict=True,
    ):
        assert a.dtype == b.dtype
        if a.dtype == tf.string:
            assert a.numpy().tolist() == b.numpy().tolist()
        else:
            assert a.numpy().tobytes() == b.numpy().tobytes()


def test_nothing_but_the_description_is_written(both):
    _, state, stored, described = both
    assert [path.name for path in described.iterdir()] == ["spec.json"]
    assert (state / "state.json").read_bytes() == (
        state.with_name("state-True") / "state.json"
    ).read_bytes()
    specs = [inputs.element_spec(path) for path in (stored, described)]
    assert specs[0] == specs[1]


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_training_batches_are_the_same(both, way, tmp_path, cache):
    _, _, stored, described = both

    def batches(directory, **options):
        dataset = inputs.training_batches(
            directory, "train", batch_size=8, seed=5, first_step=3, keys=True, **options
        )
        return list(dataset.take(9))

    expected = batches(stored, cache="memory")
    found = batches(described, cache=cache, on_the_fly=way, scratch=tmp_path)
    assert len(found) == len(expected) == 9
    for ours, theirs in zip(found, expected, strict=True):
        assert_equal(ours, theirs)


def test_one_pass_is_the_same(both, way):
    _, _, stored, described = both
    for batch_size in (3, 8):
        ours = inputs.evaluation_batches(described, "test", batch_size=batch_size, on_the_fly=way)
        theirs = inputs.evaluation_batches(stored, "test", batch_size=batch_size)
        pairs = list(zip(ours, theirs, strict=True))
        assert len(pairs) == -(-7 // batch_size)
        for pair in pairs:
            assert_equal(*pair)


def test_size_in_memory_is_estimated_from_the_first_examples(both, way):
    """An image of 90 bytes, a label of 8, a weight of 4; i % 4 strings and their row split."""
    split = inputs.prepared_split(both[3], "train", way)
    strings = sum((index % 4) * (1 + 24) for index in range(41)) + 8 * 42
    assert split.decoded_bytes() == 41 * (90 + 8 + 4) + strings


def test_faults_are_named(both, way):
    with pytest.raises(ValueError, match="prepared on the fly and does not hold them"):
        inputs.prepared_split(both[3], "train")

    class Other(Preparation):
        def prepare_targets(self, features, state):
            return features["label"], None

    other = inputs.OnTheFly(way.directory, Other(), way.state)
    with pytest.raises(ValueError, match="gives other tensors than.*Received: .*'targets'"):
        inputs.prepared_split(both[3], "train", other)
    stored = inputs.prepared_split(both[2], "train", way)
    assert isinstance(stored, PreparedSplit)
    read = inputs.prepared_split(both[3], "train", way)
    with pytest.raises(ValueError, match="mixed must be prepared in one way"):
        inputs.open_batches([(stored, 1.0), (read, 1.0)], inputs.Batching(4), seed=0)


def test_a_split_without_examples_is_named(both, way):
    split = replace(inputs.prepared_split(both[3], "train", way), examples=0)
    with pytest.raises(ValueError, match="must have an example.*Received: 0 examples"):
        inputs.open_batches([(split, 1.0)], inputs.Batching(4), seed=0)
