"""Strings of recordings, one after the other: connected digits from recordings of single digits.

    type: concatenated_recordings
    recordings: {type: audio_folder, path: digits.zip, pattern: ..., label: [digit, speaker], ...}
    said: digit                      # the feature that says what is heard in a recording
    words: {"0": zero, "1": one}     # and how that is written; by default as it is
    same: speaker                    # all recordings of a string share this feature's value
    count: {train: 3000, test: 300}  # strings of each split
    recordings_per_string: [3, 7]
    gap_seconds: [0.1, 0.4]          # of silence before, between and behind them
    noise_snr_db: [10.0, 30.0]       # white noise over all of it; by default none

A string consists of recordings of its own split alone, so `recordings` must say the split of each
(`split_patterns`). Features are `audio`, `text` (the words with blanks between) and the one that
`same` names. Everything is drawn uniformly from `seed`, the split, the value of `same` and the number
of the string: a larger `count` leaves the strings that there are as they were, other recordings change
them. A string's key is `<split>/<value of same>/<number>`, its file that of its first recording. The
strings of a split divide evenly among the values of `same`; all recordings of one value are in memory
together. Bad recordings are bad records.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from penstock.pipelines.features import Audio, Features, Label, Text, is_optional
from penstock.pipelines.sources import locate, source
from penstock.pipelines.sources.source import BadRecord, Record


class Source(source.Source):
    """`data.source: {type: concatenated_recordings, ...}`; see the module."""

    type: Literal["concatenated_recordings"] = "concatenated_recordings"
    recordings: dict[str, Any]
    said: str = "label"
    words: dict[str, str] = {}
    same: str | None = None
    count: Annotated[dict[str, PositiveInt], Field(min_length=1)]
    recordings_per_string: tuple[PositiveInt, PositiveInt] = (3, 7)
    gap_seconds: tuple[NonNegativeFloat, NonNegativeFloat] = (0.1, 0.4)
    noise_snr_db: tuple[float, float] | None = None
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _is_sound(self):
        faults = [
            f"`{name}` must ascend. Received: {list(limits)}. Swap the two."
            for name in ("recordings_per_string", "gap_seconds", "noise_snr_db")
            if (limits := getattr(self, name)) is not None and limits[0] > limits[1]
        ]
        if faults:
            raise ValueError(" ".join(faults))
        return self._with_a_source()

    def _with_a_source(self):
        if not isinstance(self.recordings.get("type"), str):
            raise ValueError("`recordings` must be the section of a source, with a `type`.")
        locate.load(self.recordings)
        return self

    @cached_property
    def part(self) -> source.Source:
        """The source of the single recordings."""
        return locate.load(self.recordings)

    @property
    def needs_tensorflow(self) -> bool:
        """Whether reading the recordings runs TensorFlow."""
        return self.part.needs_tensorflow

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those of the recordings, and NumPy, whose random numbers these are."""
        return tuple(sorted({*self.part.libraries, "numpy"}))

    def modules(self) -> tuple[str, ...]:
        return (locate.source_module(self.recordings["type"]), *self.part.modules())

    def check(self) -> list[str]:
        faults = [
            fault.replace("`data.source", "`data.source.recordings") for fault in self.part.check()
        ]
        if faults or self.needs_tensorflow:
            return faults
        described = self.part.features()
        return [*_feature_faults(self, described), *_split_faults(self)]

    def files(self) -> list[Path]:
        return self.part.files()

    def fingerprint(self) -> dict:
        return self.part.fingerprint()

    def remarks(self) -> list[str]:
        return self.part.remarks()

    def own_splits(self) -> frozenset[str | None]:
        return frozenset(self.count)

    def early_labels(self) -> list[str] | None:
        labels = self.part.early_labels()
        return None if labels is None else [name for name in labels if name == self.same]

    def features(self) -> Features:
        described = self.part.features()
        kept = {} if self.same is None else {self.same: described[self.same]}
        return {"audio": described[audio_of(described)], "text": Text(), **kept}

    def read(self, pipeline):
        import apache_beam as beam

        from penstock.pipelines.reading.concatenation import Concatenation, Settings

        described = self.part.features()
        faults = [*_feature_faults(self, described), *_split_faults(self)]
        if faults:
            raise ValueError(faults[0])
        made = Concatenation(
            Settings(
                audio=audio_of(described),
                rate_hz=described[audio_of(described)].sample_rate_hz,
                said=self.said,
                same=self.same,
                described=described,
                words=self.words,
                lengths=self.recordings_per_string,
                gap_seconds=self.gap_seconds,
                noise_snr_db=self.noise_snr_db,
                seed=self.seed,
            )
        )
        found = self.part.read(pipeline)
        groups = (
            found
            | "OfTheseSplits" >> beam.Filter(_is_of, frozenset(self.count))
            | "ByGroup" >> beam.Map(made.grouped).with_output_types(tuple[tuple[str, str], Any])
            | "Together" >> beam.GroupByKey()
        )
        shares = groups | "Names" >> beam.Keys() | "AllNames" >> beam.combiners.ToList()
        shares |= "Shares" >> beam.Map(apportioned, self.count)
        strings = groups | "Strings" >> beam.FlatMap(made.strings, beam.pvalue.AsSingleton(shares))
        bad = found | "BadRecordings" >> beam.Filter(_is_bad)
        return (strings, bad) | "All" >> beam.Flatten()


def audio_of(described: Features) -> str | None:
    """The name of the recordings' content, None if there is none."""
    return next((n for n, feature in described.items() if isinstance(feature, Audio)), None)


def apportioned(groups: list[tuple[str, str]], count: dict[str, int]) -> dict:
    """(split, value) of each group -> its number of strings; the first by name get one more."""
    shares = {}
    for split, total in count.items():
        own = sorted(group for group in groups if group[0] == split)
        for place, group in enumerate(own):
            shares[group] = total // len(own) + (place < total % len(own))
    return shares


def _is_of(record: Record | BadRecord, splits: frozenset[str]) -> bool:
    return isinstance(record, Record) and record.split in splits


def _is_bad(record: Record | BadRecord) -> bool:
    return isinstance(record, BadRecord)


def _feature_faults(section: Source, described: Features) -> list[str]:
    """What the recordings' features must be, one sentence each."""
    faults = []
    for field, name in (("said", section.said), ("same", section.same)):
        if name is not None and not isinstance(described.get(name), Label | Text):
            known = [n for n, f in described.items() if isinstance(f, Label | Text)]
            faults.append(
                f"`data.source.{field}` must name a class or a text of the recordings. Received: "
                f"{name!r}. Known: {', '.join(known) or 'none'}."
            )
        elif name is not None and is_optional(described[name]):
            faults.append(
                f"`data.source.{field}` must name a feature that every recording has. Received: "
                f"{name!r}, which some lack. Set `data.source.recordings.features`, or leave them out."
            )
    if section.same in ("audio", "text"):
        faults.append(
            "`data.source.same` must not be called `audio` or `text`, which are features of a string. "
            f"Received: {section.same!r}. Name it otherwise in `data.source.recordings`."
        )
    audio = described.get(audio_of(described))
    if audio is None or audio.sample_rate_hz is None or audio.channels != 1:
        received = audio and f"sample_rate_hz={audio.sample_rate_hz}, channels={audio.channels}"
        faults.append(
            "`data.source.recordings` must be mono recordings of one known rate, or they could not be "
            f"joined. Received: {received}. Set its `sample_rate_hz`, and `channels: 1`."
        )
    names = getattr(described.get(section.said), "names", section.words)
    unknown = [name for name in section.words if name not in names]
    if unknown:
        faults.append(
            f"`data.source.words` must name classes of `{section.said}`: {', '.join(names)}. "
            f"Received: {', '.join(unknown)}."
        )
    return faults


def _split_faults(section: Source) -> list[str]:
    known = section.part.own_splits()
    missing = [] if known is None else [name for name in section.count if name not in known]
    if not missing:
        return []
    return [
        "`data.source.count` must name splits that the recordings have of their own. Received: "
        f"{', '.join(missing)}. Known: {', '.join(sorted(filter(None, known))) or 'none'}. Set "
        "`data.source.recordings.split_patterns`."
    ]
