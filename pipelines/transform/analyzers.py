"""What a preparation may ask of a full pass over the training split: pure data, no Beam.

`Data.analyzers(source)` returns name -> one of these; `analyze.py` computes them with accumulators
that merge in any order (`analyzer_accumulators.py`), and `state.py` holds what they found. In each,
`values` is a TensorFlow function: dict of raw features with a batch axis -> dense or ragged tensor.
Unless said otherwise its flat values are analysed. Several features are analysed together where
`values` joins them (`tf.concat`): so source and target language share a vocabulary.

| analyzer            | finds                         | in memory, of an accumulator | exactness       |
|---------------------|-------------------------------|------------------------------|-----------------|
| `Vocabulary`        | distinct strings, ranked      | 262,144 strings or 64 MiB *  | exact           |
| `SubwordVocabulary` | byte-level BPE                | as `Vocabulary`, of words *  | counts exact ** |
| `ValueCounts`       | count of each of few values   | at most 65,536 values        | exact           |
| `Moments`           | mean, variance, count         | 2 long integers a component  | rounded once    |
| `MinMax`            | smallest and largest          | 2 numbers a component        | exact           |
| `Quantiles`         | numbers at given ranks        | 262,144 numbers *            | exact           |
| `Lengths`           | lengths of rows or strings    | 262,144 numbers *            | exact           |
| `ChannelMoments`    | mean and variance of channels | 2 long integers a channel    | rounded once    |

(* the rest in sorted runs on disk, in the step's scratch folder; ** `subword_training.py` says how
they are given to the library.)

Missing values (NaN, `MISSING_INT64`) are left out of numbers. A missing text is the empty string
and a missing class -1, and these are counted like others: leave them out in `values`
(`tf.boolean_mask`) where they must not count.
"""

from collections.abc import Callable
from dataclasses import dataclass

from penstock.pipelines.transform.subwords import ALPHABET, SPECIAL_TOKENS


@dataclass(frozen=True)
class Vocabulary:
    """The distinct strings, most frequent first, equal counts in byte order.

    With `labels`, the strings that tell most about the class come first: by the mutual information
    of "the example has this string" and the example's class, in bits (Manning, Raghavan, Schütze,
    Introduction to Information Retrieval, 2008, equation 13.16, summed over all classes), equal
    ones by count, then in byte order. So does TensorFlow Transform's `vocabulary(labels=...)`. An
    example in which a string occurs twice counts once.

    Args:
        values: gives a string tensor; with `labels` its first axis is the batch.
        top_k: keep only this many; None keeps all, of which there may be two million.
        min_count: leave out strings that occur less often; with `labels`, in fewer examples.
        labels: gives the class of each example, int64 [batch]; negative ones are left out.

    Found: `tuple[str, ...]`, for `state.lookup`.
    """

    values: Callable
    top_k: int | None = None
    min_count: int = 1
    labels: Callable | None = None

    def __post_init__(self):
        _check_at_least("Vocabulary", "top_k", self.top_k, 1)


@dataclass(frozen=True)
class SubwordVocabulary:
    """Byte-level byte-pair encoding (Sennrich et al. 2016; bytes as in GPT-2, Radford et al. 2019).

    Every text has an encoding (no unknown tokens) and decodes to itself. Words are cut by the rule
    of `subwords.py`, counted by Beam, and the merges are learned by the library `tokenizers`.

    Args:
        values: gives a string tensor of texts.
        size: number of ids, the 4 special tokens and 256 bytes included; fewer where the text has
            no more pairs that occur `min_count` times.
        min_count: a pair must occur so often to be merged.

    Found: `subwords.Subwords`, for `state.tokenizer`.
    """

    values: Callable
    size: int
    min_count: int = 2

    def __post_init__(self):
        least = len(SPECIAL_TOKENS) + len(ALPHABET)
        if self.size <= least:
            raise ValueError(
                f"`size` of a SubwordVocabulary must be above {least}, the {len(SPECIAL_TOKENS)} "
                f"special tokens and the {len(ALPHABET)} bytes. Received: {self.size}. "
                "8,000 to 32,000 are usual."
            )
        _check_at_least("SubwordVocabulary", "min_count", self.min_count, 1)


@dataclass(frozen=True)
class ValueCounts:
    """How often each value occurs: integers or strings of which there are few (class ids).

    Found: `{str(value): count}`, in order of the values.
    """

    values: Callable


@dataclass(frozen=True)
class Moments:
    """Mean and population variance of finite numbers; both NaN where there are none.

    Args:
        values: gives numbers, or with `reduce_instance_dims=False` [batch, ...] of known shape.
        reduce_instance_dims: False finds one result for each component of an example, as in
            TensorFlow Transform.

    Found: `{"mean": float, "variance": float, "count": int}`, or nested lists of these, of the
    shape of an example.
    """

    values: Callable
    reduce_instance_dims: bool = True


@dataclass(frozen=True)
class MinMax:
    """Smallest and largest number; None where there are none.

    Args:
        values: gives numbers, or with `reduce_instance_dims=False` [batch, ...] of known shape.
        reduce_instance_dims: as in `Moments`.

    Found: `{"min": number, "max": number}`, or nested lists of the shape of an example.
    """

    values: Callable
    reduce_instance_dims: bool = True


@dataclass(frozen=True)
class Quantiles:
    """For each fraction the smallest number that at least this share of all is not above.

    NumPy calls this `quantile(method="inverted_cdf")`. Exact, and the same in any order: what does
    not fit into memory lies sorted on disk (at most 16 bytes a number, in the scratch folder).
    Integers beyond 2**53 are rounded to float64.

    Args:
        values: gives numbers.
        fractions: 0 to 1, in increasing order; 0 is the smallest number and 1 the largest.

    Found: `{"fractions": [...], "values": [...], "count": int}`; each value None where there are
    no numbers.
    """

    values: Callable
    fractions: tuple[float, ...] = (0.25, 0.5, 0.75)

    def __post_init__(self):
        fractions = list(self.fractions)
        if not fractions or fractions != sorted(fractions) or fractions[0] < 0 or fractions[-1] > 1:
            raise ValueError(
                "`fractions` of Quantiles must be numbers from 0 to 1 in increasing order. "
                f"Received: {self.fractions!r}."
            )


@dataclass(frozen=True)
class Lengths:
    """Lengths of ragged rows, or of strings in characters: for choosing buckets and limits.

    Args:
        values: gives ragged [batch, (n), ...], whose rows are counted, or strings [batch], whose
            code points are.

    Found: `{"count", "mean", "min", "max"}`, `"percentiles"`: `{"50": n, "90", "95", "99",
    "99.9"}`, and `"histogram"`: `{"bin_width": w, "counts": [...]}`, where bin i counts lengths
    from i * w up to (i + 1) * w - 1; w is 1 up to a length of 1,023.
    """

    values: Callable


@dataclass(frozen=True)
class ChannelMoments:
    """Mean and population variance of each channel (the last axis) of images or spectrograms.

    Args:
        values: gives numbers [batch, ..., channels], uint8 or float; or ragged before the last
            axis, where images differ in size. The number of channels must be known.

    Found: `{"mean": [channels], "variance": [channels], "count": [channels]}`; count: finite
    numbers.
    """

    values: Callable


Analyzer = (
    Vocabulary
    | SubwordVocabulary
    | ValueCounts
    | Moments
    | MinMax
    | Quantiles
    | Lengths
    | ChannelMoments
)


def _check_at_least(analyzer, name, value, least):
    if value is not None and value < least:
        raise ValueError(f"`{name}` of a {analyzer} must be at least {least}. Received: {value}.")
