"""The Quarantine directory: every record that could not be used, with the reason.

`bad_records.jsonl` has one JSON object for each, {file, index, key, reason}, sorted; `summary.json`
has their number, the number of good records and how often each reason occurred.
"""

import json
from collections import Counter
from pathlib import Path

from penstock.pipelines.sources.source import BadRecord


def write(directory, bad: list[BadRecord], good: int) -> None:
    """Writes both files; equal records give equal bytes, whatever their order."""
    directory = Path(directory)
    bad = sorted(bad, key=lambda r: (r.file, r.index, r.key, r.reason))
    lines = "".join(json.dumps(record.to_json(), sort_keys=True) + "\n" for record in bad)
    (directory / "bad_records.jsonl").write_text(lines)
    reasons = Counter(record.reason for record in bad)
    summary = {"bad": len(bad), "good": good, "reasons": dict(sorted(reasons.items()))}
    (directory / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


def read(directory) -> list[BadRecord]:
    """The records in the order on disk."""
    with open(Path(directory) / "bad_records.jsonl") as file:
        return [BadRecord.from_json(json.loads(line)) for line in file]


def too_many(bad: list[BadRecord], good: int, max_bad_fraction: float) -> str | None:
    """A sentence if the share of bad records is over the limit, else None."""
    total = len(bad) + good
    if not total or len(bad) / total <= max_bad_fraction:
        return None
    reason, times = Counter(record.reason for record in bad).most_common(1)[0]
    example = next(record for record in bad if record.reason == reason)
    return (
        f"{len(bad)} of {total} records ({len(bad) / total:.1%}) cannot be used; at most "
        f"{max_bad_fraction:.1%} may be bad (`data.max_bad_fraction`). Most frequent reason "
        f"({times} times): {reason} First in `{example.file}`, index {example.index}; all are in "
        "`bad_records.jsonl` in the quarantine's folder, which `penstock show` lists."
    )
