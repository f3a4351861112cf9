"""The real tables and texts: counts as published, values as other readers of Python's give them."""

import csv
import gzip
import io
import json
import zipfile

import numpy as np
import pytest

from penstock.pipelines.features import Label, Number, Sequence, Text
from penstock.pipelines.sources import locate, parallel_text, text_lines


def equal(good, rows, features, missing=("",)):
    """Records against rows of text: every cell of every row."""
    assert len(good) == len(rows)
    for record, row in zip(good, rows, strict=True):
        for name, feature in features.items():
            cell, value = row[name], record.values[name]
            if cell in missing:
                assert value is None
            elif isinstance(feature, Number):
                assert value == (int(cell) if feature.dtype == "int64" else float(cell))
            elif isinstance(feature, Label):
                assert feature.names[value].lower() == cell.lower()
            else:
                assert value == cell


@pytest.mark.parametrize(
    ("folder", "name", "count", "settings"),
    [
        ("taxi", "data.csv", 15_002, {}),
        ("titanic", "titanic.csv", 891, {"label": ["survived", "class"]}),
        ("penguins", "penguins.csv", 344, {"missing": ["NA"], "label": "species"}),
        ("penguins", "penguins_raw.csv", 344, {"missing": ["NA"]}),
        ("penguins", "penguins_processed.csv", 334, {}),
        ("moleculenet", "delaney-processed.csv", 1_128, {}),
        ("moleculenet", "BBBP.csv", 2_050, {"label": "BBBP"}),
        ("moleculenet", "tox21.csv.gz", 8_014, {}),
    ],
)
def test_tables(shared_data, rows_of, folder, name, count, settings):
    path = shared_data(folder) / name
    features, good, bad = rows_of({"type": "csv", "path": str(path), **settings})
    opened = gzip.open(path, "rt", newline="") if name.endswith(".gz") else open(path, newline="")  # noqa: SIM115
    with opened as file:
        rows = list(csv.DictReader(file))
    assert bad == []
    assert len(good) == count
    assert list(features) == list(rows[0])
    equal(good, rows, features, settings.get("missing", ("",)))


def test_what_the_columns_are(shared_data, rows_of):
    titanic, good, _ = rows_of({"type": "csv", "path": str(shared_data("titanic") / "titanic.csv")})
    assert titanic["age"] == Number(optional=True)
    assert titanic["adult_male"] == Label(names=("false", "true"))
    assert titanic["deck"] == Text(optional=True)
    lacking = {name: sum(r.values[name] is None for r in good) for name in titanic}
    assert {name: n for name, n in lacking.items() if n} == {
        "age": 177,
        "deck": 688,
        "embarked": 2,
        "embark_town": 2,
    }
    path = str(shared_data("penguins") / "penguins.csv")
    penguins, good, _ = rows_of({"type": "csv", "path": path, "missing": ["NA"]})
    assert penguins["body_mass_g"] == Number(dtype="int64", optional=True)
    assert sum(r.values["sex"] is None for r in good) == 11
    assert sum(r.values["body_mass_g"] is None for r in good) == 2
    path = str(shared_data("moleculenet") / "delaney-processed.csv")
    _, good, _ = rows_of({"type": "csv", "path": path, "columns": ["smiles"]})
    assert sum(r.values["smiles"] != r.values["smiles"].strip() for r in good) == 212


def test_movielens_inside_its_zip(shared_data, rows_of):
    archive = shared_data("movielens") / "ml-latest-small.zip"
    inner = archive / "ml-latest-small"
    with zipfile.ZipFile(archive) as opened:
        tables = {
            name: list(csv.reader(io.StringIO(opened.read(f"ml-latest-small/{name}").decode())))[1:]
            for name in ("movies.csv", "ratings.csv")
        }
    features, good, bad = rows_of(
        {"type": "csv", "path": str(inner / "movies.csv"), "split_on": {"genres": "|"}}
    )
    assert (len(good), bad) == (9_742, [])
    assert features["genres"] == Sequence(of=Text())
    for record, row in zip(good, tables["movies.csv"], strict=True):
        assert record.values["title"] == row[1]
        assert record.values["genres"] == row[2].split("|")
    features, good, bad = rows_of(
        {"type": "csv", "path": str(inner / "ratings.csv"), "group": "userId"}
    )
    assert (len(good), bad) == (100_836, [])
    assert len({record.group for record in good}) == 610
    columns = zip(*tables["ratings.csv"], strict=True)
    for name, kind, cells in zip(features, (int, int, float, int), columns, strict=True):
        assert [r.values[name] for r in good] == list(map(kind, cells))


@pytest.mark.parametrize(("split", "count"), [("train", 1_992), ("dev", 619), ("test", 618)])
def test_scitldr(shared_data, rows_of, split, count):
    path = shared_data("scitldr") / f"{split}.jsonl.gz"
    features, good, bad = rows_of({"type": "json_lines", "path": str(path), "key": "paper_id"})
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert (len(good), bad) == (count, [])
    assert features["source"] == features["target"] == Sequence(of=Text())
    assert features["rouge_scores"] == Sequence(of=Number())
    for record, row in zip(good, rows, strict=True):
        assert record.key == row["paper_id"]
        for name in ("source", "target", "title", "source_labels", "rouge_scores"):
            assert record.values[name] == row[name]


def test_rt_polarity(shared_data):
    folder = shared_data("rt_polarity")
    pattern = r"\.(?P<label>pos|neg)$"
    source = locate.load(
        {"type": "text_lines", "path": str(folder / "rt-polarity.*"), "pattern": pattern}
    )
    assert source.check() == []
    assert source.features() == {"text": Text(), "label": Label(names=("neg", "pos"))}
    found = {0: [], 1: []}
    for file in source.data_files():
        for part in text_lines.file_parts(file, source.names):
            for record in text_lines.read_lines(part, source.names):
                found[record.values["label"]].append(record.values["text"])
    for label, name in enumerate(("neg", "pos")):
        lines = (folder / f"rt-polarity.{name}").read_text("utf-8").split("\n")
        assert len(found[label]) == 5_331
        assert found[label] == lines[:-1]


def test_multi30k(shared_data):
    folder = shared_data("multi30k")
    names = {"train": "train", "val": "val", "test": "test_2016_flickr"}
    splits = {
        split: {language: str(folder / f"{name}.{language}.gz") for language in ("en", "de")}
        for split, name in names.items()
    }
    source = locate.load({"type": "parallel_text", "splits": splits})
    assert source.check() == []
    counts = {}
    for split, texts in source.splits.items():
        good = [r for p in parallel_text.plan(split, texts) for r in parallel_text.read_part(p)]
        counts[split] = len(good)
        assert {r.split for r in good} == {split}
        for language, path in texts.items():
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
                assert [r.values[language] for r in good] == [line.rstrip("\n") for line in file]
    assert counts == {"train": 29_000, "val": 1_014, "test": 1_000}


def test_the_taxi_table_through_example_gen(tmp_path, shared_data, generate, examples_of):
    path = str(shared_data("taxi") / "data.csv")
    directory, generated = generate(tmp_path, {"type": "csv", "path": path})
    assert generated.bad == []
    found = examples_of(directory, generated)
    assert len(found) == 15_002
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    fares = np.array([float(row["fare"]) for row in rows], np.float32)
    read = np.array([found[f"data.csv:{index}"]["fare"] for index in range(len(rows))])
    np.testing.assert_array_equal(read, fares)
    assert sum("company" not in values for values in found.values()) == sum(
        not row["company"] for row in rows
    )
