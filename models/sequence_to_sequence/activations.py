"""About how much memory a training step takes, from the sizes of a network and of a batch.

Counted are the float32 numbers that the backward pass needs and those that it makes beside them, with
the factors that measurements gave (`tests/models/test_sequence_memory.py` repeats two of them).
"""

from penstock.models.sequence_to_sequence.config import Recurrent, Transformer

LOGITS = 6
"""Tensors of the logits' size: the logits, their exponentials, the loss's terms, and gradients."""
POINTER_LOGITS = 8
"""The same where tokens are copied: both distributions and their mixture."""


def activation_bytes(
    model: Transformer | Recurrent, num_ids: int, batch: int, source: int, target: int
) -> int:
    """Of a step, beside weights and optimizer.

    Args:
        model: the `model` section.
        num_ids: of the target.
        batch: examples.
        source, target: tokens of each, padding included.
    """
    if isinstance(model, Transformer):
        floats = LOGITS * target * num_ids + _transformer(model, source, target)
    else:
        copies = POINTER_LOGITS if model.pointer_generator else LOGITS
        floats = copies * target * num_ids + _recurrent(model, source, target)
    return 4 * batch * floats


def _transformer(model, source, target):
    """Floats of one example."""
    of_token = 9 * model.dim + 2 * model.intermediate_dim
    scores = 3 * model.num_heads
    encoder = source * of_token + scores * source**2
    decoder = target * (of_token + 6 * model.dim) + scores * (target**2 + target * source)
    return model.num_layers * (encoder + decoder)


def _recurrent(model, source, target):
    """Floats of one example: what the source is compared with at each step counts most."""
    encoder = model.num_layers * source * 2 * 8 * model.units
    hidden = model.units if model.attention == "additive" else 1
    decoder = target * (12 * model.units + 4 * model.embedding_dim)
    return encoder + decoder + 3 * target * source * hidden // 2
