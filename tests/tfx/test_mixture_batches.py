"""A mixture by config: from the files of two data sets to the batches of a training."""

import json
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
import yaml

from penstock.models.locate import task_class
from penstock.models.preparation import Preparation
from penstock.pipelines import examples
from penstock.pipelines.ingest.example_gen import generate
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.transform import transform
from penstock.tfx.load_config import load_config
from penstock.tfx.training import data
from penstock.tfx.training.config import TrainConfig

ROWS = {"a": 60, "b": 20}
"""Row i of a data set is its name, i % 5 + 1 times."""
TRAIN = {"mixture": {"train/a": 1, "train/b": 3}, "batch_size": 8}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(config, directory of Examples)."""
    root = tmp_path_factory.mktemp("mixture")
    sources = {}
    for name, count in ROWS.items():
        lines = "".join(f"{name * (i % 5 + 1)}\n" for i in range(count))
        (root / f"{name}.csv").write_text(f"text\n{lines}")
        sources[name] = {"type": "csv", "path": str(root / f"{name}.csv")}
    source = {"type": "mixture", "sources": sources}
    document = {"name": "mixed", "task": "text.reversal", "data": {"source": source}}
    (root / "mixed.yaml").write_text(yaml.safe_dump(document | {"train": TRAIN}))
    config = load_config(root / "mixed.yaml")
    (root / "examples").mkdir()
    splitter = Splitter(config.pipeline.data.splits)
    generate(config.pipeline.data.source, splitter, root / "examples", root / "scratch")
    return config, root / "examples"


def prepare(raw, preparation, root):
    """(state, directory of the TransformedExamples)."""
    for name in ("state", "transformed", "scratch"):
        (root / name).mkdir()
    transform(raw, preparation, root / "state", root / "transformed", root / "scratch", "train")
    return State.load(root / "state"), root / "transformed"


def first_ids(batches):
    """How often each id stands first in a row."""
    inputs = [x["ids"] if isinstance(x, dict) else x for x, *_ in batches]
    return Counter(i for x in inputs for row in x.numpy().tolist() for i in row[:1])


def assert_shares(counts, a, b):
    """A quarter of `a`, three quarters of `b`, as near as whole numbers come."""
    assert counts.keys() == {a, b}
    assert abs(counts[b] - 0.75 * counts.total()) <= 0.5


def test_batches_have_the_shares_that_the_config_says(made, tmp_path):
    config, raw = made
    task = task_class(config.pipeline.task)(config.task)
    state, transformed = prepare(raw, task, tmp_path)
    opened = data.open_training(transformed, config.pipeline.train, task, state, seed=0)
    of_train = Counter(key.split("/")[0] for key, _ in examples.records(raw, "train"))
    assert of_train["a"] > 2 * of_train["b"]  # 60 rows and 20, so that weighing turns them round
    assert opened.examples_per_epoch == of_train.total()
    # `a` occurs more often, so it comes first in the vocabulary, behind four reserved ids.
    counts = first_ids(opened.training().take(opened.steps_per_epoch))
    assert counts.total() == of_train.total()
    assert_shares(counts, 4, 5)


class Characters(Preparation):
    """Ragged code points as inputs and as targets; of a task, what batches need."""

    def input_features(self, source):
        return {"text": source["text"]}

    def target_features(self, source):
        return {}

    def prepare_inputs(self, features, state):
        return {"ids": tf.strings.unicode_decode(features["text"], "UTF-8")}

    def prepare_targets(self, features, state):
        return tf.strings.unicode_decode(features["text"], "UTF-8"), None

    def augment(self, inputs, targets, seed, state):
        return inputs, targets

    def training_inputs(self, inputs, targets, state):
        return inputs, targets


@pytest.fixture(scope="module")
def ragged(made, tmp_path_factory):
    """(task, state, TransformedExamples that are stored, such that are only described)."""
    root = tmp_path_factory.mktemp("ragged")
    task = Characters(None)
    state, stored = prepare(made[1], task, root)
    document = json.loads((stored / "spec.json").read_text())
    document |= {"stored": False, "shards": dict.fromkeys(document["splits"], 0)}
    (root / "described").mkdir()
    (root / "described" / "spec.json").write_text(json.dumps(document))
    return task, state, stored, root / "described"


@pytest.mark.parametrize(
    "more",
    [
        {"cache": "disk"},
        {"cache": "memory", "buckets": {"boundaries": [2, 5]}},
        {"cache": "off", "packing": {"length": 6}},
        {"cache": "disk", "packing": {"length": 6}},
    ],
    ids=["plain-disk", "buckets-memory", "packing-off", "packing-disk"],
)
def test_a_mixture_goes_with_every_way_of_batching(made, ragged, tmp_path, more):
    """Stored and on the fly: the same batches. Of packed rows, too, a quarter is of `a`."""
    task, state, stored, described = ragged
    train = TrainConfig.model_validate_json(json.dumps({**TRAIN, **more}))
    ways = []
    for directory in (stored, described):
        scratch = tmp_path / directory.name
        scratch.mkdir()
        opened = data.open_training(
            directory, train, task, state, seed=0, examples=made[1], scratch=scratch
        )
        ways.append(list(opened.training().take(opened.steps_per_epoch)))
        assert_shares(first_ids(ways[-1]), ord("a"), ord("b"))
        assert any(scratch.glob("prepared-*")) == (train.cache == "disk")
    flat = (tf.nest.flatten(way, expand_composites=True) for way in ways)
    for ours, theirs in zip(*flat, strict=True):
        np.testing.assert_array_equal(ours, theirs)
