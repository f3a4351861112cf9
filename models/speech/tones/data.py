"""From a WAV file to its waveform, and a label to its id.

Comes in: 16-bit PCM WAV, string [batch]; a class id, int64 [batch]. Goes out: waveform float32
[batch, samples], -1..1, mono (the first channel); targets int64 [batch].
"""

import tensorflow as tf

from penstock.models.preparation import Preparation, feature_of_kind
from penstock.pipelines.features import Audio, Features, Label


class Data(Preparation):
    """Preparation of tone classification; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name, rate = self.prepare.audio_feature, self.prepare.sample_rate_hz
        audio = feature_of_kind(source, name, Audio, "prepare.audio_feature")
        if audio.sample_rate_hz not in (None, rate):
            raise ValueError(
                f"The feature `{name}` must be at `prepare.sample_rate_hz`={rate}. Received: wav "
                f"at {audio.sample_rate_hz} Hz. Convert it, or change the setting."
            )
        return {name: audio}

    def target_features(self, source: Features) -> Features:
        name = self.prepare.label_feature
        return {name: feature_of_kind(source, name, Label, "prepare.label_feature")}

    @property
    def samples(self) -> int:
        """Length of the waveform."""
        return round(self.prepare.seconds * self.prepare.sample_rate_hz)

    def prepare_inputs(self, features, state):
        del state

        def waveform(encoded):
            audio, _ = tf.audio.decode_wav(
                encoded, desired_channels=1, desired_samples=self.samples
            )
            return audio[:, 0]

        encoded = features[self.prepare.audio_feature]
        signature = tf.TensorSpec([self.samples], tf.float32)
        return tf.map_fn(waveform, encoded, fn_output_signature=signature)

    def prepare_targets(self, features, state):
        del state
        return features[self.prepare.label_feature], None

    def class_names(self, state) -> tuple[str, ...]:
        """The classes' names; a class's id is its position."""
        return state.features[self.prepare.label_feature].names
