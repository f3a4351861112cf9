"""Generated tables as CSV: as many rows as one likes, equal for equal seeds, no network.

`python benchmarks/generated_tables.py FILE [--rows 100000]` writes six columns: an integer, a number
with a fraction, a category, three words, a large integer and a label. Memory does not grow.
"""

import argparse
from pathlib import Path

import numpy as np

COLUMNS = ("age", "size", "colour", "remark", "number", "label")
COLOURS = np.array(["black", "blue", "green", "red"])
WORDS = np.array(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
)
CHUNK = 20_000


def write_csv(path: Path, rows: int, seed: int = 0) -> None:
    """Writes a header and `rows` rows of about 50 bytes."""
    generator = np.random.default_rng(seed)
    with open(path, "w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            columns = (
                generator.integers(0, 1000, count).tolist(),
                generator.normal(size=count).round(5).tolist(),
                COLOURS[generator.integers(0, len(COLOURS), count)].tolist(),
                map(" ".join, WORDS[generator.integers(0, len(WORDS), (count, 3))].tolist()),
                generator.integers(0, 2**40, count).tolist(),
                np.array(["no", "yes"])[generator.integers(0, 2, count)].tolist(),
            )
            file.writelines(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    write_csv(arguments.file, arguments.rows)
