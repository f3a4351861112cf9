"""Texts, one a line: plain, `.gz` or in an archive.

What a file's name says (`reading/name_pattern.py`) belongs to each of its lines: with
`pattern: '\\.(?P<label>pos|neg)$'` the files `reviews.pos` and `reviews.neg` are two classes. A line
is kept as it is, without its end; blank lines are no texts. A key is `<file>:<number of the line>`,
from 0, which stays when lines are appended or files are added.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from penstock.pipelines.features import Features, Text
from penstock.pipelines.reading import line_files
from penstock.pipelines.reading.file_source import DataFile, FileSource, data_files
from penstock.pipelines.reading.name_pattern import NameFault, NamePattern, NameReader
from penstock.pipelines.reading.tree import ReadFault
from penstock.pipelines.sources.source import BadRecord, Record

TEXT = "text"
"""The name of the feature."""


class Source(FileSource, NamePattern):
    """Lines of text files; see `FileSource` and `NamePattern` for the other fields.

    Args:
        extensions: what names end in, of files in a folder or archive that is named as a whole.
    """

    type: Literal["text_lines"] = "text_lines"
    extensions: tuple[str, ...] = (".txt", ".txt.gz")

    def check(self) -> list[str]:
        faults = self.pattern_faults() or super().check()
        if faults:
            return faults
        try:
            if not self.data_files():
                faults = [
                    "`data.source.path` has no text files. Expected: names that end in "
                    f"{', '.join(self.extensions)}. Received: {str(self.path)!r}. Put some there, or "
                    "name their endings in `data.source.extensions`."
                ]
        except ReadFault as fault:
            return [f"`data.source.path`: {fault}"]
        if TEXT in (*self.label_groups, *self.text_groups):
            faults.append(
                "`data.source.pattern` has a group `text`, which is the name of the lines. Rename it."
            )
        return faults or [f"{fault} It is {str(self.path)!r}." for fault in self.names.faults()]

    def data_files(self) -> list[DataFile]:
        """The files to read, sorted by name; also those whose name does not match."""
        return data_files(self.path, self.paths(), self.extensions)

    @cached_property
    def names(self) -> NameReader:
        """What the files' names say."""
        return NameReader(self, [file.name for file in self.data_files()])

    def features(self) -> Features:
        return {TEXT: Text(), **self.names.features()}

    def own_splits(self) -> frozenset[str | None]:
        return self.splits_of(f.name for f in self.data_files() if self.names.takes(f.name))

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise ValueError(faults[0])
        files = [file for file in self.data_files() if self.names.takes(file.name)]
        return (
            pipeline
            | "Files" >> beam.Create(files)
            | "Parts" >> beam.FlatMap(file_parts, self.names)
            | "Spread" >> beam.Reshuffle()
            | "ReadLines" >> beam.FlatMap(read_lines, self.names)
        )


def file_parts(file: DataFile, reader: NameReader):
    """Yields (file, part) for each part, and bad records as they are."""
    try:
        reader.read(file.name)
    except NameFault as fault:
        yield BadRecord(file.where, 0, str(fault), file.name)
        return
    file = file.as_it_is()
    for part in line_files.parts(file):
        yield part if isinstance(part, BadRecord) else (file, part)


def read_lines(item, reader: NameReader) -> Iterator[Record | BadRecord]:
    """Yields the lines of (file, part); a bad record comes out again."""
    if isinstance(item, BadRecord):
        yield item
        return
    file, part = item
    named = reader.read(file.name)
    for chunk in line_files.read(file, part):
        if chunk.fault:
            yield line_files.bad(file, chunk)
            continue
        offset = chunk.offset
        for index, line in enumerate(chunk.data.split(b"\n"), chunk.index):
            text, fault = text_of(line)
            key = f"{file.name}:{index}"
            if fault:
                yield BadRecord(file.where, index, f"The line {fault}.", key, offset, line)
            elif not text.isspace() and text:
                values = {TEXT: text, **named.values}
                yield Record(key, values, named.split, file.where, index, named.group)
            offset += len(line) + 1


def text_of(line: bytes) -> tuple[str, str | None]:
    """(the text of a line without its end, why it is none or None)."""
    if b"\0" in line:
        return "", "contains a zero byte"
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode(), None
    except UnicodeDecodeError as error:
        return "", f"is not valid UTF-8 (at byte {error.start})"
