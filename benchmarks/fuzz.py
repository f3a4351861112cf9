"""Damaged files of every format: no crash, no wrong value without a word, no record lost.

`python benchmarks/fuzz.py [--count 2000] [--seed 0]` writes small files of each format, damages each
copy (`damage.py`) and reads them all through ExampleGen. Asked of each file:

- nothing raises, and good + quarantined = what the source gave out;
- no file vanishes: it gives a record, a bad one at least, unless an independent reader finds none;
- a good record is what an independent reader (Python's csv and json, pyarrow, SciPy, Pillow,
  TensorFlow) finds in the damaged file, or, where the format has checksums, what was in the whole one.
"""

import argparse
import csv
import gzip
import io
import json
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apache_beam as beam
import numpy as np
from collected import ELEMENTS, collect
from damage import damaged
from tables import machine, table

from penstock.pipelines.ingest import example_gen
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.running.beam_runner import new_pipeline
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.source import BadRecord

ROWS = 12
FEATURES = {
    "id": {"kind": "number", "dtype": "int64"},
    "size": {"kind": "number"},
    "name": {"kind": "text"},
    "kind": {"kind": "label", "names": ["no", "yes"]},
}
ALL_TRAIN = Splitter({"train": 1.0})


@dataclass
class Kind:
    """A format.

    Attributes:
        ending: of the files' names.
        whole: writes the content of an undamaged file.
        source: path of the folder, or of one file -> the source's section.
        fault: f(damaged, whole, good records, bad records) -> what is wrong, or None.
        alone: whether each file is a source of its own, which may refuse it with a sentence.
    """

    ending: str
    whole: Callable[[np.random.Generator], bytes]
    source: Callable[[Path], dict]
    fault: Callable[[bytes, bytes, list, list], str | None]
    alone: bool = False


@dataclass
class Outcome:
    """What became of the damaged files of one format."""

    files: int = 0
    damaged: int = 0
    good: int = 0
    bad: int = 0
    refused: int = 0
    reasons: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_kind(kind: Kind, folder: Path, count: int, seed: int) -> Outcome:
    """Damages `count` files of a format and reads them."""
    generator = np.random.default_rng([seed, *kind.ending.encode()])
    data = folder / "data" / "class"
    data.mkdir(parents=True)
    files = {}
    for index in range(count):
        whole = kind.whole(generator)
        path = data / f"{index:05d}{kind.ending}"
        files[path] = damaged(whole, generator), whole
        path.write_bytes(files[path][0])
    outcome = Outcome(count, sum(content != whole for content, whole in files.values()))
    for part in [[path] for path in files] if kind.alone else [list(files)]:
        source = kind.source(part[0] if kind.alone else data.parent)
        found = read(source, folder, outcome, account=not kind.alone or outcome.good == 0)
        if found is None:
            continue
        for path in part:
            good, bad = found.get(str(path), ([], [])) if not kind.alone else _joined(found)
            outcome.good += len(good)
            outcome.bad += len(bad)
            outcome.reasons.update(record.reason.split(":")[0] for record in bad)
            fault = kind.fault(*files[path], good, bad)
            if fault:
                outcome.faults.append(f"{path.name} (seed {seed}): {fault}")
    return outcome


def _joined(found):
    good = [record for of_file, _ in found.values() for record in of_file]
    return good, [record for _, of_file in found.values() for record in of_file]


def read(section: dict, folder: Path, outcome: Outcome, account: bool) -> dict | None:
    """{file: (good, bad)} of what a source gives out; None if it refuses with a sentence.

    Args:
        account: whether to count what ExampleGen makes of it too.
    """
    source = locate.load(section)
    faults = source.check()
    if faults:
        outcome.refused += 1
        return None
    try:
        source.features()
    except ValueError:
        outcome.refused += 1
        return None
    ELEMENTS.clear()
    with new_pipeline() as pipeline:
        source.read(pipeline) | beam.Map(collect)
    found: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
    for record in ELEMENTS:
        found[record.file][isinstance(record, BadRecord)].append(record)
    if not account:
        return found
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        examples = Path(scratch, "examples")
        examples.mkdir()
        made = example_gen.generate(
            source, ALL_TRAIN, examples, Path(scratch, "scratch"), processes=1
        )
    accounted = sum(made.splits.values()) + made.summary["bad"]
    if accounted != len(ELEMENTS):
        outcome.faults.append(f"{len(ELEMENTS)} were read, but {accounted} are accounted for.")
    return found


# Tables --------------------------------------------------------------------------------------


def rows_of(generator) -> list[tuple]:
    """(id, size, name, kind) of each row."""
    names = ["plain", "with, comma", 'with "quotes"', "two\nlines", "\u00fcber", ""]
    return [
        (
            int(generator.integers(-(10**12), 10**12)),
            float(np.float32(generator.normal())),
            names[int(generator.integers(len(names)))],
            ("no", "yes")[int(generator.integers(2))],
        )
        for _ in range(ROWS)
    ]


def write_csv(generator) -> bytes:
    """A header and rows."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(FEATURES)
    writer.writerows((i, repr(size), name, kind) for i, size, name, kind in rows_of(generator))
    return stream.getvalue().encode()


def write_json_lines(generator) -> bytes:
    """An object a line."""
    rows = [json.dumps(dict(zip(FEATURES, row, strict=True))) for row in rows_of(generator)]
    return ("\n".join(rows) + "\n").encode()


def write_parquet(generator) -> bytes:
    """Two row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = zip(*rows_of(generator), strict=True)
    stream = io.BytesIO()
    pq.write_table(
        pa.table(dict(zip(FEATURES, map(list, columns), strict=True))), stream, row_group_size=6
    )
    return stream.getvalue()


def given(record) -> tuple:
    """A good record as `rows_of` has it."""
    values = record.values
    number, size = int(values["id"]), float(np.float32(values["size"]))
    return number, repr(size), values["name"], ("no", "yes")[values["kind"]]


def as_given(row) -> tuple | None:
    """Cells of a row, texts or values, in the same way; None if they are no such row."""
    try:
        number, size, name, kind = row
        return int(number), repr(float(np.float32(float(size)))), name, kind
    except (ValueError, TypeError, OverflowError):
        return None


def not_among(good, allowed) -> str | None:
    """A good record that an independent reader does not find."""
    wrong = next((record for record in good if given(record) not in allowed), None)
    return wrong and f"{given(wrong)} is not in the file: it has {sorted(map(str, allowed))}"


def csv_fault(content, whole, good, bad):
    """Against Python's csv module, of the whole text and of each line alone."""
    del whole
    text = content.decode(errors="surrogateescape")
    body = text[text.index("\n") + 1 :] if "\n" in text else ""
    allowed = set()
    for part in [body, *body.splitlines()]:
        reader = csv.reader(io.StringIO(part, newline=""), strict=True)
        while True:
            try:
                allowed.add(as_given(next(reader)))
            except StopIteration:
                break
            except csv.Error:
                continue
    lines = [line for line in body.replace("\r\n", "\n").split("\n") if line]
    if (
        '"' not in body
        and "\r" not in body.replace("\r\n", "")
        and len(good) + len(bad) != len(lines)
    ):
        return f"{len(lines)} lines, but {len(good)} good and {len(bad)} bad records"
    return not_among(good, allowed)


def csv_gz_fault(content, whole, good, bad):
    """Gzip has a checksum: all rows of the whole file, or a bad record."""
    text = gzip.decompress(whole).decode()
    allowed = {as_given(row) for row in list(csv.reader(io.StringIO(text, newline="")))[1:]}
    if content != whole and len(good) < ROWS and not bad:
        return f"only {len(good)} of {ROWS} rows, without a word"
    return not_among(good, allowed)


def json_lines_fault(content, whole, good, bad):
    """Against Python's json module."""
    del whole
    lines = [line for line in content.split(b"\n") if line.strip()]
    allowed = set()
    for line in lines:
        try:
            found = json.loads(line)
            allowed.add(as_given([found[name] for name in FEATURES]))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    if len(good) + len(bad) != len(lines):
        return f"{len(lines)} lines, but {len(good)} good and {len(bad)} bad records"
    return not_among(good, allowed)


def parquet_fault(content, whole, good, bad):
    """Against pyarrow; the format's checksums are optional, so it reads what is written there."""
    allowed = set(map(as_given, _parquet_rows(whole)))
    try:
        allowed |= set(map(as_given, _parquet_rows(content)))
    except Exception:  # damaged: any rows must be those of the whole file
        if not bad and len(good) < ROWS:
            return f"pyarrow refuses the file; only {len(good)} of {ROWS} rows, without a word"
    return not_among(good, allowed)


def _parquet_rows(content):
    import pyarrow.parquet as pq

    columns = pq.read_table(io.BytesIO(content)).to_pydict()
    return zip(*(columns[name] for name in FEATURES), strict=True)


def write_tfrecord(generator) -> bytes:
    """Examples with checksums."""
    import tensorflow as tf

    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            for number, size, name, kind in rows_of(generator):
                feature = {
                    "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
                    "size": tf.train.Feature(float_list=tf.train.FloatList(value=[size])),
                    "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
                    "kind": tf.train.Feature(
                        int64_list=tf.train.Int64List(value=[("no", "yes").index(kind)])
                    ),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
        return Path(file.name).read_bytes()


def tfrecord_fault(content, whole, good, bad):
    """Records have checksums: those of the whole file, or bad ones."""
    import tensorflow as tf

    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(whole)
        allowed = set()
        for data in tf.data.TFRecordDataset(file.name).as_numpy_iterator():
            stored = tf.train.Example.FromString(data).features.feature
            kind = ("no", "yes")[stored["kind"].int64_list.value[0]]
            name = stored["name"].bytes_list.value[0].decode()
            size = stored["size"].float_list.value[0]
            allowed.add(as_given((stored["id"].int64_list.value[0], size, name, kind)))
    # A file that ends with a record has nothing that tells of those behind it.
    if len(good) < ROWS and not bad and not whole.startswith(content):
        return f"only {len(good)} of {ROWS} records, without a word"
    return not_among(good, allowed)


# Pictures and recordings ---------------------------------------------------------------------


def picture(generator) -> np.ndarray:
    """A smooth picture: uint8 [height, width, 3]."""
    height, width = (int(size) for size in generator.integers(8, 40, 2))
    rows, columns = np.mgrid[:height, :width]
    waves = [rows * a + columns * b for a, b in generator.normal(scale=8.0, size=(3, 2))]
    return (np.stack(waves, -1) % 256).astype(np.uint8)


def encoded(pixels, form) -> bytes:
    """PNG or JPEG by Pillow."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    """By Pillow, as RGB."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _one_record(good, bad):
    if len(good) + len(bad) != 1:
        return f"one file, but {len(good)} good and {len(bad)} bad records"
    return None


def image_fault(content, whole, good, bad):
    """What is stored is decoded by TensorFlow to what Pillow sees; PNG has checksums."""
    import tensorflow as tf

    del content
    for record in good:
        data = record.values["image"]
        try:
            seen = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        except Exception as error:
            return f"TensorFlow refuses what is stored: {error}"
        if seen.shape != pixels_of(data).shape:
            return f"TensorFlow sees {seen.shape}, Pillow {pixels_of(data).shape}"
        if whole.startswith(b"\x89PNG") and not np.array_equal(seen, pixels_of(whole)):
            return "another picture than before the damage, in spite of checksums"
    return _one_record(good, bad)


def write_recording(form, subtype="PCM_16"):
    """A function that writes half a second of noise."""

    def write(generator) -> bytes:
        import soundfile

        samples = generator.integers(-(2**15), 2**15, 400).astype(np.int16)
        stream = io.BytesIO()
        soundfile.write(stream, samples, 8000, format=form, subtype=subtype)
        return stream.getvalue()

    return write


def recording_fault(content, whole, good, bad):
    """What is stored is decoded by TensorFlow to what SciPy reads; FLAC has checksums."""
    import tensorflow as tf
    from scipy.io import wavfile

    for record in good:
        data = record.values["audio"]
        try:
            seen = np.round(tf.audio.decode_wav(data)[0].numpy() * 2**15)
        except Exception as error:
            return f"TensorFlow refuses what is stored: {error}"
        if whole.startswith(b"fLaC"):
            import soundfile

            expected = soundfile.read(io.BytesIO(whole), dtype="int16", always_2d=True)[0]
        else:
            try:
                expected = wavfile.read(io.BytesIO(content))[1]
            except Exception:
                continue
            if expected.dtype != np.int16:
                continue
            expected = expected.reshape(len(expected), -1)
        if not np.array_equal(seen, expected):
            return f"other samples than expected: {seen.shape}, {expected.shape}"
    return _one_record(good, bad)


# Archives ------------------------------------------------------------------------------------


def write_zip(generator) -> bytes:
    """Pictures in class folders."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(4):
            name = f"class_{index % 2}/{index}.png"
            archive.writestr(name, encoded(picture(generator), "PNG"))
    return stream.getvalue()


def write_tar(mode):
    """A function that writes the same as a tar file."""

    def write(generator) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=mode) as archive:
            for index in range(4):
                entry = tarfile.TarInfo(f"class_{index % 2}/{index}.png")
                data = encoded(picture(generator), "PNG")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return stream.getvalue()

    return write


def members(content: bytes) -> dict[str, bytes]:
    """Of an archive that is whole."""
    stream = io.BytesIO(content)
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers()}


def names(content: bytes) -> list[str]:
    """What an archive lists, in which members may be damaged."""
    stream = io.BytesIO(content)
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            return archive.namelist()
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return archive.getnames()


def archive_fault(content, whole, good, bad):
    """Pictures of the whole archive; what is missing is told, or no reader lists it any more."""
    pictures = [pixels_of(data).tobytes() for data in members(whole).values()]
    if any(pixels_of(record.values["image"]).tobytes() not in pictures for record in good):
        return "a picture that was not in the whole archive"
    if len(good) + len(bad) >= len(pictures):
        return None
    try:
        listed = [name for name in names(content) if "/" in name and name.endswith(".png")]
    except Exception:
        return f"a damaged archive; only {len(good)} good and {len(bad)} bad, without a word"
    if len(listed) > len(good) + len(bad):
        return f"{len(listed)} files, but {len(good)} good and {len(bad)} bad records"
    return None


def _table(kind, **more):
    """With named columns: a damaged name would be a column more."""
    more |= {"features": FEATURES, "columns": list(FEATURES)}
    return lambda path: {"type": kind, "path": str(path), **more}


def _folder(kind):
    return lambda path: {"type": kind, "path": str(path)}


HEADLESS = {"column_names": list(FEATURES), "skip_rows": 1}
PICTURES, RECORDINGS = _folder("image_folder"), _folder("audio_folder")
KINDS = {
    "CSV": Kind(".csv", write_csv, _table("csv", **HEADLESS), csv_fault),
    "CSV, gzip": Kind(
        ".csv.gz", lambda g: gzip.compress(write_csv(g)), _table("csv", **HEADLESS), csv_gz_fault
    ),
    "JSON lines": Kind(".jsonl", write_json_lines, _table("json_lines"), json_lines_fault),
    "Parquet": Kind(".parquet", write_parquet, _table("parquet"), parquet_fault, alone=True),
    "TFRecord": Kind(".tfrecord", write_tfrecord, _table("tfrecord"), tfrecord_fault),
    "PNG": Kind(".png", lambda g: encoded(picture(g), "PNG"), PICTURES, image_fault),
    "JPEG": Kind(".jpg", lambda g: encoded(picture(g), "JPEG"), PICTURES, image_fault),
    "WAV": Kind(".wav", write_recording("WAV"), RECORDINGS, recording_fault),
    "FLAC": Kind(".flac", write_recording("FLAC"), RECORDINGS, recording_fault),
    "zip": Kind(".zip", write_zip, PICTURES, archive_fault, alone=True),
    "tar": Kind(".tar", write_tar("w"), PICTURES, archive_fault, alone=True),
    "tar.gz": Kind(".tar.gz", write_tar("w:gz"), PICTURES, archive_fault, alone=True),
}


def main() -> None:
    """All formats; ends with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS)
    arguments = parser.parse_args()
    kinds = {arguments.only: KINDS[arguments.only]} if arguments.only else KINDS
    rows, faults = [], []
    for name, kind in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            found = run_kind(kind, Path(folder), -(-arguments.count // len(kinds)), arguments.seed)
        most = ", ".join(f"{reason} ({n})" for reason, n in found.reasons.most_common(2))
        counts = (found.files, found.damaged, found.refused, found.good, found.bad)
        rows.append([name, *counts, len(found.faults), most])
        faults += [f"{name}: {fault}" for fault in found.faults]
    print(machine() + ". `python benchmarks/fuzz.py`\n")
    head = ["format", "files", "damaged", "refused", "good", "quarantined", "wrong", "most often"]
    print(table(head, rows))
    print("\n".join(faults[:20]))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
