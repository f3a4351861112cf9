"""From `data.source` in a config to a source: the file system is the registry."""

import importlib
import importlib.util
import json
import traceback
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
        ValueError: no such module; the message names the nearest known type and lists all. Or its
            package fails on import.
    """
    known = known_sources()
    if source_type in known:
        return f"penstock.pipelines.sources.{source_type}"
    if _is_module(source_type):
        return source_type
    near = get_close_matches(source_type, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        "`data.source.type` names no known source and no importable module (`package.module`) "
        f"with a class `Source`. Received: {source_type!r}.{hint} "
        f"Known sources: {', '.join(known)}. A module of your own must lie in a package, in the "
        "current folder or on PYTHONPATH."
    )


def _is_module(name):
    """Whether a dotted name is a module; imports the packages around it, not the module.

    A name without a dot could be any installed package (a typing error of `sklearn`), and one with
    an empty part is relative to nothing.
    """
    parts = name.split(".")
    if len(parts) < 2 or not all(parts):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except (Exception, SystemExit) as error:
        names = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        if isinstance(error, ModuleNotFoundError) and error.name in names:
            return False
        raise ValueError(_import_fault(name, error)) from error


def source_class(source_type: str) -> type[Source]:
    """The class `Source` of a type.

    Raises:
        ValueError: no such module, it fails on import, or it has no such class.
    """
    module = source_module(source_type)
    try:
        found = getattr(importlib.import_module(module), "Source", None)
    except (Exception, SystemExit) as error:
        raise ValueError(_import_fault(module, error)) from error
    if not (isinstance(found, type) and issubclass(found, Source) and found is not Source):
        raise ValueError(
            f"`data.source.type` must name a module with a class `Source` that derives from "
            f"`{Source.__module__}.Source`. Received: {source_type!r}, a module without one. "
            f"Define it there, or use a known source. Known sources: {', '.join(known_sources())}."
        )
    return found


def _import_fault(module, error):
    """A sentence about a module that fails while it is imported."""
    if isinstance(error, SyntaxError):
        text, place = error.msg, (error.filename, error.lineno)
    else:
        text, place = str(error), _place(error)
    where = f" ({place[0]}, line {place[1]})" if place and place[0] else ""
    said = " ".join(f"{type(error).__name__}: {text}".split()).rstrip(".: ")
    return (
        f"`data.source.type` names the module `{module}`, which fails on import: {said}{where}. "
        "Correct the module."
    )


def _place(error):
    """(file, line) where an import failed, or None if no module's code was run."""
    machinery = str(Path(importlib.__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((machinery, "<frozen ", __file__)):
            return frame.filename, frame.lineno
    return None


def load(section: dict) -> Source:
    """The source that a config's `data.source` describes, validated.

    Raises:
        ValueError: unknown type, or fields that the source refuses (`pydantic.ValidationError`).
    """
    return source_class(section.get("type", "")).model_validate_json(json.dumps(section))
