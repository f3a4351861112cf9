"""The section of serving: whether the SavedModel answers as the Keras model, how fast, and where it is."""

from pathlib import Path

from penstock.tfx.report import formats
from penstock.tfx.report.collect import Run

MOST_REASONS = 10


def section(run: Run) -> dict:
    """`parity` and `pushed`, each None where the run did not come so far."""
    return {"parity": _parity(run), "pushed": _pushed(run)}


def _parity(run: Run) -> dict | None:
    report = run.document("ParityReport", "parity.json")
    if report is None:
        return None
    infra, latency = run.section("infra"), report.get("latency_ms") or {}
    memory = report.get("memory_mb") or {}
    most = infra.get("max_latency_ms")
    limit = f", at most {formats.number(most)} ms allowed" if most is not None else ""
    facts = [("golden requests", f"{report.get('examples')}, all together and one by one")]
    if latency:
        requests = formats.count(latency["requests"], "warm request")
        facts += [
            ("latency, median", f"{formats.number(latency['p50'], 3)} ms over {requests}"),
            ("latency, 99th percentile", f"{formats.number(latency['p99'], 3)} ms{limit}"),
        ]
    if memory:
        most = infra.get("max_memory_mb")
        limit = f", at most {formats.number(most)} MB allowed" if most is not None else ""
        facts += [
            ("memory, peak", f"{formats.number(memory['peak'], 3)} MB with TensorFlow{limit}"),
            ("memory, for the model", f"{formats.number(memory['growth_by_load'], 3)} MB"),
        ]
    reasons = [formats.label(reason, 400) for reason in report.get("reasons") or []]
    return {
        "passed": bool(report.get("passed")),
        "tolerance": formats.number(infra.get("relative_tolerance")),
        "facts": facts,
        "reasons": reasons[:MOST_REASONS],
        "left_out": max(0, len(reasons) - MOST_REASONS),
    }


def _pushed(run: Run) -> dict | None:
    pushed = run.document("PushedModel", "pushed.json")
    if pushed is None:
        return None
    path = str(pushed.get("path"))
    return {"version": pushed.get("version"), "path": path, "there": Path(path).is_dir()}
