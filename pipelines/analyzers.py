"""What a preparation may ask of a full pass over the training split: pure data, no Beam.

`Data.analyzers()` returns name -> one of these; `penstock/pipelines/analyze.py` computes them with
Beam combiners and `penstock/pipelines/state.py` holds what they found. In each, `values` is a
TensorFlow function: dict of raw features with a batch axis -> dense or ragged tensor, whose flat
values are analysed.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """The distinct strings, most frequent first, equal counts in byte order.

    Args:
        values: gives a string tensor.
        top_k: keep only this many; None keeps all.
        min_count: leave out strings that occur less often.

    Found: `tuple[str, ...]`.
    """

    values: Callable
    top_k: int | None = None
    min_count: int = 1


@dataclass(frozen=True)
class Moments:
    """Mean and population variance of numbers (NaN is left out); both NaN where there are none.

    Found: `{"mean": float, "variance": float, "count": int}`.
    """

    values: Callable


@dataclass(frozen=True)
class MinMax:
    """Smallest and largest number (NaN is left out); None where there are none.

    Found: `{"min": number, "max": number}`.
    """

    values: Callable


@dataclass(frozen=True)
class ValueCounts:
    """How often each value occurs: integers or strings of which there are few (class ids).

    Found: `{str(value): count}`, in order of the values.
    """

    values: Callable


Analyzer = Vocabulary | Moments | MinMax | ValueCounts
