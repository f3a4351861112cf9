"""From `data.source` in a config to a source: the file system is the registry."""

import importlib
import importlib.util
import json
from difflib import get_close_matches
from pathlib import Path

from penstock.pipelines.sources.source import Source

_NO_SOURCES = {"__init__", "locate", "source"}


def known_sources() -> list[str]:
    """The types in this distribution: every module in this folder."""
    names = {path.stem for path in Path(__file__).parent.glob("*.py")}
    return sorted(names - _NO_SOURCES)


def source_module(source_type: str) -> str:
    """The dotted name of the module of a source type.

    Raises:
        ValueError: no such module; the message lists the nearest known types.
    """
    if source_type in known_sources():
        return f"penstock.pipelines.sources.{source_type}"
    try:
        # A name without a dot could be any installed package (a typing error of `sklearn`).
        if "." in source_type and importlib.util.find_spec(source_type) is not None:
            return source_type
    except ModuleNotFoundError:
        pass
    known = known_sources()
    near = get_close_matches(source_type, known, n=3) or known
    raise ValueError(
        "`data.source.type` names no known source and no importable module (`package.module`) "
        f"with a class `Source`. Received: {source_type!r}. Known sources: {', '.join(near)}."
    )


def source_class(source_type: str) -> type[Source]:
    """The class `Source` of a type."""
    module = source_module(source_type)
    found = getattr(importlib.import_module(module), "Source", None)
    if not (isinstance(found, type) and issubclass(found, Source)):
        raise TypeError(
            f"`{module}` must define a class `Source` that derives from "
            "`penstock.pipelines.sources.source.Source`."
        )
    return found


def load(section: dict) -> Source:
    """The source that a config's `data.source` describes, validated.

    Raises:
        ValueError: unknown type, or fields that the source refuses (`pydantic.ValidationError`).
    """
    return source_class(section.get("type", "")).model_validate_json(json.dumps(section))
