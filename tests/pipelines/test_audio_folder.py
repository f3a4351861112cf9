"""Recordings with classes, in folders and archives."""

import io
import tarfile
import wave
import zipfile

import numpy as np
import pytest
import soundfile

from penstock.pipelines import examples
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.sources import locate

RNG = np.random.default_rng(0)


def recording(seed=0, rate=8_000, channels=1):
    samples = np.random.default_rng(seed).integers(-9, 9, (80, channels), np.int16)
    return encode_wav(samples.astype("<i2").tobytes(), rate, channels)


def flac(data):
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC")
    return buffer.getvalue()


FILES = {
    "yes/a.wav": recording(1),
    "yes/b.FLAC": flac(recording(2)),
    "no/deep/c.wav": recording(3, 48_000, 2),
    "no/notes.txt": b"no recording",
    "no/.hidden.wav": b"",
    "beside.wav": b"",
}


@pytest.fixture(params=["folder", "zip", "tar", "tar.gz", "inside"])
def place(request, tmp_path):
    """The same files in a folder, in archives, and in a folder of an archive."""
    if request.param == "folder":
        for name, data in FILES.items():
            path = tmp_path / "sounds" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "sounds"
    above = "all/sounds/" if request.param == "inside" else ""
    if request.param.startswith("tar"):
        path = tmp_path / f"sounds.{request.param}"
        with tarfile.open(path, "w:gz" if request.param == "tar.gz" else "w") as archive:
            for name, data in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path
    path = tmp_path / "sounds.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(above + name, data)
    return path / above


def test_folders_and_archives_give_the_same_records(tmp_path, place, generate, examples_of):
    section = {"type": "audio_folder", "path": str(place)}
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section)
    assert generated.bad == []
    features = examples.features(directory)
    assert features["label"].names == ("no", "yes")
    found = examples_of(directory, generated)
    assert {key: values["label"] for key, values in found.items()} == {
        "no/deep/c.wav": 0, "yes/a.wav": 1, "yes/b.FLAC": 1,
    }  # fmt: skip
    assert found["yes/a.wav"]["audio"] == FILES["yes/a.wav"]
    assert found["yes/b.FLAC"]["audio"] == recording(2)
    assert found["no/deep/c.wav"]["audio"] == FILES["no/deep/c.wav"]
    files = locate.load(section).files()
    assert len(files) == (3 if place.is_dir() else 1)
    assert all(path.is_file() for path in files)


def test_bad_recordings_are_quarantined_with_their_bytes(tmp_path, generate):
    folder = tmp_path / "sounds" / "yes"
    folder.mkdir(parents=True)
    bad = {
        "cut.wav": (recording()[:-9], "The recording is cut off: "),
        "empty.wav": (b"", "The file is empty."),
        "long.wav": (
            encode_wav(bytes(2 * 8_008), 8_000, 1),
            "The recording lasts 1.0 seconds; at most 1 are read.",
        ),
        "other_rate.wav": (
            recording(rate=16_000),
            "The recording has 16000 samples a second; `dat",
        ),
        "stereo.wav": (
            recording(channels=2),
            "The recording has 2 channels; `data.source.channels`",
        ),
        "text.wav": (b"this is text", "It is no recording of a known format"),
    }
    for name, (data, _) in {**bad, "good.wav": (recording(), "")}.items():
        (folder / name).write_bytes(data)
    limits = {"sample_rate_hz": 8_000, "channels": 1, "max_seconds": 1}
    section = {"type": "audio_folder", "path": str(tmp_path / "sounds"), **limits}
    directory, generated = generate(tmp_path, section)
    assert sum(generated.splits.values()) == 1
    assert examples.features(directory)["audio"].sample_rate_hz == 8_000
    found = {record.key: record for record in generated.bad}
    assert found.keys() == {f"yes/{name}" for name in bad}
    for name, (data, reason) in bad.items():
        record = found[f"yes/{name}"]
        assert record.reason.startswith(reason)
        assert record.data == data
        assert record.file == str(folder / name)


def test_several_archives_by_a_wildcard_have_keys_of_their_own(tmp_path, generate, examples_of):
    for name in ("monday", "tuesday"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("yes/a.wav", recording(len(name)))
    section = {"type": "audio_folder", "path": str(tmp_path / "*.zip")}
    directory, generated = generate(tmp_path, section)
    found = examples_of(directory, generated)
    assert sorted(found) == ["monday.zip/yes/a.wav", "tuesday.zip/yes/a.wav"]
    assert examples.features(directory)["label"].names == ("yes",)
    assert len(locate.load(section).files()) == 2


def test_spans_choose_the_last_folder(tmp_path, generate, examples_of):
    for span in ("09", "10"):
        folder = tmp_path / "sounds" / span / "yes"
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes(recording(int(span)))
    section = {"type": "audio_folder", "path": str(tmp_path / "sounds" / "{SPAN}")}
    directory, generated = generate(tmp_path, section)
    assert list(examples_of(directory, generated)) == ["10/yes/a.wav"]


def test_a_pattern_and_split_folders_exclude_each_other(tmp_path):
    section = {"type": "audio_folder", "path": str(tmp_path), "pattern": "(?P<label>.)"}
    (fault,) = locate.load({**section, "splits_from_folders": True}).check()
    assert "has no meaning where `data.source.pattern` says what a file is" in fault


@pytest.mark.parametrize("name", ["missing.zip", "broken.zip", "archive.zip/nowhere"])
def test_a_wrong_archive_is_explained(tmp_path, name):
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 but no archive")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("yes/a.wav", recording())
    (fault,) = locate.load({"type": "audio_folder", "path": str(tmp_path / name)}).check()
    assert fault.startswith("`data.source.path` cannot be read: it must be a folder, or an archive")
    assert name.split("/")[0] in fault.partition("Expected: `<class>/<audio>`.")[2]


def test_unmatched_names_are_bad_or_skipped(tmp_path, generate):
    for name in ("3_ann_0.wav", "readme.wav"):
        (tmp_path / "in" / "x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "x" / name).write_bytes(recording())
    section = {
        "type": "audio_folder",
        "path": str(tmp_path / "in"),
        "pattern": r"(?P<label>\d)_(?P<group>[a-z]+)_",
    }
    (tmp_path / "bad").mkdir()
    _, generated = generate(tmp_path / "bad", section)
    (record,) = generated.bad
    assert (record.key, record.reason) == (
        "x/readme.wav",
        "Its name does not match `data.source.pattern`.",
    )
    (tmp_path / "skipped").mkdir()
    _, generated = generate(tmp_path / "skipped", {**section, "unmatched": "skip"})
    assert generated.bad == []


def test_spoken_digits_with_their_official_split(tmp_path, shared_data, generate, examples_of):
    """Free Spoken Digit Dataset: index 0-4 test, 5-49 train; label and speaker are in the name."""
    folder = shared_data("fsdd")
    section = {
        "type": "audio_folder",
        "path": str(folder / "*.tar.gz"),
        "pattern": r"(?P<digit>\d)_(?P<speaker>[a-z]+)_\d+\.wav$",
        "label": "digit",
        "group": "speaker",
        "split_patterns": {"test": r"_[0-4]\.wav$", "train": r"\.wav$"},
        "sample_rate_hz": 8_000,
        "channels": 1,
    }
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section, {"train": 0.9, "test": 0.1})
    assert generated.bad == []
    # Six speakers, ten digits, 5 + 45 takes.
    assert generated.splits == {"train": 2_700, "test": 300}
    assert examples.features(directory)["digit"].names == tuple("0123456789")
    found = examples_of(directory, generated)
    names = {}
    for path in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".wav"):
                    names[f"{path.name}/{member.name}"] = archive.extractfile(member).read()
    assert {key: values["audio"] for key, values in found.items()} == names
    for key, values in found.items():
        digit, speaker, _ = key.rsplit("/", 1)[1].split("_")
        assert (str(values["digit"]), values["speaker"]) == (digit, speaker)
    some = next(iter(names.values()))
    with wave.open(io.BytesIO(some)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
