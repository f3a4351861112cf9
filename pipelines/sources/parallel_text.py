"""Texts in several files that belong together line by line: translations, texts and summaries.

`texts` names the file of each feature, `{en: train.en.gz, de: train.de.gz}`; with `splits` each
split has its own files. They may be plain, `.gz` or in an archive, and must have the same number of
lines. A line is kept as it is, without its end; a record with an empty line is a bad one. A key is
`<first file>:<number of the line>`, from 0, with the split in front where there are splits; it stays
when lines are appended.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penstock.pipelines.features import Features, Text
from penstock.pipelines.ingest.splits import check_split_names
from penstock.pipelines.reading.delimited import BYTE_ORDER_MARK, CHUNK_BYTES
from penstock.pipelines.reading.file_source import DataFile, data_files, disk_files
from penstock.pipelines.reading.line_files import MAX_LINE_BYTES
from penstock.pipelines.reading.tree import ReadFault, Tree
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record
from penstock.pipelines.sources.text_lines import text_of

PART_LINES = 10_000
"""What is read at once."""


class Source(source.Source):
    """Line-aligned files.

    Args:
        texts: {feature: file}.
        splits: {split: {feature: file}}, instead of `texts`; the features are the same in all.
    """

    type: Literal["parallel_text"] = "parallel_text"
    texts: dict[str, Path] = {}
    splits: dict[str, dict[str, Path]] = {}

    def check(self) -> list[str]:
        if bool(self.texts) == bool(self.splits):
            return [
                "`data.source` needs `texts: {feature: file}` or `splits: {split: {feature: file}}`. "
                f"Received: {'both' if self.texts else 'neither'}."
            ]
        faults = []
        for split, texts in self._all().items():
            at = f"splits.{split}" if split else "texts"
            if len(texts) < 2:
                faults.append(
                    f"`data.source.{at}` must name two files or more. Received: {len(texts)}. For "
                    "single texts there is `text_lines`."
                )
            if set(texts) != set(self.features()):
                faults.append(
                    f"`data.source.{at}` must have the features of the other splits. Expected: "
                    f"{', '.join(self.features())}. Received: {', '.join(texts)}."
                )
            for name, path in texts.items():
                fault = _file_fault(path)
                if fault:
                    faults.append(f"`data.source.{at}.{name}`: {fault}")
        try:
            check_split_names(self.splits)
        except ValueError as fault:
            faults.append(str(fault))
        return faults

    def files(self) -> list[Path]:
        return disk_files([path for texts in self._all().values() for path in texts.values()])

    def features(self) -> Features:
        return {name: Text() for name in next(iter(self._all().values()))}

    def own_splits(self) -> frozenset[str | None]:
        return frozenset(self.splits or {None})

    def read(self, pipeline):
        import apache_beam as beam

        faults = self.check()
        if faults:
            raise ValueError(faults[0])
        parts = [
            part for split, texts in self._all().items() for part in plan(split or None, texts)
        ]
        return pipeline | "Parts" >> beam.Create(parts) | "ReadLines" >> beam.FlatMap(read_part)

    def _all(self):
        return self.splits or {"": self.texts}


def _file_fault(path):
    if path.is_file():
        return None
    try:
        tree = Tree(path.parent)
        if tree.is_archive and any(entry.name == path.name for entry in tree.entries()):
            return None
    except ReadFault as fault:
        return str(fault)
    found = "a folder" if path.is_dir() else "nothing there"
    return f"There is no file `{path}` ({found}). Correct the path."


@dataclass(frozen=True)
class Part:
    """Lines `start` to `stop` of files that belong together; `offsets` are where they begin.

    `offsets` is None where files cannot be read from the middle.
    """

    split: str | None
    files: dict[str, DataFile]
    start: int
    stop: int
    offsets: dict[str, int] | None


def plan(split: str | None, texts: dict[str, Path]) -> list[Part]:
    """Counts the lines of all files and divides them.

    Raises:
        ValueError: the numbers differ, or a file cannot be read.
    """
    files = {name: data_files(path, [path], ("",))[0].as_it_is() for name, path in texts.items()}
    counted = {name: _count(file) for name, file in files.items()}
    counts = {name: count for name, (count, _) in counted.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"`{files[name].where}` has {count:,}" for name, count in counts.items())
        raise ValueError(
            f"Files that belong together must have the same number of lines: {said}. Give the files "
            "that belong to each other, or add the lines that are missing."
        )
    count = next(iter(counts.values()))
    if not all(file.on_disk for file in files.values()):
        return [Part(split, files, 0, count, None)]
    return [
        Part(
            split,
            files,
            start,
            min(start + PART_LINES, count),
            {name: offsets[number] for name, (_, offsets) in counted.items()},
        )
        for number, start in enumerate(range(0, count, PART_LINES))
    ]


def _count(file):
    """(lines, the offsets of lines 0, PART_LINES, 2 * PART_LINES, ...)."""
    import numpy as np

    lines, offset, offsets, last = 0, 0, [], b"\n"
    try:
        with file.open() as stream:
            while block := stream.read(CHUNK_BYTES):
                if not offset:
                    offsets.append(_mark(block))
                ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
                # The end of line n - 1 is in front of line n.
                first = -(lines + 1) % PART_LINES
                offsets += (ends[first::PART_LINES] + offset + 1).tolist()
                lines, offset, last = lines + len(ends), offset + len(block), block[-1:]
    except (ReadFault, OSError) as fault:
        raise ValueError(f"`{file.where}`: {fault}") from None
    return lines + (last != b"\n"), offsets


def _mark(block):
    return len(BYTE_ORDER_MARK) if block.startswith(BYTE_ORDER_MARK) else 0


def read_part(part: Part) -> Iterator[Record | BadRecord]:
    """Yields the records of a part; raises ChangedFault if a file is not as it was planned."""
    for file in part.files.values():
        file.check_unchanged()
    with ExitStack() as stack:
        streams = {name: stack.enter_context(file.open()) for name, file in part.files.items()}
        offsets = dict(part.offsets or {})
        for name, stream in streams.items():
            if part.offsets is None:
                offsets[name] = _mark(stream.peek(3)[:3])
                stream.read(offsets[name])
            else:
                stream.seek(offsets[name])
        first = next(iter(part.files.values()))
        for index in range(part.start, part.stop):
            key = f"{part.split}/{first.name}:{index}" if part.split else f"{first.name}:{index}"
            values, bad = {}, None
            for name, stream in streams.items():
                line, size = _line(stream)
                text, fault = text_of(line)
                if size > MAX_LINE_BYTES:
                    fault = f"is longer than {MAX_LINE_BYTES:,} bytes"
                elif not fault and (not text or text.isspace()):
                    fault = "is empty"
                if fault and bad is None:
                    reason = f"The line of `{name}` {fault}."
                    where = part.files[name].where
                    bad = BadRecord(where, index, reason, key, offsets[name], line)
                values[name] = text
                offsets[name] += size
            yield bad or Record(key, values, part.split, first.where, index)
    for file in part.files.values():
        file.check_unchanged()


def _line(stream):
    """(a line with its end, its bytes); of one that is too long only the beginning."""
    line = part = stream.readline(MAX_LINE_BYTES + 1)
    size = len(line)
    while len(part) > MAX_LINE_BYTES and not part.endswith(b"\n"):
        part = stream.readline(MAX_LINE_BYTES + 1)
        size += len(part)
    return line, size
