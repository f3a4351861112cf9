"""ExampleGen's pipeline: what is written, what is quarantined, what stays where it was."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from penstock.pipelines import examples
from penstock.pipelines.example_codec import deserialise, fault_of, serialise
from penstock.pipelines.features import (
    Audio,
    Boxes,
    Image,
    Label,
    Mask,
    Number,
    Sequence,
    Text,
)
from penstock.pipelines.ingest import example_gen, sorted_runs
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.quarantine import bad_records
from penstock.pipelines.running import progress
from penstock.pipelines.sources import locate, source
from penstock.pipelines.sources.source import BadRecord, Record
from penstock.pipelines.tfrecord import write_records

SPLITTER = Splitter({"train": 0.8, "validation": 0.1, "test": 0.1})
FEATURES = {
    "text": Text(),
    "label": Label(names=("no", "yes")),
    "size": Number(shape=(2,)),
    "count": Number(dtype="int64"),
}


class ListSource(source.Source):
    """Gives the records of a list."""

    type: str = "list"
    described: dict = FEATURES
    given: list = []

    def features(self):
        return self.described

    def read(self, pipeline):
        import apache_beam as beam

        return pipeline | beam.Create(self.given, reshuffle=False)


def record(key, split=None, **values):
    defaults = {"text": f"text of {key}", "label": 1, "size": [0.5, len(key)], "count": 7}
    return Record(key, {**defaults, **values}, split, "list.csv", 3)


def generate(tmp_path, records, name="examples", splitter=SPLITTER, **options):
    directory = tmp_path / name
    directory.mkdir()
    listed = ListSource.model_construct(given=records, described=FEATURES)
    generated = example_gen.generate(listed, splitter, directory, tmp_path / "scratch", **options)
    return directory, generated


def keys_by_split(directory):
    return {s: [k for k, _ in examples.records(directory, s)] for s in examples.splits(directory)}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    (root / "examples").mkdir()
    digits = locate.load({"type": "sklearn", "dataset": "digits"})
    example_gen.generate(digits, SPLITTER, root / "examples", root / "scratch")
    return root / "examples"


def test_tfds_opens_the_examples(digits):
    from sklearn.datasets import load_digits

    expected = load_digits()
    builder = tfds.builder_from_directory(digits)
    assert builder.info.features["label"].names == [str(i) for i in range(10)]
    seen = 0
    for split in ("train", "validation", "test"):
        assert builder.info.splits[split].num_examples == examples.num_examples(digits, split)
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            index = int(example["key"].decode().removeprefix("digits-"))
            image = np.round(expected.images[index] * 255 / 16).astype(np.uint8)
            np.testing.assert_array_equal(example["image"][:, :, 0], image)
            assert example["label"] == expected.target[index]
            seen += 1
    assert seen == 1797


def test_raw_dataset_has_the_same_records(digits):
    plain = list(examples.records(digits, "test"))
    batches = list(examples.raw_dataset(digits, "test", 50).as_numpy_iterator())
    keys = np.concatenate([batch["key"] for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    images = np.concatenate([batch["image"] for batch in batches])
    assert keys.tolist() == [key.encode() for key, _ in plain]
    assert labels.tolist() == [values["label"] for _, values in plain]
    assert images.tolist() == [values["image"] for _, values in plain]
    assert set(next(iter(examples.raw_dataset(digits, "test", 8, ["label"])))) == {"key", "label"}


def test_classes_are_mixed(digits):
    labels = [values["label"] for _, values in examples.records(digits, "train")]
    assert set(labels[:200]) == set(range(10))


def test_every_kind_of_feature_round_trips(tmp_path):
    values = {"text": "é\n", "label": 0, "size": np.array([0.25, -1e30]), "count": -(2**60)}
    directory, _ = generate(tmp_path, [record("a", "train", **values)])
    ((key, back),) = examples.records(directory, "train")
    assert key == "a"
    assert (back["text"], back["label"], back["count"]) == ("é\n", 0, -(2**60))
    np.testing.assert_array_equal(back["size"], np.array([0.25, -1e30], np.float32))
    (example,) = tfds.as_numpy(tfds.builder_from_directory(directory).as_dataset(split="train"))
    assert example["text"].decode() == "é\n"
    np.testing.assert_array_equal(example["size"], back["size"])


VARYING = {
    "word": Text(optional=True),
    "label": Label(names=("no", "yes"), optional=True),
    "size": Number(optional=True),
    "count": Number(dtype="int64", optional=True),
    "pair": Number(dtype="int64", shape=(2,), optional=True),
    "boxes": Boxes(),
    "classes": Sequence(of=Label(names=("cell", "plate"))),
    "tags": Sequence(of=Text(), optional=True),
    "track": Sequence(of=Number(shape=(3,))),
}
FULL = {
    "word": "",
    "label": 1,
    "size": 0.0,
    "count": 0,
    "pair": [3, -4],
    "boxes": [[0.0, 0.25, 0.5, 1.0], [0.5, 0.5, 0.5, 0.75]],
    "classes": [1, 0],
    "tags": ["a", "", "\u00fc"],
    "track": [[1.0, 2.0, 3.0]],
}
BARE = {"boxes": [], "classes": [], "track": [], "size": None}
MISSING = {"word": b"", "label": -1, "count": -(2**63), "pair": [-(2**63)] * 2}


@pytest.fixture(scope="module")
def varying(tmp_path_factory):
    """Two records: one with a value of everything, one with as few as it may have."""
    directory = tmp_path_factory.mktemp("varying")
    listed = ListSource.model_construct(
        given=[Record("full", FULL), Record("bare", BARE)], described=VARYING
    )
    splitter = Splitter({"train": 1.0})
    generated = example_gen.generate(listed, splitter, directory, directory / "scratch")
    assert generated.bad == []
    return directory


def test_missing_values_and_sequences_round_trip(varying):
    found = dict(examples.records(varying, "train"))
    full = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in found["full"].items()}
    assert full == FULL
    bare = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in found["bare"].items()}
    assert bare == {"boxes": [], "classes": [], "track": []}
    assert found["bare"]["track"].shape == (0, 3)


def test_missing_values_and_sequences_as_tensors(varying):
    (batch,) = examples.raw_dataset(varying, "train", 2)
    rows = {key: row for row, key in enumerate(batch.pop("key").numpy().tolist())}
    bare, full = rows[b"bare"], rows[b"full"]
    for name, missing in MISSING.items():
        assert batch[name].numpy().tolist()[bare] == missing
    assert np.isnan(batch["size"][bare].numpy())
    assert batch["boxes"][full].numpy().tolist() == FULL["boxes"]
    assert batch["tags"][full].numpy().tolist() == [b"a", b"", "\u00fc".encode()]
    for name in ("boxes", "classes", "tags", "track"):
        assert batch[name][bare].shape[0] == 0
        assert batch[name].shape.as_list()[:2] == [2, None]
    signature = examples.request_signature(VARYING)
    assert all(signature[name].is_compatible_with(tensor) for name, tensor in batch.items())


def test_tfds_reads_missing_values_and_sequences(varying):
    dataset = tfds.builder_from_directory(varying).as_dataset(split="train")
    found = {row["key"]: row for row in tfds.as_numpy(dataset)}
    full, bare = found[b"full"], found[b"bare"]
    assert full["word"].tolist() == [b""]
    assert bare["word"].tolist() == []
    assert full["pair"].tolist() == [[3, -4]]
    assert bare["pair"].shape == (0, 2)
    assert full["boxes"].tolist() == FULL["boxes"]
    assert bare["boxes"].shape == (0, 4)
    assert full["classes"].tolist() == [1, 0]
    assert full["track"].tolist() == FULL["track"]


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("boxes", [[0.5, 0, 0.25, 1]], "has the box [0.5, 0.0, 0.25, 1.0] (number 0); expected"),
        ("boxes", [[0, 0, 1, 1.5]], "has the box [0.0, 0.0, 1.0, 1.5] (number 0); expected"),
        ("boxes", [[0, 0, 1, float("nan")]], "expected 0 <= ymin"),
        ("boxes", [0, 0, 1, 1], "must have the shape (None, 4), not (4,)"),
        ("classes", [0, 2], "is 2; class ids go from 0 to 1 (entry 1)"),
        ("classes", 1, "must be a list, not int"),
        ("tags", ["a", 3], "must be text, not int (entry 1)"),
        ("track", [[1.0, 2.0]], "must have the shape (None, 3), not (1, 2)"),
        ("track", [[1.0, 2.0, 3.0], [1.0]], "not a ragged list"),
        ("count", 2**63, "does not fit into an int64"),
        ("count", 1.5, "must be of dtype int64, not float64"),
        (
            "count",
            np.ma.masked_array([3, 4], [False, True])[1],
            "has masked values, which are none",
        ),
        ("size", np.ma.masked_array(3.5, True), "has masked values"),
        ("track", np.ma.masked_array([[1.0, 2, 3]], [[0, 0, 1]]), "for a missing value give None"),
        ("boxes", np.ma.masked_array([[0, 0, 1, 1.0]], [[0, 1, 0, 0]]), "has masked values"),
        ("classes", np.ma.masked_array([0, 1], [True, False]), "must be a class id, not masked"),
    ],
)
def test_what_does_not_fit_a_sequence_or_a_box_is_said(name, value, fault):
    assert fault in fault_of("key", {**FULL, name: value}, VARYING)


def test_a_masked_array_without_a_masked_value_is_an_array():
    assert fault_of("key", {**FULL, "track": np.ma.masked_array([[1.0, 2, 3]])}, VARYING) is None


def test_a_users_source_may_give_a_path_and_numbers_of_numpys(tmp_path):
    path, index = Path("data", "list.csv"), np.int32(4)
    good = replace(record("a", "train"), file=path, index=index)
    bad = BadRecord(path, index, "It is bad.", offset=np.uint8(9))
    _, generated = generate(tmp_path, [good, good, bad])
    assert [(b.file, b.index, b.offset) for b in generated.bad] == [
        ("data/list.csv", 4, 9),
        ("data/list.csv", 4, None),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(record("a"), file=None),
        replace(record("a"), index="4"),
        BadRecord("list.csv", None, "It is bad."),
        BadRecord("list.csv", 4, ValueError("It is bad.")),
        BadRecord("list.csv", 4, "It is bad.", data="text"),
        BadRecord("list.csv", 4, "It is bad.", offset=1.5),
    ],
)
def test_fields_that_no_record_can_have(wrong):
    with pytest.raises(
        TypeError, match=r"`file` must be a text or a path.* Received: (Bad)?Record"
    ):
        source.with_plain_fields(wrong)


def test_a_mask_is_a_png():
    mask = {"mask": Mask(names=("road", "sky"), ignore=255)}
    assert fault_of("key", {"mask": b"\x89PNG\r\n\x1a\n..."}, mask) is None
    assert "is no PNG image" in fault_of("key", {"mask": b"\xff\xd8\xff"}, mask)
    with pytest.raises(ValueError, match="`ignore` is a value behind them"):
        Mask(names=("road", "sky"), ignore=1)


def test_audio_stays_encoded():
    features = {"sound": Audio()}
    data = serialise("k", {"sound": b"RIFF\x00\xff"}, features)
    assert deserialise(data, features) == ("k", {"sound": b"RIFF\x00\xff"})


def test_adding_data_moves_no_old_example(tmp_path):
    old = [record(f"k{i}") for i in range(300)]
    new = [record(f"new{i}") for i in range(500)]
    before, _ = generate(tmp_path, old, "before")
    after, _ = generate(tmp_path, new + old[::-1], "after")
    for split, keys in keys_by_split(before).items():
        assert keys
        assert set(keys) <= set(keys_by_split(after)[split])


def test_order_of_reading_does_not_matter(tmp_path):
    records = [record(f"k{i}") for i in range(50)]
    one, _ = generate(tmp_path, records, "one")
    two, _ = generate(tmp_path, records[::-1], "two")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


def test_sharding_and_runs_do_not_change_the_content(tmp_path, monkeypatch):
    records = [record(f"k{i}") for i in range(200)]
    one, _ = generate(tmp_path, records, "one")
    monkeypatch.setattr(sorted_runs, "RUN_BYTES", 2000)
    many, _ = generate(tmp_path, records, "many", shards=3)
    assert len(examples.shard_paths(many, "train")) == 3
    assert examples.content_digest(one) == examples.content_digest(many)
    assert keys_by_split(one) == keys_by_split(many)
    changed, _ = generate(tmp_path, [*records[1:], record("k0", label=0)], "changed")
    assert examples.content_digest(one) != examples.content_digest(changed)


def test_own_splits_are_kept(tmp_path):
    records = [record(f"k{i}", split) for i in range(20) for split in ("train", "dev")[i % 2 :][:1]]
    directory, generated = generate(tmp_path, records)
    assert generated.splits == {"train": 10, "validation": 0, "test": 0, "dev": 10}
    assert examples.shard_paths(directory, "test") == []


BAD = [
    (record("x", label=2), "`label` is 2; class ids go from 0 to 1."),
    (record("x", label=-1), "`label` is -1; class ids go from 0 to 1."),
    (record("x", label="yes"), "`label` must be a class id, not 'yes' (str)."),
    (record("x", label=True), "`label` must be a class id, not True (bool)."),
    (record("x", text=None), "It lacks the feature `text`."),
    (record("x", text=5), "`text` must be text, not int."),
    (record("x", text=b"\xff"), "`text` is not UTF-8."),
    (record("x", size=[1.0]), "`size` must have the shape (2,), not (1,)."),
    (record("x", size=["a", "b"]), "`size` must be of dtype float32, not <U1."),
    (record("x", size=[[1.0], [1.0, 2.0]]), "not a ragged list."),
    (record("x", count=0.5), "`count` must be of dtype int64, not float64."),
    (record("x", other=1), "`other`, which the source does not describe."),
    (record(""), "The key must be a string that is not empty, not ''."),
    (record(b"\xff.png".decode("utf-8", "surrogateescape")), "(a file name?) is not UTF-8."),
    (replace(record("x"), group=7), "The group must be a string or None, not 7."),
    (BadRecord("list.csv", 3, "Broken.", "x"), "Broken."),
]


@pytest.mark.parametrize(
    ("bad", "reason"),
    BAD,
    ids=lambda value: value.replace("`", "")[:40] if isinstance(value, str) else "",
)
def test_bad_records_come_out_with_their_reason(tmp_path, bad, reason):
    _, generated = generate(tmp_path, [record("good"), bad])
    assert sum(generated.splits.values()) == 1
    ((found),) = generated.bad
    assert found.reason.endswith(reason)
    assert (found.file, found.index) == ("list.csv", 3)


def test_every_record_that_is_read_is_an_example_or_a_bad_record(tmp_path, monkeypatch):
    """All kinds of faults at once, in runs of a few records: of the record, of its key, of `expand`."""
    (tmp_path / "penstock_test_doubles.py").write_text(
        "from dataclasses import replace\n"
        "def expand(record, config):\n"
        "    if record.key == 'fails':\n"
        "        raise ValueError('no')\n"
        "    return [record, replace(record, key=f'{record.key}+')] if record.key == 'a' else [record]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sorted_runs, "RUN_BYTES", 1000)
    monkeypatch.setattr(bad_records, "RUN_RECORDS", 3)
    good = [record(name) for name in ("a", "b", "b", "b", "fails")] + [record("a", "test")]
    _, generated = generate(
        tmp_path, [*good, *[bad for bad, _ in BAD]], expand="penstock_test_doubles"
    )
    # a and a+ from two records, b once; b twice again, one failure, and all that are bad.
    assert sum(generated.splits.values()) == 5
    summary = generated.summary
    assert (summary["good"], summary["bad"]) == (5, 3 + len(BAD))
    assert summary["read"] == len(good) + 2 + len(BAD)  # `expand` made two more
    assert summary["read"] == summary["good"] + summary["bad"]
    assert sum(kind["count"] for kind in summary["reasons"]) == summary["bad"]
    assert len(generated.bad) == summary["bad"]


def test_a_lost_record_is_an_error(tmp_path, monkeypatch):
    def lossy(path, lines):
        return write_records(path, lines[1:])

    monkeypatch.setattr(example_gen, "write_records", lossy)
    with pytest.raises(RuntimeError, match="3 were read, but 2 are examples and 0 are bad"):
        generate(tmp_path, [record(name, "train") for name in "abc"])


@pytest.mark.parametrize(
    ("feature", "value", "fault"),
    [
        (Image(), b"", "The feature `x` is empty."),
        (Image(), b"GIF89a", "The feature `x` is no PNG or JPEG image."),
        (Image(encoding="jpeg"), b"\x89PNG\r\n\x1a\n", "The feature `x` is no JPEG image."),
        (Image(), "a.png", "The feature `x` must be encoded bytes, not str."),
        (Audio(), b"", "The feature `x` is empty."),
    ],
)
def test_encoded_features_are_checked(feature, value, fault):
    assert fault_of("key", {"x": value}, {"x": feature}) == fault


def test_a_key_that_occurs_twice_is_a_bad_record(tmp_path):
    directory, generated = generate(tmp_path, [record("a"), record("b"), record("a", label=0)])
    assert sum(generated.splits.values()) == 2
    assert [(b.key, b.reason) for b in generated.bad] == [("a", "Another record has the same key.")]
    assert sorted(sum(keys_by_split(directory).values(), [])) == ["a", "b"]


def test_expand_makes_several_and_its_failures_are_bad_records(tmp_path, monkeypatch):
    (tmp_path / "penstock_test_expand.py").write_text(
        "from dataclasses import replace\n"
        "def expand(record, config):\n"
        "    windows = range(config['windows'])\n"
        "    if record.key == 'c':\n"
        "        raise KeyError('window')\n"
        "    return [replace(record, key=f'{record.key}/{i}', split=None) for i in windows]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    records = [record("a"), record("b"), record("c")]
    directory, generated = generate(
        tmp_path, records, expand="penstock_test_expand", expand_config={"windows": 2}
    )
    keys = sorted(sum(keys_by_split(directory).values(), []))
    assert keys == ["a/0", "a/1", "b/0", "b/1"]
    assert [b.reason for b in generated.bad] == ["`expand` failed: KeyError: 'window'"]


def split_by_recording(directory):
    """Recording -> the splits that its windows are in."""
    found = {}
    for split, keys in keys_by_split(directory).items():
        for key in keys:
            found.setdefault(key.split("/")[0], []).append(split)
    return found


def test_what_is_made_of_one_record_stays_in_one_split(tmp_path, monkeypatch):
    (tmp_path / "penstock_test_windows.py").write_text(
        "from dataclasses import replace\n"
        "def expand(record, config):\n"
        "    return [replace(record, key=f'{record.key}/{i}', split=None) for i in range(30)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    records = [record(f"r{i}") for i in range(20)] + [record("own", "test")]
    # Without windows each recording falls where its own key says.
    alone, _ = generate(tmp_path, records, "alone")
    windows, _ = generate(tmp_path, records, "windows", expand="penstock_test_windows")
    expected = {name: [split] * 30 for name, (split,) in split_by_recording(alone).items()}
    assert len({splits[0] for splits in expected.values()}) == 3
    assert split_by_recording(windows) == expected
    assert expected["own"] == ["test"] * 30


def test_records_of_a_group_share_a_split(tmp_path):
    records = [replace(record(f"p{i % 9}/{i}"), group=f"patient {i % 9}") for i in range(180)]
    directory, _ = generate(tmp_path, records)
    found = split_by_recording(directory)
    assert len(found) == 9
    assert all(len(splits) == 20 and len(set(splits)) == 1 for splits in found.values())
    assert len({splits[0] for splits in found.values()}) > 1


def test_a_splits_name_is_checked_before_it_names_a_file(tmp_path):
    with pytest.raises(ValueError, match="letters, digits or `_`.*Received: '../../outside'"):
        generate(tmp_path, [record("a", "../../outside")])
    assert not list(tmp_path.rglob("*outside*"))


def test_records_so_far_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL_S", 0.001)
    told = []
    generate(tmp_path, [record(f"k{i}") for i in range(2000)], report=told.append)
    assert told
    assert told == sorted(set(told))
    assert 0 < told[0] <= told[-1] <= 2000


def test_nothing_to_read_gives_empty_splits(tmp_path):
    directory, generated = generate(tmp_path, [])
    assert generated.splits == {"train": 0, "validation": 0, "test": 0}
    assert examples.splits(directory) == generated.splits


@pytest.mark.parametrize("name", ["key", "a/b", ""])
def test_reserved_feature_names_are_refused(tmp_path, name):
    listed = ListSource.model_construct(given=[], described={name: Text()})
    with pytest.raises(ValueError, match=f"Received: '{name}'. Rename it in the source"):
        example_gen.generate(listed, SPLITTER, tmp_path, tmp_path / "scratch")


def test_unknown_split_and_feature_list_the_known_ones(digits):
    with pytest.raises(ValueError, match="no split 'dev'. Known splits: train, validation, test"):
        examples.shard_paths(digits, "dev")
    with pytest.raises(ValueError, match="no feature 'images'. Known features: image, label"):
        examples.raw_dataset(digits, "test", 1, ["images"])


def test_another_format_is_refused(tmp_path):
    (tmp_path / "penstock.json").write_text(json.dumps({"format_version": 7}))
    with pytest.raises(ValueError, match="format_version 1. Received: 7"):
        examples.splits(tmp_path)


def test_data_steps_do_without_tensorflow(tmp_path):
    program = f"""
import sys
from pathlib import Path
from penstock.pipelines import examples
from penstock.pipelines.ingest import example_gen
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.sources import locate
from penstock.pipelines.statistics import statistics
from penstock.pipelines.validation import anomalies, schema
root = Path({str(tmp_path)!r})
(root / "examples").mkdir()
source = locate.load({{"type": "sklearn", "dataset": "iris"}})
splitter = Splitter({{"train": 0.8, "test": 0.2}})
print(example_gen.generate(source, splitter, root / "examples", root / "scratch").splits)
found = statistics.compute(root / "examples", root)
print(anomalies.validate(found, schema.infer(found)).anomaly_info)
examples.content_digest(root / "examples")
loaded = sorted(set(sys.modules) & {{"tensorflow", "keras", "sklearn"}})
sys.exit(f"imported: {{loaded}}" if loaded else 0)
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "'train': " in result.stdout


def test_classes_of_one_name_are_refused(tmp_path):
    listed = ListSource.model_construct(given=[], described={"y": Label(names=("b", "a", "b"))})
    with pytest.raises(ValueError, match="classes of `y` must have different names.* twice: 'b'"):
        example_gen.generate(listed, SPLITTER, tmp_path, tmp_path / "scratch")


@pytest.mark.parametrize("name", ["a\nb", " a", "a ", "", "a\rb"])
def test_class_names_that_tfds_reads_back_as_others_are_refused(tmp_path, name):
    listed = ListSource.model_construct(given=[], described={"label": Label(names=("b", name))})
    message = f"must be one line .*white space. Received: {re.escape(repr(name))}. Rename the class"
    with pytest.raises(ValueError, match=message):
        example_gen.generate(listed, SPLITTER, tmp_path, tmp_path / "scratch")
