"""From a trained model to the Model artifact: `.keras`, SavedModel, state, task, golden records.

The exported model is built anew by the task in float32, gets the trained weights, is saved and read
back; what is served comes from the file that is kept, not from the object that was trained. It
computes in float32 whatever precision it was trained in.
"""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from penstock.pipelines.features import FEATURES
from penstock.tfx.training import golden

FORMAT_VERSION = 1
RELATIVE_TOLERANCE = 1e-4


def export(directory, *, task, task_name: str, model, state, state_directory, signature, requests):
    """Writes everything but the training's own records (history, logs).

    Args:
        directory: the Model artifact in the making.
        task: the task; `task_name` is its name in the config.
        model: the trained Keras model.
        state: `State`; `state_directory` is where it was loaded from.
        signature: name -> `tf.TensorSpec` of each raw input feature, batched.
        requests: name -> array [examples, ...]: raw input features of the golden records.

    Raises:
        ValueError: saved and read back, the model no longer answers as it did.
    """
    directory = Path(directory)
    with _float32():
        built = task.build(state)
        built.set_weights(model.get_weights())
        built.save(directory / "model.keras")
        loaded = keras.saving.load_model(directory / "model.keras", compile=False)
        functions = serving_functions(task, loaded, state, signature)
        answers = _numpy(functions["serving_default"](**_tensors(requests, signature)))
        _check_reload(task, built, state, signature, requests, answers)
        save_servable(directory / "saved_model", loaded, state, functions)
        task.save_parts(built, state, directory / "parts")
    golden.save(directory, requests, answers)
    shutil.copytree(state_directory, directory / "state")
    features = FEATURES.dump_python(task.input_features(state.features), mode="json")
    _write_json(
        directory / "task.json",
        {
            "task": task_name,
            "config": task.config.model_dump(mode="json"),
            "input_features": features,
        },
    )


def serving_functions(task, model, state, signature) -> dict:
    """Signature name -> concrete function; each argument is a raw input feature.

    `serving_default` is `prepare_inputs`, then `decode`; the others are `task.serve`'s.

    Raises:
        ValueError: `task.serve` names a feature that requests do not carry.
    """

    def answer(features):
        return task.decode(model, task.prepare_inputs(features, state), state)

    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in signature.items()
    }
    wanted = {"serving_default": (answer, tuple(specs)), **task.serve(model, state)}
    return {
        name: tf.function(_by_name(function)).get_concrete_function(**_chosen(specs, names, name))
        for name, (function, names) in wanted.items()
    }


def save_servable(directory, model, state, functions) -> None:
    """Writes a SavedModel that holds what its signatures need and nothing of the training.

    Tracking the Keras model itself would also trace and store its layers' call functions.
    """
    servable = tf.Module()
    servable.variables_of_model = [variable.value for variable in model.variables]
    servable.resources = [*state.resources(), *_tables(model)]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(servable, str(directory), signatures=functions, options=options)


def write_history(directory, history: dict) -> None:
    """`history.json`: metric -> value after each epoch; null where a value is no finite number."""
    clean = {
        name: [value if np.isfinite(value) else None for value in values]
        for name, values in history.items()
    }
    _write_json(Path(directory) / "history.json", {"history": clean})


def write_training(directory, record: dict) -> None:
    """`training.json`: how the model was trained."""
    _write_json(Path(directory) / "training.json", record)


def _check_reload(task, built, state, signature, requests, answers):
    """The file's model, compiled, against the built one, run op by op."""
    features = _tensors(requests, signature)
    expected = _numpy(task.decode(built, task.prepare_inputs(features, state), state))
    found = golden.differences(expected, answers, RELATIVE_TOLERANCE)
    if found:
        raise ValueError(
            "The model must answer the same after saving and loading. Received: "
            + " ".join(found)
            + " Look at `get_config` of the task's own layers, and for randomness in `decode`."
        )


def _chosen(specs, names, signature):
    """The specs of the features that a signature takes."""
    unknown = [name for name in names if name not in specs]
    if unknown:
        raise ValueError(
            f"`serve` must name input features of the task for the signature {signature!r}. "
            f"Received: {', '.join(unknown)}. Known: {', '.join(specs)}."
        )
    return {name: specs[name] for name in names}


def _by_name(function):
    """`f(features)` as a function of keyword arguments."""

    def signature(**features):
        return function(features)

    return signature


def _tables(model):
    """Lookup tables and the like of preprocessing layers inside the model."""
    kind = tf.saved_model.experimental.TrackableResource
    layers = model._flatten_layers()
    return [value for layer in layers for value in vars(layer).values() if isinstance(value, kind)]


def _tensors(requests, signature):
    return {name: tf.constant(requests[name], spec.dtype) for name, spec in signature.items()}


def _numpy(answers):
    return {name: value.numpy() for name, value in answers.items()}


def _write_json(path, document):
    document = {"format_version": FORMAT_VERSION, **document}
    path.write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


@contextmanager
def _float32():
    """float32 layers, and on a GPU whole float32 products (TF32 keeps some 10 bits)."""
    policy = keras.config.dtype_policy()
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    keras.config.set_dtype_policy("float32")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
