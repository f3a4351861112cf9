"""Examples -> TransformState and TransformedExamples: analyzers, then one preparation in batches.

Comes in: an Examples directory and a preparation, an object with `input_features`,
`target_features`, `analyzers`, `prepare_inputs` and `prepare_targets` (the base class of these is
the task's business; this module knows only the methods). Goes out: see `state.py` and
`tensor_spec.py`. All batches go through one traced function with the request signature, the same
that tf.data and the SavedModel trace; keys travel with them. Each shard of the examples becomes one
shard of the transformed examples, so order is kept and nothing is shuffled.
"""

import json
from pathlib import Path

import apache_beam as beam

from penstock.pipelines import examples
from penstock.pipelines.running import progress
from penstock.pipelines.running.beam_runner import new_pipeline
from penstock.pipelines.tfrecord import write_records
from penstock.pipelines.transform.analyze import analyze
from penstock.pipelines.transform.prepare_function import prepare_function, read_features
from penstock.pipelines.transform.raw_shards import raw_batches
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.tensor_spec import Tensor, shard_path, write_spec


def transform(
    examples_directory,
    preparation,
    state_directory,
    directory,
    scratch,
    train_split: str,
    report=None,
    stored: bool = True,
) -> dict[str, int]:
    """Writes both directories.

    Args:
        examples_directory: an Examples directory.
        preparation: see above; it goes to the workers pickled.
        state_directory, directory, scratch: empty directories.
        train_split: the split that the analyzers see.
        report: `f(examples so far, examples of all splits)`, called about once a second while the
            examples are prepared (not while they are analysed).
        stored: False writes no examples but the description of what `preparation` makes of them, for
            a training that prepares the raw ones on the fly.

    Returns:
        Number of examples of each split.
    """
    described = examples.features(examples_directory)
    read = read_features(preparation, described)
    shards = [str(path) for path in examples.shard_paths(examples_directory, train_split)]
    analyze(shards, preparation, described, read, state_directory, scratch)
    counts = examples.splits(examples_directory)
    splits, total = list(counts), sum(counts.values())
    if not stored:
        _, tensors = prepare_function(preparation, State.load(state_directory))
        tensors = {**tensors, "key": Tensor("string", ())}
        write_spec(directory, tensors, counts, dict.fromkeys(splits, 0), stored=False)
        return counts
    tasks = []
    for split in splits:
        paths = examples.shard_paths(examples_directory, split)
        tasks += [(split, i, len(paths), str(path)) for i, path in enumerate(paths)]
    result = Path(scratch) / "shards.json"
    worker = PrepareShard(preparation, str(state_directory), str(directory))
    reached = report and (lambda prepared: report(prepared, total))
    with progress.reported(reached), new_pipeline() as pipeline:
        (
            pipeline
            | "Shards" >> beam.Create(tasks, reshuffle=len(tasks) > 1)
            | "Prepare" >> beam.ParDo(worker)
            | "Together" >> beam.combiners.ToList()
            | "Save" >> beam.Map(_save, str(result))
        )
    return _finish(json.loads(result.read_text()), splits, directory)


def _save(shards, path):
    Path(path).write_text(json.dumps(shards))


def _finish(shards, splits, directory):
    """Writes `spec.json`; every shard says what its tensors are, and all say the same."""
    examples_of = dict.fromkeys(splits, 0)
    shards_of = dict.fromkeys(splits, 0)
    for shard in shards:
        examples_of[shard["split"]] += shard["examples"]
        shards_of[shard["split"]] += 1
    tensors = {name: Tensor.from_json(entry) for name, entry in shards[0]["element"].items()}
    write_spec(directory, tensors, examples_of, shards_of)
    return examples_of


class PrepareShard(beam.DoFn):
    """(split, index, count, path) of a shard of examples -> a shard of transformed examples."""

    def __init__(self, preparation, state_directory: str, directory: str):
        self._preparation = preparation
        self._state_directory = state_directory
        self._directory = directory

    def setup(self):
        state = State.load(self._state_directory)
        self._features = read_features(self._preparation, state.features)
        self._prepare, tensors = prepare_function(self._preparation, state)
        self._tensors = {**tensors, "key": Tensor("string", ())}

    def process(self, task):
        split, index, count, path = task
        written, _ = write_records(
            shard_path(self._directory, split, index, count), self._records(path)
        )
        element = {name: tensor.to_json() for name, tensor in self._tensors.items()}
        yield {"split": split, "examples": written, "element": element}

    def _records(self, path):
        # Imports TensorFlow, which only workers of this step have.
        from penstock.pipelines.transform.tensor_records import encode

        for keys, batch in raw_batches(path, self._features):
            encoded = encode({**self._prepare(batch), "key": keys}, self._tensors)
            progress.add(len(encoded))
            yield from encoded
