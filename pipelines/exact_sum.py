"""Sums of floats without rounding, so that they do not depend on the order of adding.

A float64 is an integer times a power of two; integers of equal power are added as Python integers.
Partial sums of different machines, shards or batches therefore merge to the same bits in any order
(the idea of Kulisch's long accumulator).
"""

from fractions import Fraction

import numpy as np

_LOW_BITS = 27


class ExactSum:
    """The exact sum of finite float64 values; at most some 2,100 integers of memory."""

    def __init__(self):
        self._by_exponent: dict[int, int] = {}

    def add(self, values: np.ndarray) -> None:
        """Adds an array of finite numbers (any shape, at most 2**35 of them)."""
        mantissas, exponents = np.frexp(np.asarray(values, np.float64).ravel())
        integers = np.ldexp(mantissas, 53).astype(np.int64)
        unique, places = np.unique(exponents, return_inverse=True)
        high = np.zeros(len(unique), np.int64)
        low = np.zeros(len(unique), np.int64)
        # In two halves, so that the sums of a batch fit into 64 bits.
        np.add.at(high, places, integers >> _LOW_BITS)
        np.add.at(low, places, integers & (2**_LOW_BITS - 1))
        for exponent, upper, lower in zip(
            unique.tolist(), high.tolist(), low.tolist(), strict=True
        ):
            self._add(exponent - 53, (upper << _LOW_BITS) + lower)

    def merge(self, other: "ExactSum") -> None:
        """Adds another sum to this one."""
        for exponent, integer in other._by_exponent.items():
            self._add(exponent, integer)

    def _add(self, exponent, integer):
        self._by_exponent[exponent] = self._by_exponent.get(exponent, 0) + integer

    def total(self) -> Fraction:
        """The exact sum."""
        if not self._by_exponent:
            return Fraction(0)
        lowest = min(self._by_exponent)
        integer = sum(value << (e - lowest) for e, value in self._by_exponent.items())
        return Fraction(integer) * Fraction(2) ** lowest


class ExactMoments:
    """Count, mean and population variance, rounded once at the end."""

    def __init__(self):
        self.count = 0
        self._sum = ExactSum()
        self._squares = ExactSum()

    def add(self, values: np.ndarray) -> None:
        """Adds finite numbers. Squares of float32 are exact in float64; others are rounded once."""
        values = np.asarray(values, np.float64).ravel()
        self.count += values.size
        self._sum.add(values)
        self._squares.add(np.square(values))

    def merge(self, other: "ExactMoments") -> None:
        """Adds another's values to this one's."""
        self.count += other.count
        self._sum.merge(other._sum)
        self._squares.merge(other._squares)

    def mean(self) -> float:
        """The mean, NaN without values."""
        return float(self._sum.total() / self.count) if self.count else float("nan")

    def variance(self) -> float:
        """The population variance, NaN without values."""
        if not self.count:
            return float("nan")
        mean = self._sum.total() / self.count
        # Not below zero: squares that were rounded down could take it there.
        return max(0.0, float(self._squares.total() / self.count - mean * mean))
