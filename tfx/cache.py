"""When a step need not run: the key of an execution, and what it is made of.

Ingredients of the key (a test changes each once):

- `component`: the component's module and name;
- `parameters`: its resolved parameters, defaults included, that can change an output;
- `inputs`: the content digest of each input artifact;
- `outputs`: type and format version of each output;
- `code`: the syntax tree of each module that it runs (`code_fingerprint.py`): its own, those that
  it declares (a task's, a source's), those that take its outputs' content digests, and what all of
  them import;
- `libraries`: the versions of the distributions that it declares, and Python's;
- `files`: the content of each file that it reads outside the store (`file_index.py`);
- `facts`: what it reads and no file's content shows (the class folders of a source);
- `environment`: which devices its process sees.
"""

import hashlib
import json
import sys
from importlib import metadata as distributions
from pathlib import Path

from penstock.tfx.code_fingerprint import code_index, fingerprint
from penstock.tfx.component import Input
from penstock.tfx.file_index import FileIndex, digests_of_paths
from penstock.tfx.pipeline import Step

NAMED_FILES = 200
"""Up to so many files are kept one by one, so that `penstock why` can name the one that changed."""


class Fingerprints:
    """The indexes of code and files of one store.

    Args:
        directory: the store's `fingerprints/`.
    """

    def __init__(self, directory: Path):
        self._code = code_index(directory / "code.sqlite")
        self._directory = directory
        self._files: dict[str, FileIndex] = {}

    def code(self, modules: tuple[str, ...]) -> dict[str, str]:
        """Module -> digest of its syntax tree, for all that the given modules reach."""
        return fingerprint(modules, self._code)

    def files(self, step: str, paths: list[Path]) -> dict:
        """`{"count", "digest", "named"}` of the files that a step reads."""
        if not paths:
            return {}
        index = self._files.setdefault(step, FileIndex(self._directory / f"files-{step}.sqlite"))
        named, whole, count = {}, hashlib.sha256(), 0
        for count, (name, digest) in enumerate(digests_of_paths(index, paths), 1):
            whole.update(json.dumps([name, digest]).encode())
            if count <= NAMED_FILES:
                named[name] = digest
        if count > NAMED_FILES:
            named = {}
        return {"count": count, "digest": whole.hexdigest(), "named": named}

    def save(self) -> None:
        """Keeps what was read for next time."""
        for index in self._indexes():
            index.save()

    def close(self) -> None:
        """Closes the files of all indexes."""
        for index in self._indexes():
            index.close()

    def _indexes(self):
        return (self._code, *self._files.values())


def code_of(step: Step, fingerprints: Fingerprints) -> dict[str, str]:
    """Module -> digest of all code that a step runs, as it stands on the disk now."""
    component, parameters = step.component, step.parameters
    digesters = (kind.digest_module for kind in component.outputs.values())
    modules = (component.__module__, *component.modules(parameters), *filter(None, digesters))
    return fingerprints.code(modules)


def ingredients(
    step: Step, inputs: dict[str, Input], code: dict[str, str], fingerprints: Fingerprints
) -> dict:
    """Everything that the result of a step depends on, as JSON.

    Args:
        code: `code_of` the step, taken when the run began: before any worker imported it.
    """
    component, parameters = step.component, step.parameters
    return {
        "component": component.reference(),
        "parameters": component.keyed(parameters),
        "inputs": {name: inputs[name].content_digest for name in sorted(inputs)},
        "outputs": {
            name: f"{kind.__name__} {kind.format_version}"
            for name, kind in component.outputs.items()
        },
        "code": code,
        "libraries": _versions(component.libraries(parameters)),
        "files": fingerprints.files(step.name, component.files(parameters)),
        "facts": component.facts(parameters),
        "environment": {"devices": component.environment(parameters).devices},
    }


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    versions = {"python": "{}.{}".format(*sys.version_info)}
    for name in names:
        try:
            versions[name] = distributions.version(name)
        except distributions.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def key_of(found: dict) -> str:
    """The cache key: one digest of all ingredients."""
    files = {name: found["files"].get(name) for name in ("count", "digest")}
    canonical = json.dumps({**found, "files": files}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
