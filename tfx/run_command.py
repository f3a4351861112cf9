"""`penstock run`, `resume` and `validate`: from a config to a run, its progress and its summary."""

import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from penstock.tfx.console import console_for
from penstock.tfx.load_config import RunConfig, as_yaml, load_config
from penstock.tfx.report.formats import count
from penstock.tfx.runner import RunResult, run_pipeline
from penstock.tfx.standard_pipeline import standard_pipeline
from penstock.tfx.store import Store, new_id, open_store, wildcards_in

EXIT_CODES = {"COMPLETE": 0, "FAILED": 1, "STOPPED": 3}
INTERRUPTED = 130


def run_config(path: str, overrides: tuple[str, ...], verify: bool, as_json: bool) -> int:
    """Starts a new run of a config file; returns the exit code."""
    config = load_config(Path(path), overrides)
    settings = config.pipeline.store
    store = Store(settings.directory, settings.database)
    run = f"{config.pipeline.name}-{new_id()}"
    return _run(config, store, run, verify, as_json, {"config": path, "overrides": list(overrides)})


def resume_run(
    run: str | None, store: str, database: str | None, verify: bool, as_json: bool
) -> int:
    """Goes on with a run, with the config that was saved when it began."""
    opened = open_store(store, database)
    found = opened.resolve_run(run)
    if found["state"] == "COMPLETE" and not verify:
        print(f"The run {found['run']} is complete: there is nothing to resume.", file=sys.stderr)
        return 0
    config = load_config(opened.run_directory(found["run"]) / "config.yaml")
    return _run(config, opened, found["run"], verify, as_json, {})


def validate_config(path: str, overrides: tuple[str, ...], show: bool) -> int:
    """Checks a config file and says so; returns the exit code."""
    config = load_config(Path(path), overrides)
    pipeline = standard_pipeline(config)
    faults = [f for step in pipeline.steps for f in step.component.check(step.parameters)]
    if faults:
        raise ValueError("\n".join(faults))
    if show:
        print(as_yaml(config), end="")
    else:
        task = f"task {config.pipeline.task}" if config.task else "no task: the data are checked"
        print(f"{path} is valid: {len(pipeline.steps)} steps, {task}.")
    return 0


def _run(
    config: RunConfig, store: Store, run: str, verify: bool, as_json: bool, facts: dict
) -> int:
    pipeline = standard_pipeline(config)
    unfit = wildcards_in(store.directory)
    if unfit:
        raise ValueError(f"The store cannot be here: {unfit} Name another `store.directory`.")
    for number in (signal.SIGTERM, signal.SIGHUP):  # a scheduler's stop, a closed terminal
        signal.signal(number, signal.default_int_handler)
    store.metadata  # noqa: B018 - opened now, so that an unreachable one is said before anything else
    try:
        with console_for([step.name for step in pipeline.steps], run, as_json) as console:
            result = run_pipeline(
                pipeline,
                store,
                run,
                observe=console.observe,
                workers=config.pipeline.runner.workers,
                retries=config.pipeline.runner.retries,
                verify=verify,
                properties=facts,
                config=as_yaml(config),
            )
    except KeyboardInterrupt:
        print(f"Interrupted. {_how_to_resume(run, store)}", file=sys.stderr)
        return INTERRUPTED
    if as_json:
        print(json.dumps(summary(result), indent=2))
    else:
        with contextlib.suppress(BrokenPipeError):
            _print_summary(result, store, list(config.pipeline.evaluate.thresholds))
    return EXIT_CODES[result.state]


def _how_to_resume(run: str, store: Store) -> str:
    return f"Go on with: {program()} resume {run}{_store_option(store)}"


def _store_option(store: Store) -> str:
    """What a command must be told to find a store that is not where it looks by itself."""
    default = store.directory == Path(".penstock").absolute()
    return "" if default else f" --store {store.directory}"


def program() -> str:
    """How the user can call this command line again: its name, or its path if it is not on PATH."""
    called = sys.argv[0]
    if not called.endswith("/penstock") or shutil.which("penstock") == os.path.abspath(called):
        return "penstock"
    return os.path.relpath(called)


def summary(result: RunResult) -> dict:
    """A run as JSON: how it ended, what each step did, metrics and the pushed model."""
    steps, metrics, pushed = {}, {}, None
    for name, state in result.states.items():
        record = state.record
        steps[name] = {"status": state.status, "execution": record.id if record else None}
        if record is None:
            continue
        steps[name] |= {"seconds": record.seconds, "summary": record.summary}
        for artifact in record.outputs.values():
            metrics |= artifact.properties if artifact.type == "Evaluation" else {}
            pushed = artifact.properties if artifact.type == "PushedModel" else pushed
    return {
        "run": result.run,
        "state": result.state,
        "reason": result.reason,
        "stopped_at": result.step,
        "seconds": round(result.seconds, 3),
        "steps": steps,
        "evaluation": metrics,
        "pushed": pushed,
    }


def _print_summary(result: RunResult, store: Store, limited: list[str]) -> None:
    """Prints the metrics that the config sets limits for (or else the first), and what is next.

    Of a run that ends with the check of the data, what was checked.
    """
    facts = summary(result)
    if "Trainer" not in facts["steps"] and (line := _checked(facts["steps"])):
        print(line)
    evaluation = facts["evaluation"]
    metrics = evaluation.get("metrics", {})
    for name in [name for name in limited if name in metrics] or list(metrics)[:1]:
        where = f"{evaluation['split']} split, {count(evaluation['examples'], 'example')}"
        print(f"{name} {metrics[name]:.4f} on the {where}")
    if result.state != "COMPLETE":
        verb = "Stopped" if result.state == "STOPPED" else "Failed"
        print(f"{verb}: {result.reason}", file=sys.stderr)
        if result.state == "FAILED":
            print(_how_to_resume(result.run, store), file=sys.stderr)
        else:
            print(_next(result.run, store))
        return
    if facts["pushed"]:
        print(f"served model: {facts['pushed']['path']}")
    print(f"run: {result.run} ({result.seconds:.1f} s)")
    print(_next(result.run, store))


def _checked(steps: dict) -> str | None:
    """What the steps of the data found, None where there are none."""
    read, judged = (
        steps.get(name, {}).get("summary") for name in ("ExampleGen", "ExampleValidator")
    )
    if read is None:
        return None
    bad = count(read["bad"], "bad record")
    if judged is None:
        verdict = "not compared with a schema"
    else:
        warnings = read.get("warnings", 0) + judged.get("warnings", 0)
        errors = count(judged.get("anomalies", 0), "anomaly", "anomalies")
        verdict = f"{errors}, {count(warnings, 'warning')}"
    return f"checked {count(read['examples'], 'example')} ({read['splits']}): {bad}, {verdict}"


def _next(run: str, store: Store) -> str:
    return f"next: {program()} report {run}{_store_option(store)}"
