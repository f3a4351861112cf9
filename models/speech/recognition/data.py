"""From a recording and its transcript to what the network and the loss take.

Comes in: WAV files, string [batch]; UTF-8, string [batch]. Goes out: `waveforms`, ragged int16
[batch, (samples)] of one rate, at most `max_seconds` of each; `lengths`, int32 [batch], the samples
that the whole recording has, which is more where its end was cut off; targets: ids of tokens, ragged
int32 [batch, (tokens)], from 1 on.
"""

import tensorflow as tf

from penstock.models.preparation import Preparation, feature_of_kind, needed_text
from penstock.models.speech.front_end.waveforms import beginnings, whole_lengths
from penstock.models.speech.recognition import transcripts
from penstock.pipelines.features import Audio, Features


class Data(Preparation):
    """Preparation of speech recognition; `self.prepare` is a `config.Prepare`."""

    def input_features(self, source: Features) -> Features:
        name = self.prepare.audio_feature
        return {name: feature_of_kind(source, name, Audio, "prepare.audio_feature")}

    def target_features(self, source: Features) -> Features:
        name = self.prepare.text_feature
        return {name: needed_text(source, name, "prepare.text_feature")}

    def analyzers(self, source: Features) -> dict:
        del source
        return {self.prepare.tokens: transcripts.analyzer(self.prepare)}

    def prepare_inputs(self, features, state):
        """string [batch] -> waveforms and the lengths of the whole recordings."""
        del state
        encoded = features[self.prepare.audio_feature]
        found, lengths = beginnings(encoded, self.prepare.sample_rate_hz, self.prepare.max_samples)
        return {"waveforms": found, "lengths": lengths}

    def prepare_targets(self, features, state):
        """string [batch] -> ragged int32 [batch, (tokens)].

        Raises:
            tf.errors.InvalidArgumentError: a recording is longer than `max_seconds`.
        """
        rate_hz, limit = self.prepare.sample_rate_hz, self.prepare.max_seconds
        lengths = whole_lengths(features[self.prepare.audio_feature], rate_hz)
        longest = tf.reduce_max(tf.concat([lengths, [0]], 0))
        text = (
            f"A recording with a transcript must last at most `prepare.max_seconds` ({limit:g}), or its "
            "text would not fit what is left of it. Raise it, or leave such recordings out of the data "
            "(sources of recordings have `max_seconds`, which sends them to the quarantine; strings of "
            "`concatenated_recordings` are shorter with fewer `recordings_per_string`). "
            "Received, in seconds:"
        )
        check = tf.debugging.Assert(
            longest <= self.prepare.max_samples, [text, tf.cast(longest, tf.float32) / rate_hz]
        )
        with tf.control_dependencies([check]):
            texts = transcripts.cleaned(features[self.prepare.text_feature], self.prepare)
        return transcripts.token_ids(texts, self.prepare, state), None
