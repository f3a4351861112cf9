"""The `train` section of a config: optimizer, schedule, precision, checkpoints. No TensorFlow."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from penstock.pipelines.config import Config
from penstock.pipelines.inputs.input_config import Buckets, Packing

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class Constant(Config):
    """The same learning rate throughout."""

    type: Literal["constant"] = "constant"


class Cosine(Config):
    """Cosine decay to `alpha` times the learning rate over the training, after a linear warm-up.

    Source: Loshchilov and Hutter, SGDR (arXiv:1608.03983), as
    `keras.optimizers.schedules.CosineDecay`.
    """

    type: Literal["cosine"]
    warmup_fraction: Fraction = 0.0
    alpha: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0


class Exponential(Config):
    """Times `rate` every `decay_epochs` epochs (`keras.optimizers.schedules.ExponentialDecay`)."""

    type: Literal["exponential"]
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.96
    decay_epochs: PositiveFloat = 1.0
    staircase: bool = False


class Piecewise(Config):
    """Times `factors[i]` from epoch `epochs[i]` on.

    As `keras.optimizers.schedules.PiecewiseConstantDecay`; factors do not multiply up.
    """

    type: Literal["piecewise"]
    epochs: tuple[PositiveFloat, ...]
    factors: tuple[PositiveFloat, ...]

    @model_validator(mode="after")
    def _check_lengths(self):
        if len(self.epochs) != len(self.factors) or list(self.epochs) != sorted(set(self.epochs)):
            raise ValueError(
                "`epochs` must ascend and be as many as `factors`. "
                f"Received: epochs={self.epochs}, factors={self.factors}."
            )
        return self


class InverseSquareRoot(Config):
    """Rises over `warmup_epochs`, then falls as 1 / sqrt(step); `learning_rate` is the highest.

    Source: Vaswani et al. (arXiv:1706.03762), equation 3, whose highest rate is
    (d_model * warmup_steps) ** -0.5.
    """

    type: Literal["inverse_sqrt"]
    warmup_epochs: PositiveFloat = 1.0


Schedule = Annotated[
    Constant | Cosine | Exponential | Piecewise | InverseSquareRoot, Field(discriminator="type")
]


class OptimizerBase(Config):
    """What all optimizers share.

    `layer_rates: {pattern: factor}` multiplies the learning rate of the variables whose path the
    pattern fits (`backbone/*: 0.1`); the first that fits counts. 0 keeps the weights as they are,
    while the moving moments of batch normalisation still follow the data: `model.freeze` of a preset
    keeps both.
    """

    learning_rate: PositiveFloat
    schedule: Schedule = Constant()
    clip_norm: PositiveFloat | None = None
    ema_momentum: Fraction | None = None
    layer_rates: dict[str, Annotated[float, Field(ge=0.0)]] = {}


class SGD(OptimizerBase):
    """`keras.optimizers.SGD`."""

    type: Literal["sgd"]
    learning_rate: PositiveFloat = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False


class Adam(OptimizerBase):
    """`keras.optimizers.Adam` (Kingma and Ba, arXiv:1412.6980)."""

    type: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7


class AdamW(OptimizerBase):
    """`keras.optimizers.AdamW` (Loshchilov and Hutter, arXiv:1711.05101)."""

    type: Literal["adamw"]
    learning_rate: PositiveFloat = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 4e-3
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-7


class RMSprop(OptimizerBase):
    """`keras.optimizers.RMSprop` (Hinton, lecture 6e of the Coursera course, 2012)."""

    type: Literal["rmsprop"]
    learning_rate: PositiveFloat = 1e-3
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: PositiveFloat = 1e-7


Optimizer = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="type")]


class EarlyStopping(Config):
    """Stops when `monitor` has not improved for `patience` epochs.

    As `keras.callbacks.EarlyStopping`.
    """

    monitor: str = "val_loss"
    mode: Literal["auto", "min", "max"] = "auto"
    patience: PositiveInt = 5
    min_delta: Annotated[float, Field(ge=0.0)] = 0.0
    restore_best_weights: bool = True


class TrainConfig(Config):
    """How to train.

    `deterministic: auto` means on CPU, where it costs little; a resumed run then equals an
    uninterrupted one bit for bit. `checkpoint_every_seconds` is how much work a kill may lose.
    A change of any setting trains again but for `cache`, `input_memory_mb`, `checkpoint_every_steps`
    and `checkpoint_every_seconds`, which change nothing that comes out.

    Batches:
    - `prepare: stored` lets Transform write the prepared examples once; `on_the_fly` prepares the raw
      ones whenever they are read, for examples that would take too much space (large images).
    - `cache` says where prepared examples are kept: in `memory`, on `disk` (in the run's scratch
      directory, for what is dear to prepare and does not fit in memory), or nowhere (`off`). `auto` is
      memory up to 1 GiB, else off. The batches are the same.
    - `shuffle_buffer: null` shuffles all examples. A number shuffles about so many neighbours at a
      time: for disks that are slow at random and for very large data of small records.
    - `buckets` and `packing` are for data of differing length; `padding` says what padding holds by
      tensor (`{targets: -1}`), 0 by default.
    - `mixture: {split: weight}` trains on several splits, each its weight's share of the examples;
      analyzers still see `train_split` alone. `split/name` is one data set of a split, where
      `data.source` is a `mixture`; analyzers see all data sets of `train_split`, unweighted.
    - `input_memory_mb` bounds the memory of finished training batches that wait for the model, for
      large batches; by default tf.data decides.
    """

    epochs: Annotated[int, Field(gt=0, le=1_000_000)] = 10
    batch_size: Annotated[int, Field(gt=0, le=1_000_000)] = 32
    optimizer: Optimizer = Adam()
    early_stopping: EarlyStopping | None = None
    strategy: Literal["auto", "cpu", "gpu", "mirrored"] = "auto"
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    xla: Literal["auto", "on", "off"] = "auto"
    deterministic: Literal["auto", "on", "off"] = "auto"
    steps_per_execution: PositiveInt = 1
    prepare: Literal["stored", "on_the_fly"] = "stored"
    cache: Literal["auto", "memory", "disk", "off"] = "auto"
    shuffle_buffer: PositiveInt | None = None
    buckets: Buckets | None = None
    packing: Packing | None = None
    padding: dict[str, int | float | str] = {}
    mixture: dict[str, PositiveFloat] = {}
    input_memory_mb: PositiveInt | None = None
    checkpoint_every_steps: PositiveInt | None = None
    checkpoint_every_seconds: PositiveFloat = 30.0
    tensorboard: bool = True
    train_split: str = "train"
    validation_split: str | None = "validation"

    @model_validator(mode="after")
    def _check_input(self):
        faults = []
        if self.buckets and self.packing:
            faults.append("`buckets` and `packing` exclude each other. Set one of them to null.")
        if self.padding and not (self.buckets or self.packing):
            faults.append(
                "`padding` has no effect without `buckets` or `packing`. Set one of them."
            )
        if self.validation_split in {name.split("/")[0] for name in self.mixture}:
            faults.append(
                f"`mixture` must not contain the validation split ({self.validation_split!r}). "
                "Leave it out, or set another `validation_split`."
            )
        if faults:
            raise ValueError(" ".join(faults))
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The splits that are trained on, with their weights."""
        return self.mixture or {self.train_split: 1.0}
