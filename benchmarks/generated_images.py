"""Generated pictures in class folders: as many as one likes, equal for equal seeds, no network.

`python benchmarks/generated_images.py FOLDER [--count 60000]` writes `FOLDER/<class>/<index>.png`,
`write_records` a TFRecord file of the same pictures:
grey 28x28 pictures of ten classes (a bright patch and stripes whose place tells the class, in
noise), about the size of Fashion-MNIST's as PNG. A small network learns them; they stand for nothing
but the work that so many small files make.
"""

import argparse
from itertools import chain
from pathlib import Path

import numpy as np

from penstock.pipelines.example_codec import Encoder
from penstock.pipelines.features import Image as EncodedImage
from penstock.pipelines.features import Label
from penstock.pipelines.media.image_files import encode_png
from penstock.pipelines.tfrecord import write_records as write_tfrecord

CLASSES = 10
SIZE = 28
CHUNK = 100_000


def pixels_of(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count, 28, 28] and int64 [count]: pictures and their classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    pixels = generator.integers(0, 64, (count, SIZE, SIZE), np.uint8)
    for label in range(CLASSES):
        row, column = 4 + 9 * (label % 3), 2 + 6 * (label // 3)
        patch = pixels[label::CLASSES, row - 3 : row + 3, column : column + 6]
        patch += generator.integers(16, 128, (len(patch), 1, 1), np.uint8)
    # A black border, as most pictures of this size have: it takes PNG to some 600 bytes.
    pixels[:, :2], pixels[:, -2:], pixels[:, :, -4:] = 0, 0, 0
    return pixels & 0xF8, labels


def write_folders(folder: Path, count: int, seed: int = 0) -> None:
    """Writes `folder/<class>/<index>.png`, `count` files in all; memory does not grow."""
    for label in range(CLASSES):
        (folder / f"class_{label}").mkdir(parents=True)
    for index, picture, label in _pictures(count, seed):
        Path(folder, f"class_{label}", f"{index:06d}.png").write_bytes(encode_png(picture))


def write_records(path: Path, count: int, seed: int = 0, first_key: int = 0) -> None:
    """Writes Examples of `key`, `image` (PNG) and `label` (class id); memory does not grow.

    Keys count up from `first_key`: those of several files must differ.
    """
    write_tfrecord(path, chain.from_iterable(_examples(count, seed, first_key)))


def _examples(count, seed, first_key):
    names = tuple(f"class_{label}" for label in range(CLASSES))
    encode = Encoder({"image": EncodedImage(channels=1), "label": Label(names=names)}).encode
    for index, picture, label in _pictures(count, seed):
        key = f"{first_key + index:08d}"
        yield [encode(key, {"image": encode_png(picture), "label": label})[0]]


def _pictures(count, seed):
    """Yields (index, picture, class)."""
    for start in range(0, count, CHUNK):
        pixels, labels = pixels_of(min(CHUNK, count - start), seed + start)
        yield from zip(range(start, count), pixels, labels.tolist(), strict=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=60_000)
    arguments = parser.parse_args()
    write_folders(arguments.folder, arguments.count)
