"""How far the data are from other data: bars, and both distributions of what is furthest away.

Comes in: the distances that ExampleValidator measured (`drift_skew_info` of the anomalies: of each
feature the split that comes nearest to its limit), and the statistics of both runs. Goes out:
plain values and pictures. A limit here is the configured one and what chance explains.
"""

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2

from penstock.pipelines.statistics.statistics_files import by_name, read
from penstock.tfx.report import distributions, formats, plots
from penstock.tfx.report.categories import categories, draw_categories, is_length_of_category
from penstock.tfx.report.collect import Run
from penstock.tfx.report.derived import base_of, in_words, with_unit

MOST_BARS, MOST_ROWS, MOST_OVERLAID, LEAST_OVERLAID = 20, 100, 6, 3
NONE = "0 %"
"""What distances that need no picture come to."""
MEASURES = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "largest difference of a share",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "Jensen-Shannon divergence",
}


def distances(found: anomalies_pb2.Anomalies, kind: str) -> list[dict]:
    """{feature, measure, value, limit, ratio} of each distance, the furthest first.

    Args:
        kind: "drift" (from the last good run) or "skew" (from a serving log).
    """
    rows = []
    for info in found.drift_skew_info:
        for measured in getattr(info, f"{kind}_measurements"):
            limit = measured.threshold
            ratio = measured.value / limit if limit else (float("inf") if measured.value else 0.0)
            row = {"feature": ".".join(info.path.step), "measure": MEASURES.get(measured.type, "")}
            rows.append(row | {"value": measured.value, "limit": limit, "ratio": ratio})
    return sorted(rows, key=lambda row: (-row["ratio"], row["feature"]))


def in_percent(ratio: float) -> str:
    """A distance as a share of its limit; that of a limit of zero is infinite."""
    return "∞" if ratio == float("inf") else f"{100 * ratio:,.0f} %"


def of_run(run: Run, found: anomalies_pb2.Anomalies, kind: str) -> list[dict]:
    """`distances` without those within their limit of lengths of categories."""
    rows = distances(found, kind)
    if not rows:
        return []
    if run.statistics is None:
        return rows
    known = {dataset.name: by_name(dataset) for dataset in run.statistics}
    return [r for r in rows if r["ratio"] > 1 or not is_length_of_category(r["feature"], known)]


def section(run: Run, found: anomalies_pb2.Anomalies) -> dict | None:
    """`drift` and `skew`, each None where nothing was compared; None where neither was."""
    rows = {kind: of_run(run, found, kind) for kind in ("drift", "skew")}
    if not any(rows.values()):
        return None
    parts = {kind: _part(kind, of_kind) for kind, of_kind in rows.items()}
    if parts["drift"]:
        pictures = parts["drift"]["figures"]
        compared = _compared(run, _apart(rows["drift"]))
        parts["drift"] |= compared | {"figures": pictures + compared.get("figures", [])}
    return parts


def _apart(rows: list[dict]) -> list[dict]:
    return [row for row in rows if in_percent(row["ratio"]) != NONE]


def _part(kind, rows) -> dict | None:
    if not rows:
        return None
    worst: dict[str, dict] = {}
    for row in rows:
        worst.setdefault(row["feature"], row)
    apart = _apart(list(worst.values()))
    return {
        "figures": [_bars(kind, apart)] if apart else [],
        "features": len(worst),
        "over": sum(row["ratio"] > 1 for row in worst.values()),
        "rows": [
            {
                "name": formats.label(row["feature"], 60),
                "measure": row["measure"],
                "numbers": [formats.number(row["value"], 3), formats.number(row["limit"], 3)],
                "share": in_percent(row["ratio"]),
                "over": row["ratio"] > 1,
            }
            for row in rows[:MOST_ROWS]
        ],
        "left_out": max(0, len(rows) - MOST_ROWS),
        "baseline": None,
        "sizes": [],
    }


def _bars(kind, rows) -> dict:
    """A picture of the features that are apart at all."""
    bars = [
        {"label": formats.label(r["feature"]), "value": r["ratio"], "text": in_percent(r["ratio"])}
        for r in rows[:MOST_BARS]
    ]
    furthest = f"the {len(bars)} features furthest away"
    which = furthest if len(bars) < len(rows) else "each feature that has moved"
    cut = any(bar["value"] > plots.MOST_OVER for bar in bars)
    caption = (
        f"The distance of {which}, in the split that comes nearest to its limit. The limit is what "
        "the config allows and what chance explains together"
        + (f"; bars beyond {in_percent(plots.MOST_OVER)} are cut off." if cut else ".")
    )
    drawn = plots.distances(kind, bars)
    return {"svg": drawn, "caption": caption, "rows": plots.rows_in_grid(len(bars) + 2)}


def _compared(run: Run, rows) -> dict:
    """The other run, sizes of both, and both distributions of the features furthest away."""
    if run.baseline is None:
        return {}
    name, directory = run.baseline
    try:
        theirs = {d.name: d for d in read(directory).datasets if d.num_examples}
    except (OSError, DecodeError):
        return {"baseline": name}
    if run.statistics is None:
        return {"baseline": name}
    mine = {d.name: d for d in run.statistics if d.num_examples}
    sizes = [_size(split, mine.get(split), theirs.get(split)) for split in {**mine, **theirs}]
    over = sum(row["ratio"] > 1 for row in rows)
    chosen = list(dict.fromkeys(row["feature"] for row in rows))
    chosen = chosen[: min(MOST_OVERLAID, max(LEAST_OVERLAID, over))]
    split = next((s for s in mine if s in theirs), None)
    if split is None:
        return {"baseline": name, "sizes": sizes}
    here, there = by_name(mine[split]), by_name(theirs[split])
    pictures = [
        _overlaid(f"drift{place}", feature, here, there, split)
        for place, feature in enumerate(chosen)
        if feature in here and feature in there
    ]
    return {"baseline": name, "sizes": sizes, "figures": [p for p in pictures if p]}


def _size(split, mine, theirs) -> dict:
    here, there = (dataset.num_examples if dataset else 0 for dataset in (mine, theirs))
    change = f"{100 * (here / there - 1):+.1f} %" if there else formats.MISSING
    return {
        "split": formats.label(split),
        "numbers": [f"{here:,}", f"{there:,}", change.replace("-", "\N{MINUS SIGN}")],
    }


def _overlaid(prefix, feature, here, there, split) -> dict | None:
    both = {"this run": here[feature], "the other run": there[feature]}
    base = base_of(feature, here)
    words = f"{in_words(feature, base)}, split {formats.label(split)}"
    if categories(both):
        return draw_categories(prefix, feature, words, both, "run")
    if any(statistics.WhichOneof("stats") != "num_stats" for statistics in both.values()):
        return None
    axis = distributions.common_axis(both)
    if axis is None:
        return None
    caption = " ".join(
        filter(None, (f"{words}: the share of each run in each range.", axis.left_out))
    )
    drawn = plots.histogram(prefix, with_unit(feature, base), axis)
    return {"svg": drawn, "rows": 1, "caption": caption}
