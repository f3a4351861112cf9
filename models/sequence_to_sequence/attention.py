"""Attention of a recurrent decoder over the states of its encoder.

`keras.ops` only. Both kinds give weights that sum to 1 over the source and are 0 at its padding.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="penstock")
class SourceAttention(layers.Layer):
    """Weights of the source's states for one state of the decoder.

    `additive`: v . tanh(W s + U h), Bahdanau et al., arXiv:1409.0473, appendix A.1.2. `multiplicative`:
    s . W h, the score called general by Luong et al., arXiv:1508.04025, equation 8.

    Args:
        units: width of the decoder's state, and of the hidden layer of the additive score.
        score: "additive" or "multiplicative".
    """

    def __init__(self, units, score="additive", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.score = score
        shared = {"use_bias": False, "dtype": self.dtype_policy}
        self._key = layers.Dense(units, name="key", **shared)
        if score == "additive":
            self._query = layers.Dense(units, name="query", **shared)
            self._value = layers.Dense(1, name="value", **shared)

    def build(self, states_shape):
        self._key.build(states_shape)
        if self.score == "additive":
            self._query.build((None, self.units))
            self._value.build((None, None, self.units))
        self.built = True

    def keys(self, states):
        """What of the source is the same at every step: float [batch, source, units]."""
        return self._key(states)

    def call(self, query, keys, mask):
        """Weights float32 [batch, source].

        Args:
            query: float [batch, units].
            keys: as `keys` gave them.
            mask: bool [batch, source], True where there is a token.
        """
        if self.score == "additive":
            scores = self._value(ops.tanh(self._query(query)[:, None] + keys))[..., 0]
        else:
            scores = ops.einsum("bu,bsu->bs", query, keys)
        scores = ops.where(mask, ops.cast(scores, "float32"), -1e9)
        # Not `ops.softmax`, which warns of a source of one token.
        scores = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        return scores / ops.sum(scores, axis=-1, keepdims=True)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "score": self.score}
