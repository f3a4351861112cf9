"""TFDS data sets, prepared by TFDS's own means without a network."""

import csv
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.sources import locate


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
    assert set(features) == {"image", "label", "title", "size", "scores"}
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
    files = locate.load(section).files()
    assert {p.parent for p in files} == {data_dir / "little" / "1.2.0"}


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


def shared_data(name):
    """A folder of the data sets that the repository's tests may use where they are there."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("PENSTOCK_DATA", beside)) / name
    if not folder.is_dir():
        pytest.skip(f"no `{name}` under $PENSTOCK_DATA or ../shared/data")
    return folder


def test_data_are_prepared_from_a_manual_folder(tmp_path, generate):
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
