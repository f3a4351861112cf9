"""The metrics of a run for a person: what has limits and what is overall, with intervals; no more.

Comes in: Evaluation artifacts as `penstock show` describes them, the run's `evaluate` section. Goes
out: lines. A task of a thousand classes has thousands of metrics; the rest is counted.
"""

import json
from pathlib import Path


def metric_lines(steps: list[dict], evaluate: dict) -> list[str]:
    """One line for each metric that has a limit or is of all classes together.

    Args:
        steps: of the run, as `penstock show --json` prints them.
        evaluate: `thresholds` and `baseline` name what has limits.
    """
    found = [o for step in steps for o in step["outputs"].values() if o["type"] == "Evaluation"]
    return [line for artifact in found for line in _lines(artifact, evaluate)]


def _lines(artifact: dict, evaluate: dict) -> list[str]:
    document = _document(artifact)
    overall, limits = document["overall"], evaluate.get("thresholds") or {}
    limited = [n for n in (*limits, *(evaluate.get("baseline") or {})) if n in overall]
    shown = list(dict.fromkeys([*limited, *(name for name in overall if "/" not in name)]))
    lines = [
        f"{name} = {_number(overall[name]['value'])}"
        f"{_interval(overall[name], document.get('confidence'))}{_limit(limits.get(name))}"
        for name in shown
    ]
    if more := len(overall) - len(shown):
        lines.append(f"{more} more of single classes: `penstock show --json`")
    if slices := document.get("slices"):
        lines.append(f"{len(slices)} slices: {artifact['path']}/metrics.json")
    return lines


def _document(artifact: dict) -> dict:
    """`metrics.json`, or what the metadata store knows of it where the file is gone."""
    try:
        return json.loads((Path(artifact["path"]) / "metrics.json").read_text())
    except (OSError, ValueError):
        values = artifact["properties"].get("metrics", {})
        return {"overall": {name: {"value": value} for name, value in values.items()}}


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _interval(entry: dict, confidence: float | None) -> str:
    if confidence is None or entry.get("low") is None:
        return ""
    return f"  ({entry['low']:.4g} to {entry['high']:.4g} at {confidence:.0%} confidence)"


def _limit(limit: dict | None) -> str:
    ends = [
        f"{end} {limit[end]:g}" for end in ("min", "max") if limit and limit.get(end) is not None
    ]
    return f"  limit: {', '.join(ends)}" if ends else ""
