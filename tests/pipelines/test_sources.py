"""Sources against the libraries that the data come from."""

import csv
import errno
import io
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from sklearn import datasets

from penstock.pipelines import example_gen, examples, quarantine
from penstock.pipelines.sources import locate, sklearn
from penstock.pipelines.splits import Splitter

SPLITTER = Splitter({"train": 0.5, "test": 0.5})


def generate(tmp_path, section, splitter=SPLITTER):
    directory = tmp_path / "examples"
    directory.mkdir()
    source = locate.load(section)
    return directory, example_gen.generate(source, splitter, directory, tmp_path / "scratch")


# sklearn ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_bundled_tables_equal_scikit_learns(name):
    expected = getattr(datasets, f"load_{name}")()
    features = locate.load({"type": "sklearn", "dataset": name}).features()
    assert list(features["label"].names) == [str(target) for target in expected.target_names]
    records = list(sklearn.read_rows(name))
    columns = [column for column in features if column != "label"]
    rows = [[record.values[column] for column in columns] for record in records]
    np.testing.assert_array_equal(rows, expected.data)
    assert [record.values["label"] for record in records] == expected.target.tolist()


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("iris", "sepal_length_cm"),
        ("wine", "od280_od315_of_diluted_wines"),
        ("breast_cancer", "fractal_dimension_error"),
    ],
)
def test_bundled_columns_have_scikit_learns_names(name, ours):
    def plain(text):
        return text.replace(" (cm)", "_cm").replace(" ", "_").replace("/", "_")

    expected = [plain(column) for column in getattr(datasets, f"load_{name}")().feature_names]
    assert list(sklearn.COLUMNS[name]) == expected
    assert ours in expected


def test_bundled_digits_equal_scikit_learns():
    expected = datasets.load_digits()
    records = list(sklearn.read_rows("digits"))
    assert len(records) == 1797
    for index in (0, 1, 900, 1796):
        image = np.asarray(Image.open(io.BytesIO(records[index].values["image"])))
        np.testing.assert_array_equal(image, np.round(expected.images[index] * 255 / 16))
    assert [record.values["label"] for record in records] == expected.target.tolist()
    assert records[900].key == "digits-00900"


@pytest.mark.parametrize("section", ["sklearn", "image_folder", "tfds"])
def test_validation_imports_nothing_heavy(section, tmp_path):
    (tmp_path / "cat").mkdir()
    more = {"image_folder": {"path": str(tmp_path)}, "tfds": {"dataset": "mnist"}}
    program = f"""
import sys
from penstock.pipelines.sources import locate
source = locate.load({ {"type": section, **more.get(section, {})}!r})
source.check(), source.files(), source.fingerprint(), source.libraries, source.needs_tensorflow
heavy = {{"tensorflow", "apache_beam", "sklearn", "tensorflow_datasets", "numpy", "PIL"}}
sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_bundled_file_is_named():
    (path,) = locate.load({"type": "sklearn", "dataset": "digits"}).files()
    assert path == Path(datasets.__file__).parent / "data" / "digits.csv.gz"


# image_folder -------------------------------------------------------------------------------


def write_image(path, value=100, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 3), value).save(path)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for index in range(4):
        write_image(root / "cat" / f"{index}.png", index)
        write_image(root / "dog" / "young" / f"{index}.JPG", index)
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / ".hidden.png").write_bytes(b"")
    (root / "stray.png").write_bytes(b"")
    return root


def test_folders_are_classes(tmp_path, folder):
    section = {"type": "image_folder", "path": str(folder), "channels": 1}
    directory, generated = generate(tmp_path, section)
    assert generated.bad == []
    assert sum(generated.splits.values()) == 8
    features = examples.features(directory)
    assert features["label"].names == ("cat", "dog")
    assert features["image"].channels == 1
    found = {k: v for s in generated.splits for k, v in examples.records(directory, s)}
    assert found["cat/2.png"]["label"] == 0
    assert found["dog/young/3.JPG"]["label"] == 1
    assert found["cat/2.png"]["image"] == (folder / "cat" / "2.png").read_bytes()
    files = [str(p.relative_to(folder)) for p in locate.load(section).files()]
    assert files == sorted(found)


def test_broken_files_are_quarantined(tmp_path, folder):
    whole = (folder / "cat" / "0.png").read_bytes()
    (folder / "cat" / "a_cut.png").write_bytes(whole[:50])
    (folder / "cat" / "b_text.png").write_text("this is text")
    (folder / "cat" / "c_empty.png").write_bytes(b"")
    directory, generated = generate(tmp_path, {"type": "image_folder", "path": str(folder)})
    assert sum(generated.splits.values()) == 8
    bad = {record.key: record for record in generated.bad}
    assert bad["cat/a_cut.png"].reason.startswith("The image is damaged: ")
    assert bad["cat/b_text.png"].reason == "It is no image of a known format."
    assert bad["cat/c_empty.png"].reason == "The file is empty."
    assert bad["cat/c_empty.png"].file == str(folder / "cat" / "c_empty.png")
    assert len(bad) == 3


def test_what_is_no_file_is_quarantined_and_in_the_fingerprint(tmp_path, folder):
    section = {"type": "image_folder", "path": str(folder)}
    files, facts = key_parts(section)
    assert "left_out" not in facts
    (folder / "cat" / "gone.png").symlink_to(folder / "nothing.png")
    (folder / "cat" / "itself.png").symlink_to("itself.png")
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "null.png").symlink_to("/dev/null")
    os.mkfifo(folder / "cat" / "pipe.txt")
    os.mkfifo(folder / "beside.png")
    (folder / "cat" / "to_pipe.png").symlink_to("pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        # By a descriptor, since the path of a socket may have 107 bytes only.
        directory = os.open(folder / "cat", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{directory}/socket.png")
        os.close(directory)
    expected = {
        "cat/gone.png": "It is a link that leads nowhere.",
        "cat/itself.png": f"The file cannot be read: {os.strerror(errno.ELOOP)}.",
        "cat/null.png": "It is no file, but a device.",
        "cat/pipe.png": "It is no file, but a named pipe.",
        "cat/socket.png": "It is no file, but a socket.",
        "cat/to_pipe.png": "It is no file, but a named pipe.",
    }
    assert key_parts(section) == (files, {**facts, "left_out": expected})
    _, generated = generate(tmp_path, section)
    assert sum(generated.splits.values()) == 8
    assert {record.key: record.reason for record in generated.bad} == expected
    assert {record.file for record in generated.bad} == {str(folder / key) for key in expected}
    assert len({record.index for record in generated.bad}) == 6


def test_names_that_are_not_utf8_are_quarantined(tmp_path, folder):
    section = {"type": "image_folder", "path": str(folder)}
    files, facts = key_parts(section)
    for name in (
        b"cat/\xff.png",
        b"\xe9mu/0.png",
        b"\xe9mu/1.png",
        b"dog/\xe9/0.png",
        b"dog/\xe9.md",
    ):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(files[0].read_bytes())
    in_folder = "The folder's name is not valid UTF-8, so nothing in it is read. Rename it."
    expected = {
        r"cat/\xff.png": "The file's name is not valid UTF-8. Rename it.",
        r"dog/\xe9": in_folder,
        r"\xe9mu": in_folder,
    }
    assert key_parts(section) == (files, {**facts, "left_out": expected})
    directory, generated = generate(tmp_path, section)
    assert examples.features(directory)["label"].names == ("cat", "dog")
    assert sum(generated.splits.values()) == 8
    assert {record.key: record.reason for record in generated.bad} == expected
    assert quarantine.too_many(generated.bad, 8, 0.01).encode()


def test_links_are_followed_but_not_in_circles(tmp_path, folder):
    elsewhere = tmp_path / "elsewhere"
    write_image(elsewhere / "0.png")
    (elsewhere / "up").symlink_to(tmp_path)
    (folder / "emu").symlink_to(elsewhere)
    (folder / "cat" / "0_again.png").symlink_to("0.png")
    (folder / "cat" / "up").symlink_to(folder)
    (folder / "cat" / "here").symlink_to(".")
    (folder / "same").symlink_to(".")
    (folder / "dog" / "all").symlink_to("/")
    section = {"type": "image_folder", "path": str(folder)}
    files, facts = key_parts(section)
    assert facts == {"classes": ["cat", "dog", "emu"]}
    found = [path.relative_to(folder).as_posix() for path in files]
    assert found == [
        "cat/0.png", "cat/0_again.png", "cat/1.png", "cat/2.png", "cat/3.png",
        *(f"dog/young/{index}.JPG" for index in range(4)), "emu/0.png",
    ]  # fmt: skip
    _, generated = generate(tmp_path, section)
    assert (sum(generated.splits.values()), generated.bad) == (10, [])


def test_two_folders_that_link_to_each_other_end(folder):
    (folder / "cat" / "dogs").symlink_to(folder / "dog")
    (folder / "dog" / "cats").symlink_to(folder / "cat")
    source = locate.load({"type": "image_folder", "path": str(folder)})
    # Of each folder its own four images, and once those of the other.
    assert len(source.files()) == 16


def test_what_may_not_be_read_is_left_out(folder, monkeypatch):
    def access(path, mode):
        return not str(path).endswith("2.png")

    # The tests may run as root, who may read everything.
    monkeypatch.setattr(os, "access", access)
    files, facts = key_parts({"type": "image_folder", "path": str(folder)})
    assert len(files) == 7
    assert facts["left_out"] == {"cat/2.png": "The file cannot be read: Permission denied."}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (fault,) = locate.load({"type": "image_folder", "path": str(folder)}).check()
    assert "`data.source.path` cannot be read: permission denied" in fault


def test_a_folder_that_cannot_be_listed_is_left_out(folder, monkeypatch):
    def scandir(path):
        if str(path).endswith("young"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    files, facts = key_parts({"type": "image_folder", "path": str(folder)})
    assert {path.parent.name for path in files} == {"cat"}
    assert facts["left_out"] == {"dog/young": "The folder cannot be read: Permission denied."}


def test_split_folders_are_kept(tmp_path):
    root = tmp_path / "images"
    for split, name in (("train", "b"), ("train", "a"), ("test", "b"), ("test", "c")):
        write_image(root / split / name / "0.png")
    section = {"type": "image_folder", "path": str(root), "splits_from_folders": True}
    directory, generated = generate(tmp_path, section)
    assert generated.splits == {"train": 2, "test": 2}
    labels = [(key, values["label"]) for key, values in examples.records(directory, "test")]
    assert sorted(labels) == [("test/b/0.png", 1), ("test/c/0.png", 2)]


def test_folders_without_files_are_in_the_fingerprint(folder):
    section = {"type": "image_folder", "path": str(folder)}
    before = locate.load(section)
    files, facts = before.files(), before.fingerprint()
    assert facts == {"classes": ["cat", "dog"]}
    (folder / "emu").mkdir()
    assert locate.load(section).files() == files
    assert locate.load(section).fingerprint() == {"classes": ["cat", "dog", "emu"]}


def test_split_folders_are_in_the_fingerprint(tmp_path):
    for split, name in (("train", "a"), ("test", "b")):
        (tmp_path / split / name).mkdir(parents=True)
    section = {"type": "image_folder", "path": str(tmp_path), "splits_from_folders": True}
    found = locate.load(section).fingerprint()
    assert found == {"classes": ["a", "b"], "splits": ["test", "train"]}
    missing = {"type": "image_folder", "path": str(tmp_path / "missing" / "deep")}
    assert key_parts(missing) == ([], {})


def test_a_bad_split_folder_is_named(tmp_path):
    write_image(tmp_path / "images" / "hold-out" / "a" / "0.png")
    section = {
        "type": "image_folder",
        "path": str(tmp_path / "images"),
        "splits_from_folders": True,
    }
    with pytest.raises(ValueError, match="letters, digits or `_`.*Received: 'hold-out'"):
        generate(tmp_path, section)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"must be a folder. Expected: `<class>/<image>`.*\(nothing there\)"),
        (lambda path: path.write_text(""), r"Received: '.*missing' \(a file\). Correct the path"),
        (lambda path: path.mkdir(), "has no class folders.*Put the images of each class"),
    ],
    ids=["missing", "file", "empty"],
)
def test_a_wrong_path_is_explained(tmp_path, make, message):
    make(tmp_path / "missing")
    source = locate.load({"type": "image_folder", "path": str(tmp_path / "missing")})
    (fault,) = source.check()
    with pytest.raises(FileNotFoundError, match=message):
        source.read(None)
    assert str(tmp_path / "missing") in fault


# tfds ---------------------------------------------------------------------------------------


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


def test_prepared_data_are_carried_over(tmp_path, prepared):
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


def words_of(root, section):
    root.mkdir()
    directory, _ = generate(root, section, Splitter({"train": 1.0}))
    return sorted(values["word"] for _, values in examples.records(directory, "train"))


def test_changed_manual_files_are_prepared_again(tmp_path):
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


def key_parts(section):
    source = locate.load(section)
    return source.files(), source.fingerprint()


@pytest.mark.parametrize("explicit", [True, False], ids=["data_dir", "default-folder"])
@pytest.mark.parametrize(("config", "read"), [("/long", "long"), ("", "short")])
def test_the_second_run_has_the_key_of_the_first(tmp_path, monkeypatch, config, read, explicit):
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


def test_prepared_data_in_the_default_folder_are_in_the_fingerprint(prepared, monkeypatch):
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


def test_data_are_prepared_from_a_manual_folder(tmp_path):
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


def test_no_network_is_said_within_seconds(tmp_path, monkeypatch):
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


# locate -------------------------------------------------------------------------------------


def test_known_sources():
    assert {"sklearn", "image_folder", "tfds"} <= set(locate.known_sources())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("skleern", " Did you mean 'sklearn'?"),
        ("image_foldr", " Did you mean 'image_folder'?"),
        ("zebra", ""),
        ("", ""),
        (".x", ""),
        ("..x.y", ""),
        ("os.", ""),
        ("os..path", ""),
        ("no_such_package.own", ""),
        ("os.no_such_module", ""),
        ("os", ""),
    ],
)
def test_an_unknown_source_names_the_nearest_and_lists_all(name, said):
    expected = f"Received: {name!r}.{said} Known sources: image_folder, sklearn, tfds."
    for look_up in (locate.source_module, locate.source_class):
        with pytest.raises(ValueError, match=re.escape(expected)) as caught:
            look_up(name)
        assert "names no known source" in str(caught.value)


@pytest.mark.parametrize("name", ["os.path", "penstock.pipelines.sources.source"])
def test_a_module_without_a_source_is_refused(name):
    message = f"must name a module with a class `Source`.*Received: '{name}', a module without one"
    with pytest.raises(ValueError, match=message):
        locate.load({"type": name})


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("x = 1\nraise RuntimeError('no\\nluck.')\n", "RuntimeError: no luck ({file}, line 2)."),
        ("x = 1\n\nx = = 2\n", "SyntaxError: invalid syntax ({file}, line 3)."),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package' ("),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 ({file}, line 2)."),
    ],
    ids=["raises", "syntax", "needs-another", "exits"],
)
@pytest.mark.parametrize("in_package", [False, True], ids=["module", "package"])
def test_a_module_that_fails_on_import_is_named(tmp_path, monkeypatch, program, said, in_package):
    package = tmp_path / "penstock_failing_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "own.py").write_text("")
    broken = package / ("__init__.py" if in_package else "own.py")
    broken.write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    module = f"{package.name}.own"
    if in_package:
        with pytest.raises(ValueError, match="which fails on import"):
            locate.source_module(module)
    with pytest.raises(ValueError, match="which fails on import") as caught:
        locate.source_class(module)
    start = f"`data.source.type` names the module `{module}`, which fails on import: "
    assert str(caught.value).startswith(start + said.format(file=broken))
    assert str(caught.value).endswith("). Correct the module.")
    sys.modules.pop(package.name, None)


def test_a_dotted_name_is_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "penstock_test_package").mkdir()
    (tmp_path / "penstock_test_package" / "own.py").write_text(
        "from penstock.pipelines.sources import source\n"
        "class Source(source.Source):\n"
        "    rows: int\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert locate.load({"type": "penstock_test_package.own", "rows": 3}).rows == 3
