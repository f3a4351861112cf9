"""From a task's name in a config to its classes: the file system is the registry.

`vision.classification` is the package `penstock.models.vision.classification`; a name whose first
part is no folder here is a package of the user's (`my_package.my_task`).
"""

import importlib
import importlib.util
from difflib import get_close_matches
from pathlib import Path


def known_tasks() -> list[str]:
    """The names of the tasks in this distribution: every folder that has a `task.py`."""
    here = Path(__file__).parent
    return sorted(".".join(p.parent.relative_to(here).parts) for p in here.glob("*/*/task.py"))


def task_package(name: str) -> str:
    """The package of a task.

    Raises:
        ValueError: no such package; the message lists the nearest known names.
    """
    candidates = [f"penstock.models.{name}"] if name in known_tasks() else [name]
    for package in candidates:
        try:
            if importlib.util.find_spec(f"{package}.config") is not None:
                return package
        except (ImportError, ValueError):  # no such package, or no name of one
            pass
    known = known_tasks()
    near = get_close_matches(name, known, n=3) or known
    raise ValueError(
        f"`task` names no known task and no importable package with a `config.py`. "
        f"Received: {name!r}. Known tasks: {', '.join(near)}. A package of your own must lie in the "
        "current folder or on PYTHONPATH."
    )


def config_class(name: str):
    """The task's `Config` (pydantic, no TensorFlow).

    Raises:
        ValueError: no such task, a module of it is missing, or its `config.py` cannot be imported or
            has no `Config`.
    """
    package = task_package(name)
    absent = [m for m in ("data", "task") if importlib.util.find_spec(f"{package}.{m}") is None]
    if absent:
        raise ValueError(
            f"`task`: the package {package!r} must have the modules `config`, `data` and `task`. "
            f"Received: one without `{'` and `'.join(absent)}`."
        )
    module = f"{package}.config"
    try:
        return importlib.import_module(module).Config
    except Exception as error:  # a user's module may raise anything
        raise ValueError(
            f"`task`: the module {module!r} must define `Config`, and cannot be used: "
            f"{type(error).__name__}: {error}."
        ) from error


def data_class(name: str):
    """The task's `Data`: its preparation, without its networks."""
    return _class_of(name, "data", "Data")


def task_class(name: str):
    """The task's `Task`."""
    return _class_of(name, "task", "Task")


def _class_of(name: str, module: str, wanted: str):
    module = f"{task_package(name)}.{module}"
    found = getattr(importlib.import_module(module), wanted, None)
    if found is None:
        raise ValueError(
            f"The task's module {module!r} must define `class {wanted}`. Received: one without it."
        )
    return found
