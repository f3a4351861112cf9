"""Examples with the same content: counted, and named where they are in several splits at once.

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

from penstock.pipelines import sorted_runs
from penstock.pipelines.features import Features, Label

FORMAT_VERSION = 1
FILE = "duplicates.json"
EXAMPLES_AT_ONCE = 2_000_000
"""Of one task: 76 bytes each at the peak, when they are sorted (measured with tracemalloc)."""
SHOWN_CONTENTS, SHOWN_EXAMPLES = 100, 10


def content_hash(content: bytes) -> int:
    """64 bits of a record's content, as `example_codec.Encoder` gives it."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _is_label(feature):
    return isinstance(getattr(feature, "of", feature), Label)


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
    """{repeats, leaks, shown} of one range; see `merge`."""
    origins = [(run["name"], split) for run in task["runs"] for split in run["splits"]]
    names = sorted({split for _, split in origins})
    parts = [
        sorted_runs.contents_in_range(directory, *origin, task["low"], task["high"])
        for origin in origins
    ]
    lengths = [part.shape[1] for part in parts]
    if not sum(lengths):
        return {"repeats": 0, "leaks": 0, "shown": []}
    rows = np.concatenate(parts, axis=1)
    del parts
    origin = np.repeat(np.arange(len(origins), dtype=np.uint32), lengths)
    split = np.repeat(np.array([names.index(split) for _, split in origins], np.uint16), lengths)
    order = np.lexsort((rows[1], split, rows[0]))
    for column in (*rows, origin, split):
        column[:] = column[order]
    del order
    content, key, offset, count = rows
    is_first = sorted_runs.changes(content)
    # Of two records of a split with one key the second is a bad one, and no example.
    is_example = is_first | sorted_runs.changes(split) | sorted_runs.changes(key)
    count -= ~is_example
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], len(content))
    counts = np.add.reduceat(count, starts)
    leaks = split[starts] != split[ends - 1]
    leaking = np.flatnonzero(leaks)[:SHOWN_CONTENTS]
    others = np.flatnonzero(~leaks & (counts > 1))[:SHOWN_CONTENTS]
    shown = []
    for index in [*leaking, *others][:SHOWN_CONTENTS]:
        members = starts[index] + np.flatnonzero(is_example[starts[index] : ends[index]])
        one_of_each = sorted_runs.changes(split[members])
        members = np.append(members[one_of_each], members[~one_of_each])[:SHOWN_EXAMPLES]
        examples = [
            {"split": names[split[i]]}
            | sorted_runs.read_origin(directory, origins[origin[i]][0], int(offset[i]))
            for i in members
        ]
        examples.sort(key=lambda example: (example["key"], example["split"]))
        first = _first_of_each_split(examples)
        examples = [*first, *[example for example in examples if example not in first]]
        found = sorted({names[number] for number in split[starts[index] : ends[index]]})
        shown.append({"count": int(counts[index]), "splits": found, "examples": examples})
    return {"repeats": int(counts.sum()) - len(counts), "leaks": int(leaks.sum()), "shown": shown}


def _first_of_each_split(examples):
    """The first example of each split, in their order."""
    first = {}
    for example in examples:
        first.setdefault(example["split"], example)
    return list(first.values())


def merge(found: list[dict]) -> dict:
    """What all ranges found, as it is stored.

    Returns:
        `repeats`: examples whose content another one has already; `leaks`: contents that are in
        several splits; `shown`: some contents, first those in several splits: {count, splits,
        examples: [{split, key, file}]}.
    """
    shown = [content for part in found for content in part["shown"]]
    shown.sort(key=lambda content: (len(content["splits"]) == 1, content["examples"][0]["key"]))
    return {
        "format_version": FORMAT_VERSION,
        "repeats": sum(part["repeats"] for part in found),
        "leaks": sum(part["leaks"] for part in found),
        "shown": shown[:SHOWN_CONTENTS],
    }


def write(directory, found: dict) -> None:
    """Writes `duplicates.json`, beside the bad records."""
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    (Path(directory) / FILE).write_text(text)


def warning(found: dict) -> str | None:
    """A sentence if a content is in several splits at once, else None."""
    if not found["leaks"]:
        return None
    content = found["shown"][0]
    first = _first_of_each_split(content["examples"])
    copies = " and ".join(f"{example['key']!r} ({example['split']})" for example in first)
    noun = "content is" if found["leaks"] == 1 else "contents are"
    return (
        f"{found['leaks']} {noun} in several splits at once, so that the evaluation comes out too "
        f"good: {copies} are equal. Take the copies out of the source; `{FILE}` in the quarantine's "
        "folder, which `penstock show` lists, names them."
    )
