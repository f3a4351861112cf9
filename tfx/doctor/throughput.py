"""How fast each part of a training is on this machine, in a process of its own (TensorFlow inside).

Comes in on stdin, as JSON: the directories of the newest run's artifacts, the task and the `train`
section. Goes out on the descriptor that is stdout at the start: one JSON document (`measure`).
Each part runs for some seconds on the training split; only a `cache: disk` is written, to `scratch`.
Rates are examples/s.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

SECONDS, TURNS = 3.0, 3
"""Of each measurement, after its first batch; a training is measured in so many turns."""
READ_BATCH = 256


def rate(batches: Iterator, examples_in_batch: float) -> float:
    """Examples/s of an endless iterator; the first batch, which starts everything, does not count."""
    next(batches)
    done, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < SECONDS:
        next(batches)
        done += examples_in_batch
    return done / passed


def measure(request: dict) -> dict:
    """Every part alone, the training as it is, and the training with one setting changed.

    Args:
        request: {examples, transformed, state, scratch: directories; task, task_config, train,
            seed}. Whoever made `scratch` clears it.

    Returns:
        input: {part: examples/s of all the work up to this part}, in the order of the data's way;
        prepare: the same of what Transform has done already (or the training does on the fly);
        step: of the model alone, with one batch over and over; training: {rate, waiting}: as it is,
        with the share of time spent waiting for input; changed: {setting: {rate}}; batch_size,
        devices.
    """
    from penstock.models.locate import config_class, task_class
    from penstock.pipelines.transform.state import State
    from penstock.tfx.training import placement
    from penstock.tfx.training.config import TrainConfig

    sections = json.dumps(request["task_config"])
    config = config_class(request["task"]).model_validate_json(sections)
    train = TrainConfig.model_validate_json(json.dumps(request["train"]))
    subject = SimpleNamespace(
        task=task_class(request["task"])(config),
        state=State.load(request["state"]),
        train=train,
        place=placement.choose(train),
        seed=request["seed"],
        examples=request["examples"],
        transformed=request["transformed"],
        scratch=request["scratch"],
    )
    return _measured(subject)


def _measured(subject):
    train = subject.train
    training, step = _training(subject, train, with_step=True)
    return {
        "batch_size": train.batch_size,
        "devices": list(subject.place.devices),
        "prepare": _preparation(subject),
        "input": _input(subject),
        "step": step,
        "training": training,
        "changed": {
            f"train.{name}={value}": _training(subject, train.model_copy(update={name: value}))[0]
            for name, value in _alternatives(subject)
        },
    }


def _preparation(subject) -> dict[str, float]:
    """From the shards of Examples to what the model takes."""
    import tensorflow as tf

    from penstock.pipelines import examples
    from penstock.pipelines.transform.prepare_function import prepare_function, read_features

    split = next(iter(subject.train.weights)).split("/")[0]
    features = read_features(subject.task, subject.state.features)
    paths = [str(path) for path in examples.shard_paths(subject.examples, split)]
    raw = examples.raw_dataset(subject.examples, split, READ_BATCH, features)
    prepare, _ = prepare_function(subject.task, subject.state)

    def prepared(batch):
        batch.pop("key")
        return prepare(batch)

    ways = {"read": tf.data.TFRecordDataset(paths).batch(READ_BATCH), "parse": raw}
    decode = _decoder(features)
    if decode:
        ways["decode"] = raw.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    ways["prepare"] = raw.map(prepared, num_parallel_calls=tf.data.AUTOTUNE)
    count = examples.num_examples(subject.examples, split)
    size = count / -(-count // READ_BATCH)  # the last batch is smaller
    return {name: rate(iter(way.repeat().prefetch(2)), size) for name, way in ways.items()}


def _decoder(features) -> Callable | None:
    """Decodes the images and recordings of a batch and nothing else; None where there are none."""
    import tensorflow as tf

    from penstock.pipelines.features import Audio, Image, Mask

    def picture(encoded):
        return tf.size(tf.io.decode_image(encoded, expand_animations=False))

    def recording(encoded):
        return tf.size(tf.audio.decode_wav(encoded)[0])

    decoders = {Image: picture, Mask: picture, Audio: recording}
    media = {n: decoders[type(f)] for n, f in features.items() if type(f) in decoders}

    def decode(batch):
        return {
            name: tf.map_fn(decoder, batch[name], fn_output_signature=tf.int32)
            for name, decoder in media.items()
        }

    return decode if media else None


def _input(subject) -> dict[str, float]:
    """From TransformedExamples to a batch for the model, without the model."""
    from penstock.tfx.training import data

    task = subject.task
    plain = SimpleNamespace(
        augment=lambda inputs, targets, seed, state: (inputs, targets),
        training_inputs=lambda inputs, targets, state: (inputs, targets),
    )
    augmented = SimpleNamespace(augment=task.augment, training_inputs=plain.training_inputs)
    found, opened = {}, _opened(subject, subject.train)
    for name, way in (("batch", plain), ("augment", augmented), ("training inputs", task)):
        batches = data.training_batches(
            subject.transformed,
            subject.train,
            way,
            subject.state,
            seed=subject.seed,
            first_epoch=0,
            first_step=0,
            opened=opened,
        )
        found[name] = rate(iter(batches), opened.examples_per_epoch / opened.steps_per_epoch)
    return found


def _opened(subject, train):
    """The batches of the training, as the Trainer opens them."""
    from penstock.tfx.training import data

    return data.open_training(
        subject.transformed,
        train,
        subject.task,
        subject.state,
        seed=subject.seed,
        examples=subject.examples,
        scratch=subject.scratch,
    )


def _alternatives(subject) -> list[tuple[str, object]]:
    """Settings of the `train` section that can make a training faster, one at a time."""
    train = subject.train
    found = _other_cache(subject)
    if not (train.buckets and train.buckets.tokens_per_batch):
        found.append(("batch_size", 2 * train.batch_size))
    found += [("steps_per_execution", 8)] if train.steps_per_execution < 8 else []
    if not subject.place.xla and train.deterministic != "on":
        found.append(("xla", "on"))
    if not subject.place.on_cpu and subject.place.precision == "float32":
        found.append(("precision", "auto"))
    return found


def _other_cache(subject) -> list[tuple[str, str]]:
    """Memory where it is not in use and has room (twice: a tensor is put together from parts)."""
    from penstock.pipelines.inputs import inputs
    from penstock.tfx.memory import free_bytes
    from penstock.tfx.training import data

    splits = [
        split
        for split, _ in data.training_parts(
            subject.transformed, subject.train, subject.task, subject.state, subject.examples
        )
    ]
    if inputs.decided_cache(splits, subject.train.cache) == "memory":
        return [("cache", "off")]
    held = {split.paths: split for split in splits}.values()
    needed = 2 * sum(split.decoded_bytes() for split in held)
    return [("cache", "memory")] if needed < free_bytes() else []


def _training(subject, train, with_step=False) -> tuple[dict, float | None]:
    """({rate, waiting} of the whole training, rate of the model alone or None)."""
    from penstock.tfx.training import data, optimizers, placement

    place = placement.choose(train)
    placement.prepare_process(place, subject.seed)
    opened = _opened(subject, train)
    steps = opened.steps_per_epoch
    in_step = opened.examples_per_epoch / steps
    with place.scope():
        model = subject.task.build(subject.state)
        optimizer = optimizers.make_optimizer(train.optimizer, steps_per_epoch=steps, epochs=1)
        subject.task.compile(
            model,
            optimizer,
            jit_compile=place.xla,
            steps_per_execution=train.steps_per_execution,
        )

        def batches(epoch, step):
            return data.training_batches(
                subject.transformed,
                train,
                subject.task,
                subject.state,
                seed=subject.seed,
                first_epoch=epoch,
                first_step=step,
                opened=opened,
            )

        if not with_step:
            return _steps(model, steps, in_step, [batches])[0], None
        one = batches(0, 0).take(1).cache().repeat()
        found = _steps(model, steps, in_step, [batches, lambda epoch, step: one])
        return found[0], found[1]["rate"]


def _steps(model, steps_per_epoch, examples_in_step, ways) -> list[dict]:
    """{rate, waiting} of training steps on the batches of each way, in turns of equal length.

    In turns, because whatever else this machine does should touch all of them alike; the median
    turn counts. The first execution, which traces, does not.
    """
    from penstock.tfx.training.steps import TrainFunction

    functions = [TrainFunction(model, batches, steps_per_epoch) for batches in ways]
    for function in functions:
        function.begin_epoch()
        function(None)
    turns = [[_turn(function, examples_in_step) for function in functions] for _ in range(TURNS)]
    return [
        sorted(of_way, key=lambda turn: turn["rate"])[TURNS // 2]
        for of_way in zip(*turns, strict=True)
    ]


def _turn(function, examples_in_step) -> dict:
    trained, waited = function.trained_steps, function.waited_seconds
    begun = time.perf_counter()
    while time.perf_counter() - begun < SECONDS / TURNS:
        if function.step >= function.steps_per_epoch:
            function.begin_epoch()
        logs = function(None)
    for value in logs.values():
        float(value)  # an accelerator may still be at work
    passed = time.perf_counter() - begun
    done = (function.trained_steps - trained) * examples_in_step
    return {"rate": done / passed, "waiting": (function.waited_seconds - waited) / passed}


def main() -> None:
    """Reads a request, writes the answer."""
    # The task may lie in the current folder, as for `penstock run`; installed packages come first.
    sys.path.append(os.getcwd())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(measure(json.load(sys.stdin))), file=answers, flush=True)


if __name__ == "__main__":
    main()
