"""The settings that every classifier has, with their defaults and limits (no TensorFlow here)."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from penstock.models.config import TaskConfig
from penstock.pipelines.config import Config as Section

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]

Activation = Literal[
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
]
"""Names of `keras.activations`."""

ClassWeights = Literal["balanced"] | dict[str, NonNegativeFloat] | None


class FreezeUntil(Section):
    """All layers of a backbone before the one of this name keep their weights."""

    until: str


Freeze = bool | FreezeUntil
"""Which layers of a backbone keep their weights; see `presets.freeze`."""


class PresetWeights(Section):
    """Of a preset: whether its weights are taken, and which layers keep theirs.

    `weights: false` takes the architecture and random weights: the peer from scratch. `freeze: true`
    trains the head alone, `freeze: {until: LAYER}` the backbone from that layer on too.
    """

    weights: bool = True
    freeze: Freeze = False

    @model_validator(mode="after")
    def _something_to_freeze(self):
        if self.freeze and not self.weights:
            raise ValueError(
                "`freeze` needs `weights`: random layers that never change say little. Received: "
                "weights=false, with `freeze`. Leave one of them out."
            )
        return self


class LabelPrepare(Section):
    """Which label an example has. A task's `Prepare` adds what is done to its inputs.

    `class_weights` multiply each training example's loss: "balanced" is n / (k * count), as
    scikit-learn's `compute_class_weight`; a dict gives weights by class name, 1 for classes that it
    does not name.
    """

    label_feature: str = "label"
    class_weights: ClassWeights = None


class Loss(Section):
    """Cross-entropy; `label_smoothing` spreads that share evenly over all classes."""

    label_smoothing: Fraction = 0.0


class Metrics(Section):
    """`top_k`: also count as right where the label is among the k likeliest classes."""

    top_k: Annotated[int, Field(ge=2)] | None = None


class ClassifierConfig(TaskConfig):
    """The sections of a config that `classifier.Classifier` reads."""

    prepare: LabelPrepare = LabelPrepare()
    loss: Loss = Loss()
    metrics: Metrics = Metrics()

    def metric_names(self):
        """See `evaluation.summarise`."""
        k = self.metrics.top_k
        of_classes = ("precision/*", "recall/*", "f1/*")
        top = () if k is None else (f"top_{k}_accuracy",)
        return ("accuracy", "log_loss", "macro_f1", *top, *of_classes)
