"""How often each of any number of strings occurs, exactly, in bounded memory.

Strings are counted in a dict; when it grows too large, it is written to disk, sorted, and a new one
begun. At the end the runs are merged, and equal strings' counts added. So the result does not
depend on what was counted where and in which order. (Python's dict, not Beam's shuffle, which the
in-process runner keeps in memory.)
"""

import heapq
import struct
import uuid
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

HELD_STRINGS = 2**18
HELD_BYTES = 2**26
MERGED_RUNS = 64
"""So many are open at a time; when there are more, they become one."""
_HEADER = struct.Struct("<IQ")


class SpilledCounts:
    """Strings and their counts.

    Args:
        directory: where runs are written; every worker must reach it, and whoever made it clears it.
    """

    def __init__(self, directory: str):
        self._directory = directory
        self._held: dict[bytes, int] = {}
        self._bytes = 0
        self._runs: list[str] = []

    def add(self, counts: dict[bytes, int]) -> None:
        """Adds strings with their counts."""
        held = self._held
        for value, count in counts.items():
            if value in held:
                held[value] += count
            else:
                held[value] = count
                self._bytes += len(value)
        if len(held) > HELD_STRINGS or self._bytes > HELD_BYTES:
            self._spill(sorted(held.items()))
            self._held, self._bytes = {}, 0

    def merge(self, other: "SpilledCounts") -> None:
        """Adds another's strings to this one's."""
        self._runs += other._runs
        self.add(other._held)
        if len(self._runs) > MERGED_RUNS:
            # The files stay until the folder is cleared: a bundle that is tried again reads them.
            runs, self._runs = self._runs, []
            self._spill(_summed(map(_read_run, runs)))

    def items(self) -> Iterator[tuple[bytes, int]]:
        """(string, count) in byte order; memory does not grow with their number."""
        return _summed([*map(_read_run, self._runs), sorted(self._held.items())])

    def _spill(self, items: Iterable[tuple[bytes, int]]):
        path = Path(self._directory) / f"{uuid.uuid4().hex}.counts"
        with open(path, "wb") as file:
            for value, count in items:
                file.write(_HEADER.pack(len(value), count) + value)
        self._runs.append(str(path))


def _read_run(path):
    with open(path, "rb") as file:
        while header := file.read(_HEADER.size):
            size, count = _HEADER.unpack(header)
            yield file.read(size), count


def _summed(sorted_parts):
    for value, group in groupby(heapq.merge(*sorted_parts), key=itemgetter(0)):
        yield value, sum(count for _, count in group)
