"""Speech recognition: the text of what is said in a recording.

Joins preparation, augmentation, networks, loss, decoding and evaluation. A request carries one WAV file
for each example, of any rate from 4 to 192 kHz, any number of channels, any length of at least one
sample, and of 8, 16, 24 or 32-bit PCM or 32 or 64-bit float.

Whatever can be read is answered, with a text that may be empty: silence, and a single sample, too. Of
a recording longer than `prepare.max_seconds` the beginning is heard, and `complete` is false. What
else is in the request changes no answer. A request with a recording that cannot be read (empty, no
WAV, cut off, without samples, of another coding, rate or scale) is refused as a whole, with an error
that says why.
"""

import keras
import tensorflow as tf

from penstock.models import task
from penstock.models.speech.front_end import augmentation
from penstock.models.speech.front_end.waveforms import padded
from penstock.models.speech.recognition import (
    activations,
    decoding,
    evaluation,
    networks,
    transcripts,
)
from penstock.models.speech.recognition.config import Beam
from penstock.models.speech.recognition.data import Data
from penstock.models.speech.recognition.loss import CTC, Unalignable


class Task(task.Task, Data):
    """Speech recognition; `self.config` is a `config.Config`."""

    summary_columns = ("words", "word_errors", "characters", "character_errors", "correct")
    proportions = ("exact_match",)

    # Training -------------------------------------------------------------------------------

    def augment(self, inputs, targets, seed, state):
        """Changes waveforms and, with them, lengths; targets stay as they are."""
        del state
        waveforms, lengths = augmentation.augment(
            padded(inputs["waveforms"], self.prepare.max_samples),
            inputs["lengths"],
            config=self.config.augment,
            rate_hz=self.prepare.sample_rate_hz,
            seed=seed,
            cuts=False,
        )
        return {"waveforms": waveforms, "lengths": lengths}, targets

    def training_inputs(self, inputs, targets, state):
        """Padded, where `train.buckets` has not padded already.

        Targets are at most one token longer than there are frames: a longer text has no alignment
        either.
        """
        del state
        longest = self.config.max_frames + 1
        if isinstance(targets, tf.RaggedTensor):
            targets = targets.to_tensor(transcripts.BLANK, shape=[None, longest])
        waveforms = padded(inputs["waveforms"], self.prepare.max_samples)
        return {**inputs, "waveforms": waveforms}, targets[:, :longest]

    def throughput_unit(self):
        """Seconds of sound."""
        return "audio_seconds", {"inputs/waveforms": 1 / self.prepare.sample_rate_hz}

    def activation_bytes(self, batch_size, lengths, state):
        """See `activations.py`."""
        samples = lengths.get("inputs/waveforms", self.prepare.max_samples)
        num_ids = len(self._token_texts(state))
        return activations.activation_bytes(self.config, num_ids, batch_size, samples)

    def build(self, state):
        """Waveforms int16 [batch, samples], lengths int32 [batch] -> float32 logits [batch, frames,
        tokens + 1]."""
        return networks.build(self.config, len(self._token_texts(state)))

    def compile(self, model, optimizer, **options):
        """CTC, and the share of examples that it leaves out."""
        without_xla = options.get("jit_compile") is False
        on_cpu = not tf.config.list_physical_devices("GPU")
        sparse = keras.backend.backend() == "tensorflow" and without_xla and on_cpu
        model.compile(optimizer, CTC(sparse), metrics=[Unalignable()], **options)

    # Serving --------------------------------------------------------------------------------

    def decode(self, model, inputs, state):
        """What is said.

        Returns:
            text: string [batch]; score: float32 [batch], ln of its probability, or of its likeliest
            alignment's (`decode.type: greedy`); complete: bool [batch], False where the recording
            was cut off or time was over.
        """
        log_probabilities, frames, complete = self._heard(model, inputs)
        if isinstance(self.config.decode, Beam):
            ids, score, in_time = decoding.beam(log_probabilities, frames, self.config.decode)
            complete &= in_time
        else:
            ids, score = decoding.greedy(log_probabilities, frames)
        text = decoding.texts_of(ids, self._token_texts(state))
        return {"text": text, "score": score, "complete": complete}

    def serve(self, model, state):
        """Adds `transcript`: the words of the likeliest alignment, with their times.

        Returns:
            words: string [batch, n], empty behind the last, n so many as the longest recording has
            room for; start_seconds, end_seconds: float32 [batch, n], 0 behind the last. Times are those
            of the first and the last frame of a word, which a network of this kind tends to say late
            and at once, to a frame's length; complete: bool [batch].
        """

        def transcript(features):
            inputs = self.prepare_inputs(features, state)
            log_probabilities, frames, complete = self._heard(model, inputs)
            max_words = self.config.max_frames
            if self.prepare.tokens == "characters":  # between two words there is a frame of its own
                max_words = (max_words + 1) // 2
            words, first, last, count = decoding.words_and_times(
                log_probabilities, frames, self._token_texts(state), max_words
            )
            seconds = self.config.samples_per_frame / self.prepare.sample_rate_hz
            whole = tf.cast(inputs["lengths"], tf.float32) / self.prepare.sample_rate_hz
            end = tf.minimum(tf.cast(last + 1, tf.float32) * seconds, whole[:, None])
            return {
                "words": words,
                "start_seconds": tf.cast(first, tf.float32) * seconds,
                "end_seconds": tf.where(tf.sequence_mask(count, max_words), end, 0.0),
                "complete": complete,
            }

        return {"transcript": (transcript, (self.prepare.audio_feature,))}

    def _heard(self, model, inputs):
        """ln of probabilities [batch, frames, ids], frames int32 [batch], complete bool [batch]."""
        longest = self.prepare.max_samples
        lengths = tf.minimum(inputs["lengths"], longest)
        # A request without recordings is one that no spectrogram can be made of.
        fed = {"waveforms": padded(inputs["waveforms"]), "lengths": lengths}
        fed = {name: decoding.at_least_one_row(rows) for name, rows in fed.items()}
        logits = model(fed, training=False)[: tf.shape(lengths)[0]]
        frames = -(-lengths // self.config.samples_per_frame)
        log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        return log_probabilities, frames, inputs["lengths"] <= longest

    def _token_texts(self, state):
        return transcripts.token_texts(self.prepare, state)

    # Evaluation -----------------------------------------------------------------------------

    def evaluate_batch(self, decoded, targets, features, state):
        """See `evaluation.example_columns`; score: float32, complete: bool, as answered."""
        del targets, state
        references = transcripts.cleaned(features[self.prepare.text_feature], self.prepare)
        texts = [[t.decode() for t in batch] for batch in (decoded["text"], references.numpy())]
        columns = evaluation.example_columns(*texts)
        return {**columns, "score": decoded["score"], "complete": decoded["complete"]}

    def summarise(self, columns, state):
        """See `evaluation.summarise`."""
        del state
        return evaluation.summarise(columns)

    def details(self, columns, state):
        """The word error rate by the length of what was said."""
        del state
        return {"by_length": evaluation.by_words(columns)}

    def explain(self, signatures, features, columns, state):
        """When each word of the likeliest alignment is said, to a millisecond."""
        del columns, state
        name = self.prepare.audio_feature
        said = signatures["transcript"](**{name: tf.constant(features[name])})
        found = [said[part].numpy() for part in ("words", "start_seconds", "end_seconds")]
        return [{"times": _times(*row)} for row in zip(*found, strict=True)]


def _times(words, starts, ends) -> list[list]:
    """[word, start, end] of each word that is there."""
    rows = zip(words.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return [[w.decode(), round(start, 3), round(end, 3)] for w, start, end in rows if w]
