"""Tone classification: a label for each recording, by a small network on its log-mel bands."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from penstock.models import task
from penstock.models.speech.front_end.spectrogram import NO_LIMIT_DB
from penstock.models.speech.tones.data import Data


class Task(task.Task, Data):
    """Tone classification; `self.config` is a `config.Config`."""

    summary_columns = ("correct",)

    def build(self, state):
        """waveform float32 [batch, samples] -> logits [batch, classes]."""
        model, rate = self.config.model, self.prepare.sample_rate_hz
        window = round(model.window_ms * rate / 1000)
        waveform = keras.Input((self.samples,), name="waveform")
        x = layers.MelSpectrogram(
            fft_length=1 << (window - 1).bit_length(),
            sequence_length=window,
            sequence_stride=round(model.hop_ms * rate / 1000),
            sampling_rate=rate,
            num_mel_bins=model.mel_bands,
            top_db=NO_LIMIT_DB,
            name="log_mel",
        )(waveform)
        x = layers.Permute((2, 1), name="time_first")(x)
        x = layers.Rescaling(1.0 / 50.0, name="scale")(x)  # decibels, some -100..50
        x = layers.Conv1D(model.filters, 3, activation="relu", name="convolution")(x)
        x = layers.GlobalAveragePooling1D(name="pooling")(x)
        logits = layers.Dense(len(self.class_names(state)), dtype="float32", name="logits")(x)
        return keras.Model(waveform, logits, name="tones")

    def compile(self, model, optimizer, **options):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"], **options)

    def decode(self, model, inputs, state):
        """The likeliest class: label_id int64, label string, probability float32, each [batch]."""
        probabilities = tf.nn.softmax(model(inputs, training=False))
        label_id = tf.argmax(probabilities, axis=-1)
        return {
            "label_id": label_id,
            "label": tf.gather(tf.constant(self.class_names(state)), label_id),
            "probability": tf.reduce_max(probabilities, axis=-1),
        }

    def evaluate_batch(self, decoded, targets, features, state):
        """label, predicted: names; correct: bool."""
        del features
        names = np.array(self.class_names(state), np.str_)
        predicted = decoded["label_id"]
        return {
            "label": names[targets],
            "predicted": names[predicted],
            "correct": predicted == targets,
        }

    def summarise(self, columns, state):
        """accuracy."""
        del state
        correct = columns["correct"]
        return {"accuracy": float(correct.mean())} if len(correct) else {}
