"""Images and recordings that a table names."""

import io
import json
import zipfile

import numpy as np
import pytest
import soundfile
from PIL import Image
from pydantic import ValidationError

from penstock.pipelines import examples
from penstock.pipelines.features import Audio, Label, Number, Text
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.sources import locate


def picture(value):
    return encode_png(np.full((2, 3), value, np.uint8))


@pytest.fixture
def table(tmp_path):
    """`table(csv)`: a section that reads `photos/labels.csv`; beside it some pictures."""
    folder = tmp_path / "photos"
    (folder / "set").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (folder / "set" / f"{name}.png").write_bytes(picture(ord(name)))
    (folder / "set" / "cut.png").write_bytes(picture(9)[:-9])
    (folder / "set" / "notes.txt").write_text("no picture")
    (tmp_path / "secret.png").write_bytes(picture(0))

    def table(text, **more):
        (folder / "labels.csv").write_text(text)
        rows = {"type": "csv", "path": str(folder / "labels.csv"), "label": "kind", "key": "path"}
        return {"type": "image_manifest", "rows": rows, "file": "{path}", **more}

    return table


def test_columns_become_features_and_the_path_none(tmp_path, table, generate, examples_of):
    section = table("path,kind,age\nset/a.png,cat,3\n./set/b.png,dog,\n")
    section["rows"]["columns"] = ["path", "kind", "age"]
    section["rows"]["key"] = None
    source = locate.load(section)
    assert source.check() == []
    names = [path.name for path in source.files()]
    assert names == ["labels.csv", "a.png", "b.png", "c.png", "cut.png"]
    assert source.modules() == ("penstock.pipelines.sources.csv",)
    assert source.libraries == ("pillow",)
    directory, generated = generate(tmp_path, section)
    assert generated.bad == []
    features = examples.features(directory)
    assert features.keys() == {"image", "kind", "age"}
    assert features["kind"] == Label(names=("cat", "dog"))
    found = examples_of(directory, generated)
    assert found["labels.csv:0"]["image"] == picture(ord("a"))
    assert found["labels.csv:1"]["image"] == picture(ord("b"))
    assert found["labels.csv:0"]["age"] == 3
    assert "age" not in found["labels.csv:1"]


def test_the_key_and_a_class_can_name_the_file(tmp_path, table, generate, examples_of):
    section = table("path,kind\na,set\nb,set\n", file="{kind}/{key}.png")
    directory, generated = generate(tmp_path, section)
    assert examples.features(directory).keys() == {"image", "kind"}
    found = examples_of(directory, generated)
    assert {key: values["image"] for key, values in found.items()} == {
        "a": picture(ord("a")), "b": picture(ord("b")),
    }  # fmt: skip


def test_numbers_in_names_keep_their_zeros(tmp_path, table, generate):
    (tmp_path / "photos" / "set" / "007.png").write_bytes(picture(7))
    section = table("path,kind,number\nx,cat,007\n", file="set/{number}.png")
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    assert generated.splits == {"train": 1}
    assert examples.features(directory).keys() == {"image", "kind"}


def test_rows_whose_file_is_no_picture_are_quarantined(tmp_path, table, generate):
    bad = {
        "set/cut.png": "The file 'set/cut.png': The image is damaged: ",
        "set/none.png": "The file 'set/none.png': There is no file 'set/none.png' in ",
        "../secret.png": "The file '../secret.png': Its name leads out of the place where it lies",
        f"{tmp_path}/secret.png": f"The file '{tmp_path}/secret.png': Its name leads out of the place",
        "set/notes.txt": "The file 'set/notes.txt' has none of the endings that are read",
        "set": "The file 'set' has none of the endings that are read",
    }
    lines = "".join(f"{path},cat\n" for path in bad)
    _, generated = generate(tmp_path, table(f"path,kind\nset/a.png,cat\n{lines}"))
    assert sum(generated.splits.values()) == 1
    found = {record.key: record for record in generated.bad}
    assert found.keys() == bad.keys()
    for index, (key, reason) in enumerate(bad.items(), 1):
        assert found[key].reason.startswith(reason)
        assert found[key].file == str(tmp_path / "photos" / "labels.csv")
        assert found[key].index == index
    assert found["set/cut.png"].data == picture(9)[:-9]


def test_a_root_of_its_own_and_an_archive_of_json_lines(tmp_path, generate, examples_of):
    sounds = {"x": encode_wav(b"\1\0\2\0", 8_000, 1), "y": encode_wav(b"\3\0", 16_000, 1)}
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        for name, data in sounds.items():
            archive.writestr(f"clips/{name}.wav", data)
    rows = [{"audio": "x.wav", "text": "one"}, {"audio": "y.wav", "text": "two"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = {
        "type": "audio_manifest",
        "rows": {"type": "json_lines", "path": str(tmp_path / "rows.jsonl")},
        "file": "{audio}",
        "root": str(tmp_path / "sounds.zip" / "clips"),
    }
    source = locate.load(section)
    assert source.check() == []
    assert source.files() == [tmp_path / "rows.jsonl", tmp_path / "sounds.zip"]
    directory, generated = generate(tmp_path, section)
    assert examples.features(directory) == {"audio": Audio(), "text": Text()}
    found = examples_of(directory, generated)
    assert {values["text"]: values["audio"] for values in found.values()} == {
        "one": sounds["x"], "two": sounds["y"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"file": "a.png"}, "`data.source.file` must have a column in braces"),
        ({"file": "{name}"}, "Received: name."),
        ({"root": "no_such_folder"}, "`data.source.root`: There is no folder or archive"),
        ({"rows": {"type": "csv", "path": "no.csv"}}, "`data.source.rows.path`: "),
    ],
    ids=["constant", "unknown", "root", "rows"],
)
def test_faults_are_sentences(table, values, said):
    faults = locate.load(table("path,kind\nset/a.png,cat\n", **values)).check()
    assert any(said in fault for fault in faults), faults


def test_only_rows_can_be_a_manifest(table):
    with pytest.raises(ValidationError, match="`rows` must be a source of rows"):
        locate.load(table("path,kind\n", rows={"type": "sklearn"}))
    parquet = locate.load(table("path,kind\n", rows={"type": "parquet", "path": "x.parquet"}))
    assert parquet.libraries == ("pillow", "pyarrow")
    with pytest.raises(ValidationError, match="Did you mean 'csv'"):
        locate.load(table("path,kind\n", rows={"type": "cvs"}))


def test_a_column_called_as_the_medium_must_be_renamed(table):
    section = table("path,kind,image\nset/a.png,cat,3\n")
    with pytest.raises(ValueError, match="The table has a column `image`"):
        locate.load(section).features()


def test_a_number_of_a_described_column_names_the_file(table):
    section = table("path,kind,n\nset/a.png,cat,3\n", file="{n}.png")
    section["rows"]["features"] = {"n": {"kind": "number", "dtype": "int64"}}
    assert locate.load(section).features()["n"] == Number(dtype="int64")


def test_vctk_speaker_p239(tmp_path, shared_data, generate, examples_of):
    """503 utterances in one archive: metadata.csv (no header, a bar between) names wavs/ID.wav."""
    path = shared_data("vctk_p239") / "vctk_p239_16k.zip"
    section = {
        "type": "audio_manifest",
        "rows": {
            "type": "csv",
            "path": str(path / "metadata.csv"),
            "delimiter": "|",
            "quote": None,
            "column_names": ["id", "text"],
            "key": "id",
        },
        "file": "wavs/{key}.wav",
        "sample_rate_hz": 16_000,
        "channels": 1,
    }
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    assert (generated.splits, generated.bad) == ({"train": 503}, [])
    assert examples.features(directory) == {
        "audio": Audio(sample_rate_hz=16_000, channels=1), "text": Text(),
    }  # fmt: skip
    found = examples_of(directory, generated)
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("metadata.csv").decode().splitlines()
        assert dict(line.split("|") for line in lines) == {k: v["text"] for k, v in found.items()}
        seconds = 0.0
        for key, values in found.items():
            data = archive.read(f"wavs/{key}.wav")
            assert values["audio"] == data
            seconds += soundfile.info(io.BytesIO(data)).duration
    assert seconds / 60 == pytest.approx(25.7, abs=0.05)


def test_images_of_a_manifest_are_decodable(tmp_path, table, generate, examples_of):
    directory, generated = generate(tmp_path, table("path,kind\nset/c.png,cat\n"))
    image = examples_of(directory, generated)["set/c.png"]["image"]
    assert np.asarray(Image.open(io.BytesIO(image))).tolist() == [[ord("c")] * 3] * 2
