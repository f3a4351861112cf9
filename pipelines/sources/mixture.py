"""Several data sets as one, each read by a source of its own, so that a training can weigh them.

    type: mixture
    sources:
      reviews: {type: text_lines, path: reviews.*, pattern: '\\.(?P<label>pos|neg)$'}
      tweets: {type: csv, path: tweets.csv, label: label, columns: [text, label]}

All must describe the same features; classes may differ, and are united in sorted order; what is
`optional` in one data set is so in all. A record's key begins with the name of its data set
(`tweets/tweets.csv:3`), which is all that later steps need to know: the splits stay common, so that
statistics, schema and analyzers see all data sets, as often as they are there, and adding one moves no
example of the others. `train.mixture: {train/reviews: 0.7, train/tweets: 0.3}` picks the examples of a
training by their keys. Splits of their own would make one text in two data sets a leak, and each data
set's own distribution an anomaly.

Groups keep their names: one that is in several data sets stays in one split.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from penstock.pipelines.features import Features, Label, is_optional
from penstock.pipelines.sources import locate, source
from penstock.pipelines.sources.source import BadRecord, Record

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Source(source.Source):
    """The records of several sources.

    Args:
        sources: name of a data set -> the section of its source.
    """

    type: Literal["mixture"] = "mixture"
    sources: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]

    @model_validator(mode="after")
    def _all_are_sources(self):
        faults = [f for name, section in self.sources.items() for f in _faults(name, section)]
        if faults:
            raise ValueError(" ".join(faults))
        return self

    @cached_property
    def parts(self) -> dict[str, source.Source]:
        """The source of each data set."""
        return {name: locate.load(section) for name, section in self.sources.items()}

    @property
    def needs_tensorflow(self) -> bool:
        """Whether one of them runs TensorFlow."""
        return any(part.needs_tensorflow for part in self.parts.values())

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those of all of them."""
        return tuple(sorted({name for part in self.parts.values() for name in part.libraries}))

    def modules(self) -> tuple[str, ...]:
        modules = [locate.source_module(section["type"]) for section in self.sources.values()]
        more = [module for part in self.parts.values() for module in part.modules()]
        return tuple(dict.fromkeys(modules + more))

    def check(self) -> list[str]:
        return [_nested(fault, name) for name, part in self.parts.items() for fault in part.check()]

    def files(self) -> list[Path]:
        return sorted({path for part in self.parts.values() for path in part.files()})

    def fingerprint(self) -> dict:
        return {name: part.fingerprint() for name, part in self.parts.items()}

    def only(self, files: frozenset[str]) -> "Source":
        # The classes must stay those of all data sets, so none is left out.
        smaller = self.model_copy()
        smaller.__dict__["parts"] = {name: part.only(files) for name, part in self.parts.items()}
        return smaller

    def features(self) -> Features:
        return _united({name: part.features() for name, part in self.parts.items()})

    def early_labels(self) -> list[str] | None:
        found = [part.early_labels() for part in self.parts.values()]
        if None in found:
            return None
        return [name for name in found[0] if all(name in labels for labels in found)]

    def own_splits(self) -> frozenset[str | None] | None:
        found = [part.own_splits() for part in self.parts.values()]
        return None if None in found else frozenset().union(*found)

    def remarks(self) -> list[str]:
        return [f"{name}: {said}" for name, part in self.parts.items() for said in part.remarks()]

    def read(self, pipeline):
        import apache_beam as beam

        @beam.ptransform_fn
        def read_part(begin, part, rename):
            return part.read(begin.pipeline) | beam.Map(rename)

        described = {name: part.features() for name, part in self.parts.items()}
        united = _united(described)
        read = [
            pipeline | f"Read {name}" >> read_part(part, Rename(name, described[name], united))
            for name, part in self.parts.items()
        ]
        return read | beam.Flatten()


def _faults(name, section) -> Iterator[str]:
    """What is wrong with a section, without a look at its data."""
    where = f"`data.source.sources.{name}"
    if not isinstance(section.get("type"), str):
        known = ", ".join(locate.known_sources())
        yield f"{where}.type` is missing. Expected: one of {known}, or a module of your own."
        return
    try:
        locate.load(section)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            place = "".join(f".{part}" for part in fault["loc"])
            said = _nested(fault["msg"].removeprefix("Value error, "), name).rstrip(".")
            # Of a section without this key the input is the whole section.
            known = fault["type"] in ("missing", "value_error")
            received = "" if known else f" Received: {fault['input']!r:.200}."
            yield f"{where}{place}`: {said}.{received}"
    except ValueError as error:
        yield _nested(str(error), name)


def _nested(fault: str, name: str) -> str:
    """A source's fault, which names its keys as if it stood alone."""
    return fault.replace("`data.source", f"`data.source.sources.{name}")


def _united(described: dict[str, Features]) -> Features:
    """The features of all data sets.

    Raises:
        ValueError: they differ by more than classes and what may be missing.
    """
    first, expected = next(iter(described.items()))
    united = {}
    for name, features in described.items():
        if set(features) != set(expected):
            raise ValueError(
                "All of `data.source.sources` must describe the same features. "
                f"`{first}` has: {', '.join(sorted(expected))}. `{name}` has: "
                f"{', '.join(sorted(features))}. Choose and rename them by `columns`."
            )
    for feature_name, feature in expected.items():
        others = {name: features[feature_name] for name, features in described.items()}
        united[feature_name] = _united_feature(feature_name, feature, others)
    return united


def _united_feature(feature_name, feature, others):
    labels = [other for other in others.values() if isinstance(other, Label)]
    more = {}
    if len(labels) == len(others) and any(label.names != feature.names for label in labels):
        more["names"] = tuple(sorted({name for label in labels for name in label.names}))
    if any(map(is_optional, others.values())) and "optional" in type(feature).model_fields:
        more["optional"] = True
    united = feature.model_copy(update=more)
    for name, other in others.items():
        if type(other) is not type(feature) or other.model_copy(update=more) != united:
            raise ValueError(
                f"All of `data.source.sources` must describe `{feature_name}` alike. "
                f"`{next(iter(others))}` has: {feature!r}. `{name}` has: {other!r}. Describe it in "
                "`features` of both."
            )
    return united


class Rename:
    """A record of one data set -> one of the mixture. Picklable.

    Args:
        name: of the data set.
        own: its features.
        united: those of the mixture.
    """

    def __init__(self, name: str, own: Features, united: Features):
        self._prefix = f"{name}/"
        self._ids = {
            label: [united[label].names.index(class_name) for class_name in feature.names]
            for label, feature in own.items()
            if isinstance(feature, Label) and feature.names != united[label].names
        }

    def __call__(self, record: Record | BadRecord) -> Record | BadRecord:
        if isinstance(record, BadRecord):
            return replace(record, key=record.key and self._prefix + record.key)
        values = dict(record.values)
        for label, ids in self._ids.items():
            # What is no class of the data set must be none of the mixture; ExampleGen says it.
            if values.get(label) is not None:
                known = dict(enumerate(ids))
                values[label] = known.get(values[label], f"{values[label]!r}")
        return replace(record, key=f"{self._prefix}{record.key}", values=values)
