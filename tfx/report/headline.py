"""The sentence at the top of the page, and the few figures under it."""

from google.protobuf.text_format import ParseError

from penstock.pipelines.ingest import duplicates
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.validation import anomalies
from penstock.tfx.report import drift, formats
from penstock.tfx.report.collect import CACHED, STOPPED, Run
from penstock.tfx.report.details import metric

STATES = {
    "COMPLETE": "complete",
    "STOPPED": "stopped by a gate",
    "FAILED": "failed",
    "INTERRUPTED": "interrupted",
    "RUNNING": "still running",
}
PLACES = ("path", "dataset", "rows", "annotations", "texts", "splits")
"""Settings of sources that say where the data are, that first which says most."""
NO_BREAK = "\N{NO-BREAK SPACE}"


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
    task = run.config.get("task", "an unknown task")
    does = "checked" if run.ends_with_data else f"ran {task} on"
    long = ""
    if run.seconds > 0 and run.state != "RUNNING":
        # No line is to begin with a unit.
        long = f" for {formats.seconds(run.seconds).replace(' ', NO_BREAK)}"
    when = formats.moment(run.started_at)
    return f"On {when}, the pipeline {run.pipeline} {does} {_data(run)}{long}"


def _data(run: Run) -> str:
    source = run.section("data", "source")
    places = _places({name: source[name] for name in PLACES if name in source})
    named = [source.get("type"), *places[:1]]
    origin = " ".join(formats.label(text, 60) for text in named if text) or "unknown data"
    if len(places) > 1:
        origin += f" and {len(places) - 1:,} more"
    described = run.document("Examples", "penstock.json")
    splits = described.get("splits") if described else None
    if not isinstance(splits, dict):
        return f"data from {origin}"
    return f"{formats.count(sum(splits.values()), 'example')} from {origin}"


def _places(setting) -> list[str]:
    """The files, folders or names in a setting of a source, which may be a source itself."""
    if isinstance(setting, dict):
        known = [setting[name] for name in PLACES if setting.get(name)][:1]
        return [text for part in known or setting.values() for text in _places(part)]
    return [setting] if isinstance(setting, str) and setting else []


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
    found = _found(run)
    if found is None:
        return "no gate stopped it", ".", None
    errors, warnings = found
    if errors:
        return f"it found {_anomalies_of(errors)}", ", of which the config only warns.", None
    bad = (run.document("Quarantine", quarantine.SUMMARY) or {}).get("bad")
    besides = [formats.count(warnings, "warning")] * bool(warnings)
    besides += [formats.count(bad, "bad record")] * bool(bad)
    if besides:
        return "the data passed", f", with {' and '.join(besides)}.", None
    return "the data passed every check", ".", None


def _anomalies_of(amount: int) -> str:
    return formats.count(amount, "anomaly", "anomalies")


def _found(run: Run) -> tuple[int, int] | None:
    """(errors, warnings), those about copies among them; None where nothing was compared."""
    found = _found_anomalies(run)
    if found is None:
        return None
    whole = [found.dataset_anomaly_info] if found.dataset_anomaly_info.reason else []
    kinds = [info.severity for info in (*whole, *found.anomaly_info.values())]
    copies = run.document("Quarantine", duplicates.FILE) or {}
    errors = kinds.count(anomalies.Kind.ERROR)
    return errors, len(kinds) - errors + duplicates.count_warnings(copies)


def _found_anomalies(run: Run):
    try:
        return anomalies.read(run.artifacts["Anomalies"])
    except (OSError, KeyError, ValueError, ParseError):
        return None


def _pushed_before(run: Run) -> str:
    """What became of the model of a run that did not come to its end: a step may follow the push."""
    if run.ends_with_data:
        return "."
    if "PushedModel" not in run.artifacts:
        return ", so that nothing was pushed."
    version = (run.document("PushedModel", "pushed.json") or {}).get("version")
    return "; its model had been pushed" + (f" as version {version}." if version else ".")


def _figures(run: Run) -> list[dict]:
    """The metric that matters most, or what was checked; steps, parameters, latency."""
    figures = [*_metric(run)]
    figures += _data_figures(run) if run.ends_with_data else _doubts(run)
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


def _doubts(run: Run) -> list[dict]:
    """Of a run that trains: what there is to say against its data, if anything."""
    errors, warnings = _found(run) or (0, 0)
    if not errors and not warnings:
        return []
    note = f"and {formats.count(warnings, 'warning')} about the data"
    return [{"name": "anomalies", "value": f"{errors:,}", "note": note}]


def _data_figures(run: Run) -> list[dict]:
    """What was checked: examples and their splits, bad records, copies, anomalies, drift."""
    figures = []
    described = run.document("Examples", "penstock.json") or {}
    if isinstance(described.get("splits"), dict):
        splits = {name: size for name, size in described["splits"].items() if size}
        note = ", ".join(f"{formats.label(n)} {size:,}" for n, size in splits.items())
        shown = f"{sum(splits.values()):,}"
        figures.append({"name": "examples", "value": shown, "note": note})
    bad = run.document("Quarantine", quarantine.SUMMARY) or {}
    if isinstance(bad.get("bad"), int) and isinstance(bad.get("read"), int):
        note = f"of {formats.count(bad['read'], 'record')} read"
        figures.append({"name": "bad records", "value": f"{bad['bad']:,}", "note": note})
    copies = run.document("Quarantine", duplicates.FILE) or {}
    if copies.get("repeats"):
        note = "example repeats" if copies["repeats"] == 1 else "examples repeat"
        note += (
            f" another one; {formats.count(copies.get('leaks', 0), 'content')} in several splits"
        )
        figures.append({"name": "copies", "value": f"{copies['repeats']:,}", "note": note})
    return figures + _judged(run)


def _judged(run: Run) -> list[dict]:
    """Anomalies, and the distance to earlier data."""
    found = _found(run)
    if found is None:
        return []
    how = "a reviewed" if run.section("data").get("reviewed_schema") else "an inferred"
    note = f"and {formats.count(found[1], 'warning')}; against {how} schema"
    figures = [{"name": "anomalies", "value": f"{found[0]:,}", "note": note}]
    rows = drift.of_run(run, _found_anomalies(run), "drift")
    if rows:
        shown = drift.in_percent(rows[0]["ratio"])
        which = "every feature" if shown == drift.NONE else formats.label(rows[0]["feature"])
        rank = "as in" if shown == drift.NONE else "furthest from"
        note = f"of its limit, {which}: {rank} the earlier run"
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
        note = f"{metric(found['low'], 3)} to {metric(found['high'], 3)}, {note}"
    yield {"name": name, "value": metric(found.get("value"), 3), "note": note}
