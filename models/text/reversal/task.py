"""String reversal: a sequence-to-sequence GRU that learns to write a string backwards.

Sutskever et al., arXiv:1409.3215, without their reversed source. In training the decoder reads the
targets, shifted by one (teacher forcing); in serving it reads what it has written so far.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from penstock.models import task
from penstock.models.text.reversal.data import END, PADDING, RESERVED, START, Data


class Task(task.Task, Data):
    """String reversal; `self.config` is a `config.Config`."""

    summary_columns = ("correct", "characters", "correct_characters")

    def training_inputs(self, inputs, targets, state):
        """Adds what the decoder reads: START, then all targets but the last."""
        del state
        start = tf.fill([tf.shape(targets)[0], 1], tf.constant(START, targets.dtype))
        return {"ids": inputs, "written": tf.concat([start, targets[:, :-1]], axis=1)}, targets

    def build(self, state):
        """ids int64 [batch, n], written int64 [batch, n + 1] -> logits [batch, n + 1, ids]."""
        length, size = self.prepare.max_characters, RESERVED + len(state["characters"])
        model = self.config.model
        ids = keras.Input((length,), dtype="int64", name="ids")
        written = keras.Input((length + 1,), dtype="int64", name="written")
        embedding = layers.Embedding(size, model.embedding_dim, mask_zero=True, name="characters")
        summary = layers.GRU(model.units, name="encoder")(embedding(ids))
        decoder = layers.GRU(model.units, return_sequences=True, name="decoder")
        hidden = decoder(embedding(written), initial_state=summary)
        logits = layers.Dense(size, dtype="float32", name="logits")(hidden)
        return keras.Model({"ids": ids, "written": written}, logits, name="reversal")

    def compile(self, model, optimizer, **options):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
        model.compile(optimizer, loss, **options)

    def decode(self, model, inputs, state):
        """Writes the likeliest character, one after the other, until all strings have ended.

        Returns:
            text: string [batch], the answer.
        """
        batch, steps = tf.shape(inputs)[0], self.prepare.max_characters + 1

        def ended(written):
            return tf.reduce_any(written == END, axis=1)

        def write(step, written):
            logits = model({"ids": inputs, "written": written[:, :steps]}, training=False)
            character = tf.argmax(logits[:, step], axis=-1)
            character = tf.where(ended(written), tf.constant(PADDING, tf.int64), character)
            place = tf.one_hot(step + 1, steps + 1, dtype=tf.int64)
            return step + 1, written + character[:, None] * place

        start = START * tf.one_hot(tf.zeros([batch], tf.int32), steps + 1, dtype=tf.int64)
        _, written = tf.while_loop(
            lambda step, written: (step < steps) & ~tf.reduce_all(ended(written)),
            write,
            (tf.constant(0), tf.ensure_shape(start, [None, steps + 1])),
        )
        return {"text": self._text(written, state)}

    def evaluate_batch(self, decoded, targets, features, state):
        """text, expected: str; correct: bool; characters, correct_characters: int64 counts."""
        del features
        text = np.array([t.decode() for t in decoded["text"]], np.str_)
        expected = np.array([t.decode() for t in self._text(targets, state).numpy()], np.str_)
        pairs = list(zip(text, expected, strict=True))
        return {
            "text": text,
            "expected": expected,
            "correct": text == expected,
            "characters": np.array([len(e) for _, e in pairs], np.int64),
            "correct_characters": np.array(
                [sum(a == b for a, b in zip(t, e, strict=False)) for t, e in pairs], np.int64
            ),
        }

    def summarise(self, columns, state):
        """exact_match: share of whole strings; character_accuracy: share of characters in place."""
        del state
        metrics = {}
        if len(columns["correct"]):
            metrics["exact_match"] = float(columns["correct"].mean())
        if columns["characters"].sum():
            share = columns["correct_characters"].sum() / columns["characters"].sum()
            metrics["character_accuracy"] = float(share)
        return metrics

    def _text(self, ids, state):
        """int64 [batch, any] -> string [batch]; reserved ids are written as nothing."""
        characters = tf.constant([""] * RESERVED + list(state["characters"]))
        return tf.strings.reduce_join(tf.gather(characters, ids), axis=1)
