"""Settings of batches that data of differing length need: buckets and packing. No TensorFlow."""

from typing import Literal

from pydantic import PositiveInt, field_validator

from penstock.pipelines.config import Config


class Buckets(Config):
    """Batches of examples of similar length, padded to the longest length of their bucket.

    An example's length is that of its longest ragged tensor; each further ragged tensor is padded to
    the longest that it has in the bucket. `boundaries` are the longest lengths of the buckets,
    ascending; without them there are up to `count`, chosen by the training examples: with
    `chosen_by: examples` so that each bucket holds about as many, with `chosen_by: padding` so that
    the least is padding, which for short or widely differing lengths (sentences) is much less.
    `tokens_per_batch` makes a batch of a bucket as many examples as have so many tokens when the
    longest tensor is padded; without it each batch has `train.batch_size` examples.
    """

    boundaries: tuple[PositiveInt, ...] = ()
    count: PositiveInt = 8
    chosen_by: Literal["examples", "padding"] = "examples"
    tokens_per_batch: PositiveInt | None = None

    @field_validator("boundaries")
    @classmethod
    def _ascend(cls, boundaries):
        if list(boundaries) != sorted(set(boundaries)):
            raise ValueError(f"must ascend. Received: {list(boundaries)}. Sort them, each once.")
        return boundaries


class Packing(Config):
    """Several short examples in one row of fixed length, with segment ids and positions.

    `length` is that of every ragged tensor, or one for each (`{inputs/ids: 256, targets: 64}`).
    An example goes into the first of the `window` rows that are open in which it fits.
    """

    length: PositiveInt | dict[str, PositiveInt]
    window: PositiveInt = 64
