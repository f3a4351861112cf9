"""What every task must do; runs on each entry of `CASES` in `conftest.py`."""

import importlib.util
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.locate import data_class, known_tasks
from penstock.pipelines import examples
from penstock.pipelines.example_codec import serialise
from penstock.pipelines.examples import request_signature
from penstock.pipelines.inputs.inputs import prepared
from penstock.pipelines.tfrecord import write_records
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.transform import transform


def answers(case, model, raw):
    """What the served model must answer."""
    inputs = case.task.prepare_inputs(raw, case.state)
    return case.task.decode(model, inputs, case.state)


def parts(tensor):
    """A ragged tensor as its values and the lengths of its rows; any other as it is."""
    if isinstance(tensor, tf.RaggedTensor):
        return tensor.flat_values, list(tensor.nested_row_lengths())
    return tensor


def assert_same(left, right):
    """Integers and strings exactly, floats within 1e-4 relative."""
    left, right = (keras.tree.map_structure(parts, side) for side in (left, right))
    keras.tree.assert_same_structure(left, right)
    for a, b in zip(keras.tree.flatten(left), keras.tree.flatten(right), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)
        else:
            np.testing.assert_array_equal(a, b)


def compiled(case, **options):
    """A new network, the same each time."""
    keras.utils.set_random_seed(0)
    model = case.task.build(case.state)
    case.task.compile(model, keras.optimizers.Adam(0.01), jit_compile=False, **options)
    return model


@pytest.fixture(scope="module")
def prepare(case):
    """The preparation as one traced function of the raw features, with all that comes of it."""
    needed = case.task.input_features(case.source) | case.task.target_features(case.source)

    @tf.function(input_signature=[request_signature(needed)])
    def prepare(features):
        inputs = case.task.prepare_inputs(features, case.state)
        targets, sample_weight = case.task.prepare_targets(features, case.state)
        fed = case.task.training_inputs(inputs, targets, case.state)
        weights = () if sample_weight is None else (sample_weight,)
        return {"inputs": inputs, "stored": (targets, *weights), "fed": fed}

    return prepare


@pytest.fixture(scope="module")
def trained(case):
    """A network after 60 steps on eight examples, and their loss before and after."""
    model = compiled(case)
    inputs, targets = case.training_batch(8)

    def loss():
        return float(model.compute_loss(inputs, targets, model(inputs)))

    first = loss()
    for _ in range(60):
        model.train_on_batch(inputs, targets)
    return model, first, loss()


def test_every_task_has_a_case(request):
    cases = request.config.pluginmanager.get_plugins()
    made = next(p.CASES for p in cases if hasattr(p, "CASES"))
    assert {make().name for make in made.values()} == set(known_tasks())


def test_prepared_shapes_are_static(case, prepare):
    """All axes but the batch's are known or ragged, and known to `fit`: for XLA and TPUs."""
    outputs = prepare.get_concrete_function().structured_outputs
    specs = keras.tree.flatten(outputs)
    assert len(specs) >= 4
    fed = {id(spec) for spec in keras.tree.flatten(outputs["fed"])}
    for spec in specs:
        assert spec.shape[0] is None
        ragged = 0 if id(spec) in fed else getattr(spec, "ragged_rank", 0)
        assert spec.shape[1 + ragged :].is_fully_defined()
    for result, spec in zip(keras.tree.flatten(prepare(case.raw)), specs, strict=True):
        assert spec.dtype == result.dtype
        assert spec.shape.is_compatible_with(result.shape)


def test_preparation_is_the_same_eagerly_in_tf_data_and_for_one_example(case, prepare):
    eager = case.prepared[0]
    [mapped] = tf.data.Dataset.from_tensors(case.raw).map(prepare)
    assert_same(eager, mapped["inputs"])
    for n in range(12):
        one = prepare({name: value[n : n + 1] for name, value in case.raw.items()})
        expected = keras.tree.map_structure(lambda x, n=n: x[n : n + 1], eager)
        assert_same(one["inputs"], expected)


def test_transform_writes_what_preparation_gives(case, tmp_path):
    """The analyzers find what the case says, and Beam's batches equal eager ones exactly."""
    raw, state, done, scratch = (tmp_path / name for name in ("raw", "state", "done", "scratch"))
    for directory in (raw, state, done, scratch):
        directory.mkdir()
    rows = [{name: column[n] for name, column in case.raw.items()} for n in range(12)]
    records = [serialise(f"{n:02}", row, case.source) for n, row in enumerate(rows)]
    write_records(raw / examples.shard_name("train", 0, 1), records)
    examples.write_description(raw, case.source, {"train": 12}, {"train": 1})
    preparation = data_class(case.name)(case.task.prepare)
    assert transform(raw, preparation, state, done, scratch, "train") == {"train": 12}

    found = State.load(state)
    for name, result in case.results.items():
        assert found[name] == result
    [batch] = prepared(done, "train", 99)
    assert [key.decode() for key in batch.pop("key").numpy()] == [f"{n:02}" for n in range(12)]
    expected = dict(zip(("inputs", "targets", "sample_weight"), case.prepared, strict=True))
    assert_same(batch, {k: v for k, v in expected.items() if v is not None})


def test_preparation_takes_an_empty_batch(case):
    specs = request_signature(case.task.input_features(case.source))
    empty = {name: tf.zeros([0], spec.dtype) for name, spec in specs.items()}
    full = keras.tree.flatten(case.prepared[0])
    for none, some in zip(
        keras.tree.flatten(case.task.prepare_inputs(empty, case.state)), full, strict=True
    ):
        assert none.shape == (0, *some.shape[1:])
        assert none.dtype == some.dtype


def test_loss_falls_on_eight_examples(trained):
    _, first, last = trained
    assert last < 0.6 * first


def test_gradient_reaches_every_weight(case):
    model = compiled(case)
    inputs, targets = case.training_batch(8)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, targets, model(inputs, training=True))
    weights = model.trainable_variables
    assert weights
    for weight, gradient in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.any(tf.convert_to_tensor(gradient).numpy() != 0.0), weight.path


def test_layer_names_are_stable(case):
    """Checkpoints and content digests go by names: a second model must have the same."""
    first, second = (case.task.build(case.state) for _ in range(2))
    assert [w.path for w in first.weights] == [w.path for w in second.weights]
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


def test_save_and_load_give_equal_outputs(case, trained, tmp_path):
    model, inputs = trained[0], case.training_batch(8)[0]
    model.save(tmp_path / "model.keras")
    for compile_too in (False, True):
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=compile_too)
        assert loaded.compiled == compile_too
        np.testing.assert_array_equal(model(inputs), loaded(inputs))


TENSORFLOW_ALONE = """
import sys
import tensorflow as tf
for line in sys.stdin:
    folder = line.strip()
    served = tf.saved_model.load(folder + "/served").signatures["serving_default"]
    requests = {
        name: tf.io.parse_tensor(tf.io.read_file(f"{folder}/{name}.request"), spec.dtype)
        for name, spec in served.structured_input_signature[1].items()
    }
    for name, value in served(**requests).items():
        tf.io.write_file(f"{folder}/{name}.answer", tf.io.serialize_tensor(value))
    print(*sorted({"keras_hub", "penstock"} & set(sys.modules)), flush=True)
"""


@pytest.fixture(scope="module")
def tensorflow_alone(tmp_path_factory):
    """`ask(folder)`: a process with nothing but TensorFlow answers the requests in it."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", TENSORFLOW_ALONE],
        env=environment,
        cwd=tmp_path_factory.mktemp("alone"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def ask(folder):
            print(folder, file=process.stdin, flush=True)
            assert process.stdout.readline() == "\n"  # no other library; "" if it is dead
            return sorted(path.stem for path in folder.glob("*.answer"))

        yield ask
        process.stdin.close()


def test_saved_model_answers_raw_requests_as_keras_does(case, trained, tensorflow_alone, tmp_path):
    model = trained[0]
    module = tf.Module()
    module.model = model

    @tf.function
    def serve(**features):
        return answers(case, model, features)

    wanted = request_signature(case.task.input_features(case.source))
    signatures = {"serving_default": serve.get_concrete_function(**wanted)}
    module.resources = case.state.resources()
    tf.saved_model.save(module, str(tmp_path / "served"), signatures)

    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    requests = {name: tf.constant(value) for name, value in case.requests.items()}
    found, expected = dict(served(**requests)), answers(case, model, case.requests)
    assert_same(found, expected)
    for name, value in requests.items():
        tf.io.write_file(f"{tmp_path}/{name}.request", tf.io.serialize_tensor(value))
    assert tensorflow_alone(tmp_path) == sorted(expected)
    for name, value in expected.items():
        answer = tf.io.read_file(f"{tmp_path}/{name}.answer")
        assert_same(tf.io.parse_tensor(answer, value.dtype), value)
    one = {name: value[:1] for name, value in requests.items()}
    assert_same(dict(served(**one)), keras.tree.map_structure(lambda x: x[:1], found))


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("mixed_precision")
def test_mixed_precision_answers_in_float32(case):
    # One step costs less than to trace it.
    model = compiled(case, run_eagerly=True)
    inputs, targets = case.training_batch(8)
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}
    assert np.isfinite(model.train_on_batch(inputs, targets, return_dict=True)["loss"])
    assert model(inputs).dtype == tf.float32
    floats = [
        x
        for x in keras.tree.flatten(dict(answers(case, model, case.requests)))
        if x.dtype.is_floating
    ]
    assert all(x.dtype == tf.float32 for x in floats)


def test_training_batches_depend_on_the_seed_alone(case):
    inputs, targets, _ = case.prepared

    def batch(seed):
        changed = case.task.augment(inputs, targets, seed, case.state)
        return case.task.training_inputs(*changed, case.state)

    seeds = np.array([[3, 4], [3, 5], [3, 4]], np.int32)
    first, other, again = tf.data.Dataset.from_tensor_slices(seeds).map(batch)
    assert_same(first, again)
    pairs = zip(keras.tree.flatten(first), keras.tree.flatten(other), strict=True)
    differ = any(not np.array_equal(a, b) for a, b in pairs)
    assert differ == case.augments
    for changed, before in zip(
        keras.tree.flatten(first[0]), keras.tree.flatten(case.training_batch(99)[0]), strict=True
    ):
        assert (changed.dtype, changed.shape) == (before.dtype, before.shape)


def test_evaluation_is_columns_and_summary(case, trained):
    found = answers(case, trained[0], case.requests)
    decoded = {name: value.numpy() for name, value in found.items()}
    _, targets, _ = case.prepared
    targets = keras.tree.map_structure(np.asarray, targets)
    columns = case.task.evaluate_batch(decoded, targets, case.raw, case.state)
    assert columns
    assert {len(np.asarray(column)) for column in columns.values()} == {12}
    joined = {k: np.concatenate([v, v]) for k, v in columns.items()}
    metrics = case.task.summarise(columns, case.state)
    patterns = case.task.config.metric_names() or ("*",)
    assert not [name for name in metrics if not any(fnmatchcase(name, p) for p in patterns)]
    assert metrics
    assert all(type(value) is float and np.isfinite(value) for value in metrics.values())
    assert case.task.summarise(joined, case.state) == pytest.approx(metrics)
    read = case.task.summary_columns or tuple(columns)
    assert case.task.summarise({k: columns[k] for k in read}, case.state) == metrics
    assert case.task.summarise({k: v[:0] for k, v in columns.items()}, case.state) == {}


TRAIN_ON_JAX = """
import runpy, sys
import keras
import numpy as np
import tensorflow as tf
case = runpy.run_path(sys.argv[1])["CASES"][sys.argv[2]]()
assert keras.backend.backend() == "jax"
model = case.task.build(case.state)
case.task.compile(model, keras.optimizers.Adam(0.01))
batch = case.prepared[:2]
if case.augments:  # in tf.data, as the Trainer does
    task, state = case.task, case.state
    seeds = tf.data.Dataset.from_tensors(tf.constant([3, 4]))
    [batch] = seeds.map(lambda seed: task.augment(*batch, seed, state))
fed = case.task.training_inputs(*batch, case.state)
inputs, targets = keras.tree.map_structure(np.asarray, fed)
losses = [float(model.train_on_batch(inputs, targets, return_dict=True)["loss"]) for _ in range(2)]
assert losses[1] != losses[0] and losses[1] == losses[1], losses
model.save(sys.argv[3])
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_trains_on_jax(case, request, tmp_path):
    """Two steps under the other backend; TensorFlow then reads the file and answers."""
    conftest = Path(__file__).with_name("conftest.py")
    maker = "_" + request.node.callspec.id
    file = tmp_path / "model.keras"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_ON_JAX, str(conftest), maker, str(file)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    case.task.build(case.state)  # makes its classes known to Keras
    model = keras.saving.load_model(file, compile=False)
    assert answers(case, model, case.requests)


CONFIG_ALONE = """
import sys
from penstock.models.locate import config_class, known_tasks
for name in known_tasks():
    config_class(name)()
heavy = sorted({"tensorflow", "keras", "apache_beam", "jax", "numpy"} & set(sys.modules))
print(len(known_tasks()), *heavy)
"""


def test_configs_import_without_tensorflow(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CONFIG_ALONE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(len(known_tasks()))]
