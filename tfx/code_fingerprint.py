"""Which code a step runs, and what that code says: found statically, without importing it.

From the modules that a step declares, the imports in their syntax trees are followed into
`penstock`, into the packages of the declared modules and into whatever lies outside the standard
library and `site-packages` (installed libraries count by their version). Each module counts by its
syntax tree without docstrings, so a comment, a docstring or a reformatting changes nothing.
Imports built at run time (`importlib`) are not seen: a step declares those modules.
"""

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from functools import cache
from pathlib import Path

from penstock.tfx.file_index import FileIndex


def describe_module(path: Path) -> dict:
    """The digest of a module's syntax tree and every import in it, as JSON.

    Returns:
        `{"digest": hex, "imports": [[level, module, [names]], ...]}`.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, is not valid Python: {error.msg}."
        ) from error
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [[0, alias.name, []] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append([node.level, node.module or "", [alias.name for alias in node.names]])
        _drop_docstring(node)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return {"digest": digest, "imports": imports}


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    first = node.body[0] if node.body else None
    text = first.value if isinstance(first, ast.Expr) else None
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        del node.body[0]


def code_index(path: Path) -> FileIndex:
    """The index that keeps what `describe_module` found."""
    return FileIndex(path, digest=describe_module)


def fingerprint(modules: tuple[str, ...], index: FileIndex) -> dict[str, str]:
    """Every module that the declared ones reach, with the digest of its syntax tree.

    Raises:
        ModuleNotFoundError: a declared module has no source file.
    """
    packages = {name.split(".")[0] for name in modules} | {"penstock"}
    found: dict[str, str] = {}
    waiting = list(modules)
    for name in modules:
        if locate(name) is None:
            raise ModuleNotFoundError(f"No source file was found for the module {name!r}.")
    while waiting:
        name = waiting.pop()
        path = locate(name)
        if name in found or path is None:
            continue
        described = index.digest(path)
        found[name] = described["digest"]
        parents = name.split(".")[:-1]
        waiting += [".".join(parents[: i + 1]) for i in range(len(parents))]
        for level, module, names in described["imports"]:
            base = _absolute(name, path, level, module)
            if base.split(".")[0] in packages or _is_local(base.split(".")[0]):
                waiting += [base, *(f"{base}.{child}" for child in names)]
    return dict(sorted(found.items()))


def _absolute(importer: str, path: Path, level: int, module: str) -> str:
    """The absolute name of `from ...module import x`."""
    if level == 0:
        return module
    package = importer.split(".") if path.name == "__init__.py" else importer.split(".")[:-1]
    package = package[: len(package) - (level - 1)]
    return ".".join([*package, module] if module else package)


@cache
def locate(name: str) -> Path | None:
    """The source file of a module, or None; imports at most namespace packages (which have no code)."""
    parts = name.split(".")
    spec = _find(parts[0])
    depth = 1
    while spec is not None and spec.origin is None and depth < len(parts):
        depth += 1
        spec = _find(".".join(parts[:depth]))
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    if depth == len(parts):
        return Path(spec.origin)
    folder = Path(spec.origin).parent.joinpath(*parts[depth:-1])
    for candidate in (folder / f"{parts[-1]}.py", folder / parts[-1] / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _find(name: str):
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


@cache
def _is_local(package: str) -> bool:
    """Whether a top-level package is neither built in, nor of the standard library, nor installed."""
    if package in sys.stdlib_module_names:
        return False
    spec = _find(package)
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    installed = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
    return bool(places) and not any(
        place is None or place.startswith(tuple(installed)) for place in places
    )
