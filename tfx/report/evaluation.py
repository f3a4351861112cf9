"""The section of the evaluation: metrics with intervals and limits, slices, confusions, mistakes."""

from penstock.tfx.report import details as of_task
from penstock.tfx.report import formats, matrix, mistakes, plots
from penstock.tfx.report.collect import Run

MOST_METRICS, MOST_PARTS = 40, 50
SLICE_METRICS, SLICE_ROWS, TABLE_ROWS = 3, 24, 100


def section(run: Run) -> dict | None:
    """Values for the template; None where the run has no evaluation that can be read."""
    document = run.document("Evaluation", "metrics.json")
    if document is None:
        return None
    overall, slices = document.get("overall") or {}, document.get("slices") or []
    blessing = run.document("Blessing", "blessing.json")
    checks = (blessing or {}).get("checks") or []
    whole = {name: entry for name, entry in overall.items() if "/" not in name}
    details = document.get("details") or {}
    return {
        "split": formats.label(document.get("split")),
        "examples": formats.count(document.get("examples") or 0, "example"),
        "confidence": formats.percent(document.get("confidence") or 0.95, 0),
        "metrics": [_metric(n, e, checks, document) for n, e in list(whole.items())[:MOST_METRICS]],
        "metrics_left_out": max(0, len(whole) - MOST_METRICS),
        "checks": [_check(check) for check in checks],
        "judgement_read": blessing is not None,
        "baseline": bool(document.get("baseline")),
        "signatures": of_task.signatures(details),
        "baselines": of_task.baselines(details, overall),
        "by_length": of_task.by_length(details),
        "parts": _parts(overall, (details.get("confusion_matrix") or {}).get("classes") or ()),
        "slices": _slices(slices, _main_metrics(whole, checks), overall, checks),
        "matrix": matrix.section("confusion", details.get("confusion_matrix")),
        "mistakes": mistakes.section(run, document.get("split")),
    }


def _metric(name: str, entry: dict, checks: list[dict], document: dict) -> dict:
    limits = [c for c in checks if c["metric"] == name and c["slice"] is None]
    change = (document.get("baseline") or {}).get(name)
    return {
        "name": formats.label(name),
        "value": of_task.metric(entry["value"]),
        "interval": _interval(entry, 4),
        "method": entry.get("interval") or "",
        "limits": [_limit(check) for check in limits],
        "baseline": _change(change) if change else None,
    }


def _interval(entry: dict, places: int = 3) -> str:
    if entry.get("low") is None:
        return ""
    ends = (entry["low"], entry["high"])
    return " to ".join(of_task.metric(end, places, beside=ends) for end in ends)


def _kind(check: dict) -> str:
    """min, max, max_drop or max_rise: the last part of the setting."""
    return check["setting"].rpartition(".")[2]


def _limit(check: dict) -> dict:
    words = {
        "min": "at least",
        "max": "at most",
        "max_drop": "may fall by",
        "max_rise": "may rise by",
    }
    kind = _kind(check)
    text = f"{words.get(kind, kind)} {formats.number(check['limit'])}"
    return {"text": text, "passed": check["passed"]}


def _change(change: dict) -> str:
    if change.get("difference") is None:
        return f"baseline {of_task.metric(change.get('baseline'))}"
    sign = "+" if change["difference"] >= 0 else "−"
    text = f"{sign}{of_task.metric(abs(change['difference']))}"
    if change.get("low") is not None:
        text += f" ({_interval(change, 4)})"
    return f"{text} against {of_task.metric(change['baseline'])}"


def _check(check: dict) -> dict:
    where = f" in {formats.label(check['slice'], 60)}" if check["slice"] else ""
    return {
        "passed": check["passed"],
        "text": f"{formats.label(check['metric'])}{where}: {of_task.metric(check['value'])}, "
        f"{_limit(check)['text']}",
        "setting": check["setting"],
        "reason": formats.label(check["reason"], 400) if check["reason"] else None,
    }


def _main_metrics(whole: dict, checks: list[dict]) -> list[str]:
    """Those with limits, then those that the task names first."""
    limited = [check["metric"] for check in checks]
    return list(dict.fromkeys([*limited, *whole]))[:SLICE_METRICS]


def _parts(overall: dict, classes) -> dict | None:
    """Metrics called `<metric>/<part>` as a table with a row for each part; None without any."""
    split = [(name, *name.split("/", 1)) for name in overall if "/" in name]
    metrics = list(dict.fromkeys(metric for _, metric, _ in split))
    parts = list(dict.fromkeys(part for _, _, part in split))
    if not parts:
        return None
    rows = [
        {
            "name": formats.label(part),
            "cells": [_cell(overall.get(f"{metric}/{part}")) for metric in metrics],
        }
        for part in parts[:MOST_PARTS]
    ]
    shown = [formats.label(metric) for metric in metrics]
    noun = ("class", "classes") if set(parts) <= set(classes) else ("part", "parts")
    left_out = max(0, len(parts) - MOST_PARTS)
    return {"metrics": shown, "rows": rows, "left_out": left_out, "noun": noun}


def _cell(entry: dict | None) -> dict:
    if entry is None:
        return {"value": formats.MISSING, "interval": ""}
    return {"value": of_task.metric(entry["value"], 3), "interval": _interval(entry)}


def _slices(slices, names, overall, checks) -> list[dict]:
    """For each column: pictures of the main metrics, and a table."""
    columns = list(dict.fromkeys(part["column"] for part in slices))
    return [
        _column(place, column, [p for p in slices if p["column"] == column], names, overall, checks)
        for place, column in enumerate(columns)
    ]


def _column(place, column, parts, names, overall, checks) -> dict:
    names = [name for name in names if any(name in part["metrics"] for part in parts)]
    # Where there are many, those that differ most from the whole set in the first metric are shown.
    ranked = sorted(parts, key=lambda part: -_distance(part, names[0], overall)) if names else []
    kept = {id(part) for part in ranked[:SLICE_ROWS]}
    drawn = [part for part in parts if id(part) in kept]
    pictures = [
        _picture(f"slice{place}-{i}", n, drawn, overall, checks) for i, n in enumerate(names)
    ]
    table = [
        {
            "name": formats.label(part["value"]),
            "examples": f"{part['examples']:,}",
            "cells": [_cell(part["metrics"].get(name)) for name in names],
        }
        for part in parts[:TABLE_ROWS]
    ]
    return {
        "column": formats.label(column),
        "metrics": [formats.label(name) for name in names],
        "pictures": [picture for picture in pictures if picture],
        "count": len(parts),
        "not_drawn": len(parts) - len(drawn),
        "rows": table,
        "left_out": len(parts) - len(table),
    }


def _distance(part: dict, name: str, overall: dict) -> float:
    value, whole = part["metrics"].get(name, {}).get("value"), overall.get(name, {}).get("value")
    return abs(value - whole) if value is not None and whole is not None else 0.0


def _picture(prefix, name, parts, overall, checks) -> dict | None:
    rows = [
        {"label": part["value"], **part["metrics"][name]}
        for part in parts
        if part["metrics"].get(name, {}).get("value") is not None
    ]
    if not rows:
        return None
    # A limit on the whole set is no limit on slices.
    limits = {
        ("at least" if _kind(check) == "min" else "at most", check["limit"])
        for check in checks
        if check["metric"] == name and check["slice"]
    }
    whole = overall.get(name, {}).get("value")
    return {
        "name": formats.label(name),
        "svg": plots.slice_metric(prefix, name, rows, whole, sorted(limits)),
        "has_limits": bool(limits),
        "has_intervals": any(row["low"] is not None for row in rows),
    }
