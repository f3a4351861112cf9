"""Deep Speech 2, small: convolutions over time and bands, then recurrent layers over time."""

from keras import layers

from penstock.models.speech.front_end.layers import FrameNormalization
from penstock.models.speech.recognition.config import DeepSpeech


def deep_speech(x, mask_of, config: DeepSpeech):
    """float [batch, frames, bands, 1] -> [batch, frames / time_stride, 2 units]."""
    for number, filters in enumerate(config.filters, start=1):
        x = _convolved(x, mask_of, config, filters, number)
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]), name="sequence")(x)
    mask = mask_of(x, config.frames_divisor)
    for number in range(1, config.recurrent_layers + 1):
        if number > 1:
            name = f"{config.cells}_{number}"
            # Sequence-wise: of what comes in, over all frames of the batch (Amodei et al., 3.2).
            x = _normalised(x, mask, config, name)
            if config.dropout:
                x = layers.Dropout(config.dropout, name=f"{name}_dropout")(x)
        x = _recurrent(x, mask, config, number)
    return _normalised(x, mask, config, "head")


def _convolved(x, mask_of, config, filters, number):
    name, is_first = f"conv_{number}", number == 1
    x = layers.Conv2D(
        filters,
        config.kernel,
        strides=(config.time_stride if is_first else 1, 2),
        padding="same",
        use_bias=False,
        name=name,
    )(x)
    x = _normalised(x, mask_of(x, config.frames_divisor), config, name)
    return layers.ReLU(name=f"{name}_relu")(x)


def _recurrent(x, mask, config, number):
    name = f"{config.cells}_{number}"
    cells = layers.GRU if config.cells == "gru" else layers.LSTM
    # The inner layer's name is in the weights' paths.
    inner = cells(config.units, return_sequences=True, name=f"{name}_cells")
    return layers.Bidirectional(inner, name=name)(x, mask=mask)


def _normalised(x, mask, config, name):
    momentum = config.normalization_momentum
    return FrameNormalization(momentum=momentum, name=f"{name}_normalization")(x, mask)
