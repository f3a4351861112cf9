"""What bounds a training, from measured rates (`throughput.py`): pure judgement, no TensorFlow."""

from penstock.tfx.doctor.finding import Finding, ok, tip

WORTH_SAYING = 1.1
"""A setting that helps less than this is within the noise of two seconds of measuring."""
WAITING = 0.1
"""A larger share of the time spent waiting for input means that the input bounds the training."""


def judge(found: dict) -> list[Finding]:
    """A line for each part of the way, for what bounds the training, and for what would help.

    Args:
        found: what `throughput.measure` gives.
    """
    prepared, fed = found["prepare"], found["input"]
    step, training = found["step"], found["training"]
    where = f"batch_size {found['batch_size']}, {', '.join(found['devices'])}"
    return [
        ok(
            "preparation",
            f"{_ways(prepared)} examples/s (Transform's work, or with `train.prepare: on_the_fly` the "
            "training's)",
        ),
        ok("input", f"{_ways(fed)} examples/s, without the model"),
        ok("model", f"{step:,.0f} examples/s in training steps on one batch ({where})"),
        _bound(fed, step, training),
        _advice(training["rate"], found["changed"]),
    ]


def _ways(rates: dict[str, float]) -> str:
    return ", then ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())


def _bound(fed: dict[str, float], step: float, training: dict) -> Finding:
    """Which part the training waits for, and how near to its rate it comes."""
    whole = list(fed.values())[-1]
    rate, waiting = training["rate"], training["waiting"]
    limit, part = min((step, "the model's step"), (whole, "the input"))
    said = f"training reaches {rate:,.0f} examples/s, {rate / limit:.0%} of what {part} alone does"
    if waiting > WAITING:
        return tip(
            "bound",
            f"the input bounds this training: {said}; {waiting:.0%} of the time it waits for "
            f"batches. The dearest part of the input is `{_dearest(fed)}`",
        )
    return ok(
        "bound",
        f"the model's step bounds this training: {said}; {waiting:.0%} of the time it waits for "
        "batches",
    )


def _dearest(fed: dict[str, float]) -> str:
    """The part that adds most to an example's time; each rate is of all the work up to it."""
    times = [1.0 / rate for rate in fed.values()]
    added = [time - before for time, before in zip(times, [0.0, *times], strict=False)]
    return max(zip(added, fed, strict=True))[1]


def _advice(rate: float, changed: dict[str, dict]) -> Finding:
    """The one setting of those tried that helps most."""
    if not changed:
        return ok("advice", "there was no setting to try")
    setting, best = max(changed.items(), key=lambda pair: pair[1]["rate"])
    tried = ", ".join(f"`{name}` {result['rate']:,.0f}" for name, result in changed.items())
    if best["rate"] < WORTH_SAYING * rate:
        return ok("advice", f"none of the settings tried makes it faster (examples/s): {tried}")
    other = " (another batch size is another training: look at its quality too)"
    return tip(
        "advice",
        f"`{setting}` would help most: {best['rate']:,.0f} instead of {rate:,.0f} examples/s "
        f"(+{best['rate'] / rate - 1:.0%}), measured here"
        f"{other if 'batch_size' in setting else ''}. Tried, examples/s: {tried}",
    )
