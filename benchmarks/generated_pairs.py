"""Generated pairs of texts, and of recordings and texts: equal for equal seeds, no network.

A target is its source written backwards, each token as another one; a recording is a tone for each token
of its text. Lengths differ as those of sentences do. They stand for nothing but the work that they make.
"""

import numpy as np

VOCABULARY = 6_000
"""Ids of texts; 0 to 3 are special tokens."""
LONGEST_TEXT = 40
RATE_HZ = 8_000
LETTERS = "abcdefghij"
TONE_SAMPLES = 1_600
LONGEST_TRANSCRIPT = 10


def texts_of(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sources and targets, int32 arrays of 4 to `LONGEST_TEXT` ids."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.gamma(6.0, 2.5, count).astype(np.int64), 4, LONGEST_TEXT - 4)
    extra = generator.integers(0, 4, count)
    sources = [generator.integers(4, VOCABULARY, n, np.int32) for n in lengths]
    targets = [
        np.concatenate([VOCABULARY + 3 - source[::-1], np.full(more, 4, np.int32)])
        for source, more in zip(sources, extra, strict=True)
    ]
    return sources, targets


def recordings_of(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Waveforms, int16 arrays, and their letters, int32 arrays of 3 to `LONGEST_TRANSCRIPT` ids."""
    generator = np.random.default_rng(seed)
    time = np.arange(TONE_SAMPLES) / RATE_HZ
    waveforms, texts = [], []
    for _ in range(count):
        ids = generator.integers(1, 1 + len(LETTERS), generator.integers(3, LONGEST_TRANSCRIPT + 1))
        tones = np.concatenate([np.sin(2 * np.pi * 200 * 1.3**letter * time) for letter in ids])
        noise = generator.normal(0, 0.2, len(tones))
        waveforms.append(((tones + noise) * 8_000).astype(np.int16))
        texts.append(ids.astype(np.int32))
    return waveforms, texts
