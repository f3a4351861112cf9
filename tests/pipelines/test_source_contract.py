"""What every source keeps to, read once with a small input of its own: the conformance test.

A source registers a case: a function that writes a small input into a folder and returns a `Case`.
All cases are read by one Beam pipeline; each test looks at what came out.
"""

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest

from penstock.pipelines.example_codec import check_features, fault_of
from penstock.pipelines.features import FEATURES
from penstock.pipelines.ingest.splits import Splitter, key_hashes
from penstock.pipelines.running.beam_runner import new_pipeline
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.source import BadRecord, Record


@dataclass
class Case:
    """`section`: the config's `data.source`; how many records are good and bad in its input.

    `missing`: the part of a path in the section that a test replaces by one that is not there, None
    for a source without a path.
    """

    section: dict
    good: int
    bad: int
    missing: str | None = None


CASES = {}


def case(function):
    """Registers a case under its function's name."""
    CASES[function.__name__] = function
    return function


TABLE = "name,age,weight,kind,patient\nann,5,2.5,a,p1\nbob,,1e-3,b,p2\ncid,x,3,a,p1\ndan,7,4\n"


@case
def csv(folder):
    (folder / "2024").mkdir()
    (folder / "2024" / "a.csv").write_text(TABLE)
    (folder / "b.csv").write_text('patient,kind,weight,age,name\np2,b,1,2,"e,v\ne"\n')
    described = {"age": {"kind": "number", "dtype": "int64", "optional": True}}
    more = {"label": "kind", "group": "patient", "features": described}
    return Case({"type": "csv", "path": str(folder), **more}, 3, 2, str(folder))


@case
def csv_in_an_archive_by_wildcard(folder):
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name in "ab":
            archive.writestr(f"in/{name}.csv", TABLE)
    path = str(folder / "all.zip" / "*" / "?.csv")
    return Case({"type": "csv", "path": path, "columns": ["name", "age"]}, 6, 2, "all.zip")


@case
def json_lines(folder):
    rows = [
        {"id": 1, "text": "ä", "nested": {"n": 1.5}, "tags": ["x"], "who": "p"},
        {"id": 2, "text": None, "nested": {"n": 2}, "tags": [], "who": "q"},
        {"id": 3, "text": "z", "tags": ["y", "z"], "who": "p"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "a.jsonl").write_text(lines + "[1]\n{broken\n\n")
    return Case(
        {"type": "json_lines", "path": str(folder), "key": "id", "group": "who"}, 3, 2, str(folder)
    )


@case
def parquet(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"n": [1, None, 3, 4], "s": ["a", "b", "c", "d"], "l": [[1.0], [], [2.0], []]})
    pq.write_table(table, folder / "a.parquet", row_group_size=2)
    (folder / "b.parquet").write_bytes(b"PAR1 is no table")
    return Case({"type": "parquet", "path": str(folder)}, 4, 1, str(folder))


@case
def tfrecord(folder):
    from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

    from penstock.pipelines.tfrecord import write_records

    def example(number, texts):
        features = {
            "n": tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=[number])),
            "t": tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=texts)),
        }
        stored = tf_feature_pb2.Features(feature=features)
        return tf_example_pb2.Example(features=stored).SerializeToString()

    records = [example(n, [b"x"] * n) for n in range(4)]
    write_records(folder / "a.tfrecord", records)
    data = bytearray((folder / "a.tfrecord").read_bytes())
    data[20] ^= 1
    (folder / "b.tfrecord").write_bytes(data)
    (folder / "c.tfrecord").write_bytes(data[:-3])
    return Case({"type": "tfrecord", "path": str(folder)}, 4 + 3 + 2, 1 + 2, str(folder))


@case
def text_lines(folder):
    (folder / "reviews.pos").write_bytes("good\n\nüber\r\n".encode())
    (folder / "reviews.neg").write_bytes(b"bad\nb\xffd\nlast")
    pattern = r"\.(?P<label>pos|neg)$"
    path = str(folder / "reviews.*")
    return Case({"type": "text_lines", "path": path, "pattern": pattern}, 4, 1, "reviews")


@case
def parallel_text(folder):
    (folder / "a.en").write_text("one\ntwo\n\n")
    (folder / "a.de").write_text("eins\nzwei\ndrei\n")
    texts = {name: str(folder / f"a.{name}") for name in ("en", "de")}
    return Case({"type": "parallel_text", "texts": texts}, 2, 1, "a.en")


@case
def sklearn(folder):
    return Case({"type": "sklearn", "dataset": "iris"}, 150, 0)


@case
def mixture(folder):
    (folder / "a.csv").write_text("text,label\ngood,pos\nbad\n")
    (folder / "b.jsonl").write_text('{"text": "so", "label": "mid"}\n[1]\n')
    sources = {
        "tables": {"type": "csv", "path": str(folder / "a.csv"), "label": "label"},
        "lines": {"type": "json_lines", "path": str(folder / "b.jsonl"), "label": "label"},
    }
    return Case({"type": "mixture", "sources": sources}, 2, 2, "a.csv")


def picture(folder, name, value, size=(4, 3)):
    from PIL import Image

    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(folder / name)


def recording(value):
    from penstock.pipelines.media.audio_files import encode_wav

    return encode_wav(bytes([value, 0]) * 9, 8_000, 1)


@case
def image_folder(folder):
    for index, name in enumerate(("cat/a.png", "cat/b.png", "dog/deep/c.png")):
        picture(folder, name, index)
    (folder / "dog" / "broken.png").write_bytes(b"no picture")
    return Case({"type": "image_folder", "path": str(folder)}, 3, 1, str(folder))


@case
def image_folder_by_wildcard(folder):
    for index, name in enumerate(("1/cat/a.png", "2/cat/a.png", "2/dog/b.png")):
        picture(folder, name, index)
    path = str(folder / "{SPAN}")
    section = {"type": "image_folder", "path": path, "span_window": 2}
    return Case(section, 3, 0, str(folder))


@case
def audio_folder_in_an_archive(folder):
    with zipfile.ZipFile(folder / "sounds.zip", "w") as archive:
        for index, name in enumerate(("1_ann_0.wav", "1_ann_1.wav", "2_bob_0.wav")):
            archive.writestr(f"in/{name}", recording(index))
        archive.writestr("in/3_bob_0.wav", recording(1)[:-3])
        archive.writestr("in/other.wav", recording(1))
    pattern = r"(?P<label>\d)_(?P<speaker>[a-z]+)_(?P<take>\d)"
    section = {"type": "audio_folder", "pattern": pattern, "group": "speaker"}
    return Case({**section, "path": str(folder / "sounds.zip" / "in")}, 3, 2, "sounds.zip")


@case
def concatenated_recordings(folder):
    for index, name in enumerate(("train/a_0", "train/b_0", "train/a_1", "test/a_2")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.wav").write_bytes(recording(index))
    (folder / "test" / "b_3.wav").write_bytes(b"no recording")
    recordings = {
        "type": "audio_folder",
        "path": str(folder),
        "pattern": r"(?P<split>[a-z]+)/(?P<label>[ab])_",
        "sample_rate_hz": 8000,
        "channels": 1,
    }
    section = {"type": "concatenated_recordings", "recordings": recordings, "same": "label"}
    return Case({**section, "count": {"train": 5, "test": 2}}, 7, 1, str(folder))


@case
def image_manifest(folder):
    for index, name in enumerate("abc"):
        picture(folder, f"pictures/{name}.png", index)
    (folder / "table.csv").write_text("file,age\na.png,1\nb.png,2\nc.png,x\n../a.png,4\nd.png,5\n")
    described = {"age": {"kind": "number", "dtype": "int64"}}
    rows = {"type": "csv", "path": str(folder / "table.csv"), "features": described}
    section = {"type": "image_manifest", "rows": rows, "root": str(folder / "pictures")}
    return Case(section, 2, 3, "table.csv")


@case
def audio_manifest(folder):
    (folder / "a.wav").write_bytes(recording(1))
    rows = [{"path": "a.wav", "text": "one"}, {"path": "a.wav", "text": "two"}, {"text": "three"}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = {"type": "json_lines", "path": str(folder / "rows.jsonl")}
    return Case({"type": "audio_manifest", "rows": rows, "file": "{path}"}, 2, 1, "rows.jsonl")


@case
def voc(folder):
    (folder / "Annotations").mkdir()
    for index, (name, xmax) in enumerate((("a", 4), ("b", 2), ("c", 9))):
        picture(folder, f"JPEGImages/{name}.jpg", index)
        corners = f"<xmin>1</xmin><ymin>1</ymin><xmax>{xmax}</xmax><ymax>2</ymax>"
        found = f"<object><name>cat</name><bndbox>{corners}</bndbox></object>"
        (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{found}</annotation>")
    return Case({"type": "voc", "path": str(folder), "difficult": True}, 2, 1, str(folder))


@case
def coco(folder):
    for index, name in enumerate("ab"):
        picture(folder, f"images/{name}.png", index)
    images = [{"id": i, "file_name": f"{name}.png"} for i, name in enumerate("abc")]
    found = [
        {"id": 1, "image_id": 0, "category_id": 5, "bbox": [0, 0, 2, 2.5]},
        {"id": 2, "image_id": 9, "category_id": 5, "bbox": [0, 0, 1, 1]},
    ]
    document = {"images": images, "annotations": found, "categories": [{"id": 5, "name": "cat"}]}
    (folder / "instances.json").write_text(json.dumps(document))
    places = {"annotations": str(folder / "instances.json"), "images": str(folder / "images")}
    return Case({"type": "coco", **places}, 2, 2, str(folder))


@case
def segmentation(folder):
    for index, name in enumerate("abc"):
        picture(folder, f"images/{name}.png", index * 50)
        picture(folder, f"masks/{name}.png", index)
    picture(folder, "images/alone.png", 9)
    section = {"type": "segmentation", "path": str(folder), "classes": ["sky", "road"]}
    return Case(section, 2, 2, str(folder))


class Reading(beam.PTransform):
    """`source.read`, each record beside the name of its case."""

    def __init__(self, source, name):
        super().__init__()
        self._source = source
        self._name = name

    def expand(self, begin):
        return self._source.read(begin.pipeline) | beam.Map(named, self._name)


def named(record, name):
    return name, record


@dataclass
class Outcome:
    case: Case
    source: object
    records: list


def save(records, path):
    Path(path).write_bytes(pickle.dumps(records))


def copied(folder, target):
    """A copy whose files were made in the opposite order."""
    target.mkdir()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.relative_to(folder))
        elif path.is_dir():
            (target / path.relative_to(folder)).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """{(name, "first" or "copy"): Outcome}."""
    root = tmp_path_factory.mktemp("sources")
    found = {}
    for name, write in CASES.items():
        folder = root / name
        folder.mkdir()
        made = write(folder)
        copied(folder, root / f"{name} copy")
        moved = json.dumps(made.section).replace(str(folder), str(root / f"{name} copy"))
        for which, section in [("first", made.section), ("copy", json.loads(moved))]:
            found[name, which] = Outcome(made, locate.load(section), [])
    with new_pipeline() as pipeline:
        # What the pipeline reads has been pickled, as for a worker of its own.
        read = [
            pipeline | f"Read {name}" >> Reading(pickle.loads(pickle.dumps(outcome.source)), name)
            for name, outcome in found.items()
        ]
        path = str(root / "records.pickle")
        _ = read | beam.Flatten() | beam.combiners.ToList() | beam.Map(save, path)
    for name, record in pickle.loads(Path(path).read_bytes()):
        found[name].records.append(record)
    return found


@pytest.fixture(params=CASES)
def outcome(request, outcomes):
    return outcomes[request.param, "first"]


def good(outcome):
    return [record for record in outcome.records if isinstance(record, Record)]


def test_each_record_is_good_or_bad(outcome):
    bad = [record for record in outcome.records if isinstance(record, BadRecord)]
    assert (len(good(outcome)), len(bad)) == (outcome.case.good, outcome.case.bad), bad
    assert len(outcome.records) == len(good(outcome)) + len(bad)


def test_bad_records_say_where_and_why(outcome):
    for record in outcome.records:
        assert Path(record.file).is_absolute()
        assert record.index >= 0
        if isinstance(record, BadRecord):
            assert record.reason.endswith(".")
            assert BadRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
            if record.offset is not None and Path(record.file).is_file():
                content = Path(record.file).read_bytes()[record.offset :]
                assert content.startswith(record.data.rstrip(b"\r\n"))


def test_records_fit_their_description(outcome):
    features = outcome.source.features()
    check_features(features)
    assert FEATURES.validate_json(FEATURES.dump_json(features)) == features
    for record in good(outcome):
        assert fault_of(record.key, record.values, features) is None
        assert isinstance(record.group, str | None)


def test_keys_are_unique(outcome):
    keys = [record.key for record in good(outcome)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", CASES)
def test_the_place_and_order_of_files_do_not_matter(outcomes, name):
    first, copy = outcomes[name, "first"], outcomes[name, "copy"]
    assert first.source.features() == copy.source.features()

    def by_key(outcome):
        return {r.key: (r.values, r.split, r.group, r.index) for r in good(outcome)}

    np.testing.assert_equal(by_key(first), by_key(copy))
    reasons = [
        sorted(r.reason for r in o.records if isinstance(r, BadRecord)) for o in (first, copy)
    ]
    # A reason may name the file.
    assert len(reasons[0]) == len(reasons[1])


def test_the_records_of_a_group_share_a_split(outcome):
    splitter = Splitter({"train": 0.5, "test": 0.5})
    splits = {}
    for record in good(outcome):
        if record.group is not None and record.split is None:
            split = splitter.split_of(key_hashes(record.group)[0], None)
            assert splits.setdefault(record.group, split) == split


def test_records_have_no_split_but_those_that_the_source_says(outcome):
    own = outcome.source.own_splits()
    assert own is None or {record.split for record in good(outcome)} <= own


def test_files_and_fingerprint(outcome):
    files = outcome.source.files()
    assert outcome.source.check() == []
    assert files == sorted(files)
    assert all(path.is_file() for path in files)
    read = {record.file for record in outcome.records}
    assert {str(path) for path in files} >= {file for file in read if Path(file).is_file()}
    facts = outcome.source.fingerprint()
    assert json.loads(json.dumps(facts)) == facts


def test_a_section_survives_the_config(outcome):
    document = outcome.source.model_dump(mode="json")
    assert locate.load(document) == outcome.source


def test_a_missing_path_is_said_in_a_sentence(outcome):
    if outcome.case.missing is None:
        pytest.skip("this source has no path")
    text = json.dumps(outcome.case.section).replace(outcome.case.missing, "/no such place", 1)
    faults = locate.load(json.loads(text)).check()
    assert faults
    for fault in faults:
        assert "no such place" in fault
        assert fault.startswith("`data.source")
        assert fault.endswith(".")


def test_validation_imports_nothing_heavy(outcomes):
    """Neither TensorFlow nor Beam nor what else takes long; all sources in one process."""
    sections = [outcome.case.section for outcome in outcomes.values()]
    program = f"""
import sys
from penstock.pipelines.sources import locate
heavy = {{"tensorflow", "apache_beam", "sklearn", "tensorflow_datasets", "numpy", "PIL", "pandas",
         "pyarrow", "soundfile"}}
for section in {sections!r}:
    source = locate.load(section)
    source.check(), source.files(), source.fingerprint(), source.libraries, source.needs_tensorflow
    source.own_splits()
    if heavy & set(sys.modules):
        sys.exit(section["type"] + " imports " + str(sorted(heavy & set(sys.modules))))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
