"""Recordings -> strings of recordings, for `sources/concatenated_recordings.py`. NumPy only.

Comes in: records of single recordings, 16-bit mono WAV of one rate. Goes out: records of strings.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock.pipelines.features import Features, Label
from penstock.pipelines.ingest.splits import key_hashes
from penstock.pipelines.media.audio_containers import read_wave
from penstock.pipelines.media.audio_files import encode_wav
from penstock.pipelines.sources.source import Record


@dataclass(frozen=True)
class Settings:
    """What the source's section says, and what it describes.

    Attributes:
        audio, said, same: names of features of the recordings; `same` may be None.
        described: these features.
        words: name of a class, or text -> word.
        lengths: fewest and most recordings of a string.
        noise_snr_db: least and largest; None for no noise.
    """

    audio: str
    rate_hz: int
    said: str
    same: str | None
    described: Features
    words: dict[str, str]
    lengths: tuple[int, int]
    gap_seconds: tuple[float, float]
    noise_snr_db: tuple[float, float] | None
    seed: int


class Concatenation:
    """Groups recordings and makes strings of each group. Picklable."""

    def __init__(self, settings: Settings):
        self._settings = settings

    def grouped(self, record: Record) -> tuple[tuple[str, str], Record]:
        """((split, value of `same`), record)."""
        same = self._settings.same
        return (record.split, "" if same is None else self._text(same, record)), record

    def strings(self, group, shares: dict) -> Iterator[Record]:
        """((split, value), records) -> as many strings as `shares` says of the group."""
        (split, value), records = group
        # Beam gives them in any order.
        records = sorted(records, key=lambda record: record.key)
        for number in range(shares[split, value]):
            generator = np.random.default_rng(
                key_hashes(f"{self._settings.seed}/{split}/{value}/{number}")
            )
            chosen = self._chosen(records, generator)
            key = "/".join(filter(None, (split, value, f"{number:06}")))
            yield self._string(chosen, generator, key, number)

    def _chosen(self, records, generator):
        fewest, most = self._settings.lengths
        count = generator.integers(fewest, most, endpoint=True)
        # The same recording twice only where there are too few.
        places = generator.choice(len(records), count, replace=count > len(records))
        return [records[place] for place in places]

    def _string(self, chosen, generator, key, number):
        settings, first = self._settings, chosen[0]
        said = [self._text(settings.said, record) for record in chosen]
        samples = self._joined([_samples(r.values[settings.audio]) for r in chosen], generator)
        values = {
            "audio": encode_wav(samples.astype("<i2").tobytes(), settings.rate_hz, 1),
            "text": " ".join(settings.words.get(name, name) for name in said),
        }
        if settings.same is not None:
            values[settings.same] = first.values[settings.same]
        return Record(key, values, first.split, first.file, number)

    def _joined(self, parts, generator):
        """Sounds with gaps before, between and behind them, int16 -> whole numbers, float64."""
        settings = self._settings
        gaps = generator.uniform(*settings.gap_seconds, len(parts) + 1) * settings.rate_hz
        silences = [np.zeros(round(gap)) for gap in gaps]
        pieces = [silences[0]]
        for part, silence in zip(parts, silences[1:], strict=True):
            pieces += [part, silence]
        joined = np.concatenate(pieces)
        if settings.noise_snr_db is not None:
            # To the power of the sounds: that of all would depend on the gaps.
            power = np.mean(np.concatenate(parts).astype(np.float64) ** 2)
            ratio = generator.uniform(*settings.noise_snr_db)
            level = np.sqrt(power / 10 ** (ratio / 10))
            joined += level * generator.standard_normal(len(joined))
        return np.clip(np.rint(joined), -32768, 32767)

    def _text(self, name, record):
        """A class by its name, a text as it is."""
        feature, value = self._settings.described[name], record.values[name]
        return feature.names[value] if isinstance(feature, Label) else value


def _samples(wav: bytes) -> np.ndarray:
    """int16 [samples]."""
    wave = read_wave(wav, "RIFF")
    return np.frombuffer(wav, "<i2", wave.size // 2, wave.offset)
