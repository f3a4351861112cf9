"""scikit-learn's bundled sets, read without scikit-learn, equal scikit-learn's own."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

from penstock.pipelines.sources import locate, sklearn


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


def test_the_bundled_file_is_named():
    (path,) = locate.load({"type": "sklearn", "dataset": "digits"}).files()
    assert path == Path(datasets.__file__).parent / "data" / "digits.csv.gz"


# image_folder -------------------------------------------------------------------------------
