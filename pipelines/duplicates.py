"""Examples with the same content: counted, and named where they are in several splits at once.

A picture that is in the training and in the test split makes the test too easy; one that is there
twice counts twice. The content is every feature but the labels, byte by byte, as it is stored; so
one picture under two labels is found too. `sorted_runs` keeps the hashes of the contents, sorted,
of each run and split; `plan` divides the range of hashes among tasks that fit into memory, and
`find` looks through one of them. Examples are told apart by 64 bits: among 10 million examples, two
different contents are taken for one with a chance of 3 in a million (n^2 / 2^65).
"""

import json
import struct
from hashlib import blake2b
from pathlib import Path

import numpy as np

from penstock.pipelines import sorted_runs
from penstock.pipelines.features import Features, Label, Number

FORMAT_VERSION = 1
FILE = "duplicates.json"
EXAMPLES_AT_ONCE = 4_000_000
"""Of one task: some 30 bytes each, and as much again to sort them."""
SHOWN_CONTENTS, SHOWN_EXAMPLES = 100, 10


def content_hash(values: dict, features: Features) -> int:
    """64 bits of a record's content."""
    digest = blake2b(digest_size=8)
    for name, feature in features.items():
        if isinstance(feature, Label):
            continue
        data = values[name]
        if isinstance(feature, Number):
            data = np.asarray(data, feature.dtype).tobytes()
        elif isinstance(data, str):
            data = data.encode()
        digest.update(struct.pack("<Q", len(data)))
        digest.update(data)
    return int.from_bytes(digest.digest(), "big")


def plan(runs: list[dict]):
    """All runs -> tasks {low, high, runs}: ranges of hashes, each small enough."""
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
    content, key, offset = np.concatenate(parts, axis=1)
    origin = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    order = np.lexsort((key, content))
    content, key, offset, origin = content[order], key[order], offset[order], origin[order]
    # Of two records with one key the second is a bad one, and no example.
    new = _changes(content)
    kept = new | _changes(key)
    content, offset, origin, starts = content[kept], offset[kept], origin[kept], new[kept]
    if not len(content):
        return {"repeats": 0, "leaks": 0, "shown": []}
    starts = np.flatnonzero(starts)
    split = np.array([names.index(split) for _, split in origins])[origin]
    leaks = np.minimum.reduceat(split, starts) != np.maximum.reduceat(split, starts)
    sizes = np.diff(np.append(starts, len(content)))
    several = np.flatnonzero(sizes > 1)
    ranked = [*np.flatnonzero(leaks), *several[~leaks[several]][:SHOWN_CONTENTS]]
    shown = []
    for start, size in [(starts[i], sizes[i]) for i in ranked[:SHOWN_CONTENTS]]:
        members = range(start, start + size)
        examples = [
            {"split": origins[origin[i]][1]}
            | sorted_runs.read_origin(directory, origins[origin[i]][0], int(offset[i]))
            for i in members[:SHOWN_EXAMPLES]
        ]
        examples.sort(key=lambda example: example["key"])
        found = sorted({names[number] for number in split[start : start + size]})
        shown.append({"count": int(size), "splits": found, "examples": examples})
    return {"repeats": int(sizes.sum() - len(sizes)), "leaks": int(leaks.sum()), "shown": shown}


def _changes(values):
    """Where a value differs from the one before it; the first does."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


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
    splits = " and ".join(f"`{split}`" for split in content["splits"])
    keys = ", ".join(repr(example["key"]) for example in content["examples"][:2])
    noun = "content is" if found["leaks"] == 1 else "contents are"
    return (
        f"{found['leaks']} {noun} in several splits at once, so that the evaluation comes out too "
        f"good: {keys} are equal and in {splits}. Take the copies out of the source; `{FILE}` "
        "in the quarantine's folder, which `penstock show` lists, names them."
    )
