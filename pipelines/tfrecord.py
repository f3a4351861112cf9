"""The TFRecord container format, without TensorFlow.

Each record is: length (uint64), masked CRC-32C of the length (uint32), the data, masked CRC-32C of
the data (uint32), all little-endian. Mask: rotate right by 15 bits, add 0xa282ead8
(https://www.tensorflow.org/tutorials/load_data/tfrecord, section "TFRecords format details").
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


def masked_crc(data: bytes) -> int:
    """The checksum as the format stores it."""
    return masked(google_crc32c.value(data))


def masked(crc):
    """A CRC-32C, or an array of them (uint32), as the format stores it."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def write_records(path: Path, records: Iterable[bytes]) -> tuple[int, int]:
    """Writes a file; returns (number of records, bytes of data without the framing)."""
    count = size = 0
    with open(path, "wb") as file:
        for data in records:
            length = struct.pack("<Q", len(data))
            file.write(_HEADER.pack(len(data), masked_crc(length)))
            file.write(data)
            file.write(_FOOTER.pack(masked_crc(data)))
            count += 1
            size += len(data)
    return count, size


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file in order.

    Raises:
        ValueError: the file is cut off or a checksum is wrong; the message names file and index.
    """
    with open(path, "rb") as file:
        index = 0
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise _corrupt(path, index, "its header is cut off")
            length, crc = _HEADER.unpack(header)
            if masked_crc(header[:8]) != crc:
                raise _corrupt(path, index, "the checksum of its length does not fit")
            data = file.read(length)
            footer = file.read(_FOOTER.size)
            if len(data) < length or len(footer) < _FOOTER.size:
                raise _corrupt(path, index, "it is cut off")
            if masked_crc(data) != _FOOTER.unpack(footer)[0]:
                raise _corrupt(path, index, "the checksum of its data does not fit")
            yield data
            index += 1


def _corrupt(path, index, what):
    return ValueError(
        f"`{path}` is damaged: record {index}: {what}. Expected: a complete TFRecord file. "
        "Run the step that wrote it again."
    )
