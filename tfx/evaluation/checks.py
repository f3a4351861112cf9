"""Metrics against what the config asks for: each check passes, or fails with a sentence.

A limit is compared with the measured value, not with an end of its interval; the sentence gives
both. Limits are allowed values themselves.
"""

from dataclasses import asdict, dataclass
from difflib import get_close_matches

from penstock.tfx.config import EvaluateConfig


@dataclass(frozen=True)
class Check:
    """One limit: `setting` is where it stands in the config, `reason` is set where it fails."""

    setting: str
    metric: str
    value: float
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
        if metric not in differences:
            continue
        found = differences[metric]
        for kind, allowed, worse, verb in (
            ("max_drop", limit.max_drop, -found["difference"], "fell"),
            ("max_rise", limit.max_rise, found["difference"], "rose"),
        ):
            if allowed is None:
                continue
            # Decimal fractions are not exact in binary: 0.98 - 0.97 is a little over 0.01.
            passed = worse <= allowed + 1e-12
            reason = (
                f"{metric} {verb} from {found['baseline']:.4g} (latest blessed model) to "
                f"{found['value']:.4g} on the same examples, by {worse:.4g}; "
                f"at most {allowed:.4g} is allowed (`evaluate.baseline.{metric}.{kind}`)."
            )
            checks.append(
                Check(
                    f"evaluate.baseline.{metric}.{kind}",
                    metric,
                    found["value"],
                    allowed,
                    passed,
                    reason=None if passed else reason,
                )
            )
    return checks


def _limits(setting, metric, threshold, measured, confidence, where):
    value = measured["value"]
    interval = f"{confidence:.0%} interval {measured['low']:.4g} to {measured['high']:.4g}"
    of_slice = f" in the slice {where}" if where else ""
    checks = []
    for kind, limit, passed, side in (
        ("min", threshold.min, threshold.min is None or value >= threshold.min, "below"),
        ("max", threshold.max, threshold.max is None or value <= threshold.max, "above"),
    ):
        if limit is None:
            continue
        reason = (
            f"{metric}{of_slice} is {value:.4g} ({interval}), {side} the {kind}imum of "
            f"{limit:.4g} (`{setting}.{kind}`)."
        )
        checks.append(
            Check(
                f"{setting}.{kind}",
                metric,
                value,
                limit,
                passed,
                where,
                None if passed else reason,
            )
        )
    return checks
