"""Batches of ragged data: equal from memory, disk and records; padded, packed, mixed, shared."""

import numpy as np
import pytest
import tensorflow as tf

from penstock.pipelines.inputs import inputs, record_index
from penstock.pipelines.inputs.input_config import Buckets, Packing
from penstock.pipelines.inputs.record_index import RecordIndex
from penstock.pipelines.tfrecord import read_records, write_records
from penstock.pipelines.transform.tensor_records import encode
from penstock.pipelines.transform.tensor_spec import Tensor, shard_path, write_spec

EXAMPLES = 29
TENSORS = {
    "key": Tensor("string", ()),
    "inputs/ids": Tensor("int32", (None,), 1),
    "sample_weight": Tensor("float32", (None,), 1),
    "targets": Tensor("int64", (None,), 1),
}
AWKWARD = {
    "inputs/deep": Tensor("float32", (None, None, 2), 2),
    "inputs/flags": Tensor("bool", (3,)),
    "inputs/half": Tensor("bfloat16", (None,), 1),
    "inputs/text": Tensor("string", (2,)),
    "inputs/words": Tensor("string", (None,), 1),
}


def length_of(i):
    return i % 7


def ragged(rows, dtype):
    return tf.ragged.constant(rows, dtype, row_splits_dtype=tf.int64, inner_shape=())


def write(directory, numbers=range(EXAMPLES), split="train", tensors=TENSORS, **more):
    """Example i has i % 7 ids i + 1, targets 10 * i and weights 0.5."""
    flat = {
        "key": tf.constant([f"k{i}" for i in numbers]),
        "inputs/ids": ragged([[i + 1] * length_of(i) for i in numbers], tf.int32),
        "targets": ragged([[10 * i] * length_of(i) for i in numbers], tf.int64),
        "sample_weight": ragged([[0.5] * length_of(i) for i in numbers], tf.float32),
        **more,
    }
    directory.mkdir(exist_ok=True)
    records = encode(flat, tensors)
    for index, part in enumerate((records[:11], records[11:])):
        write_records(shard_path(directory, split, index, 2), part)
    write_spec(directory, tensors, {split: len(numbers)}, {split: 2})
    return directory


def plain(value):
    """Tensors, ragged or not, as lists."""
    return tf.nest.map_structure(
        lambda t: t.to_list() if isinstance(t, tf.RaggedTensor) else t.numpy().tolist(), value
    )


def batches(directory, steps, **options):
    options = {"batch_size": 4, "seed": 3, "keys": True, **options}
    return [plain(b) for b in inputs.training_batches(directory, "train", **options).take(steps)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write(tmp_path_factory.mktemp("ragged") / "transformed")


def test_where_rows_are_kept_changes_no_batch(tmp_path):
    deep = [[[[i, j]] * j for j in range(i % 3)] for i in range(EXAMPLES)]
    more = {
        "inputs/deep": tf.RaggedTensor.from_nested_row_lengths(
            np.array([pair for row in deep for part in row for pair in part], np.float32),
            [[len(row) for row in deep], [len(part) for row in deep for part in row]],
        ),
        "inputs/flags": tf.constant([[i % 2 == 0, True, False] for i in range(EXAMPLES)]),
        "inputs/half": ragged([[i / 4] * (i % 2) for i in range(EXAMPLES)], tf.bfloat16),
        "inputs/text": tf.constant([[f"é{i}\0", ""] for i in range(EXAMPLES)]),
        "inputs/words": ragged([[f"w{i}"] * (i % 3) for i in range(EXAMPLES)], tf.string),
    }  # fmt: skip
    directory = write(tmp_path / "data", tensors={**TENSORS, **AWKWARD}, **more)
    memory, disk, off = (
        batches(directory, 16, cache=cache, scratch=tmp_path) for cache in ("memory", "disk", "off")
    )
    assert memory == disk == off
    for features, targets, weights, keys in memory:
        numbers = [int(key[1:]) for key in keys]
        assert features["ids"] == [[i + 1] * length_of(i) for i in numbers]
        assert features["words"] == [[b"w%d" % i] * (i % 3) for i in numbers]
        assert features["text"] == [[f"é{i}\0".encode(), b""] for i in numbers]
        assert features["flags"] == [[i % 2 == 0, True, False] for i in numbers]
        assert features["deep"] == [deep[i] for i in numbers]
        assert targets == [[10 * i] * length_of(i) for i in numbers]
        assert weights == [[0.5] * length_of(i) for i in numbers]


def test_the_disk_cache_is_written_once_and_whole(tmp_path):
    directory = write(tmp_path / "data")
    first = batches(directory, 8, cache="disk", scratch=tmp_path)
    (kept,) = tmp_path.glob("prepared-*")
    # A process that was killed while it wrote leaves this; it is not taken for the data.
    kept.rename(kept.with_name(kept.name + ".unfinished"))
    (kept.with_name(kept.name + ".unfinished") / "0-values").write_bytes(b"")
    assert batches(directory, 8, cache="disk", scratch=tmp_path) == first
    times = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert batches(directory, 8, cache="disk", scratch=tmp_path) == first
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == times


def test_the_disk_cache_asks_for_space(directory, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match="`train.cache=disk` needs up to .*free space"):
        batches(directory, 1, cache="disk", scratch=tmp_path)


def test_a_resume_reads_nothing_of_what_comes_before(directory, monkeypatch):
    read = []
    original = RecordIndex.read

    def spy(self, rows):
        read.append([f"k{row}".encode() for row in rows])
        return original(self, rows)

    monkeypatch.setattr(RecordIndex, "read", spy)
    whole = batches(directory, 8, cache="off")
    keys = [batch[3] for batch in whole]
    assert [len(batch) for batch in keys] == [4] * 7 + [1]  # 29 examples
    assert all(batch in read for batch in keys)
    read.clear()
    assert batches(directory, 2, cache="off", first_step=6) == whole[6:]
    assert [batch in read for batch in keys] == [False] * 6 + [True] * 2


@pytest.mark.parametrize("cached", [True, False])
def test_only_what_the_kernel_must_read_is_announced(directory, monkeypatch, cached):
    announced = []
    monkeypatch.setattr(record_index, "_is_cached", lambda descriptor, offset: cached)
    monkeypatch.setattr(record_index, "_OPEN_FILES", 1)
    monkeypatch.setattr("os.posix_fadvise", lambda *extent: announced.append(extent[1:3]))
    paths = [shard_path(directory, "train", index, 2) for index in range(2)]
    rows = np.array([28, 3, 11, 3, 0])
    expected = [list(read_records(path)) for path in paths]
    found = RecordIndex(paths).read(rows).tolist()
    assert found == [(expected[0] + expected[1])[row] for row in rows]
    assert len(announced) == (0 if cached else 4)  # row 3 once


def test_damage_is_named(tmp_path):
    directory = write(tmp_path / "data")
    path = shard_path(directory, "train", 1, 2)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    with pytest.raises(tf.errors.OpError, match="00001-of-00002.*damaged: record 17"):
        batches(directory, 8, cache="off")
    path.write_bytes(data[:-3])
    with pytest.raises(ValueError, match="damaged: record 17 is cut off"):
        batches(directory, 8, cache="off")
    data[-6] ^= 1
    path.write_bytes(data + b"cut header")
    with pytest.raises(ValueError, match="damaged: record 18 is cut off"):
        batches(directory, 8, cache="off")
    write_records(path, [])
    with pytest.raises(ValueError, match="Expected: 29. Received: 11"):
        batches(directory, 8, cache="off")


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_buckets_pad_to_their_boundary(directory, tmp_path, cache):
    """Lengths 0..6, boundaries 2, 4, 6: 15 examples of at most 2, 8 of 3 or 4, 6 of 5 or 6.

    In fours: 3 batches, then 2 with the rest of 3, then 2 with the rest of 3; one example is left.
    """
    found = batches(
        directory,
        8,
        buckets=Buckets(boundaries=(2, 4, 6)),
        padding={"targets": -1},
        cache=cache,
        scratch=tmp_path,
    )
    for features, targets, weights, keys in found:
        numbers = [int(key[1:]) for key in keys]
        bound = len(features["ids"][0])
        assert bound in (2, 4, 6)
        for row, i in enumerate(numbers):
            empty = bound - length_of(i)
            assert features["ids"][row] == [i + 1] * length_of(i) + [0] * empty
            assert targets[row] == [10 * i] * length_of(i) + [-1] * empty
            assert weights[row] == [0.5] * length_of(i) + [0.0] * empty
    shapes = [(len(keys), len(features["ids"][0])) for features, _, _, keys in found]
    assert sorted(shapes) == [(1, 6), (4, 2), (4, 2), (4, 2), (4, 4), (4, 4), (4, 6), (4, 6)]
    assert sorted(key for batch in found for key in batch[3]) == sorted(
        f"k{i}".encode() for i in range(EXAMPLES)
    )


def test_each_tensor_is_padded_by_itself(tmp_path):
    """Up to 30 ids and 2 targets: 20 or 40 places for ids, as the boundaries say, 8 for targets."""
    more = {
        "inputs/ids": ragged([[i + 1] * (5 * (i % 7)) for i in range(EXAMPLES)], tf.int32),
        "targets": ragged([[10 * i] * (i % 3) for i in range(EXAMPLES)], tf.int64),
    }
    directory = write(tmp_path / "data", **more)
    options = {"buckets": Buckets(boundaries=(20, 40)), "padding": {"targets": -1}}
    shapes = set()
    for features, targets, _, keys in batches(directory, 8, **options):
        shapes.add((len(features["ids"][0]), len(targets[0])))
        for ids, target, key in zip(features["ids"], targets, keys, strict=True):
            i = int(key[1:])
            assert [id for id in ids if id] == [i + 1] * (5 * (i % 7))
            assert target == [10 * i] * (i % 3) + [-1] * (8 - i % 3)
    assert shapes == {(20, 8), (40, 8)}


def test_the_heaviest_batch_is_known_from_its_bucket(directory):
    """In order on disk the batches above have 8, 8, 8, 16, 16, 24, 24 and 6 places."""
    batching = inputs.Batching(4, buckets=Buckets(boundaries=(2, 4, 6)))
    split = inputs.prepared_split(directory, "train")
    opened = inputs.open_batches([(split, 1.0)], batching, cache="memory", seed=None)
    assert opened.heaviest_step() == 5
    found = list(opened.once(first_step=opened.heaviest_step()))
    assert [tuple(features["ids"].shape) for features, *_ in found] == [(4, 6), (4, 6), (1, 6)]
    plain = inputs.open_batches([(split, 1.0)], inputs.Batching(4), cache="memory", seed=None)
    assert plain.heaviest_step() == 0


def test_memory_in_flight_is_counted_by_the_largest_of_some_batches(monkeypatch):
    """Batches of 1, 2 and 3 MiB: in 3 MiB one of the largest is in flight, not three of the first."""
    monkeypatch.setattr(inputs.os, "sched_getaffinity", lambda pid: {0, 1})
    asked = []

    def build(parallel, first=1):
        asked.append(parallel)
        return tf.data.Dataset.range(first, 4).map(lambda n: tf.zeros([n * 2**18]))

    inputs.tuned(build, 3)
    assert asked == [1, 1]
    inputs.tuned(build, 12, measured=lambda: build(1, 3))
    assert asked[2:] == [1, 2]


def test_one_trace_for_each_bucket(directory):
    split = inputs.prepared_split(directory, "train")
    batching = inputs.Batching(4, drop_remainder=True, buckets=Buckets(boundaries=(2, 4, 6)))
    opened = inputs.open_batches([(split, 1.0)], batching, seed=0)
    traced = []

    @tf.function
    def step(ids):
        traced.append(ids.shape)
        return tf.reduce_sum(ids)

    for features, _, _ in opened.training().take(3 * opened.steps_per_epoch):
        step(features["ids"])
    assert sorted(shape.as_list() for shape in traced) == [[4, 2], [4, 4], [4, 6]]
    assert (opened.steps_per_epoch, opened.examples_per_epoch) == (7, 28)


def test_one_bucket_has_a_static_shape(directory):
    dataset = inputs.training_batches(
        directory,
        "train",
        batch_size=4,
        seed=0,
        drop_remainder=True,
        packing=Packing(length=16),
    )
    assert dataset.element_spec[0]["ids"] == tf.TensorSpec([4, 16], tf.int32)
    assert dataset.element_spec[0]["ids_segment_ids"] == tf.TensorSpec([4, 16], tf.int32)
    dataset = inputs.training_batches(
        directory, "train", batch_size=4, seed=0, buckets=Buckets(boundaries=(6,))
    )
    assert dataset.element_spec[1] == tf.TensorSpec([None, 6], tf.int64)


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_packed_batches_hold_every_example_once(directory, cache):
    """87 tokens with all examples in rows of 12: 8 rows at least; 29 examples keep their tokens."""
    packing = {"packing": Packing(length=12), "batch_size": 3, "cache": cache}
    opened = inputs.open_batches(
        [(inputs.prepared_split(directory, "train"), 1.0)],
        inputs.Batching(3, packing=Packing(length=12), keys=True),
        seed=3,
    )
    steps = opened.steps_per_epoch
    epochs = batches(directory, 2 * steps, **packing)
    for epoch in (epochs[:steps], epochs[steps:]):
        seen = []
        for features, targets, _, keys in epoch:
            for row, members in enumerate(keys):
                ids, segments = features["ids"][row], features["ids_segment_ids"][row]
                for number, key in enumerate(members, start=1):
                    i = int(key[1:])
                    places = [p for p, segment in enumerate(segments) if segment == number]
                    assert [ids[p] for p in places] == [i + 1] * length_of(i)
                    assert [targets[row][p] for p in places] == [10 * i] * length_of(i)
                    assert [features["ids_positions"][row][p] for p in places] == list(
                        range(length_of(i))
                    )
                seen += members
        assert sorted(seen) == sorted(f"k{i}".encode() for i in range(EXAMPLES))
    assert epochs[:steps] != epochs[steps:]
    assert batches(directory, steps, first_epoch=1, **packing) == epochs[steps:]
    tokens = sum(length_of(i) for i in range(EXAMPLES))
    rows = sum(len(batch[3]) for batch in epochs[:steps])
    assert opened.padding_share == pytest.approx(1 - tokens / (12 * rows))


def test_hosts_share_each_batch(directory):
    whole = batches(directory, 10, cache="off")
    parts = [batches(directory, 10, cache="off", host=(index, 2)) for index in (0, 1)]
    assert [a[3] + b[3] for a, b in zip(*parts, strict=True)] == [batch[3] for batch in whole]
    assert [len(part[0][3]) for part in parts] == [2, 2]


def test_directories_are_mixed_by_weight(directory, tmp_path):
    """29 and 11 examples at 1:1: 40 in an epoch, 20 of each."""
    other = write(tmp_path / "other", range(100, 111))
    parts = [(inputs.prepared_split(path, "train"), 1.0) for path in (directory, other)]
    for cache in ("memory", "off"):
        opened = inputs.open_batches(parts, inputs.Batching(8, keys=True), cache=cache, seed=0)
        assert opened.steps_per_epoch == 5
        keys = [[int(key.numpy()[1:]) for key in batch[3]] for batch in opened.training().take(5)]
        drawn = sum(keys, [])
        assert sum(i >= 100 for i in drawn) == 20
        assert len({i for i in drawn if i < 100}) == 20
        resumed = next(iter(opened.training(first_epoch=0, first_step=3)))[3]
        assert [int(key.numpy()[1:]) for key in resumed] == keys[3]


@pytest.mark.parametrize(
    ("batching", "message"),
    [
        ({"buckets": Buckets(), "packing": Packing(length=9)}, "exclude each other"),
        ({"host": (0, 5)}, r"at least the number of hosts \(5\). Received: 4"),
        ({"buckets": Buckets(), "padding": {"target": 1}}, "name ragged tensors. Received: target"),
        ({"buckets": Buckets(), "padding": {"targets": 0.5}}, "its dtype, int64. Received: 0.5"),
        ({"buckets": Buckets(), "padding": {"inputs/ids": 2**40}}, "its dtype, int32. Received: 1099"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_named(directory, batching, message):
    with pytest.raises(ValueError, match=message):
        batches(directory, 1, **batching)


def test_parts_that_do_not_fit_are_named(directory, tmp_path):
    split = inputs.prepared_split(directory, "train")
    other = write(
        tmp_path / "other",
        tensors={**TENSORS, "inputs/flags": AWKWARD["inputs/flags"]},
        **{"inputs/flags": tf.ones([EXAMPLES, 3], tf.bool)},
    )
    wider = inputs.prepared_split(other, "train")
    with pytest.raises(ValueError, match="same tensors.*Received: .*inputs/flags"):
        inputs.open_batches([(split, 1.0), (wider, 1.0)], inputs.Batching(4), seed=0)
    with pytest.raises(ValueError, match="weight above 0. Received: 29 examples, weight 0"):
        inputs.open_batches([(split, 0.0)], inputs.Batching(4), seed=0)


def test_a_disk_cache_is_of_one_place(tmp_path):
    """Files of the same names and sizes in another directory have other contents."""
    tensors = {name: tensor for name, tensor in TENSORS.items() if name != "targets"}
    first = write(tmp_path / "first", range(10, 31), tensors=tensors)
    other = write(tmp_path / "other", range(73, 94), tensors=tensors)
    sizes = [[file.stat().st_size for file in sorted(p.iterdir())] for p in (first, other)]
    assert sizes[0] == sizes[1]
    for path, numbers in ((first, range(10, 31)), (other, range(73, 94))):
        found = batches(path, 6, cache="disk", scratch=tmp_path)
        assert {key for batch in found for key in batch[3]} == {b"k%d" % i for i in numbers}
