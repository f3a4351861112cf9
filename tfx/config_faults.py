"""Pydantic's errors as sentences: what is wrong, expected, received, how to fix; nearest known names."""

import typing
from difflib import get_close_matches

from pydantic import BaseModel


def describe(model: type[BaseModel], values: dict, fault: dict) -> str:
    """One pydantic error as a sentence.

    Args:
        model: what `values` were validated as.
        fault: an item of `ValidationError.errors()`.
    """
    path = user_path(values, fault["loc"])
    name = ".".join(str(part) for part in path)
    kind, received = fault["type"], _show(fault.get("input"))
    if kind == "extra_forbidden":
        return unknown_key(path, known_keys(model, values, path[:-1]))
    if kind == "missing":
        return f"`{name}` is missing. Set it in the config."
    if kind in ("union_tag_invalid", "literal_error"):
        expected = fault["ctx"].get("expected_tags") or fault["ctx"].get("expected")
        near = get_close_matches(str(fault["ctx"].get("tag", fault["input"])), _names(expected), 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        tag = ".type" if kind == "union_tag_invalid" else ""
        value = _show(fault["ctx"]["tag"]) if tag else received
        return f"`{name}{tag}` must be one of {expected}. Received: {value}.{hint}"
    if kind == "union_tag_not_found":
        return f"`{name}.type` is missing. Expected: the kind, one of those in the documentation."
    if kind == "value_error":
        text = str(fault["ctx"]["error"])
        return f"`{name}`: {text}" if name else text
    message = fault["msg"]
    return f"`{name}`: {message[0].lower()}{message[1:]}. Received: {received}."


def unknown_key(path: tuple, known: list[str]) -> str:
    """The sentence about a key that nobody knows."""
    section = ".".join(str(part) for part in path[:-1])
    near = get_close_matches(str(path[-1]), known, n=1)
    names = near or sorted(known)
    label = "Did you mean" if near else "Known keys"
    full = [f"`{section}.{name}`" if section else f"`{name}`" for name in names]
    end = "?" if near else "."
    return f"Unknown key `{'.'.join(str(part) for part in path)}`. {label}: {', '.join(full)}{end}"


def user_path(values: object, location: tuple) -> tuple:
    """A pydantic location as the user wrote it: without the tags of unions."""
    path = []
    for i, part in enumerate(location):
        last = i == len(location) - 1
        if isinstance(values, dict):
            if part in values or last:
                path.append(part)
                values = values.get(part)
            continue
        if isinstance(values, list) and isinstance(part, int) and part < len(values):
            path.append(part)
            values = values[part]
    return tuple(path)


def known_keys(model: type, values: object, path: tuple) -> list[str]:
    """The fields of the section at a path; in a union, those of the kind that `type` names."""
    current: list[type] = [model]
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
        current = [
            inner
            for candidate in current
            if (field := candidate.model_fields.get(part)) is not None
            for inner in _models_in(field.annotation)
        ]
    if isinstance(values, dict) and "type" in values:
        tagged = [c for c in current if values["type"] in _tags(c)]
        current = tagged or current
    return sorted({name for candidate in current for name in candidate.model_fields})


def _models_in(annotation) -> list[type]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _tags(model: type[BaseModel]) -> tuple:
    field = model.model_fields.get("type")
    return typing.get_args(field.annotation) if field is not None else ()


def _names(expected: object) -> list[str]:
    return [part.strip(" '\"") for part in str(expected).replace(" or ", ",").split(",")]


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
