"""Keyword spotting: one label for each short recording.

Joins preparation (`data.py`), augmentation and networks; loss, answer and evaluation are those of
every classifier (`models/classification/`). A request carries one WAV file for each example, of any
rate from 4 to 192 kHz, any number of channels, any length of at least one sample, and of 8, 16, 24
or 32-bit PCM or 32 or 64-bit float.

Whatever can be read is answered, with one of the classes: silence, and a single sample, too; of a
recording longer than `prepare.max_seconds` the middle is listened to. What else is in the request
changes no answer. A request with a recording that cannot be read (empty, no WAV, cut off, without
samples, of another coding, rate or scale) is refused as a whole, with an error that says why.
"""

from penstock.models.classification.classifier import Classifier
from penstock.models.speech.front_end import augmentation
from penstock.models.speech.front_end.waveforms import padded
from penstock.models.speech.keyword_spotting import networks
from penstock.models.speech.keyword_spotting.data import Data


class Task(Classifier, Data):
    """Keyword spotting; `self.config` is a `config.Config`."""

    def augment(self, inputs, targets, seed, state):
        """Changes waveforms and, with them, lengths; targets stay as they are."""
        del state
        waveforms, lengths = augmentation.augment(
            **self._padded(inputs, self.prepare.max_samples),
            config=self.config.augment,
            rate_hz=self.prepare.sample_rate_hz,
            seed=seed,
        )
        return {"waveforms": waveforms, "lengths": lengths}, targets

    def training_inputs(self, inputs, targets, state):
        """Padded to `max_seconds`, where `train.buckets` has not padded already."""
        del state
        return self._padded(inputs, self.prepare.max_samples), targets

    def build(self, state):
        """Waveforms int16 [batch, samples], lengths int32 [batch] -> float32 logits [batch, classes]."""
        return networks.build(self.config, len(self.class_names(state)))

    def decode(self, model, inputs, state):
        """See `Classifier.decode`; takes ragged waveforms as they are prepared, and padded ones."""
        return super().decode(model, self._padded(inputs), state)

    def _padded(self, inputs, longest=None):
        return {**inputs, "waveforms": padded(inputs["waveforms"], longest)}
