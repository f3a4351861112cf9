"""Analyzers and preparation: against plain Python, and the same in Beam, tf.data and eagerly."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines import examples
from penstock.pipelines.features import Image, Label, Number, Text
from penstock.pipelines.ingest import example_gen
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.inputs import inputs
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.running import progress
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import Record
from penstock.pipelines.transform import analyzer_accumulators
from penstock.pipelines.transform.analyze import analyze
from penstock.pipelines.transform.analyzers import (
    ChannelMoments,
    Lengths,
    MinMax,
    Moments,
    Quantiles,
    SubwordVocabulary,
    ValueCounts,
    Vocabulary,
)
from penstock.pipelines.transform.prepare_function import prepare_function, read_features
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.tensor_records import encode
from penstock.pipelines.transform.tensor_spec import flatten
from penstock.pipelines.transform.transform import transform

EXAMPLES = 300
FEATURES = {
    "image": Image(channels=1, encoding="png"),
    "text": Text(),
    "size": Number(shape=(2,)),
    "label": Label(names=("a", "b", "c")),
    "unused": Number(),
}


def values_of(i):
    rng = np.random.default_rng(i)
    return {
        "image": encode_png(rng.integers(0, 256, (4, 4), np.uint8)),
        "text": " ".join(f"w{n}" for n in rng.integers(0, 12, i % 5)),
        "size": rng.standard_normal(2).astype(np.float32),
        "label": i % 3,
        "unused": 0.0,
    }


class Fixed(source.Source):
    """300 examples of images, texts, numbers and labels; every tenth is in the split test."""

    type: str = "fixed"

    def features(self):
        return FEATURES

    def read(self, pipeline):
        import apache_beam as beam

        records = [
            Record(f"k{i}", values_of(i), "test" if i % 10 == 0 else "train")
            for i in range(EXAMPLES)
        ]
        return pipeline | beam.Create(records, reshuffle=False)


class Everything:
    """A preparation that uses all analyzers and gives dense, ragged, nested, weighted tensors."""

    def input_features(self, features):
        return {name: features[name] for name in ("image", "text", "size")}

    def target_features(self, features):
        return {"label": features["label"]}

    def analyzers(self, source):
        assert source == FEATURES
        return {
            "words": Vocabulary(lambda batch: tf.strings.split(batch["text"])),
            "frequent": Vocabulary(
                lambda batch: tf.strings.split(batch["text"]), top_k=3, min_count=2
            ),
            "size": Moments(lambda batch: batch["size"]),
            "range": MinMax(lambda batch: batch["size"]),
            "labels": ValueCounts(lambda batch: batch["label"]),
            "telling": Vocabulary(
                lambda batch: tf.strings.split(batch["text"]), labels=lambda batch: batch["label"]
            ),
            "pieces": SubwordVocabulary(lambda batch: batch["text"], size=264),
            "quartiles": Quantiles(lambda batch: batch["size"]),
            "lengths": Lengths(lambda batch: tf.strings.split(batch["text"])),
            "pixels": ChannelMoments(lambda batch: self._pixels(batch["image"])),
        }

    def prepare_inputs(self, features, state):
        words = tf.strings.split(features["text"])
        table = state.lookup("words", reserved=1, default=0)
        moments = state["size"]
        return {
            "ids": tf.ragged.map_flat_values(table.lookup, words),
            "pieces": state.tokenizer("pieces").tokenize(features["text"]),
            "image": {"pixels": self._pixels(features["image"])},
            "scaled": (features["size"] - moments["mean"]) / moments["variance"] ** 0.5,
            "text": tf.strings.upper(features["text"]),
        }

    def prepare_targets(self, features, state):
        return features["label"], tf.cast(features["label"], tf.float32) / 4

    def _pixels(self, images):
        pixels = tf.map_fn(
            lambda data: tf.io.decode_png(data, channels=1),
            images,
            fn_output_signature=tf.TensorSpec([None, None, 1], tf.uint8),
        )
        return tf.ensure_shape(pixels, [None, 4, 4, 1])


class Plain(Everything):
    """Needs no full pass and gives one tensor and no weight."""

    def analyzers(self, source):
        return {}

    def prepare_inputs(self, features, state):
        return features["size"] * 2

    def prepare_targets(self, features, state):
        return features["label"], None


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    (root / "examples").mkdir()
    splitter = Splitter({"train": 1.0})
    example_gen.generate(Fixed(), splitter, root / "examples", root / "scratch", shards=2)
    return root / "examples"


def test_examples_so_far_are_reported(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.001)
    for name in ("state", "transformed", "scratch"):
        (tmp_path / name).mkdir()
    told = []
    folders = [tmp_path / name for name in ("state", "transformed", "scratch")]
    transform(raw, Plain(), *folders, "train", report=lambda *so_far: told.append(so_far))
    assert told
    assert told == sorted(told)
    assert {total for _, total in told} == {EXAMPLES}


def folder(root, name):
    (root / name).mkdir()
    return root / name


def run(raw, root, preparation):
    for name in ("state", "transformed", "scratch"):
        (root / name).mkdir()
    counts = transform(
        raw, preparation, root / "state", root / "transformed", root / "scratch", "train"
    )
    return root / "state", root / "transformed", counts


@pytest.fixture(scope="module")
def everything(raw, tmp_path_factory):
    return run(raw, tmp_path_factory.mktemp("everything"), Everything())


def test_analyzers_see_the_training_split_only(everything):
    state = State.load(everything[0])
    train = [values_of(i) for i in range(EXAMPLES) if i % 10]
    words = Counter(word for values in train for word in values["text"].split())
    ranked = [word for word, _ in sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))]
    assert list(state["words"]) == ranked
    assert list(state["frequent"]) == ranked[:3]
    sizes = np.array([values["size"] for values in train], np.float64)
    assert state["size"]["count"] == 540
    assert state["size"]["mean"] == pytest.approx(sizes.mean(), rel=1e-12)
    assert state["size"]["variance"] == pytest.approx(sizes.var(), rel=1e-12)
    assert state["range"] == {"min": sizes.min(), "max": sizes.max()}
    assert state["labels"] == {"0": 90, "1": 90, "2": 90}
    assert set(state["telling"]) == set(words)
    expected = np.quantile(sizes, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert state["quartiles"]["values"] == expected.tolist()
    lengths = [len(values["text"].split()) for values in train]
    assert state["lengths"]["histogram"]["counts"] == np.bincount(lengths).tolist()
    indices = [i for i in range(EXAMPLES) if i % 10]
    pixels = [np.random.default_rng(i).integers(0, 256, (4, 4), np.uint8) for i in indices]
    assert state["pixels"]["mean"] == [pytest.approx(np.mean(pixels), rel=1e-12)]
    assert state["pixels"]["variance"] == [pytest.approx(np.var(pixels), rel=1e-12)]
    # A number is a word of its own: the pairs are " w" (360 times), "11" (50) and "10" (47).
    assert state["pieces"].tokens[260:] == ("\u0120w", "11", "10")
    assert state.features == FEATURES


def test_prepared_the_same_in_beam_in_tf_data_and_eagerly(raw, everything):
    state_directory, transformed, counts = everything
    assert counts == {"train": 270, "test": 30}
    preparation, state = Everything(), State.load(state_directory)
    prepare, _ = prepare_function(preparation, state)
    for split in ("train", "test"):
        beam = list(inputs.prepared(transformed, split, 32))
        batches = examples.raw_dataset(raw, split, 32)
        read = [name for name in FEATURES if name != "unused"]
        on_the_fly = examples.raw_dataset(raw, split, 32, read).map(
            lambda batch: {"key": batch.pop("key"), **prepare(batch)}
        )
        assert len(beam) == -(-counts[split] // 32)
        for stored, traced, plain in zip(beam, on_the_fly, batches, strict=True):
            given = {name: plain[name] for name in preparation.input_features(FEATURES)}
            eager = flatten(preparation.prepare_inputs(given, state), "inputs")
            targets, weight = preparation.prepare_targets(plain, state)
            eager = {**eager, "targets": targets, "sample_weight": weight, "key": plain["key"]}
            flat = {**flatten(stored.pop("inputs"), "inputs"), **stored}
            assert flat.keys() == traced.keys() == eager.keys()
            for name in flat:
                equal(flat[name], traced[name])
                equal(flat[name], eager[name])


def test_prepared_the_same_in_a_saved_model(raw, everything, tmp_path):
    state_directory, transformed, _ = everything
    state = State.load(state_directory)
    module = tf.Module()
    module.prepare, _ = prepare_function(Everything(), state)
    module.resources = state.resources()
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    stored = next(iter(inputs.prepared(transformed, "train", 30)))
    read = [name for name in FEATURES if name != "unused"]
    plain = next(iter(examples.raw_dataset(raw, "train", 30, read)))
    assert plain.pop("key").numpy().tolist() == stored["key"].numpy().tolist()
    served = loaded.prepare(plain)
    for name, expected in flatten(stored["inputs"], "inputs").items():
        equal(served[name], expected)
    assert served["inputs/pieces"].flat_values.shape[0] > 30


def equal(left, right):
    assert left.dtype == right.dtype
    if isinstance(left, tf.RaggedTensor):
        assert left.to_list() == right.to_list()
    elif left.dtype.is_floating:
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(left, right)


def test_order_and_shards_are_those_of_the_examples(raw, everything):
    expected = [key for key, _ in examples.records(raw, "train")]
    batches = inputs.prepared(everything[1], "train", 64)
    keys = np.concatenate([batch["key"] for batch in batches])
    assert [key.decode() for key in keys] == expected
    assert len(list(everything[1].glob("train-*-of-00002.tfrecord"))) == 2


def test_run_again_gives_equal_files(raw, everything, tmp_path):
    again = run(raw, tmp_path, Everything())
    for one, two in zip(everything[:2], again[:2], strict=True):
        names = sorted(path.name for path in one.iterdir())
        assert names == sorted(path.name for path in two.iterdir())
        for name in names:
            assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_one_tensor_without_analyzers(raw, tmp_path):
    _, transformed, _ = run(raw, tmp_path, Plain())
    batch = next(iter(inputs.prepared(transformed, "test", 30)))
    assert set(batch) == {"key", "inputs", "targets"}
    key = batch["key"][0].numpy().decode()
    expected = values_of(int(key.removeprefix("k")))
    np.testing.assert_array_equal(batch["inputs"][0], expected["size"] * 2)
    assert batch["targets"][0] == expected["label"]


class NestedWeights(Plain):
    """A weight for each number, and one for the whole example."""

    def prepare_targets(self, features, state):
        weight = tf.cast(features["label"], tf.float32)
        return features["label"], {"numbers": tf.stack([weight, weight + 1], 1), "all": weight}


def test_weights_may_be_nested_and_of_any_shape(raw, tmp_path):
    _, transformed, _ = run(raw, tmp_path, NestedWeights())
    (batch,) = inputs.prepared(transformed, "test", 30)
    labels = batch["targets"].numpy()
    assert set(labels) == {0, 1, 2}
    np.testing.assert_array_equal(batch["sample_weight"]["all"], labels)
    expected = np.stack([labels, labels + 1], 1)
    np.testing.assert_array_equal(batch["sample_weight"]["numbers"], expected)


class NoImages(Plain):
    """Counts what cannot be counted."""

    def analyzers(self, source):
        return {"pixels": Moments(lambda batch: batch["image"])}


class TooManyValues(Plain):
    """Counts values of which there are many."""

    def analyzers(self, source):
        return {"keys": ValueCounts(lambda batch: batch["image"])}


def test_an_analyzers_fault_is_told_without_beams_traceback(raw, tmp_path, monkeypatch):
    with pytest.raises(TypeError, match=r"^The analyzer `pixels` \(Moments\) needs numbers"):
        run(raw, folder(tmp_path, "type"), NoImages())
    monkeypatch.setattr(analyzer_accumulators, "MAX_VALUES", 100)
    with pytest.raises(
        ValueError, match="^The analyzer `keys`: ValueCounts is for .*most 100 dist"
    ):
        run(raw, folder(tmp_path, "values"), TooManyValues())


def test_an_attempt_that_was_killed_is_forgotten(raw, tmp_path):
    """Its runs are in the scratch folder, which a step that is tried again gets back."""
    scratch = tmp_path / "scratch"
    (scratch / "analyzers").mkdir(parents=True)
    (scratch / "analyzers" / "fault.json").write_text('"of the attempt before"')
    (tmp_path / "state").mkdir()
    read = read_features(Everything(), FEATURES)
    shards = [str(path) for path in examples.shard_paths(raw, "train")]
    state = analyze(shards, Everything(), FEATURES, read, tmp_path / "state", scratch)
    assert "words" in state


def test_an_empty_training_split_is_told(tmp_path):
    (tmp_path / "shard").touch()
    read = read_features(Everything(), FEATURES)
    with pytest.raises(ValueError, match=r"^The analyzers \(words, .* need a training split with"):
        analyze([str(tmp_path / "shard")], Everything(), FEATURES, read, tmp_path, tmp_path)


class WrongWeight(Plain):
    """Weighs in float64."""

    def prepare_targets(self, features, state):
        return features["label"], {"a": tf.cast(features["label"], tf.float64)}


class Empty(Plain):
    """Pads to the longest of the batch, which differs from batch to batch."""

    def prepare_inputs(self, features, state):
        return tf.strings.split(features["text"]).to_tensor("")


@pytest.mark.parametrize(
    ("preparation", "message"),
    [
        (WrongWeight(), r"float32 \[batch, ...\].*Received: `sample_weight/a` of dtype float64"),
        (Empty(), "`inputs` has an axis of unknown size that is not ragged"),
    ],
    ids=["weight", "padding"],
)
def test_what_cannot_be_stored_is_explained(preparation, message):
    with pytest.raises(ValueError, match=message):
        prepare_function(preparation, State(FEATURES))


def test_prepared_batches_encode_by_the_spec():
    prepare, tensors = prepare_function(Plain(), State(FEATURES))
    assert {name: (t.dtype, t.shape) for name, t in tensors.items()} == {
        "inputs": ("float32", (2,)),
        "targets": ("int64", ()),
    }
    batch = {
        "image": tf.constant([b""]),
        "text": tf.constant([b""]),
        "size": tf.constant([[1.0, 2.0]]),
        "label": tf.constant([1], tf.int64),
    }
    (data,) = encode(prepare(batch), tensors)
    example = tf.train.Example.FromString(data)
    assert list(example.features.feature["inputs"].float_list.value) == [2.0, 4.0]
