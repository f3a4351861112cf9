"""What a file's name says about it: class, split, group and texts, by a regular expression.

Comes in: the name of a file relative to its source's root, with `/`. Goes out: the text of each
named group of `pattern`. The groups named by `label` become class ids, the one named by `group`
keeps files together in one split, the one named by `split` is the split of the source's own; the
others, and the one for `group` if it has another name than that, become texts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from penstock.pipelines.config import Config
from penstock.pipelines.features import Features, Label, Text, unfit_class_names
from penstock.pipelines.ingest.splits import check_split_names


class SplitPatterns(Config):
    """The field with which the names of files say their split: `train.csv`, `test.csv`.

    `split_patterns`: split -> regular expression (Python's `re`); the first that is found in the name
    decides. Files in which none is found are divided as if they had no split of their own.
    """

    split_patterns: dict[str, str] = {}

    def split_pattern_faults(self) -> list[str]:
        """Faults of this field, one sentence each."""
        try:
            check_split_names(self.split_patterns)
        except ValueError as fault:
            return [str(fault)]
        patterns = self.split_patterns.items()
        faults = [_fault(f"split_patterns.{name}", text) for name, text in patterns]
        return [fault for fault in faults if fault]

    @cached_property
    def _splits(self):
        return {split: re.compile(text) for split, text in self.split_patterns.items()}

    def split_by_patterns(self, name: str) -> str | None:
        """The split of a file by its name, or None if no pattern is found in it."""
        return next((split for split, regex in self._splits.items() if regex.search(name)), None)


class NamePattern(SplitPatterns):
    """The fields with which a source reads names.

    Args:
        pattern: a regular expression (Python's `re`), looked for anywhere in the name: tie it with
            `^` and `$`. `None`: names say nothing.
        label: the named groups that become class ids; the classes are what occurs, sorted.
        group: the named group that must not be divided among splits, such as the speaker.
        split: the named group that is the split; `split_patterns` are the other way to say it.
        unmatched: what becomes of a file whose name does not match: a bad record, or nothing.
    """

    pattern: str | None = None
    label: str | tuple[str, ...] = "label"
    group: str = "group"
    split: str = "split"
    unmatched: Literal["bad", "skip"] = "bad"

    def pattern_faults(self) -> list[str]:
        """Faults of these fields, one sentence each."""
        fault = None if self.pattern is None else _fault("pattern", self.pattern)
        faults = [*([fault] if fault else []), *self.split_pattern_faults()]
        if faults:
            return faults
        groups = set(self._regex.groupindex)
        named = {"group": {self.group}, "split": {self.split}, "label": set(self.label_groups)}
        for field, wanted in named.items():
            # The defaults need not be there: a pattern without a group of this name has none.
            missing = sorted(wanted - groups - {field})
            if missing:
                faults.append(
                    f"`data.source.{field}` must name a group of `data.source.pattern`. Expected: one "
                    f"of {', '.join(sorted(groups)) or '(it has none)'}. Received: "
                    f"{', '.join(missing)}. Name the group in the pattern: `(?P<{missing[0]}>...)`."
                )
        if self.split in groups and self.split_patterns:
            faults.append(
                "The split of a file is said twice: by the group "
                f"`{self.split}` of `data.source.pattern` and by `data.source.split_patterns`. "
                "Leave out one of them."
            )
        if self.pattern is not None and not groups:
            faults.append(
                "`data.source.pattern` has no named group, so it says nothing. Expected: "
                f"`(?P<label>...)` or the like. Received: {self.pattern!r}."
            )
        return faults

    def group_names(self) -> tuple[str, ...]:
        """The named groups of the pattern, in its order; none of one that is no regular expression."""
        try:
            return tuple(self._regex.groupindex)
        except re.error:
            return ()

    @property
    def label_groups(self) -> tuple[str, ...]:
        """The groups of the pattern that are classes."""
        names = (self.label,) if isinstance(self.label, str) else self.label
        groups = self._regex.groupindex
        return tuple(name for name in names if name in groups or name != "label")

    @property
    def text_groups(self) -> tuple[str, ...]:
        """The groups of the pattern that are texts."""
        taken = {"group", self.split, *self.label_groups}
        return tuple(name for name in self._regex.groupindex if name not in taken)

    @cached_property
    def _regex(self):
        return re.compile(self.pattern or "")

    def groups_of(self, name: str) -> dict[str, str] | None:
        """The texts of the named groups in a file's name; None if it does not match.

        A group that took no part in the match is not there.
        """
        found = self._regex.search(name)
        if found is None:
            return None
        return {group: text for group, text in found.groupdict().items() if text is not None}

    def splits_of(self, names: Iterable[str]) -> frozenset[str | None]:
        """The splits of files by their names, with None if nothing says that of some."""
        if not self.split_patterns and self.split not in self._regex.groupindex:
            return frozenset({None})
        return frozenset(self.split_of(name, self.groups_of(name) or {}) for name in names)

    def split_of(self, name: str, groups: dict[str, str]) -> str | None:
        """The split of a file by its name, or None if nothing says one."""
        by_patterns = self.split_by_patterns(name)
        if by_patterns is not None:
            return by_patterns
        return groups.get(self.split)


@dataclass(frozen=True)
class Named:
    """What a name says about a file."""

    values: dict[str, object]
    split: str | None
    group: str | None


class NameFault(ValueError):
    """A name does not say what it should; the message is the reason, a sentence."""


class NameReader:
    """Names -> what they say, for a list of files whose classes are known.

    Args:
        fields: the pattern; it must be without faults.
        names: of all files, from which the classes are taken.
    """

    def __init__(self, fields: NamePattern, names: list[str]):
        self._fields = fields
        found = {label: set() for label in fields.label_groups}
        for name in names:
            groups = fields.groups_of(name) or {}
            for label in found.keys() & groups.keys():
                found[label].add(groups[label])
        self.classes = {label: tuple(sorted(values)) for label, values in found.items()}
        self._ids = {
            label: {text: index for index, text in enumerate(texts)}
            for label, texts in self.classes.items()
        }

    def faults(self) -> list[str]:
        """Classes that cannot be stored, one sentence for each group."""
        faults = []
        for label, texts in self.classes.items():
            unfit = unfit_class_names(texts)
            if unfit:
                faults.append(
                    f"The group `{label}` of `data.source.pattern` finds names that cannot be class "
                    "names. Expected: one line that neither begins nor ends with white space. "
                    f"Received: {', '.join(map(repr, unfit))}. Correct the pattern."
                )
            if not texts:
                faults.append(
                    f"`data.source.pattern` matches no file's name, so there are no classes for "
                    f"`{label}`. Received: {self._fields.pattern!r}. Names are relative to "
                    "`data.source.path`. Correct the pattern."
                )
        return faults

    def features(self) -> Features:
        """The features that come from names."""
        labels = {label: Label(names=texts) for label, texts in self.classes.items()}
        return {**labels, **{name: Text() for name in self._fields.text_groups}}

    def takes(self, name: str) -> bool:
        """Whether a file is a record: one that does not match may be skipped."""
        return self._fields.unmatched == "bad" or self._fields.groups_of(name) is not None

    def read(self, name: str) -> Named:
        """What a name says.

        Raises:
            NameFault: it does not match, or a group of the pattern took no part in the match.
        """
        groups = self._fields.groups_of(name)
        if groups is None:
            raise NameFault("Its name does not match `data.source.pattern`.")
        values = {}
        for wanted in (*self._ids, *self._fields.text_groups):
            if wanted not in groups:
                raise NameFault(f"Its name has no `{wanted}` by `data.source.pattern`.")
            text = groups[wanted]
            values[wanted] = self._ids[wanted][text] if wanted in self._ids else text
        group = groups.get(self._fields.group)
        return Named(values, self._fields.split_of(name, groups), group)


def _fault(field, text):
    try:
        re.compile(text)
    except re.error as error:
        return (
            f"`data.source.{field}` must be a regular expression (Python's `re`). Received: "
            f"{text!r}: {error}. In YAML write it in single quotes."
        )
    return None
