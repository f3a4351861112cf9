"""Statistics of every feature and split, as TFDV's `DatasetFeatureStatisticsList`.

Comes in: an Examples directory. Goes out: `statistics.binpb`, one dataset for each split in the
order of the splits, and `slices.binpb` where slices are asked for. A shard is read by one worker in
batches; what shards found is merged by a Beam combiner, so memory does not grow with the data (see
`split_statistics.SplitStatistics`). Runs without TensorFlow. Identical examples give the same
content digest, however they are spread over shards, and identical bytes where there are few enough
distinct values to be exact (see `distribution.py` and `sketches.py`).
"""

import os
from functools import partial

import apache_beam as beam
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines import examples
from penstock.pipelines.example_codec import Decoder
from penstock.pipelines.running.beam_runner import new_pipeline, processes_for
from penstock.pipelines.statistics import statistics_files
from penstock.pipelines.statistics.split_statistics import SplitStatistics, check_slices
from penstock.pipelines.tfrecord import read_records

BYTES_PER_S = 10e6
"""Of examples, in one process; about as much of small images as of rows of a table (measured)."""
BATCH = 4096
"""Examples at once: half the time of 1,024."""
BATCH_BYTES = 2**24
"""Of encoded examples: images and recordings come in smaller batches."""


class Merge(beam.CombineFn):
    """Merges `SplitStatistics`; `new` makes an empty one."""

    def __init__(self, new):
        self._new = new

    def create_accumulator(self):
        return self._new()

    def add_input(self, accumulator, part):
        accumulator.merge(part)
        return accumulator

    def merge_accumulators(self, accumulators):
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator):
        return accumulator


def compute(
    examples_directory,
    directory,
    slices: tuple[str, ...] = (),
    max_slices: int = 50,
    processes: int | None = None,
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Writes `statistics.binpb` into `directory` and returns it; with slices also `slices.binpb`.

    Args:
        slices, max_slices: see `SplitStatistics`.
        processes: of Beam; None decides by the size of the examples.

    Raises:
        ValueError: a column cannot be sliced by.
    """
    features = examples.features(examples_directory)
    check_slices(slices, features)
    new = partial(SplitStatistics, features, slices, max_slices)
    splits = list(examples.splits(examples_directory))
    shards = [
        (split, str(path))
        for split in splits
        for path in examples.shard_paths(examples_directory, split)
    ]
    if processes is None:
        work_s = sum(os.stat(path).st_size for _, path in shards) / BYTES_PER_S
        processes = min(processes_for(work_s), max(1, len(shards) // 2))
    with new_pipeline(processes) as pipeline:
        (
            pipeline
            | "Shards" >> beam.Create(shards)
            | "OfShards" >> beam.Map(of_shard, features, new)
            | "OfSplits" >> beam.CombinePerKey(Merge(new))
            | "Together" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write, splits, new, str(directory))
        )
    return statistics_files.read(directory)


def of_shard(shard: tuple[str, str], features, new) -> tuple[str, SplitStatistics]:
    """(split, path of a shard) -> (split, its statistics)."""
    split, path = shard
    statistics, decode = new(), Decoder(features).decode
    for batch in _batches(read_records(path)):
        statistics.add([decode(data)[1] for data in batch])
    return split, statistics


def _batches(records):
    batch, size = [], 0
    for data in records:
        batch.append(data)
        size += len(data)
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write(found, splits, new, directory):
    found = dict(found)
    of_splits = {split: found.get(split) or new() for split in splits}
    datasets = [statistics.proto(split) for split, statistics in of_splits.items()]
    together = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    statistics_files.write(directory, together)
    sliced = [s for split, statistics in of_splits.items() for s in statistics.slice_protos(split)]
    if sliced:
        together = statistics_pb2.DatasetFeatureStatisticsList(datasets=sliced)
        statistics_files.write(directory, together, statistics_files.SLICES_FILE)
