"""What `Task.details` adds to the metrics: how they were computed, baselines, quality by length.

Comes in: `details` of an Evaluation, and the metrics. Goes out: values for the template. A task may
keep anything under these names; what does not fit is not shown.
"""

from penstock.tfx.report import formats, plots

MOST_BASELINES, MOST_METRICS, MOST_BINS = 8, 8, 20


def signatures(details: dict) -> list[tuple[str, str]]:
    """(metric, how it was computed): the signatures by which figures of others are compared."""
    found = details.get("signatures")
    entries = found.items() if isinstance(found, dict) else ()
    return [(formats.label(n), formats.label(s, 200)) for n, s in entries if isinstance(s, str)]


def baselines(details: dict, overall: dict) -> dict | None:
    """A table of the model and of what needs no model, on the same examples; None without any.

    Returns:
        metrics: names; rows: [{name, is_model, cells}].
    """
    found = details.get("baselines")
    if not isinstance(found, dict):
        return None
    values = {name: entry for name, entry in found.items() if isinstance(entry, dict)}
    names = list(dict.fromkeys(metric for entry in values.values() for metric in entry))
    names = names[:MOST_METRICS]
    if not names:
        return None
    model = {name: entry.get("value") for name, entry in overall.items()}
    table = [model, *list(values.values())[:MOST_BASELINES]]
    columns = {n: [row.get(n) for row in table] for n in names}
    rows = [
        {
            "name": formats.label(name),
            "is_model": row is model,
            "cells": [metric(row.get(n), beside=columns[n]) for n in names],
        }
        for name, row in zip(("this model", *values), table, strict=False)
    ]
    return {"metrics": [formats.label(name) for name in names], "rows": rows}


def metric(value, places: int = 4, beside=()) -> str:
    """A metric; of those that reach to 100 two decimals less say as much.

    Args:
        beside: values that stand in the same column, or in the same interval.
    """
    if not isinstance(value, int | float):
        return formats.MISSING
    largest = max(abs(v) for v in (value, *beside) if isinstance(v, int | float))
    return formats.fixed(value, places if largest < 10 else max(places - 2, 1))


def by_length(details: dict) -> dict | None:
    """The quality of examples of each length: {svg, metric, unit, rows}; None without any.

    `rows` are (lengths, examples, value), for those who do not see the picture.
    """
    found = details.get("by_length")
    bins = found.get("bins") if isinstance(found, dict) else None
    bins = [b for b in bins if _is_bin(b)][:MOST_BINS] if isinstance(bins, list) else []
    if not bins:
        return None
    name, unit = str(found.get("metric", "value")), str(found.get("unit", "length"))
    rows = [{"label": _range(b), "examples": b["examples"], "value": b.get("value")} for b in bins]
    return {
        "svg": plots.by_length("by-length", name, unit, rows),
        "metric": formats.label(name),
        "unit": formats.label(unit),
        "rows": [(r["label"], f"{r['examples']:,}", metric(r["value"], 3)) for r in rows],
    }


def _is_bin(found) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("examples"), int)
        and all(isinstance(found.get(end), int | float | None) for end in ("from", "to", "value"))
        and found.get("from") is not None
    )


def _range(found: dict) -> str:
    """ "1–8", or "33+" for a bin without an end."""
    low, high = formats.number(found["from"]), found.get("to")
    if high is None:
        return f"{low}+"
    return low if high == found["from"] else f"{low}\N{EN DASH}{formats.number(high)}"
