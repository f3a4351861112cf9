"""Where a training runs and in which numbers: devices, strategy, precision, XLA, determinism.

Comes in: the `train` section of a config and the devices that TensorFlow sees. Goes out: a
`Placement`, everything decided; `prepare_process` makes it (and the seed) the process's own.
"""

import contextlib
from dataclasses import dataclass

import keras
import tensorflow as tf

from penstock.tfx.training.config import TrainConfig


@dataclass(frozen=True)
class Placement:
    """What was decided.

    Attributes:
        kind: "cpu", "gpu" or "mirrored".
        devices: their names, as a person knows them.
        strategy: the `tf.distribute` strategy, None on one device.
        precision: the Keras dtype policy.
        xla: whether the training step is compiled with XLA.
        deterministic: whether equal runs give equal weights, bit for bit.
    """

    kind: str
    devices: tuple[str, ...]
    strategy: tf.distribute.Strategy | None
    precision: str
    xla: bool
    deterministic: bool

    @property
    def on_cpu(self) -> bool:
        """Whether the numbers stay in the process's memory, so that looking at them is cheap."""
        return self.devices == ("CPU",)

    def scope(self):
        """Context in which the model is built and trained."""
        if self.strategy is not None:
            return self.strategy.scope()
        if self.kind == "cpu" and tf.config.list_logical_devices("GPU"):
            return tf.device("/CPU:0")
        return contextlib.nullcontext()


def choose(config: TrainConfig) -> Placement:
    """Decides every `auto` of the config.

    Raises:
        ValueError: the config asks for devices that TensorFlow does not see.
    """
    gpus = tf.config.list_physical_devices("GPU")
    kind = config.strategy
    if kind == "auto":
        kind = "cpu" if not gpus else "gpu" if len(gpus) == 1 else "mirrored"
    if kind == "gpu" and not gpus:
        raise ValueError(
            "`train.strategy` is gpu, but TensorFlow sees no GPU. Expected: at least one. "
            "Received: devices " + _names(tf.config.list_physical_devices()) + ". "
            "Set `train.strategy=auto`, or install the `gpu` extra and check the driver."
        )
    strategy = _mirrored(gpus) if kind == "mirrored" else None
    on_gpu = bool(gpus) and kind != "cpu"
    deterministic, xla = _compilation(config, on_gpu)
    return Placement(
        kind=kind,
        devices=tuple(_device_name(gpu) for gpu in gpus[: None if strategy else 1])
        if on_gpu
        else ("CPU",),
        strategy=strategy,
        precision=_precision(config.precision, gpus if on_gpu else []),
        xla=xla,
        deterministic=deterministic,
    )


def prepare_process(placement: Placement, seed: int) -> None:
    """Makes the process as if new: Keras's names and state, seeds, dtype policy, determinism.

    `restore_process` ends determinism and the policy again.
    """
    keras.utils.clear_session()
    keras.config.set_dtype_policy(placement.precision)
    if placement.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def restore_process() -> None:
    """Ends what `prepare_process` began, so that a served model may look at the clock.

    `tf.timestamp`, with which a search keeps its limit of time, fails under op determinism. TensorFlow
    has no public way to end that.
    """
    from tensorflow.python.framework.config import disable_op_determinism

    disable_op_determinism()
    keras.config.set_dtype_policy("float32")


def _compilation(config, on_gpu):
    """(deterministic, XLA). Keras does not compile with XLA where determinism is asked for."""
    if config.deterministic == config.xla == "on":
        raise ValueError(
            "`train.deterministic` and `train.xla` exclude each other: Keras does not compile with "
            "XLA under op determinism. Received: on and on. Set one of them to auto or off."
        )
    deterministic = config.deterministic == "on"
    if config.deterministic == "auto":
        deterministic = not on_gpu and config.xla != "on"
    return deterministic, config.xla == "on" or (
        config.xla == "auto" and on_gpu and not deterministic
    )


def _mirrored(gpus):
    if gpus:
        return tf.distribute.MirroredStrategy()
    cpus = tf.config.list_logical_devices("CPU")
    if len(cpus) < 2:
        raise ValueError(
            "`train.strategy` is mirrored, but there is only one device. Expected: GPUs, or "
            "several logical CPU devices. Received: one CPU. Set `train.strategy=auto`."
        )
    return tf.distribute.MirroredStrategy(
        [cpu.name for cpu in cpus], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def _precision(wanted, gpus):
    """bfloat16 since Ampere (compute capability 8), float16 tensor cores since Volta (7)."""
    if wanted != "auto":
        return wanted
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    capability = min((d.get("compute_capability", (0, 0)) for d in details), default=(0, 0))
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


def _device_name(gpu):
    return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)


def _names(devices):
    return ", ".join(device.name for device in devices)
