"""About how much memory a training step takes, so that a batch that cannot fit is refused before.

Counted are the tensors of the forward pass that the backward pass needs, and as much again for their
gradients. What the layers hold for a moment comes to that, what the runtime frees early does not.
"""

from penstock.models.speech.recognition.config import Config, Conformer, DeepSpeech

BYTES = 2 * 4
"""A float32 and its gradient."""


def activation_bytes(config: Config, num_ids: int, batch_size: int, samples: int) -> int:
    """Of a batch of recordings that are padded to so many samples."""
    rate, settings = config.prepare.sample_rate_hz, config.spectrogram
    frames = -(-samples // settings.hop(rate))
    # Windows and their Fourier transform, real and imaginary; the bands, normalised and masked.
    floats = frames * (3 * settings.fft_length(rate) + 6 * settings.mel_bands)
    of_model = _deep_speech if isinstance(config.model, DeepSpeech) else _conformer
    floats += of_model(config.model, frames, settings.mel_bands)
    answers = -(-frames // config.model.frames_divisor)
    # Logits, their logarithm, and what the loss makes of them.
    floats += 4 * answers * num_ids
    return BYTES * batch_size * floats


def _deep_speech(model: DeepSpeech, frames: int, bands: int) -> int:
    frames = -(-frames // model.time_stride)
    floats = 0
    for filters in model.filters:
        bands = -(-bands // 2)
        floats += 4 * frames * bands * filters  # convolved, normalised, masked, ReLU
    gates = {"gru": 3, "lstm": 4}[model.cells]
    # Each gate before and after its activation, the states and what is normalised, each way.
    return floats + model.recurrent_layers * frames * 2 * model.units * (2 * gates + 4)


def _conformer(model: Conformer, frames: int, bands: int) -> int:
    floats = 0
    for stride in model.strides:
        frames, bands = -(-frames // stride), -(-bands // 2)
        floats += 4 * frames * bands * model.filters
    feed_forward = 3 * model.feed_forward_factor + 4
    # Beside them queries, keys, values and their mean, and the convolution's parts; all is added once.
    of_frames = frames * model.dim * (2 * feed_forward + 8 + 10)
    # Scores, their softmax and the dropout of it.
    scores = 3 * model.num_heads * frames**2
    return floats + model.blocks * (of_frames + scores)
