"""Strings of recordings: what they consist of, by recordings whose samples say which they are."""

import io
import re
import wave
from itertools import groupby

import numpy as np
import pytest

from penstock.pipelines import examples
from penstock.pipelines.ingest.example_gen import generate
from penstock.pipelines.ingest.splits import Splitter
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.concatenated_recordings import apportioned

WORDS = {"0": "zero", "1": "one"}


def constant(value, samples=40):
    """A recording whose samples are all `value`."""
    return encode_wav(np.full(samples, value, "<i2").tobytes(), 8000, 1)


def value_of(digit, speaker, take):
    """Which recording it is, 1000 to 2118."""
    return 1000 + 1000 * "ab".index(speaker) + 10 * digit + take


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two speakers say 0 and 1 five times each; take 0 is test, 1 validation, the others train."""
    folder = tmp_path_factory.mktemp("recordings")
    for digit in (0, 1):
        for speaker in "ab":
            for take in range(5):
                name = f"{digit}_{speaker}_{take}.wav"
                (folder / name).write_bytes(constant(value_of(digit, speaker, take)))
    return {
        "type": "audio_folder",
        "path": str(folder),
        "pattern": r"(?P<digit>\d)_(?P<speaker>[a-z])_\d",
        "label": ["digit", "speaker"],
        "split_patterns": {"test": r"_0\.wav$", "validation": r"_1\.wav$", "train": "."},
        "sample_rate_hz": 8000,
        "channels": 1,
    }


def section(recordings, **more):
    return {
        "type": "concatenated_recordings",
        "recordings": recordings,
        "said": "digit",
        "same": "speaker",
        "words": WORDS,
        "count": {"train": 9, "validation": 4, "test": 4},
        "recordings_per_string": [2, 3],
        "gap_seconds": [0.001, 0.01],
        **more,
    }


def read(section, folder):
    """{split: {key: values}}."""
    folder.mkdir()
    (folder / "out").mkdir()
    generated = generate(locate.load(section), Splitter({"train": 1.0}), folder / "out", folder)
    assert generated.bad == []
    splits = examples.splits(folder / "out")
    return {split: dict(examples.records(folder / "out", split)) for split in splits}


@pytest.fixture(scope="module")
def strings(recordings, tmp_path_factory):
    return read(section(recordings), tmp_path_factory.mktemp("strings") / "first")


def samples(wav):
    with wave.open(io.BytesIO(wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def runs(wav):
    """(value, how many samples) of each stretch of equal samples."""
    return [(value, len(list(run))) for value, run in groupby(samples(wav).tolist())]


def test_a_string_is_recordings_with_gaps(strings):
    assert {split: len(found) for split, found in strings.items()} == {
        "train": 9,
        "validation": 4,
        "test": 4,
    }
    lengths = set()
    for values in strings["train"].values():
        found = runs(values["audio"])
        gaps, parts = found[::2], found[1::2]
        assert {value for value, _ in gaps} == {0}
        assert all(8 <= count <= 80 for _, count in gaps)  # 0.001 to 0.01 s
        assert {count for _, count in parts} == {40}
        said = ["zero" if value % 1000 < 10 else "one" for value, _ in parts]
        assert values["text"] == " ".join(said)
        assert len({value // 1000 for value, _ in parts}) == 1  # one speaker
        assert parts[0][0] // 1000 == values["speaker"] + 1
        assert len(set(parts)) == len(parts)  # no recording twice
        lengths.add(len(parts))
    assert lengths == {2, 3}


@pytest.mark.parametrize(("split", "takes"), [("test", {0}), ("validation", {1})])
def test_strings_hold_recordings_of_their_own_split_alone(strings, split, takes):
    found = {value % 10 for v in strings[split].values() for value, _ in runs(v["audio"])[1::2]}
    assert found == takes
    trained = {value % 10 for v in strings["train"].values() for value, _ in runs(v["audio"])[1::2]}
    assert trained == {2, 3, 4}


def test_strings_depend_on_the_seed_alone_and_stay_when_there_are_more(
    recordings, strings, tmp_path
):
    more = read(section(recordings, count={"train": 20}), tmp_path / "more")["train"]
    assert len(more) == 20
    assert {key: more[key] for key in strings["train"]} == strings["train"]
    other = read(section(recordings, count={"train": 9}, seed=1), tmp_path / "other")["train"]
    assert other.keys() == strings["train"].keys()
    assert all(other[key] != strings["train"][key] for key in other)


def test_noise_is_as_loud_as_its_ratio_says(recordings, tmp_path):
    """20 dB below a constant of 1,000 to 2,014 is a tenth of it, in the gaps too."""
    noisy = section(
        recordings, noise_snr_db=[20.0, 20.0], count={"train": 4}, gap_seconds=[0.5, 0.5]
    )
    for values in read(noisy, tmp_path / "noisy")["train"].values():
        gap = samples(values["audio"])[:4000]
        loudness = 1000 * (values["speaker"] + 1)
        assert gap.std() == pytest.approx(loudness / 10, rel=0.06)


def test_groups_get_even_shares():
    groups = [("train", "b"), ("test", "a"), ("train", "a")]
    shares = {("train", "a"): 3, ("train", "b"): 2, ("test", "a"): 2}
    assert apportioned(groups, {"train": 5, "test": 2}) == shares


FAULTS = {
    "said": ({"said": "digits"}, "`data.source.said` must name a class .* Known: digit, speaker"),
    "same": ({"same": "voice"}, "`data.source.same` must name .* Received: 'voice'"),
    "words": ({"words": {"9": "nine"}}, "`data.source.words` must name .* 0, 1. Received: 9"),
    "split": ({"count": {"dev": 3}}, "Received: dev. Known: test, train, validation."),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_show_before_anything_is_read(recordings, change, message):
    [fault] = locate.load(section(recordings, **change)).check()
    assert re.search(message, fault), fault


def test_recordings_must_be_of_one_known_rate(recordings):
    unknown = {name: v for name, v in recordings.items() if name != "sample_rate_hz"}
    [fault] = locate.load(section(unknown)).check()
    assert "Received: sample_rate_hz=None, channels=1. Set its `sample_rate_hz`" in fault


def test_limits_must_ascend(recordings):
    with pytest.raises(ValueError, match=r"`gap_seconds` must ascend. Received: \[0.4, 0.1\]"):
        locate.load(section(recordings, gap_seconds=[0.4, 0.1]))


def test_what_strings_share_must_not_be_called_as_their_features(recordings):
    pattern = r"(?P<digit>\d)_(?P<text>[a-z])_\d"
    renamed = {**recordings, "pattern": pattern, "label": "digit"}
    [fault] = locate.load(section(renamed, same="text")).check()
    assert "must not be called `audio` or `text`" in fault
