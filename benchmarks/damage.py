"""Damages bytes in the ways that disks, networks and programs do; equal for equal seeds."""

import numpy as np

MOST_CHANGED = 12
"""Bytes that are changed one by one."""


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """One copy of `data`, damaged in one of several ways; now and then it is left as it is."""
    ways = (_flip, _flip, _flip, _cut, _cut, _zero, _insert, _repeat, _swap, _keep)
    way = ways[int(generator.integers(len(ways)))]
    return bytes(way(bytearray(data), generator)) if data else data


def _keep(data, generator):
    del generator
    return data


def _flip(data, generator):
    """Other values for a few bytes."""
    for place in generator.integers(len(data), size=int(generator.integers(1, MOST_CHANGED))):
        data[int(place)] ^= int(generator.integers(1, 256))
    return data


def _cut(data, generator):
    """The end is missing; sometimes all is."""
    return data[: int(generator.integers(len(data)))]


def _block(data, generator):
    first = int(generator.integers(len(data)))
    return first, first + int(generator.integers(1, max(2, len(data) // 4)))


def _zero(data, generator):
    """A block of a disk that was never written."""
    first, last = _block(data, generator)
    data[first:last] = bytes(len(data[first:last]))
    return data


def _insert(data, generator):
    """A block that does not belong there."""
    place = int(generator.integers(len(data)))
    data[place:place] = generator.bytes(int(generator.integers(1, 64)))
    return data


def _repeat(data, generator):
    """A block that is there twice."""
    first, last = _block(data, generator)
    data[last:last] = data[first:last]
    return data


def _swap(data, generator):
    """Two bytes in each other's place."""
    first, second = (int(place) for place in generator.integers(len(data), size=2))
    data[first], data[second] = data[second], data[first]
    return data
