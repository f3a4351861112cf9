"""Source -> checked, split, shuffled examples on disk (one Beam pipeline).

read -> (expand) -> check each record -> split by the hash of its group or key -> sorted runs on
disk -> shards. What `expand` makes of one record stays in one split. Within a shard records are in
the order of a hash of their key, so classes are mixed and the order does not depend on the order of
reading. Records go through Beam one by one only within one fused stage; what is shuffled between
stages are the names of the runs. Bad records go into the quarantine the same way (`bad_records.py`),
and with them what is there twice (`duplicates.py`).
"""

import contextlib
import importlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from penstock.pipelines import examples
from penstock.pipelines.example_codec import Encoder, check_features, fault_of, tfds_features
from penstock.pipelines.features import Features
from penstock.pipelines.ingest import duplicates
from penstock.pipelines.ingest.sorted_runs import UNDECIDED, RunWriter, read_range
from penstock.pipelines.ingest.splits import Splitter, key_hashes
from penstock.pipelines.ingest.stratified_splits import assign, check_stratify, stratum
from penstock.pipelines.quarantine import bad_records, quarantine
from penstock.pipelines.quarantine.bad_records import BadRunWriter, Limits
from penstock.pipelines.running import progress
from penstock.pipelines.running.beam_runner import new_pipeline, processes_for
from penstock.pipelines.sources.source import BadRecord, Record, Source, with_plain_fields
from penstock.pipelines.tfrecord import write_records

SHARD_BYTES = 150 * 2**20
SMALL_SHARD_BYTES, BUSY_SHARDS = 4 * 2**20, 16


@dataclass(frozen=True)
class Generated:
    """What came out: examples of each split, and the records that could not be used.

    `quarantine` is their folder, `summary` what `quarantine.summary` says of it, `duplicates` what
    `duplicates.merge` says.
    """

    splits: dict[str, int]
    quarantine: Path
    summary: dict
    duplicates: dict

    @property
    def bad(self) -> list[BadRecord]:
        """All bad records at once, for where they are known to be few."""
        return quarantine.read(self.quarantine)


def generate(
    source: Source,
    splitter: Splitter,
    directory,
    scratch,
    *,
    quarantine_directory=None,
    limits: Limits | None = None,
    stratify: str | None = None,
    shards: int | None = None,
    expand: str | None = None,
    expand_config: dict | None = None,
    processes: int | None = None,
    report: Callable[[int], None] | None = None,
) -> Generated:
    """Writes an Examples directory.

    Args:
        source: what to read.
        splitter: decides the split of each record.
        directory: an empty directory for the examples.
        scratch: a directory for intermediate files; it is cleared.
        quarantine_directory: an existing directory for the bad records; None for one in `scratch`.
        limits: how much of the bad records themselves is kept; None for the defaults.
        stratify: a label of which each split gets the same share (`stratified_splits.py`).
        shards: files of each split; None makes as many as `shard_count` says.
        expand: name of a module with `expand(record, config) -> list[Record]`, None for one to
            one.
        expand_config: `config` for `expand`.
        processes: of Beam; None decides by the size of the source's files. The result does not
            depend on it.
        report: called about once a second with the number of records so far.

    Returns:
        Counts, where the bad records are, and duplicates.

    Raises:
        ValueError: the description of the features or a split's name cannot be stored, or
            `stratify` is no label.
    """
    features, limits = source.features(), limits or Limits()
    check_features(features)
    if stratify is not None:
        check_stratify(stratify, features)
    runs = Path(scratch) / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir(parents=True)
    if quarantine_directory is None:
        quarantine_directory = Path(scratch) / "quarantine"
        quarantine_directory.mkdir(exist_ok=True)
    if processes is None:
        processes = processes_for(_work_s(source))
    with progress.reported(report), new_pipeline(processes) as pipeline:
        records = source.read(pipeline)
        if expand:
            records |= "Expand" >> beam.ParDo(Expand(expand, expand_config or {}))
        all_runs = (
            records
            | "CheckAndSort"
            >> beam.ParDo(WriteRuns(features, splitter, str(runs), limits, stratify))
            | "AllRuns" >> beam.combiners.ToList()
        )
        if stratify is not None:
            all_runs |= "Stratify" >> beam.Map(assign, str(runs), splitter.shares)
        all_runs | "SaveRuns" >> beam.Map(save_result, str(runs / "runs.json"))
        (
            all_runs
            | "PlanShards" >> beam.FlatMap(plan_shards, shards=shards)
            | "SpreadShards" >> beam.Reshuffle()
            | "WriteShards" >> beam.Map(write_shard, str(runs), str(directory))
            | "AllShards" >> beam.combiners.ToList()
            | "SaveResult" >> beam.Map(save_result, str(runs / "result.json"))
        )
        (
            all_runs
            | "PlanDuplicates" >> beam.FlatMap(duplicates.plan, features)
            | "SpreadDuplicates" >> beam.Reshuffle()
            | "FindDuplicates" >> beam.Map(duplicates.find, str(runs))
            | "AllDuplicates" >> beam.combiners.ToList()
            | "SaveDuplicates" >> beam.Map(save_result, str(runs / "duplicates.json"))
        )
    written = json.loads((runs / "result.json").read_text())
    repeated = duplicates.merge(json.loads((runs / "duplicates.json").read_text()), features)
    splits = _finish(directory, features, splitter, written)
    found = json.loads((runs / "runs.json").read_text())
    names = [name for part in [*found, *written] for name in part.get("bad", ())]
    bad = bad_records.merged(runs, names)
    summary = quarantine.write_entries(quarantine_directory, bad, sum(splits.values()), limits)
    _check_that_none_is_lost(summary, sum(part.get("read", 0) for part in found))
    shutil.rmtree(runs)
    return Generated(splits, Path(quarantine_directory), summary, repeated)


def _work_s(source):
    """About how long one process would read a source.

    Measured: 7,000 small images a second, each a file of its own; 2 MB/s of rows of a table; 20 MB/s
    of photographs. Where it is wrong, a process too many costs a second.
    """
    try:
        files = source.files()
    except NotImplementedError:
        return 0.0
    seconds = len(files) / 10_000
    for path in files:
        with contextlib.suppress(OSError):
            seconds += os.stat(path).st_size / 4e6
    return seconds


def _check_that_none_is_lost(summary, read):
    if summary["read"] != read:
        raise RuntimeError(
            f"Records were lost or counted twice: {read} were read, but {summary['good']} are "
            f"examples and {summary['bad']} are bad. This is a fault of Penstock; report it."
        )


class Expand(beam.DoFn):
    """One record to several, by the user's function; a record that it fails on is a bad one.

    All of them stay in the split of the one: windows of one recording in the training and in the
    test split would make the test too easy.
    """

    def __init__(self, module: str, config: dict):
        self._module = module
        self._config = config

    def setup(self):
        self._expand = importlib.import_module(self._module).expand

    def process(self, record):
        if isinstance(record, BadRecord):
            yield record
            return
        try:
            children = [self._in_same_split(record, c) for c in self._expand(record, self._config)]
        except Exception as error:
            reason = f"`expand` failed: {type(error).__name__}: {error}"
            children = [BadRecord(record.file, record.index, reason, record.key)]
        yield from children

    @staticmethod
    def _in_same_split(record, child):
        if isinstance(child, BadRecord):
            return child
        return replace(child, group=record.group or record.key, split=record.split)


class WriteRuns(beam.DoFn):
    """Checks and serialises records and writes them as sorted runs; gives out what it wrote."""

    def __init__(
        self,
        features: Features,
        splitter: Splitter,
        directory: str,
        limits: Limits,
        stratify: str | None,
    ):
        self._features = features
        self._splitter = splitter
        self._directory = directory
        self._limits = limits
        self._stratify = stratify

    def setup(self):
        self._encoder = Encoder(self._features)
        self._label_hash = duplicates.LabelHash(self._features)

    def start_bundle(self):
        self._writer = RunWriter(self._directory)
        # In runs of their own: both may come into one split.
        self._undecided = RunWriter(self._directory)
        self._bad = BadRunWriter(self._directory, self._limits)
        self._read = 0

    def process(self, record: Record | BadRecord):
        progress.add(1)
        self._read += 1
        if isinstance(record, BadRecord):
            self._bad.add(with_plain_fields(record))
            return
        if not isinstance(record, Record):
            raise TypeError(
                "A source must yield `Record` or `BadRecord`, and so must `expand`. Received: "
                f"{type(record).__name__}."
            )
        if type(record.file) is not str or type(record.index) is not int:
            record = with_plain_fields(record)
        fault = fault_of(record.key, record.values, self._features)
        if not fault and not isinstance(record.group, str | None):
            fault = f"The group must be a string or None, not {record.group!r}."
        if fault:
            self._bad.add(BadRecord(record.file, record.index, fault, str(record.key)))
            return
        split_hash, order_hash = key_hashes(record.key)
        if record.group and record.group != record.key:
            split_hash, _ = key_hashes(record.group)
        data, content = self._encoder.encode(record.key, record.values)
        facts = duplicates.content_hash(content), self._label_hash.of(record.values)
        if self._stratify is not None and self._splitter.divides(record.split):
            facts = *facts, split_hash, stratum(record.values.get(self._stratify))
            self._undecided.add(UNDECIDED, order_hash, record, data, facts)
            return
        # A source's own split becomes part of file names here; `split_of` checks it.
        split = self._splitter.split_of(split_hash, record.split)
        self._writer.add(split, order_hash, record, data, facts)

    def finish_bundle(self):
        self._writer.flush()
        self._undecided.flush()
        self._bad.flush()
        counts = {"name": "", "splits": {}, "bad": self._bad.names, "read": self._read}
        for run in [*self._writer.runs, *self._undecided.runs, counts]:
            yield GlobalWindows.windowed_value(run)


def shard_count(size: int) -> int:
    """Files of a split of so many bytes: few, but enough to keep several processes busy."""
    return max(1, round(size / SHARD_BYTES), min(BUSY_SHARDS, size // SMALL_SHARD_BYTES))


def plan_shards(runs: list[dict], shards: int | None):
    """All runs -> one task for each shard: {split, index, count, runs}."""
    splits: dict[str, dict] = {}
    for run in sorted(runs, key=lambda run: run["name"]):
        for split, totals in run["splits"].items():
            entry = splits.setdefault(split, {"bytes": 0, "runs": []})
            entry["bytes"] += totals["bytes"]
            entry["runs"].append(run["name"])
    for split, entry in sorted(splits.items()):
        count = shards or shard_count(entry["bytes"])
        for index in range(count):
            yield {"split": split, "index": index, "count": count, "runs": entry["runs"]}


def write_shard(task: dict, runs: str, directory: str) -> dict:
    """Writes one shard; of several records with the same key the first in byte order stays."""
    split, index, count = task["split"], task["index"], task["count"]
    low, high = 2**64 * index // count, 2**64 * (index + 1) // count
    entries = [e for name in task["runs"] for e in read_range(runs, name, split, low, high)]
    entries.sort()
    kept, bad, previous = [], BadRunWriter(runs, Limits()), None
    for entry in entries:
        if entry.key == previous:
            bad.add(BadRecord(entry.file, entry.index, quarantine.SAME_KEY, entry.key))
        else:
            kept.append(entry.data)
        previous = entry.key
    bad.flush()
    path = Path(directory) / examples.shard_name(split, index, count)
    examples_written, size = write_records(path, kept)
    return {**task, "runs": None, "examples": examples_written, "bytes": size, "bad": bad.names}


def save_result(found: list[dict], path: str) -> None:
    """Leaves facts (about the shards, about duplicates) where `generate` finds them."""
    Path(path).write_text(json.dumps(found))


def _finish(directory, features, splitter, written):
    """Writes `penstock.json` and TFDS's metadata; returns the examples of each split."""
    lengths, sizes = {}, {}
    for shard in sorted(written, key=lambda shard: (shard["split"], shard["index"])):
        lengths.setdefault(shard["split"], []).append(shard["examples"])
        sizes[shard["split"]] = sizes.get(shard["split"], 0) + shard["bytes"]
    order = [*splitter.names, *sorted(set(lengths) - set(splitter.names))]
    splits = {split: sum(lengths.get(split, [])) for split in order}
    shards = {split: len(lengths.get(split, [])) for split in order}
    examples.write_description(directory, features, splits, shards)
    if lengths:
        _write_tfds_metadata(directory, features, lengths, sizes)
    return splits


def _write_tfds_metadata(directory, features, lengths, sizes):
    import tensorflow_datasets as tfds

    def template(split=None):
        return tfds.core.ShardedFileTemplate(
            data_dir=directory,
            dataset_name=examples.DATASET,
            split=split,
            filetype_suffix="tfrecord",
        )

    tfds.folder_dataset.write_metadata(
        data_dir=str(directory),
        features=tfds_features(features),
        split_infos=[
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=lengths[split],
                num_bytes=sizes[split],
                filename_template=template(split),
            )
            for split in lengths
        ],
        filename_template=template(),
        check_data=False,
    )
