"""Training throughput of the Trainer beside a plain Keras loop, for tasks that write sequences.

`python benchmarks/sequence_training.py [--network translation_transformer] [--count 4000] [--epochs 4]`.
Both train the very same network with the same loss and metrics on the same examples, in buckets of the
same bounds; the plain way is `model.fit` on a tf.data dataset that is in memory, and has no checkpoints,
resume, progress, TensorBoard or op determinism. Processes and turns are those of `training.py`, and so
are the columns; "tokens/s" counts source and target, "audio s/s" seconds of recordings a second.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import generated_pairs
import numpy as np
import training
from tables import machine, table

BATCH_SIZE = 32
TEXT_BOUNDARIES = (12, 16, 20, 24, generated_pairs.LONGEST_TEXT)
TEXTS = {
    "max_source_tokens": generated_pairs.LONGEST_TEXT,
    "max_target_tokens": generated_pairs.LONGEST_TEXT,
}
RECORDINGS = {"sample_rate_hz": generated_pairs.RATE_HZ, "max_seconds": 2.0}
TONE = generated_pairs.TONE_SAMPLES
NETWORKS = {
    "translation_transformer": {
        "task": "text.translation",
        "prepare": TEXTS,
        "model": {"type": "transformer", "dim": 128, "num_layers": 4, "intermediate_dim": 256},
        "boundaries": TEXT_BOUNDARIES,
        "unit": "tokens",
    },
    "translation_gru": {
        "task": "text.translation",
        "prepare": TEXTS,
        "model": {"type": "gru", "embedding_dim": 128, "units": 128},
        "boundaries": TEXT_BOUNDARIES,
        "unit": "tokens",
    },
    "recognition_deep_speech": {
        "task": "speech.recognition",
        "prepare": RECORDINGS,
        "model": {"type": "deep_speech", "units": 64},
        "boundaries": (4 * TONE, 6 * TONE, 8 * TONE, 10 * TONE),
        "unit": "audio s",
    },
}
WAYS = {"memory": "Trainer", "plain": "plain Keras, tf.data"}


# What a child does ------------------------------------------------------------------------------


def child(way: str, kind: str, count: int, epochs: int) -> None:
    """Trains an epoch for each line on standard input, and says how long it took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    turns = training.turns(answers)
    examples, targets = data_of(kind, count)
    held_out = int(count * training.HELD_OUT)
    parts = {
        "train": (examples[held_out:], targets[held_out:]),
        "validation": (examples[:held_out], targets[:held_out]),
    }
    if way == "plain":
        train_plainly(kind, parts, epochs, turns)
        return
    with tempfile.TemporaryDirectory() as folder:
        training.write_examples(Path(folder), tensors_of(kind), parts, lambda *p: flat(kind, *p))
        train = train_config(kind, epochs)
        training.fit_as_trainer(Path(folder), *task_of(kind), train, turns)


def data_of(kind: str, count: int):
    """Inputs and targets, lists of arrays."""
    if kind.startswith("recognition"):
        return generated_pairs.recordings_of(count)
    return generated_pairs.texts_of(count)


def task_of(kind: str):
    """(task, state) of a network."""
    from penstock.models import locate
    from penstock.pipelines.features import Audio, Text
    from penstock.pipelines.transform.state import State
    from penstock.pipelines.transform.subwords import Subwords

    entry = NETWORKS[kind]
    if entry["task"] == "speech.recognition":
        state = State(
            {"audio": Audio(), "text": Text()}, {"characters": tuple(generated_pairs.LETTERS)}
        )
    else:
        tokens = Subwords(tuple(map(str, range(generated_pairs.VOCABULARY))), ())
        state = State({"source": Text(), "target": Text()}, {"subwords": tokens})
    sections = json.dumps({"prepare": entry["prepare"], "model": entry["model"]})
    config = locate.config_class(entry["task"]).model_validate_json(sections)
    return locate.task_class(entry["task"])(config), state


def train_config(kind: str, epochs: int):
    """The `train` section of both ways."""
    from penstock.tfx.training.config import TrainConfig

    buckets = {"boundaries": NETWORKS[kind]["boundaries"]}
    return TrainConfig(epochs=epochs, batch_size=BATCH_SIZE, cache="memory", buckets=buckets)


def tensors_of(kind: str) -> dict:
    """The prepared tensors, as the task stores them."""
    from penstock.pipelines.transform.tensor_spec import Tensor

    text = Tensor("int32", (None,), 1)
    if not kind.startswith("recognition"):
        return {"inputs": text, "targets": text}
    waveforms = Tensor("int16", (None,), 1)
    return {"inputs/lengths": Tensor("int32", ()), "inputs/waveforms": waveforms, "targets": text}


def flat(kind: str, inputs, targets) -> dict:
    """The values of `tensors_of`."""
    import tensorflow as tf

    def ragged(rows):
        lengths = [len(row) for row in rows]
        return tf.RaggedTensor.from_row_lengths(np.concatenate(rows), lengths)

    if not kind.startswith("recognition"):
        return {"inputs": ragged(inputs), "targets": ragged(targets)}
    lengths = tf.constant([len(row) for row in inputs], tf.int32)
    waveforms = ragged(inputs)
    return {"inputs/lengths": lengths, "inputs/waveforms": waveforms, "targets": ragged(targets)}


def train_plainly(kind: str, parts, epochs: int, turns) -> None:
    """What one writes in Keras, with the network, loss and metrics of the task."""
    import keras

    task, state = task_of(kind)
    keras.utils.set_random_seed(0)
    model = task.build(state)
    task.compile(model, keras.optimizers.Adam(1e-3), jit_compile=False)
    train = plain_batches(kind, task, state, *parts["train"], shuffle=True)
    held_out = plain_batches(kind, task, state, *parts["validation"], shuffle=False)
    options = {"epochs": epochs, "callbacks": [turns], "verbose": 0}
    model.fit(train, validation_data=held_out, shuffle=False, **options)


def plain_batches(kind: str, task, state, inputs, targets, shuffle: bool):
    """Buckets of the same bounds; each tensor is padded to the longest of its batch."""
    import tensorflow as tf

    from penstock.pipelines.inputs.input_batches import nested

    examples = tf.data.Dataset.from_tensor_slices(flat(kind, inputs, targets))
    if shuffle:
        examples = examples.shuffle(len(inputs))
    # A row of a ragged tensor still counts as ragged, which padded batches do not take.
    examples = examples.map(lambda row: {name: tf.identity(value) for name, value in row.items()})
    ragged = [name for name, tensor in tensors_of(kind).items() if tensor.ragged_rank]
    bounds = [longest + 1 for longest in NETWORKS[kind]["boundaries"]]
    batches = examples.bucket_by_sequence_length(
        lambda row: tf.reduce_max([tf.shape(row[name])[0] for name in ragged]),
        bucket_boundaries=bounds,
        bucket_batch_sizes=[BATCH_SIZE] * (len(bounds) + 1),
    )

    def fed(row):
        batch = nested(row)
        return task.training_inputs(batch["inputs"], batch["targets"], state)

    return batches.map(fed, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


# What the parent does ---------------------------------------------------------------------------


def units_of(kind: str, count: int) -> float:
    """Tokens, or seconds of recordings, in an epoch's training examples."""
    inputs, targets = data_of(kind, count)
    held_out = int(count * training.HELD_OUT)
    units = sum(map(len, inputs[held_out:]))
    if kind.startswith("recognition"):
        return units / generated_pairs.RATE_HZ
    return units + sum(map(len, targets[held_out:]))


def report(kind: str, count: int, times: dict[str, list[dict]]) -> str:
    """Medians of units a second and, turn by turn, how much faster the Trainer is."""
    units, unit = units_of(kind, count), NETWORKS[kind]["unit"]
    rows = []
    for way, epochs in times.items():
        row = [kind, WAYS[way]]
        for part in ("steps", "epoch"):
            seconds = np.array([epoch[part] for epoch in epochs])
            ratios = seconds / [epoch[part] for epoch in times["memory"]]
            row.append(float(units / np.median(seconds)))
            row.append(None if way == "memory" else training.spread(ratios))
        rows.append(row)
    columns = ["network", "way", f"{unit}/s in steps", "Trainer : this"]
    columns += [f"{unit}/s in epochs", "Trainer : this"]
    return table(columns, rows)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--network", choices=tuple(NETWORKS), action="append")
    parser.add_argument("--child", choices=tuple(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    kinds = arguments.network or list(NETWORKS)
    if arguments.child:
        child(arguments.child, kinds[0], arguments.count, arguments.epochs)
        return
    print(f"{machine()}, batch size {BATCH_SIZE}\n")
    for kind in kinds:
        print(f"{kind}: {arguments.count} examples\n")
        times = training.measure(kind, arguments.count, arguments.epochs, tuple(WAYS), __file__)
        print(report(kind, arguments.count, times))


if __name__ == "__main__":
    main()
