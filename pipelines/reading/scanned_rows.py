"""Sources of rows whose columns show only in the data: a pass over all rows finds names and kinds."""

from functools import lru_cache

from penstock.pipelines.features import Feature, Features
from penstock.pipelines.reading.inference import ColumnFault
from penstock.pipelines.reading.rows import RowSource, again


class ScannedSource(RowSource):
    """Base of `json_lines` and `tfrecord`."""

    def scan(self) -> dict[str, Feature | str]:
        """{column: its feature, or why there is none}, from all rows."""
        raise NotImplementedError

    def check(self) -> list[str]:
        if self.split_on:
            return [
                "`data.source.split_on` is for cells of text; here a sequence is a list of its own. "
                "Remove it."
            ]
        return super().check()

    def find_columns(self) -> list[str]:
        found = self._scanned()
        if not found:
            raise ValueError(
                f"`data.source.path` has no row that can be read as {self.type}. Received: "
                f"{str(self.path)!r}. Correct the path or `data.source.type`."
            )
        return list(found)

    def early_columns(self) -> None:
        """Any row may have another column."""
        return None

    def infer(self, wanted: dict[str, str]) -> Features:
        found = self._scanned()
        for column in wanted.values():
            if isinstance(found[column], str):
                raise ColumnFault(found[column])
        return {name: found[column] for name, column in wanted.items()}

    def feature_name(self, column: str) -> str:
        """What a column is called as a feature."""
        renamed = self.columns if isinstance(self.columns, dict) else {}
        return {column: name for name, column in renamed.items()}.get(column, column)

    def _scanned(self):
        return _scanned(*self._identity())


@lru_cache(maxsize=32)
def _scanned(module, document, facts):
    del facts
    return again(module, document).scan()
