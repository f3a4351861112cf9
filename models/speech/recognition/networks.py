"""The networks of speech recognition: int16 waveforms -> logits of each frame.

Comes in: the task's config, the number of ids. Goes out: a Keras model of layers with fixed names,
from int16 [batch, samples] of any length, padded with zeros, and the lengths, int32 [batch], to
float32 logits [batch, frames, ids], the blank first. Padding changes no answer: behind the end of a
recording each convolution over time sees zeros, all else looks at its frames alone, and the answer is
a blank for certain.
"""

import keras
from keras import layers

from penstock.models.speech.front_end.network_input import NetworkInput
from penstock.models.speech.recognition.config import Config
from penstock.models.speech.recognition.conformer import conformer
from penstock.models.speech.recognition.deep_speech import deep_speech
from penstock.models.speech.recognition.layers import BlankBehindEnd


def build(config: Config, num_ids: int) -> keras.Model:
    """The network that `model.type` names.

    Args:
        config: the task's sections.
        num_ids: width of the output, the blank included.
    """
    begin = NetworkInput(
        config.prepare,
        config.spectrogram,
        config.augment.spec_augment,
        config.model.normalization_momentum,
        config.model.frames_divisor,
    )
    # As an image of one channel: [batch, frames, bands, 1].
    x = layers.Reshape((-1, begin.spectrogram.shape[2], 1), name="image")(begin.spectrogram)
    network = {"deep_speech": deep_speech, "conformer": conformer}[config.model.type]
    x = network(x, begin.mask_of, config.model)
    if config.model.dropout:
        x = layers.Dropout(config.model.dropout, name="dropout")(x)
    # float32 also under mixed precision: the loss adds up logarithms of all frames.
    x = layers.Dense(num_ids, dtype="float32", name="frame_logits")(x)
    mask = begin.mask_of(x, config.model.frames_divisor)
    logits = BlankBehindEnd(dtype="float32", name="logits")(x, mask)
    return keras.Model(begin.inputs, logits, name=config.model.type)
