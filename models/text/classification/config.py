"""Every setting of text classification, with its default and its limits (no TensorFlow here)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from penstock.models.classification.config import (
    Activation,
    ClassifierConfig,
    Fraction,
    LabelPrepare,
    PresetWeights,
)
from penstock.models.preset_files import is_directory_name, preset_faults, preset_files
from penstock.pipelines.config import Config as Section
from penstock.pipelines.transform.subwords import LEAST_SUBWORDS


class Prepare(LabelPrepare):
    """From a text to the ids of its tokens.

    `tokens` are words (cut at blanks, see `punctuation`; for scripts that write blanks), characters,
    or subwords (byte-level BPE, any script, no unknown tokens) of a vocabulary that is found in the
    training split; or those of a KerasHub `preset`: the path of a local preset directory, or a
    preset's name where there is a network. A preset brings its own tokenizer, so that `lowercase`,
    `punctuation`, `vocabulary_size` and `minimum_count` have no effect on it.

    Words may have apostrophes and hyphens inside (don't, so-called). `punctuation`: other marks
    become tokens of their own (separate), blanks (remove), or stay where they are (attached), as for
    texts that are tokenised already. What stands behind the first `max_length` tokens is not read.
    """

    text_feature: str = "text"
    tokens: Literal["words", "characters", "subwords", "preset"] = "words"
    preset: str | None = None
    lowercase: bool = True
    punctuation: Literal["separate", "remove", "attached"] = "separate"
    vocabulary_size: PositiveInt = 20_000
    minimum_count: PositiveInt = 2
    max_length: Annotated[int, Field(ge=4)] = 256

    @model_validator(mode="after")
    def _fits_together(self):
        faults = []
        if (self.tokens == "preset") != (self.preset is not None):
            faults.append(
                "`tokens: preset` and `preset` belong together. Received: "
                f"tokens={self.tokens}, preset={self.preset}. Set both or neither."
            )
        if self.tokens == "subwords" and self.vocabulary_size < LEAST_SUBWORDS:
            faults.append(
                f"`vocabulary_size` of subwords must be at least {LEAST_SUBWORDS}, since each of the "
                f"256 bytes is one. Received: {self.vocabulary_size}. 2,000 to 32,000 are usual."
            )
        if faults:
            raise ValueError(" ".join(faults))
        return self


class Embedded(Section):
    """A network of its own token embeddings.

    `dropout` is that of the vector from which the class is told, `word_dropout` of whole tokens.
    `embeddings` is a file of word vectors in GloVe's or word2vec's text form, plain or `.gz`; words
    that it lacks begin as random vectors, and the step's log says how many these are.
    `freeze_embeddings` leaves all of them as they begin.
    """

    dropout: Fraction = 0.5
    word_dropout: Fraction = 0.0
    embedding_dim: PositiveInt = 128
    embeddings: Path | None = None
    freeze_embeddings: bool = False

    @model_validator(mode="after")
    def _something_to_freeze(self):
        if self.freeze_embeddings and self.embeddings is None:
            raise ValueError(
                "`freeze_embeddings` needs `embeddings`: random vectors that never change say little. "
                "Received: freeze_embeddings=true, embeddings=null. Name a file or leave it out."
            )
        return self


class Average(Embedded):
    """The mean of the embeddings, then `hidden_units`.

    Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods" (whose word dropout is
    `word_dropout`); without hidden units Joulin et al., arXiv:1607.01759, without its n-grams.
    """

    type: Literal["average"]
    hidden_units: tuple[PositiveInt, ...] = ()
    activation: Activation = "relu"


class CNN(Embedded):
    """`filters` convolutions of each width, the maximum of each over the text (Kim 2014).

    arXiv:1408.5882, without the limit on the norm of the last layer's weights.
    """

    type: Literal["cnn"] = "cnn"
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (3, 4, 5)
    filters: PositiveInt = 100
    activation: Activation = "relu"


class Recurrent(Embedded):
    """`num_layers` recurrent layers, then one vector for the text.

    `pooling`: the state behind the last token (last), the largest value over all (max), or their mean
    weighted by additive attention (Bahdanau et al., arXiv:1409.0473; as pooling: Yang et al. 2016).
    """

    units: PositiveInt = 64
    num_layers: PositiveInt = 1
    bidirectional: bool = True
    pooling: Literal["last", "max", "attention"] = "max"


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    type: Literal["lstm"]


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., arXiv:1406.1078)."""

    type: Literal["gru"]


class Transformer(Embedded):
    """Transformer encoder (Vaswani et al., arXiv:1706.03762) and the mean of what it gives.

    Positions are learned. `encoder_dropout` is that inside the encoder.
    """

    type: Literal["transformer"]
    num_layers: PositiveInt = 1
    num_heads: PositiveInt = 4
    intermediate_dim: PositiveInt = 128
    encoder_dropout: Fraction = 0.1

    @model_validator(mode="after")
    def _heads_divide(self):
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide `embedding_dim`. Received: "
                f"num_heads={self.num_heads}, embedding_dim={self.embedding_dim}. Change one of them."
            )
        return self


class Preset(PresetWeights):
    """The network of `prepare.preset` with a new head, before which `dropout` stands."""

    type: Literal["preset"]
    dropout: Fraction = 0.1


class Config(ClassifierConfig):
    """The task's sections of a config."""

    prepare: Prepare = Prepare()
    model: Annotated[
        Average | CNN | LSTM | GRU | Transformer | Preset, Field(discriminator="type")
    ] = CNN()

    @model_validator(mode="after")
    def _tokens_fit_the_network(self):
        tokens, faults = self.prepare.tokens, []
        if (tokens == "preset") != isinstance(self.model, Preset):
            faults.append(
                "`prepare.tokens: preset` and `model.type: preset` belong together, because a preset "
                f"knows its own tokens only. Received: prepare.tokens={tokens}, "
                f"model.type={self.model.type}. Change one of them."
            )
        if getattr(self.model, "embeddings", None) and tokens != "words":
            faults.append(
                "`model.embeddings` needs `prepare.tokens: words`, since the file has vectors of "
                f"words. Received: prepare.tokens={tokens}. Change one of them."
            )
        if faults:
            raise ValueError(" ".join(faults))
        return self

    def check(self) -> list[str]:
        """A preset or a file of word vectors that is not there."""
        preset, vectors = self.prepare.preset, getattr(self.model, "embeddings", None)
        faults = [] if preset is None else self._preset_faults(preset)
        if vectors is not None and not vectors.is_file():
            faults.append(
                f"`model.embeddings` must name a file of word vectors. Received: {str(vectors)!r}, "
                "where there is none."
            )
        return faults

    def _preset_faults(self, preset):
        faults = preset_faults(preset, "prepare.preset")
        if (
            not faults
            and is_directory_name(preset)
            and not Path(preset, "tokenizer.json").is_file()
        ):
            faults.append(
                "`prepare.preset` must hold a tokenizer, with a `tokenizer.json`. Received: "
                f"{preset!r}, which has none. `save_to_preset` of the tokenizer adds it."
            )
        return faults

    def files(self) -> list[Path]:
        """The word vectors, and the preset's where it is a directory."""
        vectors = getattr(self.model, "embeddings", None)
        of_preset = preset_files(self.prepare.preset) if self.prepare.preset is not None else []
        return [*of_preset, *([] if vectors is None else [vectors])]

    def preparation_files(self) -> list[Path]:
        """The preset's, of which the tokenizer is one."""
        return preset_files(self.prepare.preset) if self.prepare.preset is not None else []

    def input_padding(self) -> dict[str, int | float | str]:
        """No token has the id 0."""
        return {"inputs": 0}

    def libraries(self) -> tuple[str, ...]:
        """KerasHub has the layers of some networks."""
        return ("keras-hub",) if self.model.type in ("transformer", "preset") else ()

    def preparation_libraries(self) -> tuple[str, ...]:
        return ("keras-hub",) if self.prepare.preset is not None else ()
