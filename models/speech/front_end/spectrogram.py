"""Log-mel spectrograms as a Keras layer.

Comes in: waveforms, int16 [batch, samples]. Goes out: dB, float32 [batch, frames, bands]. Frame n has
its middle at sample n * hop; what it holds does not depend on how far the waveform was padded.
"""

import keras
from keras import layers, ops

NO_LIMIT_DB = 1000.0
"""Above any range of float32 powers: Keras limits the range by the loudest of the whole batch, so
that one recording's answer would depend on the others in its request."""


@keras.saving.register_keras_serializable(package="penstock")
class LogMel(layers.Layer):
    """10 log10 of the power in mel bands, at least -100 dB.

    `keras.layers.MelSpectrogram` (Hann windows, HTK's triangles of height 1) with three things around
    it: integers are scaled to -1..1, time comes first, and silence lies before and behind the
    waveform, where the layer itself would reflect it. In float32 under any policy: 16 bits do not hold
    a power.

    Args:
        rate_hz: of the waveforms.
        window, hop, fft_length: in samples.
        bands: how many.
        min_hz, max_hz: edges of the lowest and the highest band.
        multiple: the number of frames is a multiple of this, which later layers divide it by.
    """

    def __init__(
        self,
        rate_hz,
        window,
        hop,
        fft_length,
        bands,
        min_hz,
        max_hz,
        multiple=1,
        name="log_mel",
        **kwargs,
    ):
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        self.settings = {
            "rate_hz": rate_hz,
            "window": window,
            "hop": hop,
            "fft_length": fft_length,
            "bands": bands,
            "min_hz": min_hz,
            "max_hz": max_hz,
            "multiple": multiple,
        }
        self.mel = layers.MelSpectrogram(
            fft_length=fft_length,
            sequence_length=window,
            sequence_stride=hop,
            sampling_rate=rate_hz,
            num_mel_bins=bands,
            min_freq=min_hz,
            max_freq=max_hz,
            top_db=NO_LIMIT_DB,
            dtype="float32",
            name="mel",
        )

    def build(self, input_shape):
        self.mel.build(input_shape)

    def compute_output_shape(self, input_shape):
        # Told, for JAX cannot find it out where the number of samples is not known yet.
        batch, samples = input_shape
        frames = None if samples is None else self._frames(samples)
        return batch, frames, self.settings["bands"]

    def call(self, waveforms):
        hop, multiple = self.settings["hop"], self.settings["multiple"]
        x = ops.cast(waveforms, "float32") / 32768.0
        frames = self._frames(ops.shape(x)[1])
        # Wide enough for the outermost window, so that no frame that is kept sees a reflection.
        margin = -(-self.settings["fft_length"] // (2 * hop))
        x = ops.pad(x, [[0, 0], [margin * hop, (margin + multiple) * hop]])
        return ops.swapaxes(self.mel(x), 1, 2)[:, margin : margin + frames]

    def _frames(self, samples):
        """How many frames there are of so many samples."""
        multiple = self.settings["multiple"]
        return -(-samples // (self.settings["hop"] * multiple)) * multiple

    def get_config(self):
        return {**super().get_config(), **self.settings}
