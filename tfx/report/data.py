"""The section of the data: splits, quarantine, anomalies, drift, samples, statistics, slices.

Every part is None where the run has no such artifact, or one that cannot be read.
"""

from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError

from penstock.pipelines import examples
from penstock.pipelines.features import Audio, Image, Label, Mask, Number, Sequence
from penstock.pipelines.ingest import duplicates
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.quarantine.bad_records import record_of
from penstock.pipelines.quarantine.printable import excerpt
from penstock.pipelines.validation import anomalies
from penstock.tfx.report import drift, findings, formats, samples, slices, statistics
from penstock.tfx.report.collect import Run

MOST_BAD, MOST_EXCERPT, MOST_REASONS = 3, 80, 10
MOST_CONTENTS, MOST_COPIES = 5, 4
CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}
UNREADABLE = (OSError, ValueError, KeyError, DecodeError, ParseError)
"""What reading an artifact raises whose files are gone or damaged."""


def section(run: Run) -> dict:
    """Values for the template."""
    found = _readable(lambda r: anomalies.read(r.artifacts["Anomalies"]), run, "Anomalies")
    return {
        "splits": _readable(_splits, run, "Examples"),
        "quarantine": _readable(_quarantine, run, "Quarantine"),
        "copies": _readable(_copies, run, "Quarantine"),
        "samples": _readable(_samples, run, "Examples"),
        "statistics": _readable(
            lambda r: statistics.section(r.artifacts["Statistics"], _attention(found)),
            run,
            "Statistics",
        ),
        "slices": _readable(lambda r: slices.section(r.artifacts["Statistics"]), run, "Statistics"),
        "anomalies": _anomalies(run, found),
        "drift": drift.section(run, found) if found else None,
    }


def _attention(found) -> dict[str, float]:
    """Feature -> 1 for an anomaly, or how near it came to a limit of drift, 0 to 1."""
    if found is None:
        return {}
    rows = [row for kind in ("drift", "skew") for row in drift.distances(found, kind)]
    attention = {row["feature"]: min(0.9, row["ratio"]) for row in reversed(rows)}
    return attention | dict.fromkeys(found.anomaly_info, 1.0)


def _readable(part, run: Run, kind: str):
    if kind not in run.artifacts:
        return None
    try:
        return part(run)
    except UNREADABLE:
        return None


def _splits(run: Run) -> dict:
    directory = run.artifacts["Examples"]
    sizes = {name: size for name, size in examples.splits(directory).items() if size}
    described = examples.features(directory)
    total = sum(sizes.values())
    return {
        "total": formats.count(total, "example"),
        "rows": [
            {
                "name": formats.label(name),
                "count": f"{size:,}",
                "share": size / total,
                "percent": formats.percent(size / total),
            }
            for name, size in sizes.items()
        ],
        "features": [
            {"name": formats.label(name), "about": _about(feature)}
            for name, feature in described.items()
        ],
    }


def _about(feature) -> str:
    """What a feature is, in a few words."""
    if isinstance(feature, Image):
        return f"{CHANNELS[feature.channels]} image"
    if isinstance(feature, Audio):
        rate = f", {feature.sample_rate_hz:,} Hz" if feature.sample_rate_hz else ""
        return f"{feature.encoding.upper()} recording{rate}"
    if isinstance(feature, Sequence):
        return f"list: {_about(feature.of)}"
    if isinstance(feature, Label | Mask):
        of = "of pixels, " if isinstance(feature, Mask) else ""
        return of + formats.count(len(feature.names), "class", "classes")
    if isinstance(feature, Number) and feature.shape:
        return f"{feature.dtype}, shape {' × '.join(map(str, feature.shape))}"
    return feature.dtype if isinstance(feature, Number) else feature.kind


def _quarantine(run: Run) -> dict:
    directory = run.artifacts["Quarantine"]
    found = quarantine.summary(directory)
    bad, total, reasons = found["bad"], found["read"], found["reasons"]
    return {
        "bad": bad,
        "total": total,
        "share": formats.percent(bad / total) if bad else "0 %",
        "allowed": formats.percent(run.section("data").get("max_bad_fraction", 0.01)),
        "reasons": [_reason(reason, bad) for reason in reasons[:MOST_REASONS]],
        "reasons_left_out": max(0, len(reasons) - MOST_REASONS),
        "path": str(directory / quarantine.RECORDS),
    }


def _reason(reason: dict, bad: int) -> dict:
    """A kind of reason, its share of all bad records, and the first of its records."""
    return {
        "kind": formats.label(reason["kind"], 300),
        "times": f"{reason['count']:,}",
        "share": reason["count"] / bad,
        "percent": formats.percent(reason["count"] / bad),
        "records": [
            {
                "file": formats.label(entry["file"], 200),
                "index": entry["index"],
                "offset": formats.number(entry.get("offset")),
                "reason": formats.label(entry["reason"], 300),
                "excerpt": excerpt(record_of(entry).data, MOST_EXCERPT),
            }
            for entry in reason["first"][:MOST_BAD]
        ],
    }


def _copies(run: Run) -> dict | None:
    """Examples with equal contents; None where ExampleGen did not look for them."""
    found = run.document("Quarantine", duplicates.FILE)
    if found is None:
        return None
    return {
        "repeats": found["repeats"],
        "warning": duplicates.warning(found),
        "rows": [
            {
                "count": content["count"],
                "splits": formats.label(", ".join(content["splits"]), 80),
                "fault": _fault(content),
                "keys": [formats.key(e["key"]) for e in content["examples"][:MOST_COPIES]],
            }
            for content in found["shown"][:MOST_CONTENTS]
        ],
    }


def _fault(content: dict) -> str:
    """What is wrong with a content beyond that it is there more than once."""
    faults = ["several splits"] if len(content["splits"]) > 1 else []
    return " and ".join(faults + ["several labels"] * bool(content.get("has_conflict")))


def _samples(run: Run) -> samples.Samples | None:
    directory = run.artifacts["Examples"]
    sizes = examples.splits(directory)
    wanted = run.section("train").get("train_split")
    split = wanted if sizes.get(wanted) else next((n for n, size in sizes.items() if size), None)
    return samples.sample(directory, split) if split else None


def _anomalies(run: Run, found) -> dict | None:
    """With the records that show them; without these where the examples cannot be read."""
    if found is None:
        return None
    with_records = _readable(
        lambda r: findings.section(found, r.artifacts["Examples"]), run, "Examples"
    )
    return with_records or findings.section(found, None)
