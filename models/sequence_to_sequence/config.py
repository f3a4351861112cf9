"""The settings that tasks share whose answer to a text is a text (no TensorFlow here)."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from penstock.models.classification.config import Fraction
from penstock.models.config import LEAST_SECONDS, TaskConfig
from penstock.pipelines.config import Config as Section
from penstock.pipelines.transform.subwords import LEAST_SUBWORDS


class TextPairPrepare(Section):
    """From two texts to the ids of their tokens.

    Tokens are subwords (byte-level BPE: any script, no unknown tokens), found in the training split:
    one vocabulary of `vocabulary_size` for both texts (shared), or one of that size for each
    (separate). Of a source the first `max_source_tokens` are read; of a longer one one more is kept,
    which says so and counts in `train.buckets`: their last boundary must reach to it. A target that is
    longer than `max_target_tokens` is learned up to there; an answer is no longer than that.
    """

    source_feature: str = "source"
    target_feature: str = "target"
    vocabulary: Literal["shared", "separate"] = "shared"
    vocabulary_size: Annotated[int, Field(ge=LEAST_SUBWORDS)] = 8_000
    minimum_count: PositiveInt = 2
    lowercase: bool = False
    max_source_tokens: Annotated[int, Field(ge=2)] = 128
    max_target_tokens: Annotated[int, Field(ge=2)] = 128


class NetworkSection(Section):
    """`tie_output`: the target's embedding is also the projection to logits (Press and Wolf,
    arXiv:1608.05859). A shared vocabulary has one embedding for source and target."""

    dropout: Fraction = 0.1
    tie_output: bool = True


class Transformer(NetworkSection):
    """Encoder and decoder of `num_layers` each (Vaswani et al., arXiv:1706.03762).

    `norm: pre` normalises before each block, which needs less care with the learning rate (Xiong et
    al., arXiv:2002.04745), `post` behind it, as in the paper. Positions are sinusoids.
    """

    type: Literal["transformer"] = "transformer"
    dim: PositiveInt = 256
    num_layers: PositiveInt = 3
    num_heads: PositiveInt = 4
    intermediate_dim: PositiveInt = 512
    norm: Literal["pre", "post"] = "pre"

    @model_validator(mode="after")
    def _heads_divide(self):
        if self.dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide `dim`. Received: "
                f"num_heads={self.num_heads}, dim={self.dim}. Change one of them."
            )
        return self


class Recurrent(NetworkSection):
    """Bidirectional encoder of `num_layers`, decoder of one, with attention.

    `attention`: additive as Bahdanau et al. (arXiv:1409.0473), or multiplicative with input feeding
    as Luong et al. (arXiv:1508.04025). `pointer_generator`: a token may also be copied from the
    source (See et al., arXiv:1704.04368), which needs a shared vocabulary.
    """

    attention: Literal["additive", "multiplicative"] = "additive"
    embedding_dim: PositiveInt = 256
    units: PositiveInt = 256
    num_layers: PositiveInt = 1
    pointer_generator: bool = False


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., arXiv:1406.1078)."""

    type: Literal["gru"]


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    type: Literal["lstm"]


class Loss(Section):
    """Cross-entropy of each token; `label_smoothing` spreads that share evenly over all tokens."""

    label_smoothing: Fraction = 0.1


class Decode(Section):
    """How an answer is searched for.

    `beam_size` hypotheses are kept at each step; 1 takes the likeliest token each time. Of finished ones
    the best by log-probability / ((5 + tokens) / 6) ** `length_penalty` is the answer (Wu et al.,
    arXiv:1609.08144, equation 14). An answer ends at the latest after `max_target_tokens` tokens and
    after `max_ratio` times as many as the source has and 10 more; a search ends after `max_seconds`,
    which are there so that nothing hangs: they must be enough for a large batch on a slow machine. What
    was cut by a limit says `complete: false`.
    """

    beam_size: Annotated[int, Field(ge=1, le=64)] = 4
    length_penalty: NonNegativeFloat = 1.0
    max_ratio: PositiveFloat = 3.0
    max_seconds: Annotated[float, Field(ge=LEAST_SECONDS)] = 60.0


class TextPairConfig(TaskConfig):
    """The task's sections of a config."""

    prepare: TextPairPrepare = TextPairPrepare()
    model: Annotated[Transformer | GRU | LSTM, Field(discriminator="type")] = Transformer()
    loss: Loss = Loss()
    decode: Decode = Decode()

    @model_validator(mode="after")
    def _copies_what_it_can_write(self):
        if getattr(self.model, "pointer_generator", False) and self.prepare.vocabulary != "shared":
            raise ValueError(
                "`model.pointer_generator` needs `prepare.vocabulary: shared`, so that a token of the "
                f"source is one of the target too. Received: {self.prepare.vocabulary}. Change one."
            )
        return self

    def libraries(self) -> tuple[str, ...]:
        """KerasHub has the layers of the Transformer."""
        return ("keras-hub",) if self.model.type == "transformer" else ()

    def preparation_libraries(self) -> tuple[str, ...]:
        return ()

    def input_padding(self) -> dict[str, int | float | str]:
        """No token has the id 0."""
        return {"inputs": 0, "targets": 0}
