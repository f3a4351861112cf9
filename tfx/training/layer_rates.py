"""Learning rates that differ between layers: what was learnt before changes more slowly.

"Discriminative fine-tuning", Howard and Ruder, arXiv:1801.06146, section 3.2. A factor multiplies the
update of a variable, not its gradient: Adam and RMSprop divide by the gradient's size, so that a
factor on the gradient would come out again. Every optimizer here is linear in its learning rate,
momentum and decay of weights included; so the learning rate of each variable is multiplied.
"""

from fnmatch import fnmatchcase

import keras


class LayerRates:
    """Mixin of a Keras optimizer.

    Args:
        layer_rates: pattern -> factor; a pattern, as of a shell (`*`, `?`, `[ab]`), is compared with
            the whole path of a variable (`backbone/stem/kernel`). The first that fits counts; a
            variable that none fits has the factor 1.
        arguments: those of the optimizer.

    Raises:
        ValueError: a pattern fits no trainable variable (when the optimizer is built).
    """

    def __init__(self, *, layer_rates=(), **arguments):
        super().__init__(**arguments)
        self.layer_rates = dict(layer_rates)
        self._factors = []

    def build(self, variables):
        _check_patterns(self.layer_rates, variables)
        self._factors = [_factor(self.layer_rates, variable.path) for variable in variables]
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        factor = self._factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def _apply_weight_decay(self, variables):
        decay = self.weight_decay
        if decay is None:
            return
        factors = [self._factors[self._get_variable_index(variable)] for variable in variables]
        for factor in sorted(set(factors)):
            self.weight_decay = decay * factor
            pairs = zip(factors, variables, strict=True)
            super()._apply_weight_decay([variable for own, variable in pairs if own == factor])
        self.weight_decay = decay

    def get_config(self):
        return {**super().get_config(), "layer_rates": self.layer_rates}


@keras.saving.register_keras_serializable(package="penstock")
class LayerRatesSGD(LayerRates, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with a factor for each variable."""


@keras.saving.register_keras_serializable(package="penstock")
class LayerRatesAdam(LayerRates, keras.optimizers.Adam):
    """`keras.optimizers.Adam` with a factor for each variable."""


@keras.saving.register_keras_serializable(package="penstock")
class LayerRatesAdamW(LayerRates, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with a factor for each variable."""


@keras.saving.register_keras_serializable(package="penstock")
class LayerRatesRMSprop(LayerRates, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop` with a factor for each variable."""


def _factor(rates: dict[str, float], path: str) -> float:
    return next((factor for pattern, factor in rates.items() if fnmatchcase(path, pattern)), 1.0)


def _check_patterns(rates: dict[str, float], variables) -> None:
    """A pattern that fits nothing is a slip of the pen, and would pass unseen."""
    paths = [variable.path for variable in variables]
    idle = [p for p in rates if not any(fnmatchcase(path, p) for path in paths)]
    if idle:
        tops = dict.fromkeys(path.split("/")[0] + "/*" for path in paths)
        raise ValueError(
            "Each pattern of `train.optimizer.layer_rates` must fit a variable that trains. "
            f"Received: {', '.join(map(repr, idle))}. Variables are, for example, {paths[0]!r}; "
            f"those of each part: {', '.join(tops)}."
        )
