"""Whether the splits that a training and an evaluation need are there.

Comes in: (setting, split) pairs of `wanted_splits.py`, and the splits there are. Goes out: faults, one
sentence each. Nothing of the config is imported: Transform's cache key has all that it reaches.
"""

Wanted = tuple[tuple[str, str], ...]
"""(setting, split) pairs."""


def split_faults(wanted: Wanted, known: dict[str, int | None]) -> list[str]:
    """What is wrong with the splits that are wanted.

    Args:
        known: split -> its examples; None where their number is not known yet.
    """
    named = dict(wanted)
    evaluated, divided = named.get("evaluate.split"), named.get("train.train_split")
    if divided not in known:
        divided = next(iter(known), divided)
    faults = [
        _missing(setting, split, known, divided)
        for setting, split in wanted
        if split not in known or known[split] == 0
    ]
    if ("train.mixture", evaluated) in wanted:
        faults.append(
            f"`train.mixture` must not contain the split that is evaluated ({evaluated!r}). "
            "Leave it out, or set another `evaluate.split`."
        )
    return faults


def _missing(setting, split, known, divided):
    there = ", ".join(
        name if count is None else f"{name} ({count} examples)" for name, count in known.items()
    )
    more = ""
    if setting == "train.validation_split":
        more = " `train.validation_split=null` trains without validation."
    return (
        f"`{setting}` must name a split with at least one example. Received: {split!r}. "
        f"Splits: {there}. Set `{setting}`, or make the split by `data.splits`; one of the source's own "
        f"is divided by `data.split_from: {divided}` with `data.splits: {{{divided}: 0.9, {split}: 0.1}}`."
        f"{more}"
    )
