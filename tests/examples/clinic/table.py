"""A CSV file with a header: a column of labels, all others numbers."""

import csv
from pathlib import Path

from penstock.pipelines.features import Features, Label, Number
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record


class Source(source.Source):
    """`data.source: {type: clinic.table, path: ..., label: ..., labels: [...]}`."""

    path: Path
    label: str
    labels: tuple[str, ...]

    def check(self) -> list[str]:
        if not self.path.is_file():
            return [f"`data.source.path` must be a CSV file. Received: {str(self.path)!r}."]
        if self.label not in self._header():
            return [f"`data.source.label` must name a column. Received: {self.label!r}."]
        return []

    def files(self) -> list[Path]:
        return [self.path]

    def features(self) -> Features:
        numbers = {name: Number() for name in self._header() if name != self.label}
        return {**numbers, self.label: Label(names=self.labels)}

    def read(self, pipeline):
        import apache_beam as beam

        paths = pipeline | beam.Create([str(self.path)], reshuffle=False)
        return paths | beam.FlatMap(read_rows, self.label, self.labels)

    def _header(self) -> list[str]:
        with open(self.path, newline="") as file:
            return next(csv.reader(file), [])


def read_rows(path: str, label: str, labels: tuple[str, ...]):
    """Yields a Record or a BadRecord for each row."""
    with open(path, newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            if row[label] not in labels:
                yield BadRecord(
                    path, index, f"The label must be one of {labels}, not {row[label]!r}."
                )
                continue
            try:
                numbers = {name: float(text) for name, text in row.items() if name != label}
            except (TypeError, ValueError) as error:
                yield BadRecord(path, index, f"A column holds no number: {error}.")
                continue
            values = {**numbers, label: labels.index(row[label])}
            yield Record(f"{index:06d}", values, file=path, index=index)
