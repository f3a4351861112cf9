"""Training throughput of the Trainer beside plain Keras: same network, examples and batch size.

`python benchmarks/training.py [--count 20000] [--epochs 7] [--network cnn]`. One process for each
way, all alive and warm (one epoch is thrown away); then each trains one epoch in turn, again and
again, so that all meet the same moments of a noisy machine. An epoch is all training steps and the
validation. The Trainer's way is its own code, with checkpoints, resume, progress, TensorBoard and op
determinism, from TransformedExamples on disk; `plain_keras.py` has none of these and its examples
are in memory. "Trainer : this" above 1 means that the Trainer is the faster one. `text_gru` and
`speech_crnn` train on texts and recordings of many lengths, padded within the same buckets; `fit(x, y)`
has to pad all to the longest.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from generated_images import CLASSES, SIZE
from generated_sounds import RATE_HZ
from generated_texts import LONGEST, VOCABULARY
from tables import machine, table

BATCH_SIZE = 128
WAYS = {
    "memory": "Trainer",
    "off": "Trainer, `train.cache=off`",
    "arrays": "plain Keras, `fit(x, y)`",
    "tf.data": "plain Keras, tf.data",
}
"""What trains -> how it is called in the table; the first two are values of `train.cache`."""
NETWORKS = {
    "cnn": {"type": "cnn", "filters": [32, 64], "dense_units": [128], "dropout": 0.0},
    "mlp": {"type": "mlp", "hidden_units": [128], "dropout": 0.0},
    "small_resnet": {"type": "small_resnet", "filters": [16, 32, 64], "blocks": 1, "dropout": 0.0},
    "text_gru": {
        "type": "gru",
        "embedding_dim": 64,
        "units": 64,
        "pooling": "last",
        "dropout": 0.0,
    },
    "speech_crnn": {"type": "crnn", "filters": [32, 64], "units": 64, "dropout": 0.0},
}
FEWER = {"speech_crnn": 2_000}
"""How many examples where each is much work; else `--count` is 20,000."""
HELD_OUT = 0.1


# What a child does ------------------------------------------------------------------------------


def child(way: str, kind: str, count: int, epochs: int) -> None:
    """Trains an epoch for each line on standard input, and says how long it took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    import plain_keras

    examples, labels = plain_keras.data_of(kind, count)
    held_out = int(count * HELD_OUT)
    training = examples[held_out:], labels[held_out:]
    validation = examples[:held_out], labels[:held_out]
    answered = turns(answers)
    if way in ("arrays", "tf.data"):
        options = {"batch_size": BATCH_SIZE, "epochs": epochs, "callbacks": [answered]}
        plain_keras.train(kind, way, training, validation, **options)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_transformed(Path(folder), training, validation)
        train_as_trainer(Path(folder), kind, way, epochs, answered)


def turns(answers):
    """A callback that waits for its turn before each epoch."""
    import keras

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            sys.stdin.readline()
            self._begun, self._cpu = time.perf_counter(), time.process_time()

        def on_train_batch_end(self, batch, logs=None):
            self._stepped = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            now = time.perf_counter()
            times = {"steps": self._stepped - self._begun, "epoch": now - self._begun}
            times["cpu"] = time.process_time() - self._cpu
            print(json.dumps({**times, "loss": float(logs["loss"])}), file=answers, flush=True)

    return Turns()


def write_transformed(folder: Path, training, validation) -> None:
    """`folder/transformed`: what Transform would have written, examples as they are."""
    import tensorflow as tf

    from penstock.pipelines.transform.tensor_spec import Tensor

    tensors = {**_input_tensors(training[0]), "targets": Tensor("int64", ())}
    parts = {"train": training, "validation": validation}
    write_examples(
        folder,
        tensors,
        parts,
        lambda rows, labels: {**_tensors(rows), "targets": tf.constant(labels)},
    )


def write_examples(folder: Path, tensors: dict, parts: dict, prepared) -> None:
    """`folder/transformed` of any tensors.

    Args:
        tensors: name -> `Tensor`, without the key.
        parts: split -> (inputs, targets).
        prepared: some inputs and targets -> the values of `tensors`.
    """
    from penstock.pipelines import tfrecord
    from penstock.pipelines.transform import tensor_spec
    from penstock.pipelines.transform.tensor_spec import Tensor

    tensors = {**tensors, "key": Tensor("string", ())}
    directory = folder / "transformed"
    directory.mkdir()
    for split, arrays in parts.items():
        tfrecord.write_records(
            tensor_spec.shard_path(directory, split, 0, 1), _encoded(*arrays, tensors, prepared)
        )
    counts = {split: len(arrays[0]) for split, arrays in parts.items()}
    tensor_spec.write_spec(directory, tensors, counts, dict.fromkeys(parts, 1))


def _input_tensors(inputs) -> dict:
    """Name -> Tensor: of recordings their lengths too, as the task stores them."""
    from penstock.pipelines.transform.tensor_spec import Tensor

    if inputs.dtype != object:
        return {"inputs": Tensor("uint8", (SIZE, SIZE, 1))}
    if inputs[0].dtype == np.int32:
        return {"inputs": Tensor("int32", (None,), 1)}
    return {"inputs/lengths": Tensor("int32", ()), "inputs/waveforms": Tensor("int16", (None,), 1)}


def _encoded(inputs, labels, tensors, prepared):
    import tensorflow as tf

    from penstock.pipelines.transform.tensor_records import encode

    for start in range(0, len(inputs), 1024):
        rows = inputs[start : start + 1024]
        keys = tf.constant([f"{start + index:06d}" for index in range(len(rows))])
        yield from encode({**prepared(rows, labels[start : start + 1024]), "key": keys}, tensors)


def _tensors(rows) -> dict:
    """The values of `_input_tensors`."""
    import tensorflow as tf

    if rows.dtype != object:
        return {"inputs": tf.constant(rows)}
    lengths = np.array([len(row) for row in rows])
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(rows), lengths)
    if rows[0].dtype == np.int32:
        return {"inputs": ragged}
    return {"inputs/lengths": tf.constant(lengths, tf.int32), "inputs/waveforms": ragged}


def train_as_trainer(folder: Path, kind: str, cache: str, epochs: int, turns) -> None:
    """See `fit_as_trainer`, for the networks of this file."""
    from plain_keras import OF_MANY_LENGTHS

    from penstock.tfx.training.config import TrainConfig

    of_lengths = OF_MANY_LENGTHS.get(kind)
    buckets = {"boundaries": of_lengths.BOUNDARIES} if of_lengths else None
    train = TrainConfig(epochs=epochs, batch_size=BATCH_SIZE, cache=cache, buckets=buckets)
    fit_as_trainer(folder, *task_of(kind), train, turns)


def fit_as_trainer(folder: Path, task, state, train, turns) -> None:
    """What `tfx/components/trainer.py` does between loading the state and the export."""
    from penstock.tfx.training import data, fit, optimizers, placement

    place = placement.choose(train)
    placement.prepare_process(place, 0)
    directory = folder / "transformed"
    with place.scope():
        model = task.build(state)
        opened = data.open_training(directory, train, task, state, seed=0)
        steps = opened.steps_per_epoch
        optimizer = optimizers.make_optimizer(
            train.optimizer, steps_per_epoch=steps, epochs=train.epochs
        )
        task.compile(model, optimizer, jit_compile=place.xla)
        fit.fit(
            model,
            lambda epoch, step: data.training_batches(
                directory,
                train,
                task,
                state,
                seed=0,
                first_epoch=epoch,
                first_step=step,
                opened=opened,
            ),
            steps_per_epoch=steps,
            config=train,
            seed=0,
            validation=data.validation_batches(directory, train, task, state, bounds=opened.bounds),
            checkpoints=folder / "checkpoints",
            tensorboard=folder / "tensorboard",
            on_cpu=place.on_cpu,
            extra_callbacks=(turns,),
        )


def task_of(kind: str):
    """(task, state) of a network: what the data were described as."""
    from penstock.models import locate
    from penstock.pipelines.features import Audio, Image, Label, Text
    from penstock.pipelines.transform.state import State

    label = Label(names=tuple(f"class_{label}" for label in range(CLASSES)))
    if kind == "text_gru":
        name, prepare = "text.classification", {"max_length": LONGEST}
        words = tuple(f"word_{number}" for number in range(VOCABULARY - 2))
        state = State({"text": Text(), "label": label}, {"words": words})
    elif kind == "speech_crnn":
        name, prepare = "speech.keyword_spotting", {"sample_rate_hz": RATE_HZ, "max_seconds": 1.0}
        state = State({"audio": Audio(), "label": label})
    else:
        name, prepare = "vision.classification", {"height": SIZE, "width": SIZE, "channels": 1}
        state = State({"image": Image(channels=1, encoding="png"), "label": label})
    sections = json.dumps({"prepare": prepare, "model": NETWORKS[kind]})
    config = locate.config_class(name).model_validate_json(sections)
    return locate.task_class(name)(config), state


# What the parent does ---------------------------------------------------------------------------


def measure(
    kind: str, count: int, epochs: int, ways=tuple(WAYS), script=__file__
) -> dict[str, list[dict]]:
    """Way -> for each epoch but the first, seconds: {steps, epoch, cpu}; in turns.

    Raises:
        RuntimeError: a way did not come to its end.
    """
    children = {}
    for way in ways:
        command = [sys.executable, script, "--child", way, "--network", kind]
        command += ["--count", str(count), "--epochs", str(epochs + 1)]
        children[way] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    times = {way: [] for way in ways}
    for epoch in range(epochs + 1):
        # Forwards and backwards, so that none always comes after the same other.
        for way in ways if epoch % 2 else reversed(ways):
            process = children[way]
            print("go", file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                command = " ".join(process.args)
                raise RuntimeError(f"{way} ended with {process.wait()}; look with: {command}")
            if epoch:
                times[way].append(json.loads(line))
    for process in children.values():
        process.communicate()
    return times


def report(kind: str, count: int, times: dict[str, list[dict]]) -> str:
    """Medians of examples/s and, turn by turn, how much faster the first way is."""
    examples = count - int(count * HELD_OUT)
    first = next(iter(times))
    rows = []
    for way, epochs in times.items():
        row = [kind, WAYS[way]]
        for part in ("steps", "epoch"):
            seconds = np.array([epoch[part] for epoch in epochs])
            ratios = seconds / [epoch[part] for epoch in times[first]]
            row.append(float(examples / np.median(seconds)))
            row.append(None if way == first else spread(ratios))
        row.append(float(np.median([epoch["cpu"] for epoch in epochs]) / examples * 1e6))
        rows.append(row)
    columns = ["network", "way", "examples/s in steps", "Trainer : this"]
    columns += ["examples/s in epochs", "Trainer : this", "CPU µs an example"]
    return table(columns, rows)


def spread(ratios) -> str:
    return f"{np.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--network", choices=tuple(NETWORKS), action="append")
    parser.add_argument("--child", choices=tuple(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    kinds = arguments.network or list(NETWORKS)
    if arguments.child:
        child(arguments.child, kinds[0], arguments.count, arguments.epochs)
        return
    print(f"{machine()}, batch size {BATCH_SIZE}\n")
    for kind in kinds:
        count = arguments.count or FEWER.get(kind, 20_000)
        print(f"{kind}: {count} examples\n")
        print(report(kind, count, measure(kind, count, arguments.epochs)))


if __name__ == "__main__":
    main()
