"""What every encoder-decoder network can do; base of `transformer.py` and `recurrent.py`.

Training reads source and target at once (`call`). A search reads the source once (`encode`), and
then writes token by token (`begin`, `step`). `keras.ops` only.
"""

import keras
from keras import layers, ops


class Network(keras.Model):
    """Ids of a source and of what is written of its answer -> logits of the next token.

    `self.settings` holds the arguments of `__init__`, with which it is saved.
    """

    def call(self, inputs, training=False):
        """Logits float32 [batch, written, num_target_ids].

        Args:
            inputs: `source` int32 [batch, source] and `written` int32 [batch, written], which
                begins with the start token; both padded with 0 at the end.
        """
        # Keras takes the inputs of a network that is no functional one for floats.
        source, written = (ops.cast(inputs[name], "int32") for name in ("source", "written"))
        memory = self.encode(source, training=training)
        return self.decode(written, memory, training=training)

    def encode(self, source, training=False):
        """int32 [batch, source] -> dict of tensors, batch axis first, that decoding reads."""
        raise NotImplementedError

    def decode(self, written, memory, training=False):
        """All logits at once, float32 [batch, written, num_target_ids]."""
        raise NotImplementedError

    def begin(self, memory, length):
        """Before the first `step` of up to `length`: what stays the same, and the first cache.

        Returns:
            (memory, cache): nested dicts of tensors, batch axis first.
        """
        raise NotImplementedError

    def step(self, ids, place, memory, cache):
        """Logits of the token behind `ids`.

        Args:
            ids: int32 [batch], the tokens at `place`.
            place: int32 [], how many tokens were written before.
            memory, cache: as `begin` or the last `step` gave them.

        Returns:
            (logits, cache): float32 [batch, num_target_ids] and the next cache.
        """
        raise NotImplementedError

    def attention(self, written, memory):
        """Where each written token was looked for in the source.

        Returns:
            float32 [batch, written, source]; sums to 1 over the source's tokens, 0 at its padding.
        """
        raise NotImplementedError

    def build_embeddings(self):
        """Makes the variables of `source_embedding` and `target_embedding`, which may be one layer."""
        self.target_embedding.build()
        if self.source_embedding is not self.target_embedding:
            self.source_embedding.build()

    def get_config(self):
        return {"name": self.name, **self.settings}


def embedding(num_ids: int, dim: int, tied: bool, name: str) -> layers.ReversibleEmbedding:
    """Ids -> vectors, and called with `reverse=True` vectors -> logits, with the same weights if `tied`."""
    return layers.ReversibleEmbedding(
        num_ids,
        dim,
        tie_weights=tied,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=dim**-0.5),
        # float32 also under mixed precision: softmax of 16-bit logits loses small probabilities.
        reverse_dtype="float32",
        name=name,
    )
