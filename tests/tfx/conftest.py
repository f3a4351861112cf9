"""Fixtures of the lifecycle tests: a toy pipeline and a store to run it in."""

import io
import itertools
import json
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """`toy(**changes)` runs the toy pipeline in a store of its own and returns the result."""
    monkeypatch.setenv("PYTHONPATH", HERE)
    monkeypatch.syspath_prepend(HERE)
    from penstock.tfx.runner import run_pipeline
    from penstock.tfx.store import Store, new_id

    toy_steps = __import__("toy_steps")
    store = Store(tmp_path / "store")
    source = tmp_path / "numbers.txt"
    source.write_text("1\n2\n3\n")

    def run(name=None, observe=lambda *_: None, verify=False, **changes):
        pipeline = toy_steps.toy_pipeline(source, tmp_path / "served", **changes)
        name = name or f"toy-{new_id()}"
        return run_pipeline(pipeline, store, name, observe=observe, verify=verify)

    run.store, run.source, run.destination = store, source, tmp_path / "served"
    run.steps = toy_steps
    yield run
    sys.modules.pop("toy_steps", None)


# Training and gates: real artifacts on generated images, each made once for all tests.

TASK = "vision.classification"
SECTIONS = {
    "prepare": {"height": 8, "width": 8},
    "model": {"type": "cnn", "filters": [4], "dropout": 0.2},
    "augment": {"shift": 0.1},
}
SPLITS = {"train": 60, "validation": 20, "test": 30}


class Workshop:
    """Examples, state and transformed examples on disk, and steps to run on them.

    Grey 8x8 images of three classes: dark, bright above, bright on the left.
    """

    def __init__(self, root: Path):
        self.root = root
        self._numbers = itertools.count()
        for name in ("examples", "state", "transformed"):
            (root / name).mkdir()
        self._write()

    def run(self, component, parameters: dict, inputs: dict, scratch: Path | None = None):
        """Executes a step as a worker does; returns its context."""
        from penstock.tfx.component import ExecutionContext, Output

        directory = self.root / f"{component.__name__}-{next(self._numbers)}"
        outputs = {}
        for name, kind in component.outputs.items():
            (directory / name).mkdir(parents=True)
            outputs[name] = Output(directory / name, kind.__name__)
        scratch = scratch or directory / "scratch"
        scratch.mkdir(exist_ok=True)
        context = ExecutionContext(
            component.Parameters.model_validate_json(json.dumps(parameters)),
            inputs,
            outputs,
            scratch,
        )
        context.messages = []
        context.report = context.messages.append
        component.execute(context)
        return context

    def input(self, name: str):
        from penstock.tfx.component import Input

        return Input(self.root / name, name, f"digest of {name}")

    def train(self, seed: int = 0, sections: dict = SECTIONS, scratch: Path | None = None, **train):
        """Runs the Trainer; returns its context."""
        from penstock.tfx.components.trainer import Trainer

        parameters = {
            "task": TASK,
            "task_config": sections,
            "train": {
                "epochs": 4,
                "batch_size": 16,
                "strategy": "cpu",
                "optimizer": {"type": "adam", "learning_rate": 0.02},
                **train,
            },
            "seed": seed,
            "golden_examples": 5,
            "golden_split": "test",
        }
        inputs = {name: self.input(name) for name in ("transformed", "state", "examples")}
        return self.run(Trainer, parameters, inputs, scratch)

    def speed_request(self, **train) -> dict:
        """What `penstock doctor` asks `throughput.measure`."""
        directories = {n: str(self.root / n) for n in ("transformed", "state", "examples")}
        train = {"strategy": "cpu", **train}
        more = {"scratch": str(self.root), "task": TASK, "task_config": SECTIONS}
        return {**directories, **more, "train": train, "seed": 0}

    def model(self, context):
        """A Trainer's output as the next step's input."""
        from penstock.tfx.component import Input
        from penstock.tfx.training.model_digest import content_digest

        path = context.outputs["model"].path
        return Input(path, "Model", content_digest(path))

    def _write(self):
        from penstock.models.locate import config_class, task_class
        from penstock.pipelines import example_codec, examples, tfrecord
        from penstock.pipelines.features import Image, Label, Number
        from penstock.pipelines.transform import tensor_records, tensor_spec
        from penstock.pipelines.transform.state import State

        features = {
            "image": Image(channels=1, encoding="png"),
            "label": Label(names=("dark", "above", "left")),
            "ward": Number(dtype="int64"),
        }
        state = State(features)
        state.save(self.root / "state")
        config = config_class(TASK).model_validate_json(json.dumps(SECTIONS))
        task = task_class(TASK)(config)
        shards = dict.fromkeys(SPLITS, 1)
        for number, (split, count) in enumerate(SPLITS.items()):
            records = [
                example_codec.serialise(f"{split}-{i}", values, features)
                for i, values in enumerate(generated_images(count, number))
            ]
            tfrecord.write_records(
                self.root / "examples" / examples.shard_name(split, 0, 1), records
            )
        examples.write_description(self.root / "examples", features, SPLITS, shards)
        for split in SPLITS:
            (batch,) = examples.raw_dataset(self.root / "examples", split, 100)
            flat = {
                "key": batch["key"],
                "inputs": task.prepare_inputs({"image": batch["image"]}, state),
                "targets": task.prepare_targets(batch, state)[0],
            }
            tensors = {
                name: tensor_spec.Tensor(value.dtype.name, tuple(value.shape[1:]))
                for name, value in flat.items()
            }
            tfrecord.write_records(
                tensor_spec.shard_path(self.root / "transformed", split, 0, 1),
                tensor_records.encode(flat, tensors),
            )
        tensor_spec.write_spec(self.root / "transformed", tensors, SPLITS, shards)


def generated_images(count: int, seed: int):
    """Yields raw values; the bright half shines through noise, so that some are hard."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(seed)
    for index in range(count):
        pixels = generator.integers(0, 150, (8, 8))
        label = index % 3
        pixels[:4] += 90 * (label == 1)
        pixels[:, :4] += 90 * (label == 2)
        stream = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
        yield {"image": stream.getvalue(), "label": label, "ward": index % 2}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def trained(workshop):
    """The context of a Trainer that has run."""
    return workshop.train()
