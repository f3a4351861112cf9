"""KerasHub text networks: their tokens and their backbone, from a local preset or by name.

Comes in: a preset directory, as KerasHub's `save_to_preset` writes it, of a network with a WordPiece
tokenizer (BERT, DistilBERT, ELECTRA), or the name of one where there is a network to load it from.
Goes out: ids of tokens with the special ones around them, and a Keras model. KerasHub is imported
only when a preset is read.
"""

import keras
import tensorflow as tf

from penstock.models.text.classification.config import Preset
from penstock.models.text.classification.layers import FirstToken, TokenMask, ZeroIds


def token_ids(texts, preset: str, max_length: int, state):
    """string [batch] -> ragged int32 [batch, (tokens)]: start, up to max_length - 2 pieces, end."""
    tokenizer = state.layer(f"preset/{preset}", lambda: _WithEnds(_tokenizer(preset)))
    return tokenizer.tokenize(texts, max_length)


def build(config: Preset, preset: str, max_length: int, num_classes: int) -> keras.Model:
    """int32 ids [batch, length] -> float32 logits [batch, classes].

    The vector of a text is that of its first token ([CLS]), pooled as the network does it.

    Args:
        config: the `model` section.
        preset: directory or name.
        max_length: the longest text, of which the network must have positions.
        num_classes: width of the output.

    Raises:
        ValueError: no such preset, or the network cannot read so long a text.
    """
    from penstock.models import presets
    from penstock.models.text.classification import networks

    # The scope is in the paths of the variables, by which `layer_rates` finds them.
    with keras.name_scope("backbone"):
        backbone = presets.read_backbone(
            preset, weights=config.weights, setting="prepare.preset", name="backbone"
        )
    _check_length(backbone, preset, max_length)
    presets.freeze(backbone, config.freeze)
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = TokenMask(name="mask")(ids)
    fed = {"token_ids": ids, "padding_mask": mask, "segment_ids": ZeroIds(name="segments")(ids)}
    given = backbone({name: fed[name] for name in backbone.input})
    if isinstance(given, dict):
        x = given.get("pooled_output", given.get("sequence_output"))
    else:
        x = given
    if len(x.shape) == 3:
        x = FirstToken(name="first_token")(x)
    return keras.Model(ids, networks.logits(x, config, num_classes), name="preset")


class _WithEnds(tf.Module):
    """A WordPiece tokenizer that puts the special tokens around a text."""

    def __init__(self, tokenizer):
        from penstock.models.text.classification.word_piece import Rules, WordPiece

        super().__init__(name="preset_tokenizer")
        self._pieces = WordPiece(
            tokenizer.vocabulary,
            Rules(
                lowercase=tokenizer.lowercase,
                strip_accents=tokenizer.strip_accents,
                split_on_cjk=tokenizer.split_on_cjk,
                suffix_indicator=tokenizer.suffix_indicator,
                unknown=tokenizer.oov_token,
            ),
        )
        self._ends = tokenizer.cls_token_id, tokenizer.sep_token_id

    def tokenize(self, texts, max_length):
        ids = self._pieces.tokenize(texts)[:, : max_length - 2]
        start, end = (tf.fill([ids.nrows(), 1], token) for token in self._ends)
        return tf.concat([start, ids, end], axis=1)


def _tokenizer(preset):
    """The preset's KerasHub tokenizer, which must be one that can be applied by TensorFlow alone."""
    import keras_hub

    from penstock.models import presets

    tokenizer = presets.read_tokenizer(preset, setting="prepare.preset")
    if not isinstance(tokenizer, keras_hub.tokenizers.WordPieceTokenizer):
        raise ValueError(
            "`prepare.preset` must have a WordPiece tokenizer (BERT, DistilBERT, ELECTRA), because "
            "that is the kind that a SavedModel can hold without further libraries. Received: "
            f"{preset!r}, which has a {type(tokenizer).__name__}. Use another preset."
        )
    if getattr(tokenizer, "pad_token_id", None) != 0:
        raise ValueError(
            "`prepare.preset` must have the padding token as its first one. Received: "
            f"{preset!r}, where the first is {tokenizer.vocabulary[0]!r}. Use another preset."
        )
    return tokenizer


def _check_length(backbone, preset, max_length):
    positions = getattr(backbone, "max_sequence_length", max_length)
    if max_length > positions:
        raise ValueError(
            f"`prepare.max_length` must be at most the positions of the preset ({positions}). "
            f"Received: {max_length}, with {preset!r}. Lower it."
        )
