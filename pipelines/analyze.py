"""Computes what a preparation's analyzers ask for, over the training split, with Beam.

Each shard is read in batches; one traced TensorFlow function gives the values of all analyzers of a
batch; accumulators that merge in any order (exact sums, counts) take them in. A vocabulary's
accumulator grows with the number of distinct strings, the others do not grow.
"""

from collections import Counter

import apache_beam as beam
import numpy as np

from penstock.pipelines.analyzers import MinMax, Moments, ValueCounts, Vocabulary
from penstock.pipelines.beam_runner import new_pipeline
from penstock.pipelines.exact_sum import ExactMoments
from penstock.pipelines.features import Features
from penstock.pipelines.raw_shards import raw_batches
from penstock.pipelines.state import State, check_names


def analyze(shards: list[str], preparation, features: Features, read: Features, directory) -> State:
    """Writes a TransformState directory and returns what is in it.

    Args:
        shards: files of the training split.
        preparation: has `analyzers()`; it goes to the workers pickled.
        features: all that the source described; it goes into the state.
        read: the features that the analyzers' `values` functions receive.
        directory: an empty directory.
    """
    analyzers = preparation.analyzers()
    check_names(analyzers)
    if not analyzers:
        state = State(features)
        state.save(directory)
        return state
    with new_pipeline() as pipeline:
        (
            pipeline
            | "Shards" >> beam.Create(list(shards), reshuffle=len(shards) > 1)
            | "Analyze" >> beam.ParDo(AnalyzeShard(preparation, read))
            | "Merge" >> beam.CombineGlobally(Merge(preparation))
            | "Save" >> beam.Map(_save, preparation, features, str(directory))
        )
    return State.load(directory)


def _save(accumulators, preparation, features, directory):
    analyzers = preparation.analyzers()
    results = {name: accumulators[name].result(analyzer) for name, analyzer in analyzers.items()}
    State(features, results).save(directory)


class AnalyzeShard(beam.DoFn):
    """Path of a shard -> accumulators by analyzer name."""

    def __init__(self, preparation, features: Features):
        self._preparation = preparation
        self._features = features

    def setup(self):
        import tensorflow as tf

        analyzers = self._preparation.analyzers()

        def values_of(batch):
            return {name: _flat(analyzer.values(batch)) for name, analyzer in analyzers.items()}

        self._values_of = tf.function(values_of)

    def process(self, path):
        accumulators = _accumulators(self._preparation.analyzers())
        for _, batch in raw_batches(path, self._features):
            for name, values in self._values_of(batch).items():
                accumulators[name].add(values.numpy())
        yield accumulators


def _flat(tensor):
    import tensorflow as tf

    flat = tensor.flat_values if isinstance(tensor, tf.RaggedTensor) else tensor
    return tf.reshape(flat, [-1])


class Merge(beam.CombineFn):
    """Merges the accumulators of shards."""

    def __init__(self, preparation):
        self._preparation = preparation

    def create_accumulator(self):
        return _accumulators(self._preparation.analyzers())

    def add_input(self, accumulators, part):
        for name, accumulator in accumulators.items():
            accumulator.merge(part[name])
        return accumulators

    def merge_accumulators(self, parts):
        merged = self.create_accumulator()
        for part in parts:
            self.add_input(merged, part)
        return merged

    def extract_output(self, accumulators):
        return accumulators


def _accumulators(analyzers):
    return {name: _ACCUMULATORS[type(analyzer)]() for name, analyzer in analyzers.items()}


class _Counts:
    """How often each value occurs; of a `Vocabulary` and of `ValueCounts`."""

    def __init__(self):
        self._counts = Counter()

    def add(self, values):
        self._counts.update(values.tolist())

    def merge(self, other):
        self._counts.update(other._counts)

    def result(self, analyzer):
        if isinstance(analyzer, ValueCounts):
            return {_text(value): count for value, count in sorted(self._counts.items())}
        kept = [pair for pair in self._counts.items() if pair[1] >= analyzer.min_count]
        kept.sort(key=lambda pair: (-pair[1], pair[0]))
        return tuple(_text(value) for value, _ in kept[: analyzer.top_k])


class _Moments:
    def __init__(self):
        self._moments = ExactMoments()

    def add(self, values):
        values = values.astype(np.float64)
        self._moments.add(values[np.isfinite(values)])

    def merge(self, other):
        self._moments.merge(other._moments)

    def result(self, analyzer):
        del analyzer
        moments = self._moments
        return {
            "mean": moments.mean(),
            "variance": moments.variance(),
            "count": moments.count,
        }


class _MinMax:
    def __init__(self):
        self._min = self._max = None

    def add(self, values):
        present = values[values == values]  # NaN is the only number unequal to itself
        if present.size:
            self._take(present.min().item(), present.max().item())

    def merge(self, other):
        if other._min is not None:
            self._take(other._min, other._max)

    def _take(self, low, high):
        self._min = low if self._min is None else min(self._min, low)
        self._max = high if self._max is None else max(self._max, high)

    def result(self, analyzer):
        del analyzer
        return {"min": self._min, "max": self._max}


_ACCUMULATORS = {Vocabulary: _Counts, ValueCounts: _Counts, Moments: _Moments, MinMax: _MinMax}


def _text(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
