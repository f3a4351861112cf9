"""What kind of feature each name of some `tf.train.Example`s is, from all of them.

As in `inference.py`, a kind that fits all records but one in a hundred is taken.
"""

from collections import Counter
from collections.abc import Callable

from penstock.pipelines.features import Feature, Image, Label, Number, Sequence, Text
from penstock.pipelines.reading.inference import MOST_MISFITS, Classes, ColumnFault, check_number

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_GREY = (0, 4)
"""Colour types of a PNG (byte 25): grey, grey with alpha."""


class ExampleColumns:
    """Collects examples.

    Args:
        is_label: whether a feature's values are classes, by its name.
    """

    def __init__(self, is_label: Callable[[str], bool]):
        self._is_label = is_label
        self._columns: dict[str, _Column] = {}
        self._total = 0

    def add(self, examples: list) -> None:
        """Notes maps from names to `tf.train.Feature`."""
        self._total += len(examples)
        for example in examples:
            for name in example:
                if name not in self._columns:
                    self._columns[name] = _Column(name, self._is_label(name))
                self._columns[name].add(example[name])
        check_number(self._columns)

    def features(self) -> dict[str, Feature | str]:
        """{name: its feature, or why there is none}, sorted."""
        found = {}
        for name, column in sorted(self._columns.items()):
            try:
                found[name] = column.feature(self._total)
            except ColumnFault as fault:
                found[name] = str(fault)
        return found


class _Column:
    def __init__(self, name, is_label):
        self._name = name
        self._classes = Classes(name) if is_label else None
        self._kinds = Counter()
        self._sizes = Counter()
        self._nan = 0

    def add(self, feature):
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value if kind else ()
        # Few different sizes are of interest: none, one, the same in all, different ones.
        size = len(values)
        self._sizes[size if size in self._sizes or len(self._sizes) < 4 else -1] += 1
        if not size:
            return
        if kind == "bytes_list":
            kinds = {_kind(value) for value in values}
            self._kinds[kinds.pop() if len(kinds) == 1 else "bytes"] += 1
        else:
            self._kinds[kind] += 1
            self._nan += kind == "float_list" and size == 1 and values[0] != values[0]
        if self._classes is not None and kind != "float_list":
            self._classes.add({_name(value) for value in values} - {None})

    def feature(self, total):
        kind, count = max(self._kinds.items(), key=lambda item: (item[1], item[0]), default=("", 0))
        if kind in ("grey", "colour"):
            kind, count = "image", self._kinds["grey"] + self._kinds["colour"]
        if count < self._kinds.total() * (1 - MOST_MISFITS) or kind == "bytes":
            raise ColumnFault(
                f"`{self._name}` has values that are no one kind: "
                f"{', '.join(f'{kind} {n:,}' for kind, n in sorted(self._kinds.items()))}. Describe "
                "in `features` those that shall be read."
            )
        sizes = set(self._sizes) - {0}
        filled = self._kinds.total()
        if sizes <= {1}:
            return self._one(kind, optional=filled < total or self._nan > 0)
        one = self._one(kind, optional=False)
        if isinstance(one, Number) and len(sizes) == 1 and filled == total and -1 not in sizes:
            return one.model_copy(update={"shape": (sizes.pop(),)})
        if isinstance(one, Image):
            raise ColumnFault(f"`{self._name}` has several images in a record; there must be one.")
        return Sequence(of=one)

    def _one(self, kind, optional):
        if self._classes is not None:
            return Label(names=self._classes.names(), optional=optional)
        if kind == "image":
            return Image(channels=3 if self._kinds["colour"] else 1)
        if kind == "int64_list":
            return Number(dtype="int64", optional=optional)
        if kind == "float_list":
            return Number(optional=optional)
        return Text(optional=optional or not kind)


def _kind(value):
    """Of one string of bytes."""
    if value.startswith(_PNG):
        return "grey" if len(value) > 25 and value[25] in _GREY else "colour"
    if value.startswith(_JPEG):
        return "colour"
    return "bytes" if _name(value) is None else "text"


def _name(value):
    """A class's name."""
    if isinstance(value, int):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
