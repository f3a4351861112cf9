"""Metrics against what the config asks for: each check passes, or fails with a sentence.

A limit is compared with the measured value, not with an end of its interval; the sentence gives
both. Limits are allowed values themselves. A metric that is NaN or infinite (None) keeps no limit.
"""

from dataclasses import asdict, dataclass
from difflib import get_close_matches

from penstock.tfx.config import EvaluateConfig


@dataclass(frozen=True)
class Check:
    """One limit: `setting` is where it stands in the config, `reason` is set where it fails."""

    setting: str
    metric: str
    value: float | None
    limit: float
    passed: bool
    slice: str | None = None
    reason: str | None = None

    def as_json(self) -> dict:
        return asdict(self)


def check_names(config: EvaluateConfig, overall: dict, slices: list[dict]) -> None:
    """Raises ValueError for limits on metrics that there are not, all at once."""
    of_slices = {name for part in slices for name in part["metrics"]}
    faults = []
    if config.slice_thresholds and not config.slices:
        faults.append("`evaluate.slice_thresholds` needs `evaluate.slices`, which is empty.")
        of_slices = set(overall)
    for section, limits, known in (
        ("thresholds", config.thresholds, set(overall)),
        ("slice_thresholds", config.slice_thresholds, of_slices),
        ("baseline", config.baseline, set(overall)),
    ):
        for name in limits:
            if name not in known:
                near = get_close_matches(name, known, n=3) or sorted(known)[:10]
                faults.append(
                    f"`evaluate.{section}` must name metrics of the task. Received: {name!r}. "
                    f"Nearest known: {', '.join(near)}."
                )
    if faults:
        raise ValueError(" ".join(faults))


def threshold_checks(config: EvaluateConfig, overall: dict, slices: list[dict]) -> list[Check]:
    """Absolute limits, overall and in each slice that defines the metric."""
    checks = []
    for metric, threshold in config.thresholds.items():
        setting = f"evaluate.thresholds.{metric}"
        checks += _limits(setting, metric, threshold, overall[metric], config.confidence, None)
    for metric, threshold in config.slice_thresholds.items():
        setting = f"evaluate.slice_thresholds.{metric}"
        for part in slices:
            if metric in part["metrics"]:
                where = f"{part['column']}={part['value']}"
                measured = part["metrics"][metric]
                checks += _limits(setting, metric, threshold, measured, config.confidence, where)
    return checks


def baseline_checks(config: EvaluateConfig, differences: dict[str, dict]) -> list[Check]:
    """Limits on how much worse than the baseline; `differences` as of `Measure.difference`."""
    checks = []
    for metric, limit in config.baseline.items():
        if metric not in differences or differences[metric]["baseline"] is None:
            continue  # There is nothing to compare with.
        found = differences[metric]
        for kind, allowed, sign, verb in (
            ("max_drop", limit.max_drop, -1, "fell"),
            ("max_rise", limit.max_rise, 1, "rose"),
        ):
            if allowed is None:
                continue
            setting = f"evaluate.baseline.{metric}.{kind}"
            reason = _change_fault(setting, metric, found, allowed, sign, verb)
            checks.append(
                Check(setting, metric, found["value"], allowed, reason is None, reason=reason)
            )
    return checks


def _change_fault(setting, metric, found, allowed, sign, verb):
    """Why a change is too large, or None."""
    if found["value"] is None:
        return _not_finite(metric, f"at most {allowed:.4g} worse is allowed (`{setting}`)")
    worse = sign * found["difference"]
    # Decimal fractions are not exact in binary: 0.98 - 0.97 is a little over 0.01.
    if worse <= allowed + 1e-12:
        return None
    return (
        f"{metric} {verb} from {found['baseline']:.4g} (latest blessed model) to "
        f"{found['value']:.4g} on the same examples, by {worse:.4g}; "
        f"at most {allowed:.4g} is allowed (`{setting}`)."
    )


def _not_finite(metric, limit):
    return (
        f"{metric} is no finite number; {limit}. Look for NaN or infinity in the model's answers "
        "and the targets."
    )


def _limits(setting, metric, threshold, measured, confidence, where):
    value = measured["value"]
    name = metric + (f" in the slice {where}" if where else "")
    checks = []
    for kind, limit, side in (("min", threshold.min, "below"), ("max", threshold.max, "above")):
        if limit is None:
            continue
        rule = f"the {kind}imum of {limit:.4g} (`{setting}.{kind}`)"
        if value is None:
            reason = _not_finite(name, f"it is held against {rule}")
        elif value < limit if kind == "min" else value > limit:
            reason = f"{name} is {value:.4g}{_interval(measured, confidence)}, {side} {rule}."
        else:
            reason = None
        checks.append(
            Check(f"{setting}.{kind}", metric, value, limit, reason is None, where, reason)
        )
    return checks


def _interval(measured, confidence):
    if measured["low"] is None:
        return ""
    return f" ({confidence:.0%} interval {measured['low']:.4g} to {measured['high']:.4g})"
