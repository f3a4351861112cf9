"""Statistics of every feature and split, as TFDV's `DatasetFeatureStatisticsList`.

Comes in: an Examples directory. Goes out: `statistics.binpb`, one dataset for each split in the
order of the splits. A shard is read by one worker in batches; what shards found is merged by a Beam
combiner, so memory does not grow with the data. Runs without TensorFlow. Identical examples give
identical bytes, however they are spread over shards.
"""

from itertools import islice

import apache_beam as beam
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.pipelines import examples, statistics_files
from penstock.pipelines.beam_runner import new_pipeline
from penstock.pipelines.example_codec import deserialise
from penstock.pipelines.feature_statistics import for_feature
from penstock.pipelines.features import Features
from penstock.pipelines.tfrecord import read_records

BATCH = 1024


class SplitStatistics:
    """The accumulators of all features of one split."""

    def __init__(self, features: Features):
        self._examples = 0
        self._by_name = {name: for_feature(feature) for name, feature in features.items()}

    def add(self, rows: list[dict]) -> None:
        """Adds a batch of examples: dicts of values as `example_codec.deserialise` gives them."""
        self._examples += len(rows)
        for name, statistics in self._by_name.items():
            values = [row[name] for row in rows if name in row]
            if values:
                statistics.add(values)

    def merge(self, other: "SplitStatistics") -> None:
        """Adds another's examples to this one's."""
        self._examples += other._examples
        for name, statistics in self._by_name.items():
            statistics.merge(other._by_name[name])

    def proto(self, split: str) -> statistics_pb2.DatasetFeatureStatistics:
        """The split's dataset; features in the order of the description."""
        dataset = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=self._examples)
        for name, statistics in self._by_name.items():
            dataset.features.extend(statistics.protos(name, self._examples))
        return dataset


class Merge(beam.CombineFn):
    """Merges `SplitStatistics`."""

    def __init__(self, features: Features):
        self._features = features

    def create_accumulator(self):
        return SplitStatistics(self._features)

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


def compute(examples_directory, directory) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Writes `statistics.binpb` into `directory` and returns it."""
    features = examples.features(examples_directory)
    splits = list(examples.splits(examples_directory))
    shards = [
        (split, str(path))
        for split in splits
        for path in examples.shard_paths(examples_directory, split)
    ]
    with new_pipeline() as pipeline:
        (
            pipeline
            | "Shards" >> beam.Create(shards)
            | "OfShards" >> beam.Map(of_shard, features)
            | "OfSplits" >> beam.CombinePerKey(Merge(features))
            | "Together" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write, splits, features, str(directory))
        )
    return statistics_files.read(directory)


def of_shard(shard: tuple[str, str], features: Features) -> tuple[str, SplitStatistics]:
    """(split, path of a shard) -> (split, its statistics)."""
    split, path = shard
    statistics = SplitStatistics(features)
    records = read_records(path)
    while batch := list(islice(records, BATCH)):
        statistics.add([deserialise(data, features)[1] for data in batch])
    return split, statistics


def _write(found, splits, features, directory):
    found = dict(found)
    datasets = [found.get(split, SplitStatistics(features)).proto(split) for split in splits]
    together = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    statistics_files.write(directory, together)
