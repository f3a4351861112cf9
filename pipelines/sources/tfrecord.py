"""TFRecord files of `tf.train.Example`, plain or GZIP, without TensorFlow.

With `features` exactly those are read, as by `tf.io.parse_example`; without it all of them, as all
records together tell: integers, floats, texts (UTF-8), PNG or JPEG images; one value, a fixed number
of them (an array) or any number (a sequence). A number described as a label is a class id, a text is
the name of a class. NaN is a missing value. Images and recordings are checked and stored as
`image_files` and `audio_files` leave them.

A record whose data do not fit their checksum is a bad one. Behind a wrong length nothing can be
found any more, so the rest of the file is one bad record.
"""

import struct
from collections.abc import Iterator
from math import prod
from typing import ClassVar, Literal

from penstock.pipelines.features import Audio, Image, Label, Number, Sequence, Text
from penstock.pipelines.reading import rows, scanned_rows
from penstock.pipelines.reading.columns import convert_typed
from penstock.pipelines.reading.file_source import DataFile, gunzipped
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources.source import KEPT_BYTES, BadRecord

PART_BYTES, PART_RECORDS = 16 * 2**20, 4096
"""What is read at once."""
MAX_RECORD_BYTES = 2**28
"""A record is in memory whole, while it is read up to three times: one of 1 GiB took 1.75 GB."""

_HEADER = struct.Struct("<QI")
_FRAME = 16
"""Bytes of a record beside its data: length, checksum of the length, checksum of the data."""
_GZIP = b"\x1f\x8b"


class Source(scanned_rows.ScannedSource):
    """Examples of TFRecord files; see `RowSource` for the fields. A column is a feature there."""

    type: Literal["tfrecord"] = "tfrecord"

    suffixes: ClassVar = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
    libraries: ClassVar = ("pillow",)
    kinds: ClassVar = (Text, Label, Number, Sequence, Image, Audio)

    def find_columns(self) -> list[str]:
        if not self.described:
            return super().find_columns()
        named = (self.key, self.group, self.split)
        return [*self.wanted().values(), *(column for column in named if column is not None)]

    def wanted(self) -> dict[str, str]:
        if not self.described:
            return super().wanted()
        renamed = self.columns if isinstance(self.columns, dict) else {}
        return {name: renamed.get(name, name) for name in self.described}

    def scan(self):
        from penstock.pipelines.reading.example_columns import ExampleColumns

        found = ExampleColumns(lambda column: self.is_label(self.feature_name(column)))
        for file in self.data_files():
            for batch in self._batches(file, None):
                found.add([example for _, _, example in _examples(batch.records, file, [])])
        return found.features()

    def parts(self, file: DataFile) -> Iterator[object]:
        """(offset, bytes, position of the first record) of a plain file on disk, else None."""
        try:
            stream = _open(file)
        except ReadFault as fault:
            yield BadRecord(file.where, 0, str(fault), offset=0)
            return
        with stream:
            if file.tree.is_archive or not _is_plain(file):
                yield None
                return
            yield from _plan(stream, file)

    def tables(self, file: DataFile, part, columns: list[str]) -> Iterator[rows.Table]:
        """Of a part, or with None of the whole file."""
        for batch in self._batches(file, part):
            bad = list(batch.bad)
            good = list(_examples(batch.records, file, bad))
            cells = {
                column: [_cell(example, column) for _, _, example in good] for column in columns
            }
            offsets = {index: (offset, data) for index, offset, data in batch.records}
            indices = [index for index, _, _ in good]
            yield rows.Table(
                cells, indices, lambda at, offsets=offsets, kept=indices: offsets[kept[at]], bad
            )

    def _batches(self, file, part):
        try:
            stream = _open(file)
        except ReadFault as fault:
            yield _Batch([], [BadRecord(file.where, 0, str(fault), offset=0)])
            return
        with stream:
            if part is None:
                yield from _read(stream, file, 0, 0, None)
            else:
                offset, size, index = part
                stream.seek(offset)
                yield from _read(stream, file, offset, index, offset + size)

    def text_of(self, cell):
        if not cell or len(cell) > 1:
            return None
        return super().text_of(cell[0])

    def convert(self, column, cells, feature):
        ids = isinstance(feature, Label) and self.feature_name(column) in self.described
        return _convert(cells, feature, frozenset(self.missing), ids)


class _Batch:
    """`records`: (index, offset of the data, data) of records with good checksums."""

    def __init__(self, records, bad):
        self.records = records
        self.bad = bad


def _open(file):
    stream = file.open()
    if file.is_gzip or _is_plain(file):
        return stream
    return gunzipped(stream)


def _is_plain(file):
    """Whether a file is no GZIP file. A length may begin with the same bytes; its checksum tells."""
    if file.is_gzip:
        return False
    with file.open() as stream:
        header = stream.read(_HEADER.size)
    return not header.startswith(_GZIP) or _length(header) is not None


def _length(header):
    """The length in a header, or None if its checksum does not fit."""
    from penstock.pipelines.tfrecord import masked_crc

    length, checksum = _HEADER.unpack(header)
    return length if masked_crc(header[:8]) == checksum else None


def _plan(stream, file):
    """Finds records by their lengths: (offset, bytes, position of the first)."""
    size = stream.seek(0, 2)
    start = offset = first = index = 0
    while offset < size:
        stream.seek(offset)
        header = stream.read(_HEADER.size)
        fault, length = _header_fault(header, size - offset)
        if fault:
            break
        offset += length + _FRAME
        index += 1
        if offset - start >= PART_BYTES or index - first >= PART_RECORDS:
            yield start, offset - start, first
            start, first = offset, index
    if offset > start:
        yield start, offset - start, first
    if offset < size:
        stream.seek(offset)
        yield BadRecord(file.where, index, fault, "", offset, stream.read(KEPT_BYTES))


def _header_fault(header, left):
    """(why nothing can be read from here on, None) or (None, length of the data)."""
    if len(header) < _HEADER.size:
        return "The file is cut off: the last record has no complete header.", None
    length = _length(header)
    if length is None:
        return (
            "The checksum of the record's length does not fit, so neither this record nor what comes "
            "behind it can be read.",
            None,
        )
    if length > MAX_RECORD_BYTES:
        return (
            f"The record claims {length:,} bytes; at most {MAX_RECORD_BYTES:,} are read, because it "
            "must be in memory as a whole. If it is not damaged, write it as several.",
            None,
        )
    if left is not None and left < length + _FRAME:
        return f"The file is cut off: the last record has {length:,} bytes.", None
    return None, length


def _read(stream, file, offset, index, end):
    """Batches of records from a stream that stands at `offset`, up to `end` or its own end."""
    from penstock.pipelines.tfrecord import masked_crc

    records, bad, size = [], [], 0
    while end is None or offset < end:
        header = data = b""
        try:
            header = stream.read(_HEADER.size)
            if not header:
                break
            fault, length = _header_fault(header, None)
            if not fault:
                data = stream.read(length + 4)
                fault = None if len(data) == length + 4 else _header_fault(header, 0)[0]
        except (ReadFault, OSError) as damage:
            fault = str(damage)
        if fault:
            bad.append(BadRecord(file.where, index, fault, "", offset, header + data))
            break
        checksum, data = data[length:], data[:length]
        if masked_crc(data) != int.from_bytes(checksum, "little"):
            reason = "The checksum of the record's data does not fit."
            bad.append(BadRecord(file.where, index, reason, "", offset + _HEADER.size, data))
        else:
            records.append((index, offset + _HEADER.size, data))
        offset, index, size = offset + length + _FRAME, index + 1, size + length
        if size >= PART_BYTES or len(records) >= PART_RECORDS:
            yield _Batch(records, bad)
            records, bad, size = [], [], 0
    yield _Batch(records, bad)


def _examples(records, file, bad):
    """Yields (index, offset, {name: `tf.train.Feature`}); what is no Example comes into `bad`."""
    from google.protobuf.message import DecodeError
    from tensorflow_datasets.proto import tf_example_pb2

    parse = tf_example_pb2.Example.FromString
    for index, offset, data in records:
        try:
            yield index, offset, parse(data).features.feature
        except (DecodeError, UnicodeDecodeError):
            reason = "The record is no `tf.train.Example`."
            bad.append(BadRecord(file.where, index, reason, "", offset, data))


def _cell(example, column):
    """The values of a feature as a list, or None where it is absent."""
    feature = example.get(column)
    return None if feature is None else values_of(feature)


def values_of(feature) -> list:
    """A `tf.train.Feature` as a list of bytes, int or float."""
    kind = feature.WhichOneof("kind")
    # Not `list`, which asks for one value after the other.
    return getattr(feature, kind).value[:] if kind else []


def _convert(cells, feature, missing, ids):
    if isinstance(feature, Sequence):
        return convert_typed(cells, feature, missing)
    if isinstance(feature, Number) and feature.shape:
        return _arrays(cells, feature)
    faults = {
        position: f"has {len(cell)} values, but must have one"
        for position, cell in enumerate(cells)
        if cell and len(cell) > 1
    }
    single = [cell[0] if cell else None for cell in cells]
    # NaN is not equal to itself.
    single = [None if cell != cell else cell for cell in single]
    if ids:
        single = [_class_name(cell, feature) for cell in single]
    values, more = convert_typed(single, feature, missing)
    return values, {**more, **faults}


def _class_name(cell, feature):
    """A class id -> the name of the class."""
    return feature.names[cell] if type(cell) is int and 0 <= cell < len(feature.names) else cell


def _arrays(cells, feature):
    flat = feature.model_copy(update={"shape": (prod(feature.shape),)})
    values, faults = convert_typed([cell or None for cell in cells], flat)
    faults = {
        position: fault.replace(f"{flat.shape}", f"{feature.shape}")
        for position, fault in faults.items()
    }
    return [None if value is None else value.reshape(feature.shape) for value in values], faults
