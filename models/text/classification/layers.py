"""What the networks share: which positions hold a token, pooling over these alone, word dropout.

Every network gets `mask`, bool [batch, length], True where there is a token: what it says of a text
does not depend on how far the text was padded. `keras.ops` only.
"""

import keras
from keras import layers, ops


def words_dropped(x, rate: float):
    """Leaves out whole tokens in training: float [batch, length, dim] -> the same.

    Word dropout of Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods", where
    what is left grows by 1 / (1 - rate), as Keras's dropout has it.
    """
    if not rate:
        return x
    return layers.Dropout(rate, noise_shape=(None, None, 1), name="word_dropout")(x)


@keras.saving.register_keras_serializable(package="penstock")
class TokenMask(layers.Layer):
    """ids int [batch, length] -> bool [batch, length], False for padding (id 0)."""

    def call(self, ids):
        return ops.not_equal(ids, 0)

    def compute_output_spec(self, ids):
        return keras.KerasTensor(ids.shape, "bool")


class TokenReader(layers.Layer):
    """Base of layers that read tokens and say themselves what padding is to them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, x, previous_mask=None):
        """None: what comes out has no more padding."""
        del x, previous_mask


@keras.saving.register_keras_serializable(package="penstock")
class ClearPadding(TokenReader):
    """float [batch, length, dim] -> the same, 0 at padding, so that a convolution sees nothing."""

    def call(self, x, mask):
        return x * ops.cast(mask, x.dtype)[:, :, None]

    def compute_output_shape(self, x_shape):
        return x_shape


@keras.saving.register_keras_serializable(package="penstock")
class MaxPooling(TokenReader):
    """float [batch, length, dim] -> [batch, dim], the largest over the tokens."""

    def call(self, x, mask):
        # The largest power of ten times -6 that float16 has; no activation comes near it.
        return ops.max(ops.where(mask[:, :, None], x, ops.full_like(x, -6e4)), axis=1)

    def compute_output_shape(self, x_shape):
        return x_shape[0], x_shape[2]


@keras.saving.register_keras_serializable(package="penstock")
class AttentionPooling(TokenReader):
    """Mean over the tokens, each with the weight that the layer learns to give it.

    Weights are softmax(v . tanh(W x + b)) over the text: the additive score of Bahdanau et al.,
    arXiv:1409.0473, appendix A.1.2, with a learned constant instead of a decoder's state (Yang et
    al. 2016, "Hierarchical attention networks for document classification", equations 5 to 7).

    Args:
        units: width of W.

    Call arguments:
        x: float [batch, length, dim].
        mask: bool [batch, length], True where there is a token.

    Returns:
        float [batch, dim].
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self._hidden = layers.Dense(
            units, activation="tanh", dtype=self.dtype_policy, name="hidden"
        )
        self._score = layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")

    def build(self, x_shape):
        self._hidden.build(x_shape)
        self._score.build((*x_shape[:-1], self.units))
        self.built = True

    def call(self, x, mask):
        weights = self.weights_of(x, mask)
        return ops.sum(ops.cast(weights, x.dtype)[:, :, None] * x, axis=1)

    def weights_of(self, x, mask):
        """float32 [batch, length]; they sum to 1 and are 0 at padding."""
        scores = ops.cast(ops.squeeze(self._score(self._hidden(x)), axis=-1), "float32")
        # Not `ops.softmax`, which warns of a text of one token.
        scores = ops.where(mask, scores, -1e9)
        scores = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        return scores / ops.sum(scores, axis=-1, keepdims=True)

    def compute_output_shape(self, x_shape):
        return x_shape[0], x_shape[2]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="penstock")
class ZeroIds(layers.Layer):
    """int [batch, length] -> zeros of the same shape: all tokens are of the first segment."""

    def call(self, ids):
        return ops.zeros_like(ids)


@keras.saving.register_keras_serializable(package="penstock")
class FirstToken(layers.Layer):
    """float [batch, length, dim] -> float [batch, dim]."""

    def call(self, x):
        return x[:, 0]
