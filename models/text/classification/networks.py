"""The networks of text classification: ids of tokens -> logits.

Comes in: the `model` section, how many ids there are, the number of classes. Goes out: a Keras model
of layers with fixed names, from int32 [batch, length] of any length, padded with 0, to float32 logits
[batch, classes]. Padding changes no answer.
"""

import keras
from keras import layers

from penstock.models.text.classification.config import (
    CNN,
    LSTM,
    Average,
    Embedded,
    Recurrent,
    Transformer,
)
from penstock.models.text.classification.layers import (
    AttentionPooling,
    ClearPadding,
    MaxPooling,
    TokenMask,
    words_dropped,
)


def build(config: Embedded, num_ids: int, max_length: int, num_classes: int) -> keras.Model:
    """The network that `config.type` names.

    Args:
        config: the `model` section.
        num_ids: padding and unknown included.
        max_length: the longest text; only positions that are learned are limited by it.
        num_classes: width of the output.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = TokenMask(name="mask")(ids)
    if isinstance(config, Transformer):
        # KerasHub takes two seconds to import, which the other networks need not spend.
        from penstock.models.text.classification import transformer

        x = transformer.encoded(ids, mask, config, num_ids, max_length)
    else:
        x = layers.Embedding(num_ids, config.embedding_dim, name="embedding")(ids)
        x = _pooled(words_dropped(x, config.word_dropout), mask, config)
    return keras.Model(ids, logits(x, config, num_classes), name=config.type)


def logits(x, config, num_classes: int):
    """The vector of a text, float [batch, dim] -> float32 [batch, classes]."""
    if config.dropout:
        x = layers.Dropout(config.dropout, name="dropout")(x)
    # float32 also under mixed precision: softmax of 16-bit logits loses small probabilities.
    return layers.Dense(num_classes, dtype="float32", name="logits")(x)


def embedding_layer(model: keras.Model):
    """The layer that has a vector for each id, as its one variable."""
    layer = model.get_layer("embedding")
    return getattr(layer, "token_embedding", layer)


def _pooled(x, mask, config):
    """Embeddings, float [batch, length, dim] -> the vector of the text."""
    if isinstance(config, Average):
        return _average(x, mask, config)
    return _cnn(x, mask, config) if isinstance(config, CNN) else _recurrent(x, mask, config)


def _average(x, mask, config: Average):
    x = layers.GlobalAveragePooling1D(name="average")(x, mask=mask)
    for number, units in enumerate(config.hidden_units, start=1):
        x = layers.Dense(units, activation=config.activation, name=f"hidden_{number}")(x)
    return x


def _cnn(x, mask, config: CNN):
    x = ClearPadding(name="clear_padding")(x, mask)
    found = []
    for width in config.widths:
        convolution = layers.Conv1D(
            config.filters,
            width,
            padding="same",
            activation=config.activation,
            name=f"convolution_{width}",
        )
        found.append(MaxPooling(name=f"max_{width}")(convolution(x), mask))
    return layers.Concatenate(name="found")(found) if len(found) > 1 else found[0]


def _recurrent(x, mask, config: Recurrent):
    kind = layers.LSTM if isinstance(config, LSTM) else layers.GRU
    for number in range(1, config.num_layers + 1):
        whole = number < config.num_layers or config.pooling != "last"
        layer = kind(config.units, return_sequences=whole, name=f"{config.type}_{number}")
        if config.bidirectional:
            layer = layers.Bidirectional(layer, name=f"bidirectional_{number}")
        x = layer(x, mask=mask)
    if config.pooling == "max":
        return MaxPooling(name="max")(x, mask)
    if config.pooling == "attention":
        return AttentionPooling(config.units, name="attention")(x, mask)
    return x
