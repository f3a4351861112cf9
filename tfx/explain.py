"""Why a step ran: the ingredients of two executions, compared in sentences."""

from collections.abc import Callable


def differences(before: dict, now: dict) -> list[str]:
    """What changed between two executions' ingredients (`cache.py`), a sentence each; [] if nothing."""
    return [
        *_component(before, now),
        *_values("parameter", _parameters(before), _parameters(now)),
        *_named("input", before["inputs"], now["inputs"]),
        *_named("code", before["code"], now["code"]),
        *_values("library", before["libraries"], now["libraries"]),
        *_files(before["files"], now["files"]),
        *_values("fact", flatten(before.get("facts", {})), flatten(now.get("facts", {}))),
        *_values("output", before["outputs"], now["outputs"]),
        *_values("environment", before["environment"], now["environment"]),
    ]


def _parameters(found: dict) -> dict:
    """By the names that they have in a config, where a task's sections stand beside the others."""
    flat = flatten(found["parameters"])
    return {name.removeprefix("task_config."): value for name, value in flat.items()}


def _component(before: dict, now: dict):
    if before["component"] != now["component"]:
        yield f"the component is {now['component']}, it was {before['component']}"


def _values(what: str, before: dict, now: dict):
    return _compare(what, before, now, lambda old, new: f": {old!r} -> {new!r}")


def _named(what: str, before: dict, now: dict):
    """Digests say nothing to a person: only the names are told."""
    return _compare(what, before, now, lambda old, new: "")


def _compare(what: str, before: dict, now: dict, change: Callable[[object, object], str]):
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield f"{what} `{name}` is new"
        elif name not in now:
            yield f"{what} `{name}` is gone"
        elif before[name] != now[name]:
            yield f"{what} `{name}` changed{change(before[name], now[name])}"


def _files(before: dict, now: dict):
    if before.get("digest") == now.get("digest"):
        return
    lists = before.get("named"), now.get("named")
    named = list(_named("file", *lists)) if all(lists) else []
    if named and len(named) <= 5:
        yield from named
    else:
        yield f"the source files changed ({before.get('count', 0)} -> {now.get('count', 0)} files)"


def flatten(value: object, prefix: str = "") -> dict:
    """Nested dictionaries as one, with dotted names."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
