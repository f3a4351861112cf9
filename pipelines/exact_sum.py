"""Sums of floats without rounding, so that they do not depend on the order of adding.

A float64 is an integer times a power of two; integers of equal power are added as Python integers.
Partial sums of different machines, shards or batches therefore merge to the same bits in any order
(the idea of Kulisch's long accumulator). Within a batch the integers are added in two halves as
float64, which is exact while a sum has fewer than 53 bits, and some 30 times faster.
"""

from fractions import Fraction

import numpy as np

_HIGH_BITS, _LOW_BITS = 27, 26
_CHUNK = 2**25
"""So many integers of 27 bits add up to fewer than 53 bits."""
_SPLITTER = 2.0**27 + 1
_SQUARABLE = (2.0**-480, 2.0**500)
"""Magnitudes whose square, and its rounding error, neither overflow nor underflow."""


class ExactSum:
    """The exact sum of finite float64 values; at most some 2,100 integers of memory."""

    def __init__(self):
        self._by_exponent: dict[int, int] = {}

    def add(self, values: np.ndarray) -> None:
        """Adds an array of finite numbers, of any shape."""
        values = np.asarray(values, np.float64).ravel()
        for start in range(0, values.size, _CHUNK):
            self._add_chunk(values[start : start + _CHUNK])

    def _add_chunk(self, values):
        mantissas, exponents = np.frexp(values)
        lowest = int(exponents.min())
        places = exponents - lowest
        mantissas *= 2.0**_HIGH_BITS
        high = np.trunc(mantissas)
        low = mantissas - high
        highs = np.bincount(places, high)
        # Numbers that were float32 or small integers have no lower half.
        lows = np.bincount(places, low) if low.any() else np.zeros_like(highs)
        for place in np.flatnonzero((highs != 0) | (lows != 0)).tolist():
            lower = int(lows[place] * 2.0**_LOW_BITS)
            integer = (int(highs[place]) << _LOW_BITS) + lower
            self.add_scaled(integer, lowest + place - _HIGH_BITS - _LOW_BITS)

    def add_scaled(self, integer: int, exponent: int) -> None:
        """Adds `integer` times 2 to the power of `exponent`."""
        self._by_exponent[exponent] = self._by_exponent.get(exponent, 0) + integer

    def merge(self, other: "ExactSum") -> None:
        """Adds another sum to this one."""
        for exponent, integer in other._by_exponent.items():
            self.add_scaled(integer, exponent)

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
        """Adds finite numbers, of any shape."""
        values = np.asarray(values).ravel()
        self.count += values.size
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            # Pixels and samples of sound: their sums fit into 64 bits.
            values = values.astype(np.int64)
            self._sum.add_scaled(int(values.sum()), 0)
            self._squares.add_scaled(int((values * values).sum()), 0)
            return
        values = values.astype(np.float64)
        if not values.size:
            return
        self._sum.add(values)
        sizes = np.abs(values)
        extreme = (sizes >= _SQUARABLE[1]) | ((sizes < _SQUARABLE[0]) & (sizes > 0))
        if extreme.any():
            self._add_extreme_squares(values[extreme])
            values = values[~extreme]
        squares, errors = _squares(values)
        self._squares.add(squares)
        if errors.any():
            self._squares.add(errors)

    def _add_extreme_squares(self, values):
        mantissas, exponents = np.frexp(values)
        integers = np.ldexp(mantissas, 53).astype(np.int64)
        for integer, exponent in zip(integers.tolist(), exponents.tolist(), strict=True):
            self._squares.add_scaled(integer**2, 2 * (exponent - 53))

    def merge(self, other: "ExactMoments") -> None:
        """Adds another's values to this one's."""
        self.count += other.count
        self._sum.merge(other._sum)
        self._squares.merge(other._squares)

    def mean(self) -> float:
        """The mean, NaN without values."""
        return float(self._sum.total() / self.count) if self.count else float("nan")

    def variance(self) -> float:
        """The population variance, NaN without values; infinite where it is no float64."""
        if not self.count:
            return float("nan")
        mean = self._sum.total() / self.count
        try:
            return float(self._squares.total() / self.count - mean * mean)
        except OverflowError:
            return float("inf")


def _squares(values):
    """The squares and what each lost by rounding (Dekker 1971, by Veltkamp's splitting)."""
    squares = values * values
    scaled = values * _SPLITTER
    high = scaled - (scaled - values)
    low = values - high
    return squares, ((high * high - squares) + 2 * high * low) + low * low
