"""Which split a record belongs to: a hash of its key decides, so that adding data moves nothing.

Comes in: the hash of a record's group or key, and its source's own split. Goes out: a split's name.
"""

import re
from hashlib import blake2b

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
"""A split's name becomes part of file names; TFDS parses those."""


def key_hashes(key: str) -> tuple[int, int]:
    """Two independent hashes of a key, each in [0, 2**64): one to split by, one to order by.

    They must be independent: within one split the first covers only a part of its range.
    """
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")


def check_split_names(names) -> None:
    """Raises ValueError for a split's name that cannot be part of a file name."""
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                "A split's name must be letters, digits or `_` and begin with a letter or digit. "
                f"Received: {name!r}. Rename it in `data.splits` or in the source."
            )


class Splitter:
    """Divides records among splits.

    Args:
        splits: name -> fraction; the fractions add up to one. Order matters: a key's hash, seen
            as a number in [0, 1), falls into the first split whose cumulative fraction is larger.
        split_from: a split of the source's own that is divided too; None keeps all of them.

    Raises:
        ValueError: bad names, or fractions that do not add up to one.
    """

    def __init__(self, splits: dict[str, float], split_from: str | None = None):
        check_split_names(splits)
        total = sum(splits.values())
        if abs(total - 1.0) > 1e-6:
            raise ValueError(
                "`data.splits` must add up to 1, or records would be left over. "
                f"Received: {splits}, which add up to {total:g}."
            )
        self.split_from = split_from
        self.shares = dict(splits)
        self.names = list(splits)
        cumulative, limits = 0.0, []
        for fraction in splits.values():
            cumulative += fraction
            limits.append(round(cumulative * 2**64))
        last = max(i for i, fraction in enumerate(splits.values()) if fraction > 0)
        # Rounding must not leave a gap below one; splits of fraction 0 behind it stay empty.
        self._limits = [2**64 if i >= last else limit for i, limit in enumerate(limits)]

    def divides(self, own: str | None) -> bool:
        """Whether a record with this split of the source's own is to be divided."""
        return own is None or own == self.split_from

    def split_of(self, split_hash: int, own: str | None) -> str:
        """The split of a record.

        Args:
            split_hash: the first of `key_hashes(group or key)`.
            own: the source's own split of this record, or None.

        Raises:
            ValueError: the source's own split has a name that cannot be part of a file name.
        """
        if not self.divides(own):
            check_split_names([own])
            return own
        for name, limit in zip(self.names, self._limits, strict=True):
            if split_hash < limit:
                return name
        raise RuntimeError(f"No split for the hash {split_hash}, limits {self._limits}.")
