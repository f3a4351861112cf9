"""The data sets bundled with scikit-learn: real data without a network.

`digits` (1,797 handwritten digits, 8x8 pixels of 0..16, UCI) becomes a grey PNG and a label;
`iris`, `wine` and `breast_cancer` become one number for each column and a label. The files are read
where scikit-learn installed them; scikit-learn itself is not imported (its import takes a second).
"""

import csv
import gzip
import importlib.util
from pathlib import Path
from typing import Literal

from penstock.pipelines.features import Features, Image, Label, Number
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import Record

FILES = {
    "digits": "digits.csv.gz",
    "iris": "iris.csv",
    "wine": "wine_data.csv",
    "breast_cancer": "breast_cancer.csv",
}

CELL_MEASUREMENTS = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave_points",
    "symmetry",
    "fractal_dimension",
)

COLUMNS = {
    "iris": ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"),
    "wine": (
        "alcohol",
        "malic_acid",
        "ash",
        "alcalinity_of_ash",
        "magnesium",
        "total_phenols",
        "flavanoids",
        "nonflavanoid_phenols",
        "proanthocyanins",
        "color_intensity",
        "hue",
        "od280_od315_of_diluted_wines",
        "proline",
    ),
    "breast_cancer": (
        *(f"mean_{name}" for name in CELL_MEASUREMENTS),
        *(f"{name}_error" for name in CELL_MEASUREMENTS),
        *(f"worst_{name}" for name in CELL_MEASUREMENTS),
    ),
}
"""scikit-learn's names as identifiers; the files themselves have no column names."""

CLASSES = {
    "digits": tuple(str(digit) for digit in range(10)),
    "iris": ("setosa", "versicolor", "virginica"),
    "wine": ("class_0", "class_1", "class_2"),
    "breast_cancer": ("malignant", "benign"),
}


class Source(source.Source):
    """A bundled data set by name."""

    type: Literal["sklearn"] = "sklearn"
    dataset: Literal["digits", "iris", "wine", "breast_cancer"] = "digits"

    libraries = ("pillow",)

    def check(self) -> list[str]:
        if _file(self.dataset) is None:
            return [
                f"The file of scikit-learn's data set {self.dataset!r} is not there. Expected: "
                f"`sklearn/datasets/data/{FILES[self.dataset]}` among the installed packages. "
                "Install scikit-learn again: `pip install --force-reinstall scikit-learn`."
            ]
        return []

    def files(self) -> list[Path]:
        path = _file(self.dataset)
        return [] if path is None else [path]

    def own_splits(self) -> frozenset[str | None]:
        return frozenset({None})

    def features(self) -> Features:
        label = Label(names=CLASSES[self.dataset])
        if self.dataset == "digits":
            return {"image": Image(channels=1, encoding="png"), "label": label}
        return {**{name: Number() for name in COLUMNS[self.dataset]}, "label": label}

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise FileNotFoundError(faults[0])
        return (
            pipeline
            | "Dataset" >> beam.Create([self.dataset], reshuffle=False)
            | "ReadRows" >> beam.FlatMap(read_rows)
        )


def _file(dataset):
    spec = importlib.util.find_spec("sklearn")
    if spec is None:
        return None
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / FILES[dataset]
    return path if path.is_file() else None


def read_rows(dataset: str):
    """Yields the records of a bundled data set in the order of its file."""
    path = _file(dataset)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        rows = csv.reader(file)
        if dataset != "digits":
            next(rows)  # numbers of rows and columns, class names
        for index, row in enumerate(rows):
            values = _digit(row) if dataset == "digits" else _measurements(dataset, row)
            yield Record(f"{dataset}-{index:05d}", values, None, str(path), index)


def _digit(row):
    import numpy as np

    from penstock.pipelines.media.image_files import encode_png

    numbers = np.array(row, np.float64)
    # 0..16 -> 0..255; the files hold ink, not light, and so do these images.
    pixels = np.round(numbers[:64].reshape(8, 8) * 255 / 16).astype(np.uint8)
    return {"image": encode_png(pixels), "label": int(numbers[64])}


def _measurements(dataset, row):
    *numbers, label = row
    values = dict(zip(COLUMNS[dataset], map(float, numbers), strict=True))
    return {**values, "label": int(float(label))}
