"""Copying from the source: the pointer-generator of See et al. (arXiv:1704.04368). `keras.ops` only.

Source and target have one vocabulary of subwords, in which nothing is unknown: there is no need of the
paper's extended vocabulary, and its coverage is left out.
"""

from keras import ops

LEAST = 1e-12
"""Below the probability that a softmax gives to the least likely of a hundred thousand tokens."""


def mixed_log_probabilities(logits, generate, weights, ids):
    """log(g softmax(logits) + (1 - g) sum of the attention on places of the token), equation 9.

    Args:
        logits: float32 [batch, steps, num_ids].
        generate: float [batch, steps, 1], g, 0...1: how likely a token is written anew.
        weights: float32 [batch, steps, source], attention over the source.
        ids: int32 [batch, source], its tokens.

    Returns:
        float32 [batch, steps, num_ids], whose exponentials sum to 1.
    """
    batch, source = ops.shape(ids)[0], ops.shape(ids)[1]
    steps, num_ids = ops.shape(logits)[1], logits.shape[-1]
    places = ops.reshape(ops.arange(batch, dtype="int32")[:, None] * num_ids + ids, (-1,))
    by_place = ops.reshape(ops.swapaxes(weights, 1, 2), (batch * source, steps))
    copied = ops.segment_sum(by_place, places, num_segments=batch * num_ids)
    copied = ops.swapaxes(ops.reshape(copied, (batch, num_ids, steps)), 1, 2)
    generate = ops.cast(generate, "float32")
    written = ops.exp(logits - ops.logsumexp(logits, axis=-1, keepdims=True))
    return ops.log(ops.maximum(generate * written + (1.0 - generate) * copied, LEAST))
