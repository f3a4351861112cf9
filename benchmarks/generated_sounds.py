"""Generated recordings as int16 samples: as many as one likes, equal for equal seeds, no network.

A noisy tone of 0.2 to 1 s at 8 kHz, most of them short, as spoken words are; the pitch tells the class.
A small network learns them; they stand for nothing but the work that recordings of many lengths make.
"""

import numpy as np

CLASSES = 10
RATE_HZ = 8_000
LONGEST = 8_000
"""Samples."""
BOUNDARIES = (2_400, 3_200, 4_400, LONGEST)
"""The longest recording of each bucket."""


def waveforms_of(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Object array [count] of int16 arrays, and int64 [count]: recordings and their classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    lengths = np.clip(generator.gamma(4.0, 800.0, count).astype(np.int64), 1_600, LONGEST)
    waveforms = np.empty(count, object)
    for index, (label, length) in enumerate(zip(labels, lengths, strict=True)):
        phase = 2 * np.pi * 200 * 1.3**label * np.arange(length) / RATE_HZ
        noise = generator.normal(0, 0.2, length)
        waveforms[index] = ((np.sin(phase) + noise) * 8_000).astype(np.int16)
    return waveforms, labels
