"""From a recording and a label to what the network and the loss take.

Comes in: WAV files, string [batch]; a label (`models/classification/labels.py`). Goes out: `waveforms`,
ragged int16 [batch, (samples)] of one rate, and `lengths`, int32 [batch], their samples. Lengths go
along because silence and padding are both zeros.
"""

import tensorflow as tf

from penstock.models.classification.labels import Labels
from penstock.models.preparation import feature_of_kind
from penstock.models.speech.front_end.waveforms import waveforms
from penstock.pipelines.features import Audio, Features


class Data(Labels):
    """Preparation of keyword spotting; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.audio_feature
        return {name: feature_of_kind(source, name, Audio, "prepare.audio_feature")}

    def prepare_inputs(self, features, state):
        """string [batch] -> waveforms and their lengths. See `waveforms.waveforms`."""
        del state
        encoded = features[self.prepare.audio_feature]
        found = waveforms(encoded, self.prepare.sample_rate_hz, self.prepare.max_samples)
        return {"waveforms": found, "lengths": tf.cast(found.row_lengths(), tf.int32)}
