"""Sources against the libraries that the data come from."""

import csv
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from sklearn import datasets

from penstock.pipelines import example_gen, examples
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
source.check(), source.files(), source.libraries, source.needs_tensorflow
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


def test_split_folders_are_kept(tmp_path):
    root = tmp_path / "images"
    for split, name in (("train", "b"), ("train", "a"), ("test", "b"), ("test", "c")):
        write_image(root / split / name / "0.png")
    section = {"type": "image_folder", "path": str(root), "splits_from_folders": True}
    directory, generated = generate(tmp_path, section)
    assert generated.splits == {"train": 2, "test": 2}
    labels = [(key, values["label"]) for key, values in examples.records(directory, "test")]
    assert sorted(labels) == [("test/b/0.png", 1), ("test/c/0.png", 2)]


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


def test_an_unknown_source_lists_the_nearest():
    with pytest.raises(ValueError, match="Received: 'skleern'. Known sources: sklearn"):
        locate.load({"type": "skleern"})


def test_a_module_without_a_source_is_refused():
    with pytest.raises(TypeError, match="`os.path` must define a class `Source`"):
        locate.load({"type": "os.path"})


def test_a_dotted_name_is_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "penstock_test_package").mkdir()
    (tmp_path / "penstock_test_package" / "own.py").write_text(
        "from penstock.pipelines.sources import source\n"
        "class Source(source.Source):\n"
        "    rows: int\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert locate.load({"type": "penstock_test_package.own", "rows": 3}).rows == 3
