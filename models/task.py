"""The contract of a task: everything that `tfx/` knows about an application.

A task's `task.py` defines `class Task(penstock.models.task.Task, Data)`, where `Data` is its own
preparation from `data.py`. The pipeline never asks what kind of task it has.
"""

from typing import ClassVar

from penstock.models.config import TaskConfig
from penstock.models.preparation import Preparation


class Task(Preparation):
    """Joins preparation, network, loss, metrics, evaluation and serving of one application.

    Args:
        config: the task's sections of the resolved config.
    """

    def __init__(self, config: TaskConfig):
        super().__init__(config.prepare)
        self.config = config

    # Training -------------------------------------------------------------------------------

    def training_inputs(self, inputs, targets, state):
        """What `fit` gets of each training and validation batch; by default, all as it is.

        Teacher forcing feeds targets to the model here; ragged targets, which a loss does not
        take, are padded here. Shapes must be static but for the batch axis (XLA, TPUs).

        Args:
            inputs, targets: as prepared and augmented, batch axis first.

        Returns:
            `(inputs, targets)`.
        """
        del state
        return inputs, targets

    def augment(self, inputs, targets, seed, state):
        """Random change of one training batch, in tf.data, before `training_inputs`.

        Args:
            inputs, targets: as prepared, batch axis first.
            seed: int32 [2]; equal seeds must give equal results (stateless random ops only).
            state: as everywhere (mixing needs the number of classes, masking the vocabulary).

        Returns:
            `(inputs, targets)`.
        """
        del seed, state
        return inputs, targets

    def build(self, state):
        """The Keras model: inputs -> outputs. `keras.ops` only, so that it runs on any backend."""
        raise NotImplementedError(f"{type(self).__module__}.Task must define `build`.")

    def compile(self, model, optimizer, **options):
        """Calls `model.compile` with the task's loss and metrics; `options` go along unchanged."""
        raise NotImplementedError(f"{type(self).__module__}.Task must define `compile`.")

    def throughput_unit(self) -> tuple[str, dict[str, float]] | None:
        """In what unit the field says how fast a training is, beside examples per second.

        Counted is what is no padding, so lengths must be known: with `train.buckets` or
        `train.packing`. Sequence to sequence counts the tokens of source and target:
        `("tokens", {"inputs/source": 1, "targets": 1})`; recordings count their time:
        `("audio_seconds", {"inputs/waveforms": 1 / sample_rate_hz})`.

        Returns:
            The unit and, by flat name of a ragged prepared tensor, how many units each of its
            entries is; None for examples alone.
        """
        return None

    def activation_bytes(self, batch_size, lengths, state) -> int | None:
        """About how much memory a training step needs for a batch, beside weights and optimizer.

        The Trainer asks before training, for the largest batch of each bucket, and refuses what
        the machine has not got: else the system ends the process without a word.

        Args:
            batch_size: examples.
            lengths: of each ragged prepared tensor, by flat name, padded; empty where unknown.

        Returns:
            Bytes; None where the task does not know.
        """
        del batch_size, lengths, state
        return None

    def initial_weights(self) -> str:
        """Where the weights begin, for the Trainer's line and the report: `random`, or of which file
        or preset they were read.
        """
        return "random"

    def save_parts(self, model, state, directory):
        """Writes parts of a trained model that others build on, into directories of its own there.

        A backbone as a KerasHub preset is one. They are kept in the Model artifact, as `parts/`;
        by default there are none.

        Args:
            model: the trained model in float32.
            directory: `pathlib.Path`; it need not exist, and is not made where nothing is written.
        """
        del model, state, directory

    # Serving and evaluation -----------------------------------------------------------------

    def decode(self, model, inputs, state):
        """The answer that a person or a caller reads: dict of tensors, batch axis first.

        Traced into the SavedModel: TensorFlow ops are allowed (a decoding loop, CTC). Calls
        `model(inputs, training=False)` as often as it must.
        """
        raise NotImplementedError(f"{type(self).__module__}.Task must define `decode`.")

    def serve(self, model, state):
        """Further signatures, beside `serving_default`: name -> (function, names of features).

        The function takes a dict of the raw input features with these names, batch axis first, and
        returns a dict of tensors; a request carries no other feature. A two-tower model gives
        `{"item_vector": (self._item_vector, ("item",))}`: an item needs no user.
        """
        del model, state
        return {}

    def evaluate_batch(self, decoded, targets, features, state):
        """What is known of each example of a batch, as columns: name -> array [batch].

        The Evaluator adds the column `key` and the raw scalar features, for slicing; it joins the
        batches with `numpy.concatenate`, and takes slices and resamples by indexing.

        Args:
            decoded: what the SavedModel answered, dict of numpy arrays (strings as bytes).
            targets: as `prepare_targets` made them, numpy arrays in the same nesting; a ragged
                tensor is an object array [batch] of arrays, however long its rows are.
            features: the raw features, dict of numpy arrays.
        """
        raise NotImplementedError(f"{type(self).__module__}.Task must define `evaluate_batch`.")

    summary_columns: ClassVar[tuple[str, ...] | None] = None
    """The columns that `summarise` reads (None: all): resampling indexes no others."""

    proportions: ClassVar[tuple[str, ...]] = ()
    """Metrics that are a share of the examples; their interval is Wilson's, not resampled."""

    def summarise(self, columns, state):
        """Columns -> metrics, `{name: float}`; called for the whole set, each slice, each resample.

        Vectorised: a thousand resamples are usual. A metric that these rows do not define (the
        precision of a class that they lack) is left out; values are finite.
        """
        raise NotImplementedError(f"{type(self).__module__}.Task must define `summarise`.")

    def details(self, columns, state):
        """Anything else worth keeping of an evaluation, as JSON (a confusion matrix)."""
        del columns, state
        return {}

    def explain(self, signatures, features, columns, state):
        """What the answers to a few examples rest on; by default nothing is asked.

        The Evaluator calls it with the examples that the model did worst on, a dozen at most, and the
        report shows what it says. A cost of a hundred requests for each example is fair.

        Args:
            signatures: of the SavedModel, by name: each takes tensors [batch] by name and returns a
                dict of tensors. `signatures["serving_default"]` gives the answers; `serve` adds more.
            features: their raw input features, dict of numpy arrays [examples].
            columns: what `evaluate_batch` said of them, and their `key`s.

        Returns:
            For each example a dict, as JSON; empty for nothing. It may hold
            - by name of a text feature: list of (start, end, drop), places of words in characters of
              the text, in its order, and by how much the probability of the given answer drops
              without the word, -1...1;
            - `attention`: {"source": tokens, "target": tokens, "weights": [target][source]}, what each
              token of the answer looked at; each row adds up to 1;
            - `times`: [[text, start, end], ...], when each word is said, in seconds, in order.
        """
        del signatures, state, columns
        return [{}] * len(next(iter(features.values())))
