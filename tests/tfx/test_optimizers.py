"""Optimizers and schedules from a config; learning rates against the formulas, by hand."""

import json
import math

import keras
import pytest
from pydantic import TypeAdapter, ValidationError

from penstock.tfx.training.config import Optimizer
from penstock.tfx.training.optimizers import learning_rate, make_optimizer

OPTIMIZER = TypeAdapter(Optimizer)


def config(**settings):
    return OPTIMIZER.validate_json(json.dumps({"type": "adam", "learning_rate": 0.1, **settings}))


def rate_at(step, schedule):
    """10 steps an epoch, 4 epochs."""
    rate = learning_rate(config(schedule=schedule), steps_per_epoch=10, epochs=4)
    return float(rate(step)) if callable(rate) else rate


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        pytest.param({"type": "constant"}, 39, 0.1, id="constant"),
        # 0.1 * (1 + cos(pi * 20 / 40)) / 2 = 0.1 * (1 + 0) / 2
        pytest.param({"type": "cosine"}, 20, 0.05, id="cosine-half-way"),
        pytest.param({"type": "cosine"}, 10, 0.05 * (1 + math.sqrt(0.5)), id="cosine-quarter"),
        pytest.param({"type": "cosine"}, 40, 0.0, id="cosine-end"),
        # alpha * 0.1 at the end; in the middle 0.1 * (0.5 * 0.8 + 0.2)
        pytest.param({"type": "cosine", "alpha": 0.2}, 40, 0.02, id="cosine-alpha-end"),
        pytest.param({"type": "cosine", "alpha": 0.2}, 20, 0.06, id="cosine-alpha-half-way"),
        # Warm-up: 0.25 * 40 = 10 steps from 0 to 0.1; then 30 steps of cosine: half way at 25.
        pytest.param({"type": "cosine", "warmup_fraction": 0.25}, 4, 0.04, id="warm-up"),
        pytest.param({"type": "cosine", "warmup_fraction": 0.25}, 10, 0.1, id="warm-up-end"),
        pytest.param({"type": "cosine", "warmup_fraction": 0.25}, 25, 0.05, id="after-warm-up"),
        # 0.1 * 0.5 ** (step / (2 epochs * 10 steps))
        pytest.param(
            {"type": "exponential", "rate": 0.5, "decay_epochs": 2}, 10, 0.1 * 0.5**0.5,
            id="exponential",
        ),
        pytest.param(
            {"type": "exponential", "rate": 0.5, "decay_epochs": 2, "staircase": True}, 39, 0.05,
            id="exponential-staircase",
        ),
        # Times 0.1 from epoch 1 (step 10) on, times 0.01 from epoch 2.5 (step 25) on.
        *(
            pytest.param(
                {"type": "piecewise", "epochs": [1, 2.5], "factors": [0.1, 0.01]}, step, expected,
                id=f"piecewise-{step}",
            )
            for step, expected in [(0, 0.1), (9, 0.1), (10, 0.01), (24, 0.01), (25, 0.001)]
        ),
        # 5 updates of warm-up: 0.1 / 5, 0.1, then 0.1 * sqrt(5 / 20).
        *(
            pytest.param(
                {"type": "inverse_sqrt", "warmup_epochs": 0.5}, step, expected,
                id=f"inverse-sqrt-{step}",
            )
            for step, expected in [(0, 0.02), (4, 0.1), (19, 0.05)]
        ),
    ],
)  # fmt: skip
def test_learning_rate(schedule, step, expected):
    assert rate_at(step, schedule) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "kind", "attributes"),
    [
        ({"type": "sgd", "momentum": 0.9, "nesterov": True}, "SGD", {"momentum": 0.9}),
        ({"type": "adam", "beta_1": 0.8}, "Adam", {"beta_1": 0.8, "epsilon": 1e-7}),
        ({"type": "adamw", "weight_decay": 0.1}, "AdamW", {"weight_decay": 0.1}),
        ({"type": "rmsprop", "rho": 0.5}, "RMSprop", {"rho": 0.5, "momentum": 0.0}),
        ({"clip_norm": 2.0}, "Adam", {"global_clipnorm": 2.0, "clipnorm": None}),
        ({"ema_momentum": 0.9}, "Adam", {"use_ema": True, "ema_momentum": 0.9}),
    ],
    ids=["sgd", "adam", "adamw", "rmsprop", "clip", "ema"],
)
def test_settings_reach_keras(settings, kind, attributes):
    optimizer = make_optimizer(config(**settings), steps_per_epoch=1, epochs=1)
    assert type(optimizer) is getattr(keras.optimizers, kind)
    assert {name: getattr(optimizer, name) for name in attributes} == attributes
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_clip_norm_bounds_all_gradients_together():
    optimizer = make_optimizer(
        config(type="sgd", learning_rate=1.0, clip_norm=1.0), steps_per_epoch=1, epochs=1
    )
    variables = [keras.Variable([0.0]), keras.Variable([0.0])]
    gradients = [keras.ops.array([3.0]), keras.ops.array([4.0])]
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    # The norm of (3, 4) is 5: scaled to (0.6, 0.8).
    assert [float(v.numpy()[0]) for v in variables] == pytest.approx([-0.6, -0.8])


@pytest.mark.parametrize(
    "schedule",
    [{"epochs": [1, 2], "factors": [0.1]}, {"epochs": [2, 1], "factors": [0.1, 0.2]}],
    ids=["lengths", "order"],
)
def test_piecewise_faults(schedule):
    with pytest.raises(ValidationError, match="`epochs` must ascend and be as many as `factors`"):
        config(schedule={"type": "piecewise", **schedule})
