"""Examples with the same content: counted, and named where they are in several splits at once.

Found too: one content under several labels, and one key in several splits.

A picture that is in the training and in the test split makes the test too easy; one that is there
twice counts twice. The content is every feature but the labels, byte by byte, as it is stored; so
one picture under two labels is found too. `sorted_runs` keeps the hashes of the contents, sorted,
of each run and split; `plan` divides the range of hashes among tasks that fit into memory, and
`find` looks through one of them. Examples are told apart by 64 bits: among 10 million examples, two
different contents are taken for one with a chance of 3 in a million (n^2 / 2^65). Of two records of
a split with one key only one becomes an example: if their contents are equal, they are no copies; if
not, which one stays is not known here, and each counts as a copy of what it is equal to.
"""

import json
from hashlib import blake2b
from pathlib import Path

import numpy as np

from penstock.pipelines.features import Features, Label
from penstock.pipelines.ingest import sorted_runs
from penstock.pipelines.quarantine.printable import printable

FORMAT_VERSION = 2
FILE = "duplicates.json"
EXAMPLES_AT_ONCE = 2_000_000
"""Of one task: 90 bytes each at the peak, when they are sorted (measured with tracemalloc)."""
SHOWN_CONTENTS, SHOWN_EXAMPLES = 100, 10


def content_hash(content: bytes) -> int:
    """64 bits of a record's content, as `example_codec.Encoder` gives it."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _is_label(feature):
    return isinstance(getattr(feature, "of", feature), Label)


class LabelHash:
    """A number that tells the labels of records apart: of a single one its class id and one."""

    def __init__(self, features: Features):
        self._names = [name for name, feature in features.items() if _is_label(feature)]
        self._single = _single_label(features)

    def of(self, values: dict) -> int:
        """At most 64 bits; 0 where there is no label."""
        if self._single is not None:
            value = values.get(self._single)
            return 0 if value is None else int(value) + 1
        found = [values.get(name) for name in self._names]
        if all(value is None for value in found):
            return 0
        text = repr([None if v is None else np.asarray(v).tolist() for v in found])
        return content_hash(text.encode())


def _single_label(features):
    """The name of the label, if there is one and it is no list of labels."""
    names = [name for name, feature in features.items() if _is_label(feature)]
    return names[0] if len(names) == 1 and isinstance(features[names[0]], Label) else None


def plan(runs: list[dict], features: Features):
    """All runs -> tasks {low, high, runs}: ranges of hashes, each small enough.

    None where every feature is a label: there is no content that could be equal.
    """
    if all(map(_is_label, features.values())):
        return
    kept = [{"name": r["name"], "splits": sorted(r["splits"])} for r in runs if r["splits"]]
    kept.sort(key=lambda run: run["name"])
    total = sum(totals["examples"] for run in runs for totals in run["splits"].values())
    count = -(-total // EXAMPLES_AT_ONCE)
    for index in range(count):
        yield {"low": 2**64 * index // count, "high": 2**64 * (index + 1) // count, "runs": kept}


def find(task: dict, directory: str) -> dict:
    """What one range has: {repeats, leaks, conflicts, keys, shown, shown_keys}; see `merge`."""
    return _equal_contents(task, directory) | _equal_keys(task, directory)


def _equal_contents(task, directory):
    origins = [(run["name"], split) for run in task["runs"] for split in run["splits"]]
    names = sorted({split for _, split in origins})
    parts = [
        sorted_runs.contents_in_range(directory, *origin, task["low"], task["high"])
        for origin in origins
    ]
    lengths = [part.shape[1] for part in parts]
    if not sum(lengths):
        return {"repeats": 0, "leaks": 0, "conflicts": 0, "shown": []}
    rows = np.concatenate(parts, axis=1)
    del parts
    origin = np.repeat(np.arange(len(origins), dtype=np.uint32), lengths)
    split = np.repeat(np.array([names.index(split) for _, split in origins], np.uint16), lengths)
    order = np.lexsort((rows[1], split, rows[0]))
    for column in (*rows, origin, split):
        column[:] = column[order]
    del order
    content, key, labels, offset, count = rows
    is_first = sorted_runs.changes(content)
    # Of two records of a split with one key the second is a bad one, and no example.
    is_example = is_first | sorted_runs.changes(split) | sorted_runs.changes(key)
    count -= ~is_example
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], len(content))
    counts = np.add.reduceat(count, starts)
    leaks = split[starts] != split[ends - 1]
    lowest = np.minimum.reduceat(np.where(labels == 0, np.uint64(2**64 - 1), labels), starts)
    conflicts = np.maximum.reduceat(labels, starts) > lowest  # a missing label contradicts none
    order = (leaks, conflicts & ~leaks, ~leaks & ~conflicts & (counts > 1))
    chosen = np.concatenate([np.flatnonzero(kind)[:SHOWN_CONTENTS] for kind in order])
    shown = []
    for index in chosen[:SHOWN_CONTENTS]:
        members = starts[index] + np.flatnonzero(is_example[starts[index] : ends[index]])
        examples = [
            {"split": names[split[i]], "label": int(labels[i])}
            | sorted_runs.read_origin(directory, origins[origin[i]][0], int(offset[i]))
            for i in _one_of_each_first(split[members], labels[members], members)[:SHOWN_EXAMPLES]
        ]
        examples.sort(key=lambda example: (example["key"], example["split"]))
        first = _first_of_each(examples, "split", "label")
        examples = [*first, *[example for example in examples if example not in first]]
        found = sorted({names[number] for number in split[starts[index] : ends[index]]})
        shown.append(
            {
                "count": int(counts[index]),
                "splits": found,
                "has_conflict": bool(conflicts[index]),
                "examples": examples,
            }
        )
    return {
        "repeats": int(counts.sum()) - len(counts),
        "leaks": int(leaks.sum()),
        "conflicts": int(conflicts.sum()),
        "shown": shown,
    }


def _one_of_each_first(split, labels, members):
    """The members, those first that are the first of their split and label."""
    pairs = np.stack([split.astype(np.uint64), labels])
    first = np.sort(np.unique(pairs, axis=1, return_index=True)[1])
    return np.append(members[first], np.delete(members, first))


def _first_of_each(examples, *what):
    """The first example of each split (and label), in their order."""
    first = {}
    for example in examples:
        first.setdefault(tuple(example[name] for name in what), example)
    return list(first.values())


def _equal_keys(task, directory):
    """Keys that are in several splits: only where a split is not found by the hash of the key."""
    origins = [(run["name"], split) for run in task["runs"] for split in run["splits"]]
    names = sorted({split for _, split in origins})
    if len(names) < 2:
        return {"keys": 0, "shown_keys": []}
    parts = [
        sorted_runs.keys_in_range(directory, *origin, task["low"], task["high"])
        for origin in origins
    ]
    lengths = [len(part) for part in parts]
    key, offset = np.concatenate(parts).T
    del parts
    origin = np.repeat(np.arange(len(origins), dtype=np.uint32), lengths)
    split = np.repeat(np.array([names.index(split) for _, split in origins], np.uint16), lengths)
    order = np.lexsort((split, key))
    key, split = key[order], split[order]
    # Of one record of each split, those with the key of the one before.
    is_new = sorted_runs.changes(key) | sorted_runs.changes(split)
    kept = order[is_new]
    is_second = ~sorted_runs.changes(key[is_new])
    shown = []
    for place in np.flatnonzero(is_second)[:SHOWN_CONTENTS]:
        pair = [
            {"split": origins[origin[i]][1]}
            | sorted_runs.read_origin(directory, origins[origin[i]][0], int(offset[i]))
            for i in kept[place - 1 : place + 1]
        ]
        shown.append(pair)
    return {"keys": int(is_second.sum()), "shown_keys": shown}


def merge(found: list[dict], features: Features) -> dict:
    """What all ranges found, as it is stored.

    Returns:
        `repeats`: examples whose content another one has already; `leaks`: contents that are in
        several splits; `conflicts`: contents with several labels; `keys`: how often a key of one
        split is in another one too; `shown`: some contents, first those in several splits, then those with
        several labels: {count, splits, has_conflict, examples: [{split, key, file, label}]}, `label`
        being the class where there is one label; `shown_keys`: some pairs of records with one key.
    """
    shown = [content for part in found for content in part["shown"]]
    shown.sort(key=_rank)
    label = _single_label(features)
    for content in shown[:SHOWN_CONTENTS]:
        for example in content["examples"]:
            number = example.pop("label")
            if label is not None and number:
                example["label"] = features[label].names[number - 1]
    pairs = sorted((p for part in found for p in part["shown_keys"]), key=lambda p: p[0]["key"])
    totals = {
        name: sum(part[name] for part in found)
        for name in ("repeats", "leaks", "conflicts", "keys")
    }
    return {
        "format_version": FORMAT_VERSION,
        **totals,
        "shown": shown[:SHOWN_CONTENTS],
        "shown_keys": pairs[:SHOWN_CONTENTS],
    }


def _rank(content):
    leaks = len(content["splits"]) > 1
    return not leaks, not content["has_conflict"], content["examples"][0]["key"]


def write(directory, found: dict) -> None:
    """Writes `duplicates.json`, beside the bad records."""
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    (Path(directory) / FILE).write_text(text)


def count_warnings(found: dict) -> int:
    """How many kinds of faults `warning` tells of."""
    return sum(bool(found.get(name)) for name in ("leaks", "keys", "conflicts"))


def warning(found: dict) -> str | None:
    """Sentences about all that `leakage` and `conflict` find, else None."""
    return " ".join(filter(None, (leakage(found), conflict(found)))) or None


def leakage(found: dict) -> str | None:
    """Sentences if a content or a key is in several splits at once, else None."""
    sentences = []
    if found["leaks"]:
        first = _first_of_each(found["shown"][0]["examples"], "split")
        copies = _listed(f"{_quoted(example['key'])} ({example['split']})" for example in first)
        noun = "content is" if found["leaks"] == 1 else "contents are"
        sentences.append(
            f"{found['leaks']} {noun} in several splits at once, so that the evaluation comes out "
            f"too good: {copies} are equal. Take the copies out of the source; {_WHERE}"
        )
    if found.get("keys"):
        pair = found["shown_keys"][0]
        splits = _listed(example["split"] for example in pair)
        noun = "key is" if found["keys"] == 1 else "keys are"
        sentences.append(
            f"{found['keys']} {noun} in several splits at once: {_quoted(pair[0]['key'])} is in "
            f"{splits}. A key must name one record; {_WHERE}"
        )
    return " ".join(sentences) or None


def conflict(found: dict) -> str | None:
    """A sentence if a content has several labels, else None."""
    if not found.get("conflicts"):
        return None
    content = next((c for c in found["shown"] if c["has_conflict"]), None)
    example = ""
    if content is not None:
        # Where there are several labels, examples are shown without them.
        labelled = [example for example in content["examples"] if "label" in example]
        first = _first_of_each(labelled, "label")
        copies = _listed(f"{_quoted(e['key'])} ({_quoted(e['label'])})" for e in first)
        example = f": {copies} are equal" if copies else ""
    noun = "content has" if found["conflicts"] == 1 else "contents have"
    return (
        f"{found['conflicts']} {noun} several labels{example}. Labels are wrong, or the features do "
        f"not tell the classes apart; {_WHERE}"
    )


_WHERE = f"`{FILE}` in the quarantine's folder, which `penstock show` lists, names them."


def _quoted(text: str) -> str:
    return f"'{printable(text, 100)}'"


def _listed(texts) -> str:
    return " and ".join(texts)
