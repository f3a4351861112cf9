"""`penstock runs`, `show`, `why` and `diff`: what the store knows, for people and for scripts."""

import json
import shutil
import sys
import textwrap
import time

from penstock.tfx.console import cut, sentences, show_value, show_values
from penstock.tfx.explain import differences, flatten
from penstock.tfx.load_config import read_yaml
from penstock.tfx.metric_lines import metric_lines
from penstock.tfx.store import Store, open_store

COUNTED = {
    "ExampleGen": ("examples", "splits", "bad", "duplicates"),
    "ExampleValidator": ("anomalies",),
}
"""What `diff` compares of what the steps of the data said."""


def list_runs(directory: str, database: str | None, as_json: bool) -> int:
    """Prints every run of a store."""
    store = open_store(directory, database)
    rows = [_with_activity(store, row) for row in store.metadata.runs()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    width = max((len(row["run"]) for row in rows), default=0)
    # Unlimited where the output is no terminal.
    columns = shutil.get_terminal_size((sys.maxsize, 0)).columns
    for row in rows:
        print("\n".join(_lines(row, width, columns)))
    if not rows:
        print(f"The store {store.directory} has no runs yet.")
    return 0


def _lines(row: dict, width: int, columns: int) -> list[str]:
    """A run in one line; in several, where the terminal has fewer columns than that takes."""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["started_at"]))
    # What was worked on it, as far as it is known: a process that was killed says nothing.
    seconds = f"{row['seconds']:8.1f} s" if "seconds" in row else " " * 10
    facts = f"{row['state']:<11}  {started}  {seconds}"
    reason = cut(row.get("reason") or "")
    head = f"{row['run']:<{width}}  {facts}"
    line = f"{head}  {reason}".rstrip()
    if len(line) <= columns:
        return [line]
    lines = [head] if len(head) <= columns else [row["run"], f"  {facts}"]
    # Names of runs and paths stay whole, to be copied.
    whole = {"break_long_words": False, "break_on_hyphens": False}
    room = max(columns - 4, 20)
    return [one.rstrip() for one in lines] + [
        f"    {one}" for one in textwrap.wrap(reason, room, **whole)
    ]


def show_run(run: str | None, directory: str, database: str | None, as_json: bool) -> int:
    """Prints the steps, artifacts and metrics of one run."""
    store = open_store(directory, database)
    found = _with_activity(store, store.resolve_run(run))
    steps = [_describe(store, *entry) for entry in store.metadata.steps_of(found["run"])]
    if as_json:
        print(json.dumps({**found, "steps": steps}, indent=2))
        return 0
    print(
        f"{found['run']}  {found['state']}"
        + (f": {found['reason']}" if found.get("reason") else "")
    )
    for step in steps:
        how = "cached" if step["how"] == "cached" else f"{step['seconds']:.1f} s"
        print(f"  {step['step']:<18} {how:>8}  {show_values(step['summary'])}")
        for text in sentences(step["summary"]):
            print(f"    {text}")
        for name, artifact in step["outputs"].items():
            print(f"    {name}: {artifact['path']}  {artifact['content_digest'][:12]}")
    for line in metric_lines(steps, _config(store, found["run"]).get("evaluate", {})):
        print(f"  {line}")
    return 0


def why_step(run: str, step: str, directory: str, database: str | None, as_json: bool) -> int:
    """Prints why a step ran, or why it did not have to."""
    store = open_store(directory, database)
    found = store.resolve_run(run)
    steps = {name: (how, record) for name, how, record in store.metadata.steps_of(found["run"])}
    if step not in steps:
        begun = {record.step for record in store.metadata.executions_of(found["run"])}
        problem = "did not complete the step" if step in begun else "has no complete step"
        ended = f" It ended so: {found['reason']}" if found.get("reason") else ""
        complete = ", ".join(steps) or "none"
        raise ValueError(
            f"The run {found['run']} {problem} {step!r}.{ended} Complete steps: {complete}."
        )
    how, record = steps[step]
    if record.run == found["run"]:
        how = "executed"  # before the run was interrupted; resumed, it took the step from itself
    earlier = store.metadata.earlier_execution(found["pipeline"], record)
    changes = [] if earlier is None else differences(earlier.ingredients, record.ingredients)
    if as_json:
        facts = {"step": step, "how": how, "execution": record.id, "changes": changes}
        facts |= {"made_by": record.run, "compared_with": earlier.run if earlier else None}
        print(json.dumps(facts, indent=2))
        return 0
    if how == "cached":
        print(
            f"{step} was taken from the run {record.run}: nothing that it depends on has changed."
        )
    elif earlier is None:
        print(f"{step} ran because this pipeline had not run it before in this store.")
    elif not changes:
        print(
            f"{step} ran although nothing that it depends on has changed since the run {earlier.run}: "
            "its outputs were damaged or gone, or what it had done elsewhere no longer held."
        )
    else:
        print(f"{step} ran because, since the run {earlier.run},")
        for change in changes:
            print(f"  - {change}")
    return 0


def diff_runs(first: str, second: str, directory: str, database: str | None, as_json: bool) -> int:
    """Prints how two runs differ: how they ended, config, ingredients of each step, data, metrics."""
    store = open_store(directory, database)
    found = [_with_activity(store, store.resolve_run(name)) for name in (first, second)]
    runs = [row["run"] for row in found]
    configs = [flatten(_config(store, run)) for run in runs]
    records = [{name: record for name, _, record in store.metadata.steps_of(run)} for run in runs]
    metrics = [
        _metrics([_describe(store, name, "", record) for name, record in steps.items()])
        for steps in records
    ]
    facts = {
        "end": _changed(*({"state": r["state"], "reason": r.get("reason")} for r in found)),
        "config": _changed(*configs),
        "steps": {
            name: differences(records[0][name].ingredients, records[1][name].ingredients)
            for name in records[0]
            if name in records[1] and records[0][name].id != records[1][name].id
        },
        "data": _changed(*map(_found, records)),
        "metrics": _changed(*metrics),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, (before, now) in facts["end"].items():
        print(f"end      {name}: {cut(before or 'none')} -> {cut(now or 'none')}")
    for name, (before, now) in facts["config"].items():
        print(f"config   {name}: {before!r} -> {now!r}")
    for name, changes in facts["steps"].items():
        print(f"step     {name}: {'; '.join(changes) or 'ran again'}")
    for name, (before, now) in facts["data"].items():
        print(f"data     {name}: {show_value(before)} -> {show_value(now)}")
    for name, (before, now) in facts["metrics"].items():
        print(f"metric   {name}: {_short(before)} -> {_short(now)}")
    if not any(facts.values()):
        print("The two runs do not differ.")
    return 0


def _found(records: dict) -> dict:
    """What the steps of the data counted; what was not counted is zero."""
    found = {
        name: records[step].summary.get(name, 0)
        for step, names in COUNTED.items()
        if step in records
        for name in names
    }
    steps = [records[step].summary for step in COUNTED if step in records]
    return found | {"warnings": sum(summary.get("warnings", 0) for summary in steps)}


def _short(metric: float | None) -> str:
    return "none" if metric is None else f"{metric:.4g}"


def _with_activity(store: Store, row: dict) -> dict:
    """A run that says it is running but holds no lease was killed."""
    if row["state"] != "RUNNING":
        return row
    # Those are of its earlier attempts, before it was resumed.
    row = {name: value for name, value in row.items() if name not in ("seconds", "reason")}
    if store.is_active(row["run"]):
        return row
    return {**row, "state": "INTERRUPTED", "reason": f"killed; penstock resume {row['run']}"}


def _describe(store: Store, step: str, how: str, record) -> dict:
    outputs = {
        name: {
            "type": artifact.type,
            "path": str(store.directory / artifact.uri),
            "content_digest": artifact.content_digest,
            "bytes": artifact.size_bytes,
            "properties": artifact.properties,
        }
        for name, artifact in record.outputs.items()
    }
    return {
        "step": step,
        "how": how,
        "execution": record.id,
        "seconds": record.seconds,
        "summary": record.summary,
        "gate": record.gate,
        "outputs": outputs,
    }


def _metrics(steps: list[dict]) -> dict:
    return {
        name: value
        for step in steps
        for artifact in step["outputs"].values()
        for name, value in artifact["properties"].get("metrics", {}).items()
    }


def _config(store: Store, run: str) -> dict:
    path = store.run_directory(run) / "config.yaml"
    return read_yaml(path) if path.exists() else {}  # a pipeline made in Python has none


def _changed(before: dict, now: dict) -> dict:
    names = sorted(before.keys() | now.keys())
    return {n: [before.get(n), now.get(n)] for n in names if before.get(n) != now.get(n)}
