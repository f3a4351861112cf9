"""Keyword spotting: one label for each short recording.

Joins preparation (`data.py`), augmentation and networks; loss, answer and evaluation are those of
every classifier (`models/classification/`). A request carries one WAV file for each example, of any
rate from 4 to 192 kHz, any number of channels, any length of at least one sample, and of 8, 16, 24
or 32-bit PCM or 32 or 64-bit float.

Whatever can be read is answered, with one of the classes: silence, and a single sample in silence, as
silence sounds to the model; of a long recording the middle is listened to. A request with a
recording that cannot be read (empty, no WAV, cut off, without samples, of another coding or rate)
is refused as a whole, with an error that says why.
"""

from penstock.models.classification.classifier import Classifier
from penstock.models.speech.keyword_spotting import augmentation, networks
from penstock.models.speech.keyword_spotting.data import Data


class Task(Classifier, Data):
    """Keyword spotting; `self.config` is a `config.Config`."""

    def augment(self, inputs, targets, seed, state):
        """int16 [batch, samples] -> the same; targets stay as they are."""
        del state
        rate = self.prepare.sample_rate_hz
        return augmentation.augment(inputs, self.config.augment, rate, seed), targets

    def build(self, state):
        """int16 [batch, samples] -> float32 logits [batch, classes]."""
        return networks.build(self.config, len(self.class_names(state)))
