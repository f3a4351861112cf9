"""Learning rates that differ between layers: every optimizer, weight decay, files, resume."""

import json

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from penstock.tfx.training.config import Optimizer
from penstock.tfx.training.optimizers import make_optimizer

OPTIMIZER = TypeAdapter(Optimizer)
TYPES = {
    "sgd": {"type": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {"type": "adam"},
    "adamw": {"type": "adamw", "weight_decay": 0.1},
    "rmsprop": {"type": "rmsprop", "momentum": 0.5},
}


def optimizer(settings, **rates):
    config = OPTIMIZER.validate_json(
        json.dumps({"learning_rate": 0.1, **settings, "layer_rates": rates})
    )
    return make_optimizer(config, steps_per_epoch=10, epochs=1)


def variables():
    """Of the paths `old/kernel` and `new/kernel`."""
    made = []
    for name in ("old", "new"):
        with keras.name_scope(name):
            made.append(keras.Variable([1.0, -2.0, 3.0], name="kernel"))
    return made


def trained(optimizer, steps=5):
    """Both variables after some steps with the same gradients."""
    both = variables()
    for step in range(steps):
        gradient = keras.ops.array([0.5, -1.0 + 0.3 * step, 2.0])
        optimizer.apply_gradients([(gradient, variable) for variable in both])
    return [variable.numpy() for variable in both]


@pytest.mark.parametrize("settings", TYPES.values(), ids=TYPES)
def test_a_factor_is_as_another_learning_rate(settings):
    """Keras's own optimizer with a tenth of the learning rate is what the factor 0.1 must give."""
    old, new = trained(optimizer(settings, **{"old/*": 0.1}))
    np.testing.assert_allclose(new, trained(optimizer(settings))[1], rtol=1e-6)
    slower = trained(optimizer({**settings, "learning_rate": 0.01}))[0]
    np.testing.assert_allclose(old, slower, rtol=1e-6)
    assert (old != new).all()


@pytest.mark.parametrize("settings", TYPES.values(), ids=TYPES)
def test_the_factor_0_leaves_a_variable_as_it_is(settings):
    old, new = trained(optimizer(settings, **{"old/*": 0}))
    np.testing.assert_array_equal(old, [1.0, -2.0, 3.0])
    assert (new != old).all()


def test_adam_is_slowed_by_the_factor():
    """The first step of Adam is the learning rate for any gradient (Kingma and Ba, section 2.1)."""
    old, new = trained(optimizer(TYPES["adam"], **{"old/*": 0.1}), steps=1)
    assert np.abs(new - [1.0, -2.0, 3.0]) == pytest.approx(0.1, rel=1e-4)
    assert np.abs(old - [1.0, -2.0, 3.0]) == pytest.approx(0.01, rel=1e-4)


def test_the_first_pattern_that_fits_counts():
    old, new = trained(optimizer({"type": "sgd"}, **{"old/ker*": 0.5, "*": 0.25}), steps=1)
    # 0.1 times the gradient of 0.5, times the factor.
    assert old[0] == pytest.approx(1 - 0.1 * 0.5 * 0.5)
    assert new[0] == pytest.approx(1 - 0.1 * 0.5 * 0.25)


def test_a_pattern_that_fits_nothing_is_a_fault():
    message = (
        r"must fit a variable that trains. Received: 'odl/\*'. .* 'old/kernel'; .* old/\*, new/\*"
    )
    with pytest.raises(ValueError, match=message):
        trained(optimizer({"type": "adam"}, **{"odl/*": 0.1, "new/*": 0.1}))


def test_a_factor_is_not_negative():
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        optimizer({"type": "adam"}, **{"old/*": -0.1})


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_it_trains_a_model_and_is_saved_with_it(tmp_path, jit_compile):
    """The saved model goes on as the first one does: momentum, step and factors are in the file."""
    inputs, targets = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    layers = [keras.layers.Dense(3, name="old"), keras.layers.Dense(1, name="new")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile(optimizer(TYPES["adamw"], **{"*old/*": 0.0}), "mse", jit_compile=jit_compile)
    before = [w.numpy() for w in model.weights]
    model.train_on_batch(inputs, targets)
    assert [bool((w.numpy() != b).any()) for w, b in zip(model.weights, before, strict=True)] == [
        *(False, False, True, True),
    ]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.layer_rates == {"*old/*": 0.0}
    for one in (model, loaded):
        one.train_on_batch(inputs, targets)
    for weight, again in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), again.numpy())
