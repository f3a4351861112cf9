"""Computes what a preparation's analyzers ask for, over the training split, with Beam.

Each shard is read in batches; one traced TensorFlow function gives the values of all analyzers of a
batch (`analyzer_values.py`); accumulators that merge in any order take them in
(`analyzer_accumulators.py`). What grows with the data goes to the scratch folder and not through Beam.
"""

import json
import shutil
from pathlib import Path

import apache_beam as beam

from penstock.pipelines.features import Features
from penstock.pipelines.running.beam_runner import new_pipeline
from penstock.pipelines.transform.analyzer_accumulators import accumulator
from penstock.pipelines.transform.raw_shards import raw_batches
from penstock.pipelines.transform.state import State, check_names


def analyze(
    shards: list[str], preparation, features: Features, read: Features, directory, scratch
) -> State:
    """Writes a TransformState directory and returns what is in it.

    Args:
        shards: files of the training split.
        preparation: has `analyzers(source)`; it goes to the workers pickled.
        features: all that the source described; `analyzers` gets it and it goes into the state.
        read: the features that the analyzers' `values` functions receive.
        directory: an empty directory.
        scratch: a directory that all workers reach, for what does not fit into memory.

    Raises:
        TypeError, ValueError: what an analyzer was given does not suit it, or there are no examples.
    """
    analyzers = preparation.analyzers(features)
    check_names(analyzers)
    if not analyzers:
        state = State(features)
        state.save(directory)
        return state
    _check(analyzers, shards, read)
    scratch = Path(scratch) / "analyzers"
    shutil.rmtree(scratch, ignore_errors=True)  # of an attempt that was killed
    scratch.mkdir()
    with new_pipeline() as pipeline:
        (
            pipeline
            | "Shards" >> beam.Create(list(shards), reshuffle=len(shards) > 1)
            | "Analyze" >> beam.ParDo(AnalyzeShard(preparation, features, read, str(scratch)))
            | "Merge" >> beam.CombineGlobally(Merge(preparation, features, str(scratch)))
            | "Save" >> beam.Map(_save, preparation, features, str(directory), str(scratch))
        )
    # An error raised inside of Beam would be buried in Beam's own traceback.
    fault = json.loads((scratch / "fault.json").read_text())
    if fault:
        raise ValueError(fault)
    return State.load(directory)


def _check(analyzers, shards, read):
    """Raises what can be known before the data is read."""
    from penstock.pipelines.transform.analyzer_values import values_function

    values_function(analyzers, read)
    if not any(Path(path).stat().st_size for path in shards):
        raise ValueError(
            f"The analyzers ({', '.join(analyzers)}) need a training split with examples. Received: "
            "none. Look at `data.splits`, and at the quarantine."
        )


def _save(accumulators, preparation, features, directory, scratch):
    fault, results = None, {}
    for name, analyzer in preparation.analyzers(features).items():
        try:
            results[name] = accumulators[name].result(analyzer)
        except ValueError as error:
            fault = f"The analyzer `{name}`: {error}"
    if not fault:
        State(features, results).save(directory)
    (Path(scratch) / "fault.json").write_text(json.dumps(fault))


class AnalyzeShard(beam.DoFn):
    """Path of a shard -> accumulators by analyzer name."""

    def __init__(self, preparation, features: Features, read: Features, scratch: str):
        self._preparation = preparation
        self._features = features
        self._read = read
        self._scratch = scratch

    def setup(self):
        # Imports TensorFlow, which only workers of this step have.
        from penstock.pipelines.transform.analyzer_values import values_function

        self._analyzers = self._preparation.analyzers(self._features)
        self._values_of = values_function(self._analyzers, self._read)

    def process(self, path):
        accumulators = _accumulators(self._analyzers, self._scratch)
        for _, batch in raw_batches(path, self._read):
            for name, values in self._values_of(batch).items():
                accumulators[name].add(_arrays(values))
        yield accumulators


def _arrays(values):
    if isinstance(values, dict):
        return {name: value.numpy() for name, value in values.items()}
    return values.numpy()


class Merge(beam.CombineFn):
    """Merges the accumulators of shards."""

    def __init__(self, preparation, features: Features, scratch: str):
        self._preparation = preparation
        self._features = features
        self._scratch = scratch

    def create_accumulator(self):
        return _accumulators(self._preparation.analyzers(self._features), self._scratch)

    def add_input(self, accumulators, part):
        for name, merged in accumulators.items():
            merged.merge(part[name])
        return accumulators

    def merge_accumulators(self, parts):
        merged = self.create_accumulator()
        for part in parts:
            self.add_input(merged, part)
        return merged

    def extract_output(self, accumulators):
        return accumulators


def _accumulators(analyzers, scratch):
    return {name: accumulator(analyzer, scratch) for name, analyzer in analyzers.items()}
