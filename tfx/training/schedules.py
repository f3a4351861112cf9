"""The one schedule of a learning rate that Keras does not have."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="penstock")
class InverseSquareRootDecay(keras.optimizers.schedules.LearningRateSchedule):
    """highest * min(n / warmup, sqrt(warmup / n)) at update n = 1, 2, ...

    Vaswani et al. (arXiv:1706.03762), equation 3: d_model ** -0.5 * min(n ** -0.5, n * warmup ** -1.5),
    with `highest` in place of (d_model * warmup) ** -0.5.

    Args:
        highest: the learning rate at update `warmup_steps`.
        warmup_steps: updates until then.
    """

    def __init__(self, highest, warmup_steps):
        super().__init__()
        self.highest = highest
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        # Keras counts the updates that were made before.
        update = ops.cast(step, "float32") + 1.0
        rising, falling = update / self.warmup_steps, ops.sqrt(self.warmup_steps / update)
        return self.highest * ops.minimum(rising, falling)

    def get_config(self):
        return {"highest": self.highest, "warmup_steps": self.warmup_steps}
