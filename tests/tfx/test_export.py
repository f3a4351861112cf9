"""What the Trainer exports: content digest, SavedModel, reload check."""

import ast
import json
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.task import Task
from penstock.tfx.training import export, golden
from penstock.tfx.training.model_digest import architecture, content_digest

# Content digest -------------------------------------------------------------------------------


def test_equal_trainings_give_equal_digests(workshop, trained):
    keras.layers.Dense(1)  # Names are counted in the process: the next model's differ from before.
    again = workshop.train().outputs["model"].path
    first = trained.outputs["model"].path
    assert (again / "model.keras").read_bytes() != (first / "model.keras").read_bytes()
    assert content_digest(again) == content_digest(first)


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained.outputs["model"].path, tmp_path / "model")
    return tmp_path / "model"


def test_changed_weight_changes_the_digest(copied):
    before = content_digest(copied)
    model = keras.saving.load_model(copied / "model.keras", compile=False)
    weights = model.get_weights()
    weights[0].flat[0] = np.nextafter(weights[0].flat[0], np.float32(10))
    model.set_weights(weights)
    model.save(copied / "model.keras")
    assert content_digest(copied) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("state/state.json", '"above"', '"below"'),
        ("task.json", '"dropout": 0.2', '"dropout": 0.1'),
        ("model.keras", '"activation": "relu"', '"activation": "gelu"'),
    ],
    ids=["state", "task", "architecture"],
)
def test_what_else_changes_the_digest(copied, name, old, new):
    before = content_digest(copied)
    if name == "model.keras":
        replace_in_archive(copied / name, old, new)
    else:
        text = (copied / name).read_text()
        assert old in text
        (copied / name).write_text(text.replace(old, new, 1))
    assert content_digest(copied) != before


def replace_in_archive(path, old, new):
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in files["config.json"]
    files["config.json"] = files["config.json"].replace(old.encode(), new.encode(), 1)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_what_does_not_change_the_digest(copied):
    before = content_digest(copied)
    for name in ("history.json", "training.json", "golden.npz"):
        (copied / name).unlink()
    shutil.rmtree(copied / "tensorboard")
    model = keras.saving.load_model(copied / "model.keras", compile=False)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(copied / "model.keras")  # With a date, and with the optimizer's variables.
    assert content_digest(copied) == before


def test_names_of_layers_do_not_count_but_how_they_are_joined_does():
    def config_of(*names):
        first = keras.Input((4,), name=names[0])
        left = keras.layers.Dense(2, name=names[1])(first)
        right = keras.layers.Dense(2, name=names[2])(first)
        return keras.Model(first, [left, (left, right)[names[3]]], name="model").get_config()

    def canonical(*names):
        config = {"class_name": "Functional", "config": config_of(*names)}
        return json.dumps(architecture(json.loads(json.dumps(config))), sort_keys=True)

    assert canonical("a", "b", "c", 1) == canonical("x", "y", "z", 1)
    assert canonical("a", "b", "c", 1) != canonical("a", "b", "c", 0)


# SavedModel -----------------------------------------------------------------------------------


def test_savedmodel_answers_raw_requests_in_a_program_with_tensorflow_only(trained, workshop):
    model = trained.outputs["model"].path
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "png = tf.io.encode_png(np.zeros((8, 8, 1), np.uint8))\n"
        "jpeg = tf.io.encode_jpeg(np.zeros((9, 7, 1), np.uint8))\n"
        "answer = served(image=tf.stack([png, jpeg, png]))\n"
        "print({name: list(value.shape) for name, value in sorted(answer.items())})\n"
        "print(set(answer['label'].numpy()))\n"
    )
    command = [sys.executable, "-c", program, str(model / "saved_model")]
    done = subprocess.run(command, cwd=workshop.root, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines, done.stderr[-2000:]
    assert ast.literal_eval(lines[0]) == {
        "label": [3],
        "label_id": [3],
        "probabilities": [3, 3],
        "probability": [3],
    }
    assert set(ast.literal_eval(lines[1])) <= {b"dark", b"above", b"left"}


def test_golden_answers_are_those_of_keras_layer_by_layer(trained):
    """The file's model, called on pixels that PIL decodes: no code of the export is used."""
    import io

    from PIL import Image

    path = trained.outputs["model"].path
    requests, answers = golden.load(path)
    pixels = [np.asarray(Image.open(io.BytesIO(image))) for image in requests["image"]]
    model = keras.saving.load_model(path / "model.keras", compile=False)
    logits = model.predict(np.stack(pixels)[..., None], verbose=0)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers["probabilities"], probabilities, rtol=1e-4)
    assert len(pixels) == 5
    assert answers["label_id"].tolist() == probabilities.argmax(axis=1).tolist()


def test_savedmodel_holds_the_models_variables_only(trained):
    path = trained.outputs["model"].path
    names = [
        name
        for name, _ in tf.train.list_variables(
            str(path / "saved_model" / "variables" / "variables")
        )
    ]
    values = [name for name in names if "VARIABLE_VALUE" in name]
    # Kernel and bias of one convolution and one dense layer, and the dropout's seed generator.
    assert len(values) == 5


# A task of the test's own ---------------------------------------------------------------------


@keras.saving.register_keras_serializable("test_export")
class Forgetful(keras.layers.Layer):
    """Its `get_config` leaves its factor out: read back, it multiplies by 1."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return {"name": self.name}


class NumbersTask(Task):
    """x float32 [batch, 2] -> {"y": float32 [batch, 1], "word": string [batch]}."""

    def __init__(self, factor=1.0):
        self.factor = factor
        self.config = type("Config", (), {"model_dump": lambda self, mode: {}})()

    def input_features(self, source):
        return source

    def prepare_inputs(self, features, state):
        return features["x"]

    def build(self, state):
        inputs = keras.Input((2,))
        outputs = Forgetful(self.factor)(keras.layers.Dense(1)(inputs))
        return keras.Model(inputs, outputs)

    def decode(self, model, inputs, state):
        y = model(inputs, training=False)
        ids = tf.cast(y[:, 0] > 0, tf.int64)
        return {"y": y, "word": tf.gather(tf.constant(state["words"]), ids)}

    def serve(self, model, state):
        table = state.lookup("words")
        return {"ids": (lambda features: {"id": table.lookup(tf.as_string(features["x"]))}, ("x",))}


class TwoTowersTask(NumbersTask):
    """user, item float32 [batch, 2] -> score [batch]; each tower can be asked alone."""

    served_features = ("item",)

    def prepare_inputs(self, features, state):
        return dict(features)

    def build(self, state):
        towers = {name: keras.Input((2,), name=name) for name in ("user", "item")}
        vectors = {name: keras.layers.Dense(3, name=f"of_{name}")(x) for name, x in towers.items()}
        return keras.Model(towers, vectors)

    def decode(self, model, inputs, state):
        vectors = model(inputs, training=False)
        return {"score": tf.reduce_sum(vectors["user"] * vectors["item"], axis=1)}

    def serve(self, model, state):
        tower = model.get_layer("of_item")
        return {
            "item_vector": (lambda f: {"vector": tower(f["item"])}, self.served_features),
        }


@pytest.fixture
def numbers(tmp_path):
    """`numbers(task)` exports an untrained model and returns the directory."""
    from penstock.pipelines import examples
    from penstock.pipelines.features import Number
    from penstock.pipelines.transform.state import State

    (tmp_path / "state").mkdir()
    (tmp_path / "artifact").mkdir()

    def run(task, *names):
        names = names or ("x",)
        features = {name: Number(shape=(2,)) for name in names}
        State(features, {"words": ("no", "yes")}).save(tmp_path / "state")
        state = State.load(tmp_path / "state")
        export.export(
            tmp_path / "artifact",
            task=task,
            task_name="numbers",
            model=task.build(state),
            state=state,
            state_directory=tmp_path / "state",
            signature=examples.request_signature(state.features),
            requests=dict.fromkeys(names, np.array([[1, 2], [-3, 4.0]], np.float32)),
        )
        return tmp_path / "artifact"

    return run


def test_further_signatures_and_tables(numbers):
    directory = numbers(NumbersTask())
    served = tf.saved_model.load(str(directory / "saved_model"))
    assert sorted(served.signatures) == ["ids", "serving_default"]
    x = tf.constant([[1.0, 2.0]])
    assert served.signatures["ids"](x=x)["id"].numpy().tolist() == [[-1, -1]]
    kernel, bias = keras.saving.load_model(directory / "model.keras", compile=False).get_weights()
    answer = served.signatures["serving_default"](x=x)
    np.testing.assert_allclose(answer["y"], [[1.0, 2.0]] @ kernel + bias, rtol=1e-5)
    assert answer["word"].numpy()[0] == (b"yes" if answer["y"].numpy()[0, 0] > 0 else b"no")


def test_signature_takes_only_the_features_that_it_names(numbers):
    directory = numbers(TwoTowersTask(), "user", "item")
    served = tf.saved_model.load(str(directory / "saved_model")).signatures
    assert set(served["serving_default"].structured_input_signature[1]) == {"user", "item"}
    assert set(served["item_vector"].structured_input_signature[1]) == {"item"}
    item = tf.constant([[1.0, 2.0], [0.0, -1.0], [3.0, 0.0]])
    model = keras.saving.load_model(directory / "model.keras", compile=False)
    kernel, bias = model.get_layer("of_item").get_weights()
    vector = served["item_vector"](item=item)["vector"]
    np.testing.assert_allclose(vector, item.numpy() @ kernel + bias, rtol=1e-5)


def test_signature_of_an_unknown_feature(numbers):
    task = TwoTowersTask()
    task.served_features = ("itme",)
    message = "the signature 'item_vector'. Received: itme. Known: user, item"
    with pytest.raises(ValueError, match=message):
        numbers(task, "user", "item")


def test_model_that_does_not_survive_saving(numbers):
    with pytest.raises(ValueError, match=r"must answer the same after saving.*`y`.*get_config"):
        numbers(NumbersTask(factor=2.0))


def test_history_without_nan(tmp_path):
    export.write_history(tmp_path, {"loss": [1.0, float("nan")], "accuracy": [0.5, 1.0]})
    document = json.loads((tmp_path / "history.json").read_text())
    assert document == {
        "format_version": 1,
        "history": {"loss": [1.0, None], "accuracy": [0.5, 1.0]},
    }
