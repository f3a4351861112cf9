"""The section of the environment: versions that the steps ran with, the config, this page's origin."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version

from penstock.tfx.report import formats
from penstock.tfx.report.collect import Run

MOST_CHARACTERS = 100_000


def section(run: Run) -> dict:
    """Values for the template."""
    training = (run.document("Model", "training.json") or {}).get("versions") or {}
    steps: dict[str, set[str]] = {}
    for facts in run.steps.values():
        for name, found in (facts.ingredients.get("libraries") or {}).items():
            steps.setdefault(name, set()).add(str(found))
    for name, found in training.items():
        steps.setdefault(name, set()).add(str(found))
    return {
        "versions": [(name, ", ".join(sorted(steps[name]))) for name in sorted(steps)],
        "config": run.config_text[:MOST_CHARACTERS],
        "config_cut": len(run.config_text) > MOST_CHARACTERS,
        "written": formats.moment(time.time()),
        "penstock": _penstock(),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
    }


def _penstock() -> str:
    try:
        return version("penstock")
    except PackageNotFoundError:
        return "unknown"
