"""A text in and a text out: all of the task but how its answers are measured.

A concrete task is `class Task(TextToText, TextPairs)`. In training the decoder reads the target, shifted
by one (teacher forcing); in serving it reads what it has written so far, see `search.py`. The answer
is a text, its score, and whether it is complete.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from penstock.models import task
from penstock.models.sequence_to_sequence import search
from penstock.models.sequence_to_sequence.activations import activation_bytes
from penstock.models.sequence_to_sequence.config import Transformer
from penstock.models.sequence_to_sequence.data import END, PADDING, START
from penstock.models.sequence_to_sequence.loss import TokenAccuracy, TokenCrossEntropy
from penstock.models.text_columns import texts
from penstock.models.token_ids import padded
from penstock.pipelines.transform.subwords import SPECIAL_TOKENS, unprintable

SPARE_TOKENS = 10
"""That an answer may have beyond `decode.max_ratio`, so that a source of one word can have one of five."""
MOST_SOURCE, MOST_TARGET = 29, 40
"""Tokens in a map of attention, of which the report draws 30; of a longer source one is the rest."""


class TextToText(task.Task):
    """Network, loss and answer; `self.config` is a `config.TextPairConfig`.

    Answers to unusual texts: the empty string and blanks alone are answered as one unknown token; of a
    long text the first `prepare.max_source_tokens` tokens are read. There is no text that gives an
    error, and none that has no end: see `decode` in the config.
    """

    needs_whole_source = True
    """Whether the answer to a source that was cut says that it is not complete."""

    def training_inputs(self, inputs, targets, state):
        """Source and what the decoder reads: START, then all targets but the last."""
        del state
        targets = padded(targets, self.prepare.max_target_tokens)
        start = tf.fill([tf.shape(targets)[0], 1], tf.constant(START, targets.dtype))
        written = tf.concat([start, targets[:, :-1]], axis=1)
        source = padded(inputs, self.prepare.max_source_tokens)
        return {"source": source, "written": written}, targets

    def build(self, state):
        """source, written int32 [batch, any] -> logits float32 [batch, any, ids]."""
        settings = self.config.model.model_dump(exclude={"type"})
        settings["shared_embedding"] = self.prepare.vocabulary == "shared"
        settings["num_source_ids"] = len(self.source_subwords(state))
        settings["num_target_ids"] = len(self.target_subwords(state))
        if isinstance(self.config.model, Transformer):
            # KerasHub takes two seconds to import, which the other networks need not spend.
            from penstock.models.sequence_to_sequence import transformer

            settings["normalize_first"] = settings.pop("norm") == "pre"
            model = transformer.Transformer(**settings, name="transformer")
        else:
            from penstock.models.sequence_to_sequence import recurrent

            settings["score"] = settings.pop("attention")
            kind = self.config.model.type
            model = recurrent.Recurrent(**settings, cell=kind, name=kind)
        any_length = keras.KerasTensor((None, None), "int32")
        model({"source": any_length, "written": any_length})
        return model

    def compile(self, model, optimizer, **options):
        """Cross-entropy of tokens, and the share of right ones."""
        loss = TokenCrossEntropy(self.config.loss.label_smoothing)
        model.compile(optimizer, loss, metrics=[TokenAccuracy()], **options)

    def throughput_unit(self):
        """Tokens of source and target."""
        return "tokens", {"inputs": 1, "targets": 1}

    def activation_bytes(self, batch_size, lengths, state):
        """See `activations.py`; without buckets all texts are as long as the longest may be."""
        return activation_bytes(
            self.config.model,
            len(self.target_subwords(state)),
            batch_size,
            min(lengths.get("inputs", math.inf), self.prepare.max_source_tokens),
            lengths.get("targets", self.prepare.max_target_tokens),
        )

    def decode(self, model, inputs, state):
        """The text that the search finds.

        Returns:
            text: string [batch]; score: float32 [batch], see `search.py`; complete: bool [batch], False
            where a limit cut the text, or the source of a text that must be read as a whole.
        """
        source = padded(inputs)
        longest = self.prepare.max_source_tokens
        answers = self._answers(model, source[:, :longest])
        is_whole = tf.math.count_nonzero(source, axis=1) <= longest
        return {
            "text": self.target_tokenizer(state).detokenize(answers.ids),
            "score": answers.scores,
            "complete": answers.complete & is_whole
            if self.needs_whole_source
            else answers.complete,
        }

    def serve(self, model, state):
        """`attention`: what each token of the answer was written from.

        Returns of the signature:
            source_tokens: string [batch, source]; target_tokens: string [batch, target], padded with
            empty strings, END as such; attention: float32 [batch, target, source].
        """

        def attention(features):
            source = padded(self.prepare_inputs(features, state))[
                :, : self.prepare.max_source_tokens
            ]
            answers = self._answers(model, source)
            ids = answers.ids
            lengths = tf.math.count_nonzero(ids, axis=1, dtype=tf.int32)
            ids = ids[:, : tf.reduce_max(tf.concat([lengths, [0]], axis=0))]
            # What was cut has no END.
            end = tf.where(answers.complete, END, PADDING)
            ends = tf.one_hot(lengths, tf.shape(ids)[1] + 1, 1, 0) * end[:, None]
            target = tf.pad(ids, [[0, 0], [0, 1]]) + tf.cast(ends, ids.dtype)
            start = tf.fill([tf.shape(ids)[0], 1], START)
            weights = model.attention(tf.concat([start, ids], axis=1), model.encode(source))
            return {
                "source_tokens": _pieces(source, self.source_subwords(state)),
                "target_tokens": _pieces(target, self.target_subwords(state)),
                "attention": weights,
            }

        return {"attention": (attention, (self.prepare.source_feature,))}

    def explain(self, signatures, features, columns, state):
        """`attention`: source tokens, target tokens, and the weights of each of the latter."""
        del columns, state
        name = self.prepare.source_feature
        found = []
        for text in features[name]:
            answer = signatures["attention"](**{name: tf.constant([text])})
            source = texts(answer["source_tokens"][0].numpy())
            target = texts(answer["target_tokens"][0].numpy())
            target = [piece for piece in target if piece][:MOST_TARGET]
            weights = answer["attention"][0].numpy()[: len(target)]
            if len(source) > MOST_SOURCE:
                source, weights = _most_looked_at(source, weights)
            rows = [[round(float(weight), 4) for weight in row] for row in weights]
            found.append({"attention": {"source": source, "target": target, "weights": rows}})
        return found

    def cased(self, references: list[str]) -> list[str]:
        """References as an answer could be like them: in lower case where that is learned."""
        return [text.lower() for text in references] if self.prepare.lowercase else references

    def _answers(self, model, source) -> search.Answers:
        config = self.config.decode
        tokens = tf.math.count_nonzero(source, axis=1, dtype=tf.float32)
        limits = tf.math.ceil(config.max_ratio * tokens) + SPARE_TOKENS
        limits = tf.cast(tf.minimum(limits, self.prepare.max_target_tokens), tf.int32)
        limit = {"length_penalty": config.length_penalty, "max_seconds": config.max_seconds}
        if config.beam_size == 1:
            return search.greedy(model, source, limits, **limit)
        return search.beam(model, source, limits, beam_size=config.beam_size, **limit)


def _most_looked_at(source, weights):
    """The tokens with the largest weights, in their order, and "…" for what is left of the weights."""
    largest = weights.max(axis=0, initial=0.0)
    shown = np.sort(np.argsort(-largest, kind="stable")[:MOST_SOURCE])
    left = np.maximum(0.0, 1.0 - weights[:, shown].sum(axis=1, keepdims=True))
    return [*(source[place] for place in shown), "…"], np.hstack([weights[:, shown], left])


def _pieces(ids, subwords):
    """int32 [batch, any] -> what stands for each token, string of the same shape; "" for padding."""
    special = [b"", *(token.encode() for token in SPECIAL_TOKENS[1:])]
    texts = [unprintable(token) for token in subwords.tokens[len(special) :]]
    with tf.device("/CPU:0"):
        return tf.gather(tf.constant(special + texts), ids)
