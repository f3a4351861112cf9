"""TFDS data sets, prepared by TFDS's own means without a network."""

import csv
import io
import time
import wave

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.sources import locate
from penstock.pipelines.sources import tfds as tfds_source
from penstock.pipelines.sources.source import BadRecord


@pytest.fixture
def prepared(tmp_path):
    """A prepared TFDS data set without a network: digits, written by TFDS's own means."""
    data_dir = tmp_path / "data"
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
            "title": tfds.features.Text(),
            "size": np.int32,
            "box": tfds.features.BBoxFeature(),
            "scores": tfds.features.Tensor(shape=(2,), dtype=np.float64),
        }
    )
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 1), np.uint8)

    def rows(start, stop):
        for i in range(start, stop):
            box = tfds.features.BBox(ymin=0.0, xmin=0.0, ymax=1.0, xmax=1.0)
            row = {"image": images[i], "label": i % 2, "title": f"n{i}", "size": i, "box": box}
            yield i, {**row, "scores": [i, 0.5]}

    tfds.dataset_builders.store_as_tfds_dataset(
        name="little",
        version="1.2.0",
        features=features,
        split_datasets={"train": list(rows(0, 5)), "test": list(rows(5, 7))},
        data_dir=data_dir,
    )
    return data_dir, images


def test_prepared_data_are_carried_over(tmp_path, prepared, generate):
    data_dir, images = prepared
    section = {"type": "tfds", "dataset": "little", "data_dir": str(data_dir)}
    directory, generated = generate(tmp_path, section)
    assert generated.splits == {"train": 5, "test": 2}
    features = examples.features(directory)
    assert set(features) == {"image", "label", "title", "size", "scores", "box"}
    assert features["size"].dtype == "int64"
    found = {k: v for s in generated.splits for k, v in examples.records(directory, s)}
    titles = sorted(values["title"] for values in found.values())
    assert titles == [f"n{i}" for i in range(7)]
    for values in found.values():
        index = values["size"]
        pixels = np.asarray(Image.open(io.BytesIO(values["image"])))
        np.testing.assert_array_equal(pixels, images[index, :, :, 0])
        assert values["label"] == index % 2
        np.testing.assert_array_equal(values["scores"], [index, 0.5])
        np.testing.assert_array_equal(values["box"], [[0, 0, 1, 1]])
    source = locate.load(section)
    assert {p.parent for p in source.files()} == {data_dir / "little" / "1.2.0"}
    assert source.own_splits() == {"train", "test"}
    assert locate.load({"type": "tfds", "dataset": "mnist"}).own_splits() is None


def test_damaged_prepared_data(prepared):
    data_dir, _ = prepared
    folder = data_dir / "little" / "1.2.0"
    (shard,) = folder.glob("little-train*")
    whole = shard.read_bytes()

    def read():
        return list(tfds_source.read_examples(("train", 0, 5), str(folder)))

    assert [record.key for record in read()] == [f"train-{n:08d}" for n in range(5)]
    # Each record has checksums; one behind another: nothing behind the damage can be read.
    shard.write_bytes(whole[:-3])
    found = read()
    assert [record.key for record in found] == [f"train-{n:08d}" for n in range(5)]
    bad = [record for record in found if isinstance(record, BadRecord)]
    assert bad[-1].reason.startswith(
        "The prepared data cannot be read from here to the end of their"
    )
    shard.write_bytes(b"")
    with pytest.raises(ValueError, match="do not have the number of examples that its description"):
        read()
    source = locate.load({"type": "tfds", "dataset": "little", "data_dir": str(data_dir)})
    shard.unlink()
    with pytest.raises(ValueError, match=f"1 of the 2 files of the .* the first of them `{shard}`"):
        source.read(None)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(
        ValueError, match="The prepared data in .* cannot be read: Failed to load JSON"
    ):
        source.features()
    other = locate.load({"type": "tfds", "dataset": "little:2.0.0", "data_dir": str(data_dir)})
    with pytest.raises(ValueError, match=r"In `.*little` there are prepared: 1.2.0. See"):
        other.features()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("features.json", "null"),
        ("features.json", "{"),
        ("dataset_info.json", "{}"),
        ("dataset_info.json", "\xff"),
    ],
)
def test_a_damaged_description_of_prepared_data_is_said(prepared, file, content):
    """The kinds of errors are those of 450 files with changed bytes or cut off."""
    data_dir, _ = prepared
    (data_dir / "little" / "1.2.0" / file).write_bytes(content.encode("latin-1"))
    source = locate.load({"type": "tfds", "dataset": "little", "data_dir": str(data_dir)})
    with pytest.raises(ValueError, match=r"The prepared data in `.*1.2.0` cannot be read: "):
        source.features()


def test_what_is_no_damage_is_not_said_to_be_any(prepared, monkeypatch):
    def no_room(directory):
        raise MemoryError(directory)

    monkeypatch.setattr(tfds, "builder_from_directory", no_room)
    source = locate.load({"type": "tfds", "dataset": "little", "data_dir": str(prepared[0])})
    with pytest.raises(MemoryError):
        source.features()


def test_a_version_that_tfds_does_not_know(tmp_path):
    source = locate.load({"type": "tfds", "dataset": "mnist:9.9.9", "data_dir": str(tmp_path)})
    with pytest.raises(ValueError, match="must be a data set that TFDS knows. .*'mnist:9.9.9'"):
        source.features()


F = tfds.features


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A prepared data set with every kind of feature; (folder, rows by `number`)."""
    generator = np.random.default_rng(0)

    def row(i):
        size = i % 3
        boxes = [
            F.BBox(ymin=0.25 * k, xmin=0.0, ymax=0.5, xmax=0.5 + 0.25 * k) for k in range(size)
        ]
        return {
            "number": i,
            "objects": [
                {"bbox": box, "label": k, "area": 0.5 + k, "tags": ["t"]}
                for k, box in enumerate(boxes)
            ],
            "sound": {
                "mono": generator.integers(-9, 9, 5 + i),
                "stereo": generator.integers(-9, 9, (5 + i, 2)),
                "loud": np.array([0, 32_767 + (i == 3)]),
                "unknown_rate": np.zeros(3, np.int64),
            },
            "translation": {"en": f"en{i}", "de": f"de{i}"},
            "words": ["w"] * size,
            "votes": [i % 2] * size,
            "points": np.full((size, 2), i, np.float32),
            "flag": i % 2 == 0,
            "flags": np.array([True, False]),
            "mask": np.array([[[0], [1]]], np.uint8),
            "depth": np.zeros((2, 2, 1), np.uint16),
            "film": np.zeros((2, 2, 2, 3), np.uint8),
            "deep": [[1], [2, 3]],
            "several": [np.zeros((2, 2, 3), np.uint8)] * size,
            "key": "k",
            "big": np.uint64(3),
        }

    features = F.FeaturesDict(
        {
            "number": np.int64,
            "objects": F.Sequence(
                {
                    "bbox": F.BBoxFeature(),
                    "label": F.ClassLabel(names=["a", "b"]),
                    "area": np.float32,
                    "tags": F.Sequence(F.Text()),
                }
            ),
            "sound": {
                "mono": F.Audio(sample_rate=8_000),
                "stereo": F.Audio(sample_rate=16_000, shape=(None, 2)),
                "loud": F.Audio(sample_rate=8_000),
                "unknown_rate": F.Audio(),
            },
            "translation": F.Translation(["en", "de"]),
            "words": F.Sequence(F.Text()),
            "votes": F.Sequence(F.ClassLabel(num_classes=2)),
            "points": F.Tensor(shape=(None, 2), dtype=np.float32),
            "flag": np.bool_,
            "flags": F.Tensor(shape=(2,), dtype=np.bool_),
            "mask": F.LabeledImage(labels=["p", "q"], shape=(None, None, 1)),
            "depth": F.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png"),
            "film": F.Video(shape=(None, 2, 2, 3)),
            "deep": F.Sequence(F.Sequence(np.int64)),
            "several": F.Sequence(F.Image(shape=(2, 2, 3))),
            "key": F.Text(),
            "big": np.uint64,
        }
    )
    rows = [row(i) for i in range(4)]
    data_dir = tmp_path_factory.mktemp("tfds")
    tfds.dataset_builders.store_as_tfds_dataset(
        name="rich",
        version="1.0.0",
        features=features,
        split_datasets={"train": list(enumerate(rows))},
        data_dir=data_dir,
    )
    return data_dir, rows


def test_every_kind_of_feature_is_carried_over_or_said(tmp_path, rich, generate, examples_of):
    data_dir, rows = rich
    section = {"type": "tfds", "dataset": "rich", "data_dir": str(data_dir)}
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    (remark,) = locate.load(section).remarks()
    assert remark.startswith("Features of 'rich' that are not carried over: ")
    for name, reason in {
        "objects_tags": "several of them in an example",
        "sound_unknown_rate": "its sample rate is not said",
        "depth": "1 channels of uint16",
        "film": "videos are not carried over",
        "deep": "several of them in an example",
        "several": "several of them in an example",
        "key": "the name is taken by the record's key",
        "big": "numbers of dtype uint64",
    }.items():
        assert f"`{name}` (" in remark
        assert reason in remark.partition(f"`{name}` (")[2].partition(";")[0]
    features = examples.features(directory)
    assert set(features) == {
        "number", "objects_bbox", "objects_label", "objects_area", "sound_mono", "sound_stereo",
        "sound_loud", "translation_en", "translation_de", "words", "votes", "points", "flag",
        "flags", "mask",
    }  # fmt: skip
    assert features["mask"].names == ("p", "q")
    assert (features["sound_stereo"].sample_rate_hz, features["sound_stereo"].channels) == (
        16_000,
        2,
    )
    (record,) = generated.bad
    reason = (
        "The feature `sound_loud`: The recording has samples from 0 to 32768; expected 16 bits."
    )
    assert record.reason == reason
    found = {
        values["number"].item(): values for values in examples_of(directory, generated).values()
    }
    assert sorted(found) == [0, 1, 2]
    for i, values in found.items():
        row, objects = rows[i], rows[i]["objects"]
        boxes = [[b.ymin, b.xmin, b.ymax, b.xmax] for b in (entry["bbox"] for entry in objects)]
        np.testing.assert_array_equal(values["objects_bbox"], np.reshape(boxes, (-1, 4)))
        assert values["objects_label"] == [entry["label"] for entry in objects]
        assert values["objects_area"].tolist() == [entry["area"] for entry in objects]
        with wave.open(io.BytesIO(values["sound_stereo"])) as sound:
            assert (sound.getframerate(), sound.getnchannels()) == (16_000, 2)
            samples = np.frombuffer(sound.readframes(99), "<i2").reshape(-1, 2)
        np.testing.assert_array_equal(samples, row["sound"]["stereo"])
        with wave.open(io.BytesIO(values["sound_mono"])) as sound:
            samples = np.frombuffer(sound.readframes(99), "<i2")
        np.testing.assert_array_equal(samples, row["sound"]["mono"])
        assert (values["translation_en"], values["translation_de"]) == (f"en{i}", f"de{i}")
        assert values["words"] == row["words"]
        assert values["votes"] == row["votes"]
        np.testing.assert_array_equal(values["points"], row["points"])
        assert features["flag"].names[values["flag"]] == str(row["flag"]).lower()
        assert values["flags"].tolist() == [1, 0]
        pixels = np.asarray(Image.open(io.BytesIO(values["mask"])))
        np.testing.assert_array_equal(pixels, row["mask"][:, :, 0])


class ManualWords(tfds.core.GeneratorBasedBuilder):
    """Words, one a line, from a file that was downloaded by hand."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put `words.txt` here."

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"word": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(dl_manager.manual_dir / "words.txt")}

    def _generate_examples(self, path):
        for index, word in enumerate(path.read_text().split()):
            yield index, {"word": word}


class OwnWords(ManualWords):
    """Words that need no file, in two configs; the first is the default."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = None
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, version=tfds.core.Version("1.0.0"))
        for name in ("short", "long")
    ]

    def _split_generators(self, dl_manager):
        return {"train": self._words()}

    def _words(self):
        for index in range(3):
            yield index, {"word": f"{self.builder_config.name}{index}"}


@pytest.fixture
def words_of(generate):
    def words_of(root, section):
        root.mkdir()
        directory, _ = generate(root, section, {"train": 1.0})
        return sorted(values["word"] for _, values in examples.records(directory, "train"))

    return words_of


def test_changed_manual_files_are_prepared_again(tmp_path, words_of):
    manual = tmp_path / "manual"
    manual.mkdir()
    section = {
        "type": "tfds",
        "dataset": "manual_words",
        "data_dir": str(tmp_path / "data"),
        "manual_dir": str(manual),
    }
    (manual / "words.txt").write_text("one two")
    assert words_of(tmp_path / "first", section) == ["one", "two"]
    (manual / "words.txt").write_text("one three")
    assert words_of(tmp_path / "second", section) == ["one", "three"]
    # What was prepared under another name is found again.
    (manual / "words.txt").write_text("one two")
    assert words_of(tmp_path / "third", section) == ["one", "two"]
    assert len(list((tmp_path / "data").glob("manual-*"))) == 2


@pytest.mark.parametrize("explicit", [True, False], ids=["data_dir", "default-folder"])
@pytest.mark.parametrize(("config", "read"), [("/long", "long"), ("", "short")])
def test_the_second_run_has_the_key_of_the_first(
    tmp_path, monkeypatch, config, read, explicit, key_parts, words_of
):
    section = {"type": "tfds", "dataset": f"own_words{config}"}
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    if explicit:
        section["data_dir"] = str(tmp_path / "data")
    before = key_parts(section)
    assert before[0] == []
    named = {"dataset": "own_words", "config": config.strip("/"), "version": ""}
    assert before[1].items() >= named.items()
    assert words_of(tmp_path / "first", section) == [f"{read}{index}" for index in range(3)]
    assert (tmp_path / "data" / "own_words" / read / "1.0.0" / "dataset_info.json").is_file()
    assert key_parts(section) == before
    assert key_parts({**section, "dataset": f"own_words{config}:1.0.0"}) != before


def test_data_of_another_config_or_version_are_not_taken(tmp_path):
    folder = tmp_path / "data" / "own_words"
    for version in ("long/1.0.0", "long/1.10.0", "long/1.9.0", "short/2.0.0"):
        (folder / version).mkdir(parents=True)
        (folder / version / "dataset_info.json").write_text("{}")

    def taken(name):
        section = {"type": "tfds", "dataset": name, "data_dir": str(tmp_path / "data")}
        return {path.parent.relative_to(folder).as_posix() for path in locate.load(section).files()}

    assert taken("own_words/long") == {"long/1.10.0"}
    assert taken("own_words/long:1.9.0") == {"long/1.9.0"}
    assert taken("own_words/long:2.0.0") == set()
    assert taken("own_words") == set()
    (folder / ".config").mkdir()
    (folder / ".config" / "metadata.json").write_text('{"default_config_name": "short"}')
    assert taken("own_words") == {"short/2.0.0"}


def test_prepared_data_in_the_default_folder_are_in_the_fingerprint(
    prepared, monkeypatch, key_parts
):
    data_dir, _ = prepared
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    section = {"type": "tfds", "dataset": "little"}
    files, facts = key_parts(section)
    assert files == []
    assert list(facts["prepared"]) == ["1.2.0"]
    (data_dir / "little" / "1.2.0" / "dataset_info.json").write_text("{}")
    assert key_parts(section)[1] != facts


def test_data_are_prepared_from_a_manual_folder(tmp_path, generate, shared_data):
    folder = shared_data("penguins")
    section = {
        "type": "tfds",
        "dataset": "penguins/processed",
        "data_dir": str(tmp_path / "data"),
        "manual_dir": str(folder),
    }
    directory, generated = generate(tmp_path, section)
    assert sum(generated.splits.values()) == 334
    assert set(examples.features(directory)) == {"features", "species"}
    found = {k: v for s in generated.splits for k, v in examples.records(directory, s)}
    with open(folder / "penguins_processed.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(v["species"] for v in found.values()) == sorted(int(r["species"]) for r in rows)
    assert sorted(p.name for p in locate.load(section).files()) == sorted(
        p.name for p in folder.iterdir()
    )


def test_no_network_is_said_within_seconds(tmp_path, monkeypatch, generate):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    section = {"type": "tfds", "dataset": "mnist", "data_dir": str(tmp_path / "data")}
    started = time.monotonic()
    with pytest.raises(ConnectionError, match="'mnist' is not prepared in .* no connection"):
        generate(tmp_path, section)
    assert time.monotonic() - started < 30


def test_an_unknown_data_set_is_named(tmp_path):
    source = locate.load({"type": "tfds", "dataset": "no_such_set", "data_dir": str(tmp_path)})
    with pytest.raises(ValueError, match="Received: 'no_such_set'. TFDS says: "):
        source.features()


def test_a_missing_manual_dir_is_explained(tmp_path):
    section = {"type": "tfds", "dataset": "mnist", "manual_dir": str(tmp_path / "none")}
    (fault,) = locate.load(section).check()
    assert "`data.source.manual_dir` must be a folder" in fault
