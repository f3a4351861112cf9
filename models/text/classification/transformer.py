"""The transformer encoder of text classification, from KerasHub's layers."""

import keras_hub
from keras import layers

from penstock.models.text.classification.config import Transformer
from penstock.models.text.classification.layers import words_dropped


def encoded(ids, mask, config: Transformer, num_ids: int, max_length: int):
    """ids int32 [batch, length] -> float [batch, embedding_dim], the mean over the tokens.

    Args:
        mask: bool [batch, length], True where there is a token.
        num_ids: padding and unknown included.
        max_length: number of positions that have a learned vector.
    """
    x = keras_hub.layers.TokenAndPositionEmbedding(
        num_ids, max_length, config.embedding_dim, name="embedding"
    )(ids)
    x = words_dropped(x, config.word_dropout)
    for number in range(1, config.num_layers + 1):
        x = keras_hub.layers.TransformerEncoder(
            config.intermediate_dim,
            config.num_heads,
            dropout=config.encoder_dropout,
            name=f"encoder_{number}",
        )(x, padding_mask=mask)
    return layers.GlobalAveragePooling1D(name="average")(x, mask=mask)
