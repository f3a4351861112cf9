"""JSON lines: one object a line, plain, `.gz` or in an archive.

Nested objects become features called `outer.inner`; lists become sequences; null and absent names
are missing values. A line that is no object, has a name twice, NaN, or half of a surrogate pair is a
bad record. A type that is not given by `features` is inferred from all rows
(`reading/inference.py`); numbers with a fraction are stored as float32, integers exactly, as int64.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal

from penstock.pipelines.reading import line_files, rows, scanned_rows
from penstock.pipelines.reading.columns import convert_typed
from penstock.pipelines.reading.file_source import DataFile
from penstock.pipelines.reading.inference import ColumnFault, TypedColumn, check_number
from penstock.pipelines.sources.source import BadRecord

CELLS_AT_ONCE = 2**21


class Source(scanned_rows.ScannedSource):
    """Objects, one a line; see `RowSource` for the fields. A column is a name in the objects.

    `join: {name: text}` makes one text of a list of texts, with this text between them: a document
    that is stored as a list of its sentences.
    """

    type: Literal["json_lines"] = "json_lines"
    join: dict[str, str] = {}

    suffixes: ClassVar = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".json", ".json.gz")

    def scan(self):
        missing = frozenset(self.missing)
        found: dict[str, TypedColumn] = {}
        times, total = Counter(), 0
        for file in self.data_files():
            if file.damage():
                continue
            for chunk in line_files.whole(file):
                objects, _ = _parse(file, chunk, self.join)
                total += len(objects)
                by_name = {}
                for _, _, one in objects:
                    for name, cell in one.items():
                        by_name.setdefault(name, []).append(cell)
                check_number(found.keys() | by_name.keys())
                for name, cells in by_name.items():
                    if name not in found:
                        is_label = self.is_label(self.feature_name(name))
                        found[name] = TypedColumn(name, missing, is_label)
                    found[name].add(cells)
                    times[name] += len(cells)
        self._check_join(found)
        return {name: _feature(found[name], times[name] < total) for name in found}

    def _check_join(self, found):
        if unknown := [name for name in self.join if found and name not in found]:
            raise ValueError(
                f"`data.source.join` must name columns that are there: {', '.join(found)}. "
                f"Received: {', '.join(unknown)}. Correct the name."
            )

    def parts(self, file: DataFile) -> Iterator[object]:
        """See `line_files.parts`."""
        yield from line_files.parts(file)

    def tables(self, file: DataFile, part, columns: list[str]) -> Iterator[rows.Table]:
        """Of a part, or with None of the whole file."""
        for chunk in line_files.read(file, part):
            objects, bad = _parse(file, chunk, self.join)
            # Sparse rows of thousands of columns: not all of their gaps at once.
            at_once = max(1, CELLS_AT_ONCE // max(1, len(columns)))
            for start in range(0, max(1, len(objects)), at_once):
                chosen = objects[start : start + at_once]
                yield _table(chosen, [] if start else bad, chunk, columns)

    def convert(self, column, cells, feature):
        return convert_typed(cells, feature, frozenset(self.missing))


def _feature(column, optional):
    try:
        return column.feature(optional)
    except ColumnFault as fault:
        return str(fault)


def _parse(file, chunk, join):
    """([(line, offset, flat object)], bad records); blank lines are neither."""
    if chunk.fault:
        return [], [line_files.bad(file, chunk)]
    objects, bad = [], []
    offset = chunk.offset
    for number, line in enumerate(chunk.data.split(b"\n"), chunk.index):
        if line.strip():
            try:
                objects.append((number, offset, _joined(_flat(line), join)))
            except (ValueError, RecursionError) as error:
                said = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
                reason = f"The line is no JSON object as expected: {said.rstrip('.')}."
                bad.append(BadRecord(file.where, number, reason, "", offset, line))
        offset += len(line) + 1
    return objects, bad


def _flat(line: bytes) -> dict:
    """One line -> {`outer.inner`: value}. Raises ValueError."""
    found = _DECODER.decode(line.decode())
    if not isinstance(found, dict):
        raise ValueError(f"it is of the type {type(found).__name__}")
    if b"\\u" in line:
        json.dumps(found, ensure_ascii=False).encode()
    if not any(isinstance(value, dict) for value in found.values()):
        return found
    flat = {}
    for name, value in _leaves(found, ""):
        if name in flat:
            raise ValueError(f"the name {name!r} occurs twice")
        flat[name] = value
    return flat


def _joined(found: dict, join: dict[str, str]) -> dict:
    """Lists of texts as one text each. Raises ValueError."""
    for name, between in join.items():
        value = found.get(name)
        if isinstance(value, list):
            if not all(isinstance(part, str) for part in value):
                raise ValueError(f"{name!r}, which is to be joined, is no list of texts")
            # A text that joins lines must not find others in the parts.
            parts = [" ".join(part.splitlines()) for part in value] if "\n" in between else value
            found[name] = between.join(parts)
    return found


def _leaves(found, prefix):
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _without_repeats(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return found


def _no_constant(text):
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_no_constant)


def _table(objects, bad, chunk, names):
    def raw(position):
        offset = objects[position][1]
        start = offset - chunk.offset
        end = chunk.data.find(b"\n", start)
        return offset, chunk.data[start : end if end >= 0 else None]

    columns = {name: [one.get(name) for _, _, one in objects] for name in names}
    return rows.Table(columns, [number for number, _, _ in objects], raw, bad)
