"""The bytes of a `tf.train.Example`, put together without protos: several times as fast.

An Example is a map from names to lists, stored as nested length-delimited fields
(https://protobuf.dev/programming-guides/encoding, and tensorflow/core/example/feature.proto):
`Example{1: Features{1: {1: name, 2: Feature{1: bytes | 2: floats | 3: integers}}}}`. All that does
not depend on a value is made once for each name and size. Entries come in the `order` of their
names, so that the bytes are those of `SerializeToString(deterministic=True)` (a test compares them).
"""

from collections.abc import Callable, Iterable

import numpy as np

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = b"\x0a", b"\x12", b"\x1a"
_KEPT_SIZES = 2**12
"""Heads of larger values are made each time: their cost does not count, their number might."""


def varint(number: int) -> bytes:
    """An integer, seven bits a byte, low bits first; negative ones as 64-bit two's complement."""
    if 0 <= number < len(_VARINTS):
        return _VARINTS[number]
    return _varint(number & 0xFFFF_FFFF_FFFF_FFFF)


def _varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_VARINTS = tuple(map(_varint, range(2**14)))


class _Heads(dict):
    """Size of a payload -> all bytes of an entry of the map before it."""

    def __init__(self, name: str, kind: bytes, is_one_field: bool):
        super().__init__()
        self._name = name.encode()
        self._kind = kind
        self._is_one_field = is_one_field

    def __missing__(self, size):
        head = b""
        if self._is_one_field:
            head = b"\x0a" + varint(size)
        head = self._kind + varint(len(head) + size) + head
        head = b"\x12" + varint(len(head) + size) + head
        head = b"\x0a" + varint(len(self._name)) + self._name + head
        head = b"\x0a" + varint(len(head) + size) + head
        if size < _KEPT_SIZES:
            self[size] = head
        return head


def order(name: str) -> bytes:
    """What names are sorted by: their bytes, and of `a` and `ab` the longer one first, as upb does."""
    return name.encode() + b"\xff"


def bytes_entry(name: str) -> Callable[[bytes], bytes]:
    """A function: one string of bytes -> the entry of this name."""
    heads = _Heads(name, _BYTES_LIST, is_one_field=True)
    return lambda value: heads[len(value)] + value


def several_bytes_entry(name: str) -> Callable[[Iterable[bytes]], bytes]:
    """A function: any number of strings of bytes -> the entry of this name."""
    heads = _Heads(name, _BYTES_LIST, is_one_field=False)

    def entry(values):
        fields = b"".join([b"\x0a" + varint(len(value)) + value for value in values])
        return heads[len(fields)] + fields

    return entry


def int64_entry(name: str) -> Callable[[Iterable[int]], bytes]:
    """A function: Python integers -> the entry of this name."""
    none = _Heads(name, _INT64_LIST, is_one_field=False)[0]
    heads = _Heads(name, _INT64_LIST, is_one_field=True)

    def entry(numbers):
        packed = b"".join([varint(number) for number in numbers])
        return heads[len(packed)] + packed if packed else none

    return entry


def float_entry(name: str) -> Callable[[bytes], bytes]:
    """A function: little-endian float32 bytes -> the entry of this name."""
    none = _Heads(name, _FLOAT_LIST, is_one_field=False)[0]
    heads = _Heads(name, _FLOAT_LIST, is_one_field=True)
    return lambda packed: heads[len(packed)] + packed if packed else none


def example(entries: Iterable[bytes]) -> bytes:
    """Entries in the order of their names -> a serialised Example."""
    body = b"".join(entries)
    return b"\x0a" + varint(len(body)) + body


def float32_bytes(values) -> bytes:
    """Numbers of any shape -> little-endian float32; those that are too large become infinite."""
    with np.errstate(over="ignore", invalid="ignore"):  # invalid: a signalling NaN
        return np.asarray(values, np.float64).astype("<f4").tobytes()
