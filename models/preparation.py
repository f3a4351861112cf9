"""What a task does to an example before the model sees it; base class of each task's `data.Data`.

Comes in: raw features with a batch axis (`penstock/pipelines/features.py`). Goes out: what the
model takes. The same traced functions run in Beam (TransformedExamples), in tf.data and inside the
exported SavedModel, so they are deterministic and use TensorFlow ops and Keras preprocessing
layers only. Lookup tables and layers with resources come from `state` (`state.lookup(...)`,
`state.tokenizer(...)`, `state.layer(...)`), which the SavedModel tracks.
"""

from penstock.pipelines.config import Config
from penstock.pipelines.features import Feature, Features, Text


class Preparation:
    """Features, analyzers and deterministic preprocessing of a task.

    Args:
        prepare: the `prepare` section of the task's config.
    """

    def __init__(self, prepare: Config):
        self.prepare = prepare

    def input_features(self, source: Features) -> Features:
        """The features that a request carries: all that `prepare_inputs` reads.

        Args:
            source: what the source describes, by name.

        Raises:
            ValueError: the source lacks a feature or has it of another kind; the message says so.
        """
        raise NotImplementedError(f"{type(self).__module__}.Data must define `input_features`.")

    def target_features(self, source: Features) -> Features:
        """The further features that `prepare_targets` reads; requests do not carry them."""
        raise NotImplementedError(f"{type(self).__module__}.Data must define `target_features`.")

    def analyzers(self, source: Features) -> dict:
        """What a full pass over the training split must find out: name -> `Analyzer`.

        Args:
            source: what the source describes, by name. The analyzers' `values` see the input and
                target features.
        """
        del source
        return {}

    def prepare_inputs(self, features, state):
        """Raw input features -> the model's inputs. Training and serving.

        Args:
            features: dict of raw tensors, batch axis first, exactly `input_features`.
            state: `penstock.pipelines.transform.state.State`.

        Returns:
            A tensor or a nested dict of tensors (ragged ones included), batch axis first.
        """
        raise NotImplementedError(f"{type(self).__module__}.Data must define `prepare_inputs`.")

    def prepare_targets(self, features, state):
        """Raw features -> `(targets, sample_weight)`. Training and evaluation only.

        Args:
            features: dict of raw tensors, input and target features.

        Returns:
            targets: tensor or nested dict; sample_weight: float32 [batch, ...] or a nested dict of
            such, or None for all ones.
        """
        raise NotImplementedError(f"{type(self).__module__}.Data must define `prepare_targets`.")


def feature_of_kind(
    source: Features, name: str, kinds: type | tuple[type, ...], setting: str
) -> Feature:
    """The source's feature that a setting names.

    Args:
        source: what the source describes, by name.
        name: the value of the setting.
        kinds: the class that the feature must have, or several.
        setting: the key of the config that holds `name`, for the message.

    Raises:
        ValueError: there is no such feature, or it is of another kind; the message names those that
            would do.
    """
    found = source.get(name)
    if isinstance(found, kinds):
        return found
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    fitting = [name for name, feature in source.items() if isinstance(feature, kinds)]
    received = f"`{name}` of kind {found.kind}" if found else f"no feature `{name}`"
    raise ValueError(
        f"`{setting}` must name a feature of kind {' or '.join(k.__name__.lower() for k in kinds)} "
        f"of the source. Received: {received}. Features of that kind: {', '.join(fitting) or 'none'}."
    )


def needed_text(
    source: Features, name: str, setting: str, kinds: type | tuple[type, ...] = Text
) -> Feature:
    """The text that a setting names, which every example must have.

    Raises:
        ValueError: as of `feature_of_kind`; or some examples lack it.
    """
    found = feature_of_kind(source, name, kinds, setting)
    if found.optional:
        needed = (
            "{kind: sequence, of: {kind: text}}" if found.kind == "sequence" else "{kind: text}"
        )
        raise ValueError(
            f"`{setting}` must name a text that every example has. Received: `{name}`, which some "
            f"examples lack. Tell the source that it is needed with "
            f"`data.source.features={{{name}: {needed}}}` (of a manifest, "
            "`data.source.rows.features`): rows without one are then bad records, which go to the "
            "quarantine."
        )
    return found
