"""The folders as classes: `<class>/**/<file>`, or `<split>/<class>/**/<file>`.

Comes in: the names of the files and folders of a tree. Goes out: what a file's folders say about
it, in the form in which a `NamePattern` says it.
"""

from penstock.pipelines.features import Features, Label, unfit_class_names
from penstock.pipelines.reading.name_pattern import Named, NamePattern


class FolderReader:
    """Names -> class and split, by the folders that they are in.

    Args:
        folders: the names of all folders, relative to the tree: one without a file is a class too.
        with_split: whether the first folder is the split and the second the class.
        fields: for its `split_patterns`, which may say the split.
    """

    def __init__(self, folders: list[str], with_split: bool, fields: NamePattern):
        self._level = 1 if with_split else 0
        self._fields = fields
        found = {name.rsplit("/", 1)[-1] for name in folders if name.count("/") == self._level}
        self.classes = tuple(sorted(found))
        splits = {name for name in folders if "/" not in name}
        self.splits = sorted(splits) if with_split else []
        self._ids = {name: index for index, name in enumerate(self.classes)}

    def faults(self) -> list[str]:
        """Classes that cannot be stored, and that there are none, one sentence each."""
        layout = self.layout("file")
        if not self.classes:
            return [
                f"`data.source.path` has no class folders. Expected: `{layout}` under it. Put the "
                "files of each class into a folder of its own, or correct `splits_from_folders`."
            ]
        unfit = unfit_class_names(self.classes)
        if not unfit:
            return []
        return [
            "`data.source.path` has class folders whose names cannot be class names. Expected: one "
            "line that neither begins nor ends with white space. "
            f"Received: {', '.join(map(repr, unfit))}. Rename them."
        ]

    def layout(self, called: str) -> str:
        """How a file must lie."""
        return f"{'<split>/' * self._level}<class>/<{called}>"

    def features(self) -> Features:
        """The feature that comes from folders."""
        return {"label": Label(names=self.classes)}

    def takes(self, name: str) -> bool:
        """Whether a file is a record: one beside the class folders has no class."""
        return name.count("/") > self._level

    def read(self, name: str) -> Named:
        """What the folders of a file say about it."""
        parts = name.split("/")
        split = self._fields.split_of(name, {"split": parts[0]} if self._level else {})
        return Named({"label": self._ids[parts[self._level]]}, split, None)
