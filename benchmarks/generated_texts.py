"""Generated texts as ids of words: as many as one likes, equal for equal seeds, no network.

4 to 64 random words, most texts short, as sentences are; one word of the class stands among them. A
small network learns them; they stand for nothing but the work that texts of many lengths make.
"""

import numpy as np

CLASSES = 10
VOCABULARY = 5_000
"""Ids: 0 is padding, 1 an unknown word, 2 to 11 tell the class."""
LONGEST = 64
BOUNDARIES = (12, 20, 32, LONGEST)
"""The longest text of each bucket."""


def ids_of(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Object array [count] of int32 arrays, and int64 [count]: texts and their classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    lengths = np.clip(generator.gamma(2.0, 8.0, count).astype(np.int64), 4, LONGEST)
    texts = np.empty(count, object)
    for index, length in enumerate(lengths):
        ids = generator.integers(2 + CLASSES, VOCABULARY, length, np.int32)
        ids[generator.integers(length)] = 2 + labels[index]
        texts[index] = ids
    return texts, labels
