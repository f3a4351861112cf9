"""The section of the training: curves, settings, speed."""

from penstock.tfx.report import formats, plots
from penstock.tfx.report.collect import Run

MOST_CURVES = 8
VALIDATION = "val_"
"""How Keras names the metrics of the validation split."""
SKIPPED = ("train_split", "validation_split", "checkpoint_every_steps", "checkpoint_every_seconds")


def section(run: Run) -> dict | None:
    """Values for the template; None where the run has no trained model."""
    if "Model" not in run.artifacts:
        return None
    history = (run.document("Model", "history.json") or {}).get("history") or {}
    training = run.document("Model", "training.json") or {}
    train = run.section("train")
    names = [name for name in history if not name.startswith(VALIDATION)]
    names.sort(key=lambda name: (name != "loss", name))
    return {
        "curves": [
            _curve(f"curve{i}", n, history, train) for i, n in enumerate(names[:MOST_CURVES])
        ],
        "left_out": [formats.label(name) for name in names[MOST_CURVES:]],
        "facts": _facts(training),
        "settings": _settings(run, train),
    }


def _curve(prefix, name, history, train) -> dict:
    series = {str(train.get("train_split", "train")): history[name]}
    if VALIDATION + name in history:
        series[str(train.get("validation_split", "validation"))] = history[VALIDATION + name]
    last = [f"{formats.label(s)} {formats.fixed(v[-1])}" for s, v in series.items() if v]
    return {
        "name": formats.label(name),
        "epochs": formats.count(len(history[name]), "epoch"),
        "svg": plots.curves(prefix, name, series),
        "last": ", ".join(last),
    }


def _facts(training: dict) -> list[tuple[str, str]]:
    """What `training.json` says of speed and place; what it lacks is left out."""
    resumed = training.get("resumed_at")
    known = {
        "device": formats.value(training.get("devices")),
        "strategy": formats.value(training.get("strategy")),
        "precision": formats.value(training.get("precision")),
        "XLA": formats.value(training.get("xla")),
        "throughput": _throughput(training),
        "waiting for input": formats.percent(training.get("input_wait_share") or 0.0),
        "time in fit": formats.seconds(training.get("fit_seconds")),
        "epochs": formats.number(training.get("epochs")),
        "parameters": formats.number(training.get("parameters")),
        "initial weights": formats.value(training.get("initial_weights")),
        "padding": formats.percent(training.get("padding_share") or 0.0),
        "seed": str(training.get("seed")),
        "deterministic": formats.value(training.get("deterministic")),
        "resumed": f"at epoch {resumed[0] + 1}, step {resumed[1]}" if resumed else "no",
    }
    sources = {"device": "devices", "XLA": "xla", "throughput": "examples_per_second"}
    sources |= {"waiting for input": "input_wait_share", "time in fit": "fit_seconds"}
    sources |= {"resumed": "resumed_at"}
    sources |= {"initial weights": "initial_weights", "padding": "padding_share"}
    said = {n for n, value in training.items() if value is not None or n == "resumed_at"}
    return [(name, text) for name, text in known.items() if sources.get(name, name) in said]


def _throughput(training: dict) -> str:
    """Examples a second, and what the task counts beside them (tokens)."""
    ending = "_per_second"
    rates = [
        f"{formats.number(value)} {name.removesuffix(ending).replace('_', ' ')}/s"
        for name, value in training.items()
        if name.endswith(ending)
    ]
    return ", ".join(rates)


def _settings(run: Run, train: dict) -> list[tuple[str, str]]:
    """The hyper-parameters: the training's and the model's, what is not set left out."""
    sections = {"train": {k: v for k, v in train.items() if k not in SKIPPED}}
    sections |= {name: run.section(name) for name in ("model", "loss", "augment")}
    rows = []
    for name, entries in sections.items():
        rows += _flat(name, entries)
    return rows


def _flat(prefix: str, entries: dict) -> list[tuple[str, str]]:
    rows = []
    for name, entry in entries.items():
        if isinstance(entry, dict):
            rows += _flat(f"{prefix}.{name}", entry)
        elif entry is not None and entry != []:
            rows.append((f"{prefix}.{name}", formats.label(formats.value(entry), 80)))
    return rows
