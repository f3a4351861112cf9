"""The one traced function of a preparation, without Beam: Transform and tf.data run the same one.

Comes in: an object with `input_features`, `target_features`, `prepare_inputs` and
`prepare_targets` (see `transform.py`), and a `State`. Goes out: a `tf.function` from raw features to
flat prepared tensors (see `tensor_spec.py`).
"""

from penstock.pipelines.examples import request_signature
from penstock.pipelines.features import Features
from penstock.pipelines.transform.state import State
from penstock.pipelines.transform.tensor_spec import flatten, from_type_specs


def read_features(preparation, described: Features) -> Features:
    """All features that a preparation reads, inputs first."""
    inputs = preparation.input_features(described)
    return {**inputs, **preparation.target_features(described)}


def prepare_function(preparation, state: State):
    """The one traced function: dict of raw features with a batch axis -> flat prepared tensors.

    Returns:
        `tf.function` with the request signature of all features that the preparation reads, and
        the flat `Tensor`s that it gives (without the key).
    """
    import tensorflow as tf

    inputs = preparation.input_features(state.features)
    signature = request_signature(read_features(preparation, state.features))

    @tf.function(input_signature=[signature], autograph=not _is_own(preparation))
    def prepare(features):
        given = {name: features[name] for name in inputs}
        flat = flatten(preparation.prepare_inputs(given, state), "inputs")
        targets, weight = _pair(preparation.prepare_targets(features, state))
        flat.update(flatten(targets, "targets"))
        if weight is not None:
            flat.update(flatten(weight, "sample_weight"))
        return {name: _long_splits(tensor) for name, tensor in flat.items()}

    outputs = prepare.get_concrete_function().structured_outputs
    tensors = from_type_specs({n: tf.type_spec_from_value(t) for n, t in outputs.items()})
    _check_weight(tensors)
    return prepare, tensors


def _is_own(preparation) -> bool:
    """Whether it is one of Penstock's, which have no Python control flow over tensors.

    The search for it (AutoGraph) takes each process one to three seconds, many times a trace.
    """
    return type(preparation).__module__.startswith("penstock.")


def _pair(prepared):
    if not (isinstance(prepared, tuple) and len(prepared) == 2):
        raise ValueError(
            "`prepare_targets` must return the pair `targets, sample_weight`; None for weights means "
            f"all ones. Received: {type(prepared).__name__}."
        )
    return prepared


def _long_splits(tensor):
    import tensorflow as tf

    if isinstance(tensor, tf.RaggedTensor):
        return tensor.with_row_splits_dtype(tf.int64)
    return tensor


def _check_weight(tensors):
    """Weights of examples, of tokens or of outputs; `fit` takes any shape with the batch first."""
    for name, weight in tensors.items():
        if name.split("/")[0] == "sample_weight" and weight.dtype != "float32":
            raise ValueError(
                "The sample weights that `prepare_targets` returns must be float32 [batch, ...], or "
                f"a nested dict of such. Received: `{name}` of dtype {weight.dtype}. Cast it, or "
                "return None for all ones."
            )
