"""Anomalies as the page shows them: what is wrong with a feature, and records that show it.

Comes in: the Anomalies artifact, and the examples to find the records in. Goes out: plain values.
"""

import re
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2

from penstock.pipelines import examples
from penstock.tfx.report import formats, samples, sounds

MOST_FEATURES, MOST_REASONS, MOST_RECORDS = 50, 6, 12
LONGEST = 1200
NAMES = {anomalies_pb2.AnomalyInfo.ERROR: "error", anomalies_pb2.AnomalyInfo.WARNING: "warning"}
PARTS_OF_SOUND = ("seconds", "sample_rate_hz", "level_dbfs", "peak")
PARTS_OF_SOUND += ("clipped_fraction", "silent_fraction")
_RECORDS = re.compile(r" For example: `(.+)`\.$", re.DOTALL)


def section(found: anomalies_pb2.Anomalies, directory: Path | None) -> dict:
    """{errors, warnings, rows, left_out}; a row: {kind, feature, reasons, records}, errors first.

    Args:
        directory: of the examples; None where they are gone.
    """
    whole = found.dataset_anomaly_info
    every = [("", whole)] if whole.reason else []
    every += sorted(found.anomaly_info.items())
    every = [(name, info) for name, info in every if info.severity in NAMES]
    every.sort(key=lambda pair: pair[1].severity != anomalies_pb2.AnomalyInfo.ERROR)
    keys = [_keys(info) for _, info in every[:MOST_FEATURES]]
    wanted = list(dict.fromkeys(key for several in keys for key in several))[:MOST_RECORDS]
    records = _records(directory, set(wanted)) if wanted and directory else {}
    sounds.limit_played([example["sound"] for example in records.values()])
    kinds = [NAMES[info.severity] for _, info in every]
    return {
        "errors": kinds.count("error"),
        "warnings": kinds.count("warning"),
        "rows": [
            _row(name, info, [(key, records[key]) for key in of_info if key in records])
            for (name, info), of_info in zip(every[:MOST_FEATURES], keys, strict=True)
        ],
        "left_out": max(0, len(every) - MOST_FEATURES),
    }


def _keys(info) -> list[str]:
    """Keys of records that the sentences end with (`anomalies.with_records`)."""
    ends = [_RECORDS.search(reason.description) for reason in info.reason]
    return list(dict.fromkeys(key for end in ends if end for key in end[1].split("`, `")))


def _records(directory, keys) -> dict[str, dict]:
    """Key -> example, of whichever split."""
    found: dict[str, dict] = {}
    for split in examples.splits(directory):
        found = samples.find(directory, split, keys - found.keys()) | found
        if len(found) == len(keys):
            break
    return found


def _row(name, info, records) -> dict:
    base, _, part = name.partition("/")
    # Of a record with both the one is shown that the anomaly is about.
    what = "sound" if part in PARTS_OF_SOUND else "image"
    shown = [
        {"key": example["key"], "image": None, "sound": None, what: example[what]}
        | {
            "facts": [
                f for f in example["facts"] if f[0] in (formats.label(name), formats.label(base))
            ]
        }
        for _, example in records
    ]
    # Records that are shown need not be named.
    told = [_RECORDS.sub("" if shown else r"\g<0>", reason.description) for reason in info.reason]
    reasons = [formats.label(text, LONGEST) for text in told]
    return {
        "kind": NAMES[info.severity],
        "feature": formats.label(name, 80) if name else "",
        "reasons": reasons[:MOST_REASONS],
        "reasons_left_out": max(0, len(reasons) - MOST_REASONS),
        "records": shown,
    }
