"""Subword encoding beside its peers, and what analyzers of many values take.

`python benchmarks/analyzers.py FOLDER` prints both tables; FOLDER holds multi30k's train.en.gz and
train.de.gz. Each row of the second table is a process of its own, so that peaks do not mix.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tables import machine, spread, table

BATCH = 256
VOCABULARY = 8000
SIZES = (625_000, 2_500_000, 10_000_000)


def encodings(folder: Path, repeats: int) -> str:
    """Tokens/s of the same 58,000 sentences, English and German, in tf.data and in the library."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras_hub
    import tensorflow as tf

    from penstock.pipelines.transform.state import State
    from penstock.pipelines.transform.subword_tokenizer import split_words
    from penstock.pipelines.transform.subword_training import library_tokenizer, train
    from penstock.pipelines.transform.subwords import SPECIAL_TOKENS

    files = [folder / f"train.{language}.gz" for language in ("en", "de")]
    texts = [
        line for file in files for line in gzip.decompress(file.read_bytes()).decode().splitlines()
    ]
    words = Counter()
    for first in range(0, len(texts), 4096):
        batch = split_words(tf.constant(texts[first : first + 4096]))
        words.update(batch.flat_values.numpy().tolist())
    start = time.perf_counter()
    subwords = train(words.items(), VOCABULARY, 2)
    seconds = time.perf_counter() - start
    # KerasHub wants its own ids; which words it cuts differs a little.
    vocabulary = {token: index for index, token in enumerate(subwords.tokens)}
    merges = [" ".join(pair) for pair in subwords.merges]
    peer = keras_hub.tokenizers.BytePairTokenizer(
        vocabulary, merges, unsplittable_tokens=list(SPECIAL_TOKENS)
    )
    library = library_tokenizer(subwords)
    tokenizer = State({}, {"pieces": subwords}).tokenizer("pieces")

    def in_tf_data(function):
        dataset = tf.data.Dataset.from_tensor_slices(texts).batch(BATCH)
        dataset = dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)
        return lambda: sum(int(ids.flat_values.shape[0]) for ids in dataset)

    def in_library():
        parts = (texts[first : first + BATCH] for first in range(0, len(texts), BATCH))
        return sum(len(encoding.ids) for part in parts for encoding in library.encode_batch(part))

    ways = {
        "`state.tokenizer` in tf.data, plain TensorFlow ops": in_tf_data(tokenizer.tokenize),
        "KerasHub's BytePairTokenizer in tf.data, TensorFlow Text": in_tf_data(peer.tokenize),
        "`tokenizers`, Rust, `encode_batch`": in_library,
    }
    rates = {name: [] for name in ways}
    for _ in range(repeats):
        for name, count in ways.items():
            start = time.perf_counter()
            tokens = count()
            rates[name].append(tokens / (time.perf_counter() - start))
    rows = [[name, *spread(values)] for name, values in rates.items()]
    return (
        table(["tokens/s, batches of 256", "minimum", "median", "maximum"], rows)
        + f"\nTraining on {words.total():,} words, {len(words):,} distinct: {seconds:.1f} s.\n"
    )


def accumulate(analyzer_name: str, count: int) -> tuple[float, float, float]:
    """(seconds, peak MB, MB on disk) of an accumulator that gets `count` distinct values."""
    from penstock.pipelines.transform import analyzers
    from penstock.pipelines.transform.analyzer_accumulators import accumulator

    vocabulary = analyzer_name == "Vocabulary"
    options = {"top_k": 100_000} if vocabulary else {}
    analyzer = getattr(analyzers, analyzer_name)(None, **options)
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        whole = accumulator(analyzer, scratch)
        for first in range(0, count, BATCH):
            values = np.arange(first, min(first + BATCH, count))
            if vocabulary:
                whole.add(np.array([b"string %d" % value for value in values.tolist()], object))
            else:
                whole.add(generator.permutation(values) * 0.1)
        whole.result(analyzer)
        seconds = time.perf_counter() - start
        disk = sum(entry.stat().st_size for entry in os.scandir(scratch))
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    return seconds, peak / 2**10, disk / 2**20


def sizes() -> str:
    """Time, memory and disk at 1x, 4x and 16x."""
    rows = []
    for name in ("Vocabulary", "Quantiles"):
        for count in SIZES:
            command = [sys.executable, __file__, "--accumulate", name, str(count)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append([name, count, *map(float, output.split())])
    return table(["analyzer", "distinct values", "seconds", "peak MB", "MB on disk"], rows)


def main():
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--accumulate", nargs=2)
    arguments = parser.parse_args()
    if arguments.accumulate:
        print(*accumulate(arguments.accumulate[0], int(arguments.accumulate[1])))
        return
    if arguments.folder is None:
        parser.error("FOLDER must hold multi30k's train.en.gz and train.de.gz")
    print(machine(), "\n")
    print(encodings(arguments.folder, arguments.repeats))
    print(sizes())


if __name__ == "__main__":
    main()
