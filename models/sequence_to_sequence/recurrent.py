"""GRU or LSTM with attention as encoder and decoder.

`additive` is the network of Bahdanau et al. (arXiv:1409.0473): where to look is asked with the state
before a step, and the step reads what was found there. `multiplicative` is that of Luong et al.
(arXiv:1508.04025) with input feeding (section 3.3): the step comes first, and reads what the step
before gave. Both write from tanh(W [state; context; embedding of the last token]); Luong's has no
embedding there, Bahdanau's a maxout. With `pointer_generator`, a token may also be taken from the
source (`copying.py`). `keras.ops` only.
"""

import keras
from keras import layers, ops

from penstock.models.sequence_to_sequence.attention import SourceAttention
from penstock.models.sequence_to_sequence.copying import mixed_log_probabilities
from penstock.models.sequence_to_sequence.network import Network, embedding

CELLS = {"gru": (layers.GRU, layers.GRUCell, 1), "lstm": (layers.LSTM, layers.LSTMCell, 2)}
"""Layer, cell, and of how many tensors the state of a cell is."""


@keras.saving.register_keras_serializable(package="penstock")
class Recurrent(Network):
    """Bidirectional encoder, decoder with attention.

    Args:
        num_source_ids, num_target_ids: padding and special tokens included.
        shared_embedding: one embedding for source and target, which then have the same ids.
        tie_output: the target's embedding is also the projection to logits.
        embedding_dim: of the embeddings, and of what the logits are made of.
        units: of the decoder's state and of each direction of the encoder.
        cell: "gru" or "lstm".
        score: "additive" or "multiplicative".
        num_layers: of the encoder; the decoder has one.
        dropout: on embeddings, between layers and before the logits.
        pointer_generator: tokens may be copied from the source; source and target have the same ids.
    """

    def __init__(
        self,
        num_source_ids,
        num_target_ids,
        shared_embedding,
        tie_output,
        embedding_dim,
        units,
        cell,
        score,
        num_layers,
        dropout,
        pointer_generator=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "num_source_ids": num_source_ids,
            "num_target_ids": num_target_ids,
            "shared_embedding": shared_embedding,
            "tie_output": tie_output,
            "embedding_dim": embedding_dim,
            "units": units,
            "cell": cell,
            "score": score,
            "num_layers": num_layers,
            "dropout": dropout,
            "pointer_generator": pointer_generator,
        }
        layer, cell_class, self.num_states = CELLS[cell]
        self.target_embedding = embedding(
            num_target_ids, embedding_dim, tie_output, "target_embedding"
        )
        self.source_embedding = self.target_embedding
        if not shared_embedding:
            self.source_embedding = embedding(
                num_source_ids, embedding_dim, True, "source_embedding"
            )
        self.encoder_layers = [
            layers.Bidirectional(
                layer(units, return_sequences=True, return_state=True, name=f"{cell}_{number}"),
                name=f"encoder_{number}",
            )
            for number in range(1, num_layers + 1)
        ]
        self.bridges = [
            layers.Dense(units, activation="tanh", name=f"bridge_{number}")
            for number in range(1, self.num_states + 1)
        ]
        self.source_attention = SourceAttention(units, score, name="attention")
        self.cell = cell_class(units, name="decoder")
        self.readout = layers.Dense(embedding_dim, activation="tanh", name="readout")
        self.drop = layers.Dropout(dropout, name="dropout")
        # See et al., arXiv:1704.04368, equation 8.
        self.generate = None
        if pointer_generator:
            self.generate = layers.Dense(1, activation="sigmoid", name="generate")

    def build(self, input_shape=None):
        """Makes all variables, whatever the lengths."""
        del input_shape
        units, dim = self.settings["units"], self.settings["embedding_dim"]
        self.build_embeddings()
        width = dim
        for layer in self.encoder_layers:
            layer.build((None, None, width))
            width = 2 * units
        for bridge in self.bridges:
            bridge.build((None, width))
        self.source_attention.build((None, None, width))
        fed = width if self.settings["score"] == "additive" else dim
        self.cell.build((None, dim + fed))
        self.readout.build((None, units + width + dim))
        if self.generate is not None:
            self.generate.build((None, units + width + dim))
        self.built = True

    def encode(self, source, training=False):
        mask = ops.not_equal(source, 0)
        x = self.drop(self.source_embedding(source), training=training)
        for layer in self.encoder_layers:
            x, *ends = layer(x, mask=mask, training=training)
            x = self.drop(x, training=training)
        states = {}
        for number, bridge in enumerate(self.bridges):
            # The backward direction has read all when it is at the first token.
            both = ops.concatenate([ends[number], ends[number + self.num_states]], axis=-1)
            states[f"{number}"] = bridge(both)
        return {
            "states": x,
            "keys": self.source_attention.keys(x),
            "mask": mask,
            "begin": states,
            "ids": source,
        }

    def decode(self, written, memory, training=False):
        x = self.drop(self.target_embedding(written), training=training)
        found = self._scan(x, memory)
        return self._logits(found, memory, training)

    def begin(self, memory, length):
        del length
        memory = dict(memory)
        return memory, self._first(memory)

    def step(self, ids, place, memory, cache):
        del place
        cache = self._next(cache, self.target_embedding(ids), memory)
        of_step = {name: cache[name][:, None] for name in cache if name != "state"}
        return self._logits(of_step, memory, False)[:, 0], cache

    def attention(self, written, memory):
        return self._scan(self.target_embedding(written), memory)["weights"]

    def _scan(self, x, memory):
        """All steps: embeddings [batch, written, dim] -> `output`, `weights` and perhaps `generate`."""

        def step(cache, embedded):
            cache = self._next(cache, embedded, memory)
            return cache, cache

        _, found = ops.scan(step, self._first(memory), ops.swapaxes(x, 0, 1))
        return {name: ops.swapaxes(found[name], 0, 1) for name in found if name != "state"}

    def _first(self, memory):
        """The cache before the first step."""
        states = memory["states"]
        batch, source = ops.shape(states)[0], ops.shape(states)[1]
        first = {
            "state": memory["begin"],
            "output": ops.zeros((batch, self.settings["embedding_dim"]), self.compute_dtype),
            "weights": ops.zeros((batch, source), "float32"),
        }
        if self.generate is not None:
            first["generate"] = ops.zeros((batch, 1), self.compute_dtype)
        return first

    def _next(self, cache, embedded, memory):
        """One step of the decoder."""
        state = [cache["state"][f"{number}"] for number in range(self.num_states)]
        if self.settings["score"] == "additive":
            context, weights = self._look(state[0], memory)
            _, state = self.cell(ops.concatenate([embedded, context], axis=-1), state)
        else:
            _, state = self.cell(ops.concatenate([embedded, cache["output"]], axis=-1), state)
            context, weights = self._look(state[0], memory)
        read = ops.concatenate([state[0], context, embedded], axis=-1)
        states = {f"{number}": tensor for number, tensor in enumerate(state)}
        found = {"state": states, "output": self.readout(read), "weights": weights}
        return found if self.generate is None else {**found, "generate": self.generate(read)}

    def _look(self, query, memory):
        weights = self.source_attention(query, memory["keys"], memory["mask"])
        states = memory["states"]
        return ops.einsum("bs,bsd->bd", ops.cast(weights, states.dtype), states), weights

    def _logits(self, found, memory, training):
        """Of all steps in `found`, [batch, steps, ids]; log-probabilities where tokens are copied."""
        x = self.drop(found["output"], training=training)
        logits = self.target_embedding(x, reverse=True)
        if self.generate is None:
            return logits
        return mixed_log_probabilities(logits, found["generate"], found["weights"], memory["ids"])
