"""The sentence at the top of the page, and the few figures under it."""

from google.protobuf.text_format import ParseError

from penstock.pipelines.ingest import duplicates
from penstock.pipelines.validation import anomalies
from penstock.tfx.report import drift, formats
from penstock.tfx.report.collect import CACHED, STOPPED, Run

STATES = {
    "COMPLETE": "complete",
    "STOPPED": "stopped by a gate",
    "FAILED": "failed",
    "INTERRUPTED": "interrupted",
    "RUNNING": "still running",
}


def section(run: Run) -> dict:
    """`before`, `verdict`, `after`: the sentence; `why`: a reason to add; `figures`."""
    verdict, after, why = _verdict(run)
    return {
        "before": _what(run),
        "verdict": verdict,
        "after": after,
        "why": formats.label(why, 1200) if why else None,
        "state": STATES.get(run.state, run.state.lower()),
        "css": run.state.lower(),
        "mood": "interrupted" if after.startswith((", with", ", of which")) else run.state.lower(),
        "figures": _figures(run),
    }


def _what(run: Run) -> str:
    """Pipeline, task, data, when, how long."""
    does = (
        "checked" if run.ends_with_data else f"ran {run.config.get('task', 'an unknown task')} on"
    )
    when = formats.moment(run.started_at)
    known = run.seconds > 0 and run.state != "RUNNING"
    long = f" for {formats.seconds(run.seconds)}" if known else ""
    return f"On {when}, the pipeline {run.pipeline} {does} {_data(run)}{long}"


def _data(run: Run) -> str:
    source = dict(run.section("data", "source"))
    kind = source.pop("type", None)
    rows = source.get("rows")
    places = [source.get("path"), source.get("dataset"), *source.values()]
    places = [rows.get("path") if isinstance(rows, dict) else None, *places]
    named = next((v for v in places if isinstance(v, str) and v), None)
    origin = " ".join(formats.label(text, 60) for text in (kind, named) if text) or "unknown data"
    described = run.document("Examples", "penstock.json")
    splits = described.get("splits") if described else None
    if not isinstance(splits, dict):
        return f"data from {origin}"
    return f"{formats.count(sum(splits.values()), 'example')} from {origin}"


def _verdict(run: Run) -> tuple[str, str, str | None]:
    """(the part in bold, what follows it, a reason)."""
    stopped = next((s for s in run.steps.values() if s.state == STOPPED), None)
    if run.state == "STOPPED":
        where = run.stopped_at or (stopped.name if stopped else "a gate")
        return f"{where} stopped it", _pushed_before(run), run.reason
    if run.state == "FAILED":
        where = run.stopped_at or "it"
        why = (run.reason or "").removeprefix(f"{where} failed: ")
        return f"{where} failed", _pushed_before(run), why
    if run.state == "INTERRUPTED":
        return "it was interrupted", f": `penstock resume {run.name}` goes on with it.", run.reason
    if run.state == "RUNNING":
        return "it is still running", ": the page shows what is complete.", None
    if run.ends_with_data:
        return _judgement(run)
    blessing = run.document("Blessing", "blessing.json") or {}
    pushed = run.document("PushedModel", "pushed.json")
    blessed = "blessed" if blessing.get("blessed") else "not judged"
    if pushed:
        return f"its model was {blessed} and pushed", f" as version {pushed.get('version')}.", None
    if run.steps and "PushedModel" not in run.artifacts and not run.section("push"):
        return (
            f"its model was {blessed}",
            ", and not pushed because the config does not say where.",
            None,
        )
    return f"its model was {blessed}", ".", None


def _judgement(run: Run) -> tuple[str, str, str | None]:
    """Of a run that checks data and came to its end."""
    found = _found_anomalies(run)
    if found is None:
        return "no gate stopped it", ".", None
    errors = sum(info.severity == anomalies.Kind.ERROR for info in _infos(found))
    copies = run.document("Quarantine", duplicates.FILE) or {}
    doubts = sum(bool(copies.get(name)) for name in ("leaks", "conflicts", "keys"))
    warnings = len(_infos(found)) - errors + doubts
    if not errors and not warnings:
        return "the data passed every check", ".", None
    if not errors:
        return "the data passed", f", with {formats.count(warnings, 'warning')}.", None
    return f"it found {_anomalies_of(errors)}", ", of which the config only warns.", None


def _anomalies_of(amount: int) -> str:
    return formats.count(amount, "anomaly", "anomalies")


def _found_anomalies(run: Run):
    try:
        return anomalies.read(run.artifacts["Anomalies"])
    except (OSError, KeyError, ValueError, ParseError):
        return None


def _infos(found) -> list:
    whole = [found.dataset_anomaly_info] if found.dataset_anomaly_info.reason else []
    return [*whole, *found.anomaly_info.values()]


def _pushed_before(run: Run) -> str:
    """What became of the model of a run that did not come to its end: a step may follow the push."""
    if run.ends_with_data:
        return "."
    if "PushedModel" not in run.artifacts:
        return ", so that nothing was pushed."
    version = (run.document("PushedModel", "pushed.json") or {}).get("version")
    return "; its model had been pushed" + (f" as version {version}." if version else ".")


def _figures(run: Run) -> list[dict]:
    """At most five: the metric that matters most, steps, parameters, latency, version."""
    figures = [*_metric(run)]
    if run.ends_with_data:
        figures += _data_figures(run)
    cached = sum(facts.state == CACHED for facts in run.steps.values())
    done = sum(facts.state in (CACHED, "executed") for facts in run.steps.values())
    if run.steps:
        note = f"{cached} from the cache" if cached else "none from the cache"
        figures.append(
            {"name": "steps complete", "value": f"{done} of {len(run.steps)}", "note": note}
        )
    training = run.document("Model", "training.json") or {}
    if training.get("parameters") is not None:
        note = formats.value(training.get("devices"))
        shown = formats.number(training["parameters"])
        figures.append({"name": "parameters", "value": shown, "note": f"trained on {note}"})
    latency = (run.document("ParityReport", "parity.json") or {}).get("latency_ms") or {}
    if latency:
        note = f"99th percentile {formats.number(latency.get('p99'), 3)} ms"
        shown = f"{formats.number(latency.get('p50'), 3)} ms"
        figures.append({"name": "median latency", "value": shown, "note": note})
    return figures


def _data_figures(run: Run) -> list[dict]:
    """What was checked: examples and their splits, bad records, anomalies, distance to before."""
    figures = []
    described = run.document("Examples", "penstock.json") or {}
    if isinstance(described.get("splits"), dict):
        splits = {name: size for name, size in described["splits"].items() if size}
        note = ", ".join(f"{formats.label(n)} {size:,}" for n, size in splits.items())
        shown = f"{sum(splits.values()):,}"
        figures.append({"name": "examples", "value": shown, "note": note})
    bad = run.document("Quarantine", "summary.json") or {}
    if isinstance(bad.get("bad"), int) and isinstance(bad.get("read"), int):
        note = f"of {formats.count(bad['read'], 'record')} read"
        figures.append({"name": "bad records", "value": f"{bad['bad']:,}", "note": note})
    copies = run.document("Quarantine", duplicates.FILE) or {}
    if copies.get("repeats"):
        leaks = copies.get("leaks", 0)
        note = f"examples repeat another one; {leaks:,} across splits"
        figures.append({"name": "copies", "value": f"{copies['repeats']:,}", "note": note})
    found = _found_anomalies(run)
    if found is None:
        return figures
    errors = sum(info.severity == anomalies.Kind.ERROR for info in _infos(found))
    warnings = len(_infos(found)) - errors
    how = "a reviewed" if run.section("data").get("reviewed_schema") else "an inferred"
    note = f"and {formats.count(warnings, 'warning')}; against {how} schema"
    figures.append({"name": "anomalies", "value": f"{errors:,}", "note": note})
    rows = drift.distances(found, "drift")
    if rows:
        note = f"of its limit, {formats.label(rows[0]['feature'])}: furthest from the earlier run"
        shown = drift.in_percent(rows[0]["ratio"])
        figures.append({"name": "drift", "value": shown, "note": note})
    return figures


def _metric(run: Run):
    """The metric with a limit, or else the first one."""
    document = run.document("Evaluation", "metrics.json") or {}
    overall = document.get("overall") or {}
    limited = [n for part in ("thresholds", "baseline") for n in run.section("evaluate", part)]
    name = next((n for n in (*limited, *overall) if n in overall), None)
    if name is None:
        return
    found = overall[name]
    note = f"{document.get('split')} split, {formats.count(document.get('examples', 0), 'example')}"
    if found.get("low") is not None:
        note = f"{formats.fixed(found['low'])} to {formats.fixed(found['high'])}, {note}"
    yield {"name": name, "value": formats.fixed(found.get("value")), "note": note}
