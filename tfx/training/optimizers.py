"""From the `optimizer` section of a config to a Keras optimizer.

Schedules are written in epochs in the config and run in optimizer steps; `steps_per_epoch`
converts. A schedule is evaluated at the number of updates made so far, beginning with 0.
"""

import keras

from penstock.tfx.training import layer_rates
from penstock.tfx.training.config import (
    Cosine,
    Exponential,
    InverseSquareRoot,
    OptimizerBase,
    Piecewise,
)
from penstock.tfx.training.schedules import InverseSquareRootDecay

CLASSES = {
    "sgd": (keras.optimizers.SGD, layer_rates.LayerRatesSGD),
    "adam": (keras.optimizers.Adam, layer_rates.LayerRatesAdam),
    "adamw": (keras.optimizers.AdamW, layer_rates.LayerRatesAdamW),
    "rmsprop": (keras.optimizers.RMSprop, layer_rates.LayerRatesRMSprop),
}
"""Of each type: the optimizer, and the one that has `layer_rates`."""


def make_optimizer(
    config: OptimizerBase, *, steps_per_epoch: int, epochs: int
) -> keras.optimizers.Optimizer:
    """The optimizer that a config describes.

    `clip_norm` bounds the norm of all gradients together (Pascanu et al., arXiv:1211.5063).
    `ema_momentum` keeps an exponential moving average of the weights; see
    `callbacks.AverageWeights` for where it is used. `layer_rates`: see `layer_rates.py`.
    """
    settings = config.model_dump(
        exclude={"type", "learning_rate", "schedule", "clip_norm", "ema_momentum", "layer_rates"}
    )
    plain, with_rates = CLASSES[config.type]
    if config.ema_momentum is not None:
        settings |= {"use_ema": True, "ema_momentum": config.ema_momentum}
    if config.layer_rates:
        settings |= {"layer_rates": config.layer_rates}
    return (with_rates if config.layer_rates else plain)(
        learning_rate=learning_rate(config, steps_per_epoch=steps_per_epoch, epochs=epochs),
        global_clipnorm=config.clip_norm,
        **settings,
    )


def learning_rate(config: OptimizerBase, *, steps_per_epoch: int, epochs: int):
    """The learning rate: a float, or a Keras schedule over optimizer steps."""
    rate, schedule = config.learning_rate, config.schedule
    schedules = keras.optimizers.schedules
    if isinstance(schedule, Cosine):
        total = epochs * steps_per_epoch
        warmup = round(schedule.warmup_fraction * total)
        if warmup == 0:
            return schedules.CosineDecay(rate, decay_steps=total, alpha=schedule.alpha)
        return schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=rate,
            warmup_steps=warmup,
            decay_steps=max(1, total - warmup),
            alpha=schedule.alpha,
        )
    if isinstance(schedule, Exponential):
        return schedules.ExponentialDecay(
            rate,
            decay_steps=schedule.decay_epochs * steps_per_epoch,
            decay_rate=schedule.rate,
            staircase=schedule.staircase,
        )
    if isinstance(schedule, Piecewise):
        # Keras keeps a value up to and including its boundary; ours changes at that very step.
        boundaries = [round(epoch * steps_per_epoch) - 1 for epoch in schedule.epochs]
        values = [rate, *(rate * factor for factor in schedule.factors)]
        return schedules.PiecewiseConstantDecay(boundaries, values)
    if isinstance(schedule, InverseSquareRoot):
        return InverseSquareRootDecay(rate, max(1, round(schedule.warmup_epochs * steps_per_epoch)))
    return rate
