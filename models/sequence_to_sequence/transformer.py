"""The Transformer as encoder and decoder (Vaswani et al., arXiv:1706.03762), from KerasHub's layers.

Comes in: ids of the source and of what is written so far, int32, padded with 0. Goes out: float32
logits of the next token at each place. Beside the whole pass for training it has the three that a
search asks for: `encode`, `begin` and `step`, which keeps keys and values of what is written.
"""

import keras
import keras_hub
from keras import layers, ops

from penstock.models.sequence_to_sequence.network import Network, embedding


@keras.saving.register_keras_serializable(package="penstock")
class AttentiveDecoder(keras_hub.layers.TransformerDecoder):
    """KerasHub's decoder layer, which can also say where it looks in the source."""

    def looks_at(self, x, memory, source_mask):
        """Attention over the source, float [batch, heads, written, source]; arguments as of `call`."""
        mask = self._compute_self_attention_mask(x, None, None, True, None, None)
        attended = self._self_attention_layer_norm(x) if self.normalize_first else x
        x = x + self._self_attention_layer(attended, attended, attention_mask=mask)
        if self.normalize_first:
            x = self._cross_attention_layer_norm(x)
        else:
            x = self._self_attention_layer_norm(x)
        _, scores = self._cross_attention_layer(
            x, memory, attention_mask=source_mask[:, None, :], return_attention_scores=True
        )
        return scores


@keras.saving.register_keras_serializable(package="penstock")
class Transformer(Network):
    """Encoder and decoder of `num_layers` each.

    Embeddings are multiplied by sqrt(dim) and have sinusoidal positions added (section 3.4 and 3.5
    there); the projection to logits shares the target's embedding where `tie_output`.

    Args:
        num_source_ids, num_target_ids: padding and special tokens included.
        shared_embedding: one embedding for source and target, which then have the same ids.
        tie_output: the target's embedding is also the projection to logits (Press and Wolf,
            arXiv:1608.05859).
        dim: of embeddings and layers.
        num_layers, num_heads, intermediate_dim: of encoder and decoder each.
        normalize_first: layer normalisation before each block (Xiong et al., arXiv:2002.04745) in
            place of behind it.
        dropout: in all layers and on the embeddings.
    """

    def __init__(
        self,
        num_source_ids,
        num_target_ids,
        shared_embedding,
        tie_output,
        dim,
        num_layers,
        num_heads,
        intermediate_dim,
        normalize_first,
        dropout,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "num_source_ids": num_source_ids,
            "num_target_ids": num_target_ids,
            "shared_embedding": shared_embedding,
            "tie_output": tie_output,
            "dim": dim,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "normalize_first": normalize_first,
            "dropout": dropout,
        }
        self.target_embedding = embedding(num_target_ids, dim, tie_output, "target_embedding")
        self.source_embedding = self.target_embedding
        if not shared_embedding:
            self.source_embedding = embedding(num_source_ids, dim, True, "source_embedding")
        # In 16 bits places that are far from the beginning could not be told apart.
        self.positions = keras_hub.layers.SinePositionEncoding(name="positions", dtype="float32")
        self.embedding_dropout = layers.Dropout(dropout, name="embedding_dropout")
        shared = {"dropout": dropout, "normalize_first": normalize_first}
        numbers = range(1, num_layers + 1)
        self.encoder_layers = [
            keras_hub.layers.TransformerEncoder(
                intermediate_dim, num_heads, name=f"encoder_{number}", **shared
            )
            for number in numbers
        ]
        self.decoder_layers = [
            AttentiveDecoder(intermediate_dim, num_heads, name=f"decoder_{number}", **shared)
            for number in numbers
        ]
        # Behind the last residual connection nothing has been normalised yet.
        self.encoder_norm = (
            layers.LayerNormalization(name="encoder_norm") if normalize_first else None
        )
        self.decoder_norm = (
            layers.LayerNormalization(name="decoder_norm") if normalize_first else None
        )

    def build(self, input_shape=None):
        """Makes all variables, whatever the lengths."""
        del input_shape
        width = (None, None, self.settings["dim"])
        self.build_embeddings()
        for layer in self.encoder_layers:
            layer.build(width)
        for layer in self.decoder_layers:
            layer.build(width, width)
        for norm in (self.encoder_norm, self.decoder_norm):
            if norm is not None:
                norm.build(width)
        self.built = True

    def encode(self, source, training=False):
        mask = ops.not_equal(source, 0)
        x = self._embedded(self.source_embedding, source, 0, training)
        for layer in self.encoder_layers:
            x = layer(x, padding_mask=mask, training=training)
        x = self.encoder_norm(x) if self.encoder_norm else x
        return {"states": x, "mask": mask}

    def decode(self, written, memory, training=False):
        x = self._embedded(self.target_embedding, written, 0, training)
        for layer in self.decoder_layers:
            x = layer(
                x,
                memory["states"],
                encoder_padding_mask=memory["mask"],
                training=training,
            )
        return self._logits(x)

    def begin(self, memory, length):
        batch, _, dim = ops.shape(memory["states"])
        heads = self.settings["num_heads"]
        size = dim // heads
        source = ops.shape(memory["states"])[1]
        own = ops.zeros((batch, 2, length, heads, size), self.compute_dtype)
        cross = ops.zeros((batch, 2, source, heads, size), self.compute_dtype)
        caches, across = {}, {}
        x = ops.zeros((batch, 1, dim), self.compute_dtype)
        for number, layer in enumerate(self.decoder_layers):
            # Keys and values of the source do not depend on what is written.
            _, _, across[f"{number}"] = layer(
                x,
                memory["states"],
                encoder_padding_mask=memory["mask"],
                self_attention_cache=own,
                self_attention_cache_update_index=0,
                cross_attention_cache=cross,
                cross_attention_cache_update_index=0,
            )
            caches[f"{number}"] = own
        return {**memory, "cross": across}, caches

    def step(self, ids, place, memory, cache):
        x = self._embedded(self.target_embedding, ids[:, None], place, False)
        new = {}
        for number, layer in enumerate(self.decoder_layers):
            x, new[f"{number}"], _ = layer(
                x,
                memory["states"],
                encoder_padding_mask=memory["mask"],
                self_attention_cache=cache[f"{number}"],
                self_attention_cache_update_index=place,
                cross_attention_cache=memory["cross"][f"{number}"],
                cross_attention_cache_update_index=None,
            )
        return self._logits(x)[:, 0], new

    def attention(self, written, memory):
        x = self._embedded(self.target_embedding, written, 0, False)
        for layer in self.decoder_layers[:-1]:
            x = layer(x, memory["states"], encoder_padding_mask=memory["mask"])
        scores = self.decoder_layers[-1].looks_at(x, memory["states"], memory["mask"])
        return ops.mean(ops.cast(scores, "float32"), axis=1)

    def _embedded(self, layer, ids, place, training):
        x = layer(ids)
        x = x * ops.cast(self.settings["dim"] ** 0.5, x.dtype)
        x = x + ops.cast(self.positions(x, start_index=place), x.dtype)
        return self.embedding_dropout(x, training=training)

    def _logits(self, x):
        x = self.decoder_norm(x) if self.decoder_norm else x
        return self.target_embedding(x, reverse=True)
