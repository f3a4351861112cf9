"""Pydantic's errors as sentences: what is wrong, expected, received, how to fix; nearest known names."""

import re
import typing
from difflib import get_close_matches

from pydantic import BaseModel
from pydantic.fields import FieldInfo

CONTAINERS = (dict, list, tuple)
SECTION = "a section of `key: value` lines"
WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": SECTION,
    "model_type": SECTION,
    "model_attributes_type": SECTION,
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "string_pattern_mismatch": "text that fits `{pattern}`",
    "literal_error": "one of {expected}",
    "union_tag_invalid": "one of {expected_tags}",
}
"""Kind of error -> what is expected, to be filled from its `ctx`."""


def describe_all(model: type[BaseModel], values: dict, faults: list[dict]) -> list[str]:
    """Pydantic's errors as sentences, one for each place.

    Args:
        model: what `values` were validated as.
        faults: `ValidationError.errors()`.
    """
    places: dict[tuple, list[dict]] = {}
    for fault in faults:
        places.setdefault(user_path(values, fault["loc"], fault["type"]), []).append(fault)
    return [
        _describe(model, values, path, found)
        for path, found in places.items()
        # Of `"balanced" | dict`, the user has chosen the alternative whose inside is at fault.
        if not (
            all(fault["type"] in WANTED for fault in found)
            and any(other[: len(path)] == path and len(other) > len(path) for other in places)
        )
    ]


def _describe(model, values, path: tuple, faults: list[dict]) -> str:
    fault = faults[0]
    name, kind = ".".join(str(part) for part in path), fault["type"]
    field = _field(model, values, path)
    if kind == "extra_forbidden":
        return unknown_key(path, known_keys(model, values, path[:-1]))
    if kind == "missing":
        return f"`{name}` is missing. Expected: {_kind_of(field)}. Set it in the config."
    if kind == "union_tag_not_found":
        return (
            f"`{name}.{_tag_of(fault)}` is missing. Expected: one of "
            f"{_choices(_models_at(model, values, path), _tag_of(fault))}. Set it in the config."
        )
    if kind == "value_error":
        text = str(fault["ctx"]["error"])
        return f"`{name}`: {text}" if name else text
    if kind not in WANTED:
        message = fault["msg"]
        received = _show(fault.get("input"))
        return f"`{name}`: {message[0].lower()}{message[1:]}. Received: {received}."
    wanted = " or ".join(dict.fromkeys(_wanted(fault) for fault in faults))
    value = fault["ctx"]["tag"] if kind == "union_tag_invalid" else fault["input"]
    inside = _models_at(model, values, path)
    tag = f".{_tag_of(fault)}" if kind == "union_tag_invalid" else ""
    return f"`{name}{tag}` must be {wanted}. Received: {_show(value)}.{_hint(faults, value, field, inside)}"


def _tag_of(fault: dict) -> str:
    """The key that tells the kinds of a section apart."""
    return fault["ctx"]["discriminator"].strip("'")


def _wanted(fault: dict) -> str:
    return WANTED[fault["type"]].format(**fault.get("ctx", {}))


def _hint(faults: list[dict], value: object, field: FieldInfo | None, inside: list[type]) -> str:
    """How to fix it, where that is more than what was expected.

    Args:
        field: the one at fault, None inside of a list or dict.
        inside: the sections that may stand there.
    """
    fault = faults[0]
    kind, wanted = fault["type"], _wanted(fault)
    if kind in ("literal_error", "union_tag_invalid"):
        expected = fault["ctx"].get("expected_tags") or fault["ctx"].get("expected")
        near = get_close_matches(str(value), _names(expected), 1)
        return f" Did you mean {near[0]!r}?" if near else ""
    if value is None:
        return " Give it a value, or remove the line."
    if kind == "string_pattern_mismatch":
        fitting = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(value)).strip("-")
        return f" Write {fitting!r}." if re.fullmatch(fault["ctx"]["pattern"], fitting) else ""
    if wanted == "true or false" and str(value).lower() in ("yes", "no", "on", "off"):
        return f" Write {str(str(value).lower() in ('yes', 'on')).lower()}."
    if "number" in wanted and _is_number(value):
        return " Take the quotes away."
    if wanted == "text" and isinstance(value, bool | int | float):
        return " Put it in quotes."
    if wanted == "a list" and isinstance(value, str | int | float):
        return f" Write [{value}]."
    if wanted == SECTION:
        keys = list(dict.fromkeys(key for found in inside for key in _fields(found)))
        if isinstance(value, str) and "type" in keys:
            return f" Write {{type: {value}}}."
        return f" Its keys: {', '.join(keys)}." if keys else ""
    default = None if field is None or field.is_required() else field.default
    return f" The default is {_show(default)}." if isinstance(default, int | float | str) else ""


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def _kind_of(field: FieldInfo | None) -> str:
    """What a field takes, in its own words or by its type."""
    if field is not None and field.description:
        return field.description
    annotation = None if field is None else field.annotation
    if _models_in(annotation):
        return SECTION
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if typing.get_origin(annotation) in (tuple, list):
        return "a list"
    if typing.get_origin(annotation) is dict:
        return SECTION
    return words.get(annotation) or ("a path" if "Path" in str(annotation) else "a value")


def _choices(models: list[type], key: str) -> str:
    """The kinds that a section's `type` or `kind` may name."""
    return ", ".join(repr(tag) for model in models for tag in _tags(model, key))


def _field(model, values, path: tuple) -> FieldInfo | None:
    """The field at a path."""
    if not path:
        return None
    found = (_fields(m).get(path[-1]) for m in _models_at(model, values, path[:-1]))
    return next((field for field in found if field is not None), None)


def unknown_key(path: tuple, known: list[str]) -> str:
    """The sentence about a key that nobody knows."""
    section = ".".join(str(part) for part in path[:-1])
    near = get_close_matches(str(path[-1]), known, n=1)
    names = near or sorted(known)
    label = "Did you mean" if near else "Known keys"
    full = [f"`{section}.{name}`" if section else f"`{name}`" for name in names]
    end = "?" if near else "."
    return f"Unknown key `{'.'.join(str(part) for part in path)}`. {label}: {', '.join(full)}{end}"


def user_path(values: object, location: tuple, kind: str) -> tuple:
    """A pydantic location as the user wrote it: without the tags of unions.

    Args:
        kind: of the error; only the last part of what is missing stands nowhere in `values`.
    """
    path = []
    for i, part in enumerate(location):
        is_missing = kind == "missing" and i == len(location) - 1
        if isinstance(values, dict):
            if part in values or is_missing:
                path.append(part)
                values = values.get(part)
            continue
        if isinstance(values, list) and isinstance(part, int) and part < len(values):
            path.append(part)
            values = values[part]
    return tuple(path)


def known_keys(model: type, values: object, path: tuple) -> list[str]:
    """The fields of the section at a path; in a union, those of the kind that `type` names."""
    models = _models_at(model, values, path)
    return sorted({name for candidate in models for name in _fields(candidate)})


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section by their keys; a field may be called otherwise in Python."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_at(model: type, values: object, path: tuple) -> list[type]:
    annotations: list = [model]
    for part in path:
        values = _item(values, part)
        annotations = [inner for outer in annotations for inner in _inside(outer, part)]
    models = [found for annotation in annotations for found in _models_in(annotation)]
    for key in ("type", "kind"):
        if isinstance(values, dict) and key in values:
            return [found for found in models if values[key] in _tags(found, key)] or models
    return models


def _item(values: object, part: object) -> object:
    if isinstance(values, dict):
        return values.get(part)
    return values[part] if isinstance(values, list) and isinstance(part, int) else None


def _inside(annotation, part: object) -> list:
    """What stands under a key or an index of what an annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = _fields(annotation).get(part)
        return [] if field is None else [field.annotation]
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in CONTAINERS:
        return [arguments[-1]] if typing.get_origin(annotation) is dict else [arguments[0]]
    return [inner for argument in arguments for inner in _inside(argument, part)]


def _models_in(annotation) -> list[type]:
    """The sections that an annotation allows, not those inside of lists and dicts."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in CONTAINERS:
        return []
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _tags(model: type[BaseModel], key: str = "type") -> tuple:
    field = model.model_fields.get(key)
    return typing.get_args(field.annotation) if field is not None else ()


def _names(expected: object) -> list[str]:
    return [part.strip(" '\"") for part in str(expected).replace(" or ", ",").split(",")]


def _show(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
