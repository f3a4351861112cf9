"""Executions on disk: from an empty staging directory to one rename that publishes all outputs.

A finished execution is the directory `artifacts/<step>/<execution id>/`: a folder for each output,
and `execution.json` with the type, content digest, properties and file digests of each. The worker
fills `staging/<execution id>/`, seals it (digests, fsync); the orchestrator renames it and then
records it in the metadata store. Readers look in the metadata store, so they see whole executions
or nothing.
"""

import json
import os
import shutil
from pathlib import Path

from penstock.tfx import durable
from penstock.tfx.artifacts import Artifact
from penstock.tfx.crash_points import reach

FORMAT_VERSION = 1
DOCUMENT = "execution.json"


class CorruptArtifact(Exception):
    """A stored file is not what was published; `directory` is the artifact it belongs to."""

    def __init__(self, file: Path, problem: str, directory: Path):
        super().__init__(f"The stored file {file} {problem}.")
        self.directory = directory


def prepare_staging(staged: Path, outputs: list[str]) -> None:
    """An empty directory for each output."""
    for name in outputs:
        (staged / name).mkdir(parents=True)


def seal(staged: Path, types: dict[str, type[Artifact]], facts: dict) -> dict:
    """Takes the digests of a finished execution, writes `execution.json` and syncs everything.

    Args:
        types: output name -> artifact type.
        facts: `execution`, `step`, `gate`, `summary`, `seconds`, `inputs` and
            `properties` (output name -> dict), stored with it.
    """
    outputs = {}
    for name, artifact_type in types.items():
        directory = staged / name
        files = {}
        for path in durable.files_below(directory):
            status = path.stat()
            files[str(path.relative_to(directory))] = {
                "sha256": durable.sha256_of_file(path),
                "size": status.st_size,
                "mtime_ns": status.st_mtime_ns,
            }
        digests = {path: file["sha256"] for path, file in files.items()}
        outputs[name] = {
            "type": artifact_type.__name__,
            "format_version": artifact_type.format_version,
            "content_digest": artifact_type.content_digest(directory, digests),
            "properties": facts["properties"].get(name, {}),
            "size_bytes": sum(file["size"] for file in files.values()),
            "files": files,
        }
    reach("worker:digested", facts["step"])
    facts = {key: value for key, value in facts.items() if key != "properties"}
    document = {"format_version": FORMAT_VERSION, **facts, "outputs": outputs}
    durable.write_json(staged / DOCUMENT, document)
    durable.sync_tree(staged)
    reach("worker:synced", facts["step"])
    return document


def read_document(directory: Path) -> dict:
    """The `execution.json` of a published execution.

    Raises:
        CorruptArtifact: it is missing or unreadable.
    """
    path = directory / DOCUMENT
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CorruptArtifact(path, f"cannot be read ({error})", directory) from error
    if not _is_document(document):
        raise CorruptArtifact(path, "is not what was published", directory)
    return document


def _is_document(document: object) -> bool:
    """Whether it has everything that readers of it use."""
    if not isinstance(document, dict) or document.get("format_version") != FORMAT_VERSION:
        return False
    known = {"gate", "summary", "seconds", "inputs", "outputs"} <= document.keys()
    if not known or not isinstance(document["outputs"], dict):
        return False
    keys = {"type", "content_digest", "properties", "size_bytes", "files"}
    return all(
        isinstance(output, dict) and keys <= output.keys() and isinstance(output["files"], dict)
        for output in document["outputs"].values()
    )


def check_quickly(directory: Path) -> None:
    """Compares names, sizes and times of every file; a file whose time differs is read.

    Raises:
        CorruptArtifact: a file is missing, new or different.
    """
    for name, output in read_document(directory)["outputs"].items():
        _check(directory / name, output["files"], lambda path, file: _same_times(path, file))


def check_sizes(directory: Path) -> None:
    """Compares names and sizes of every file; reads none of them.

    Raises:
        CorruptArtifact: a file is missing, new or of another size.
    """
    for name, output in read_document(directory)["outputs"].items():
        _check(directory / name, output["files"], lambda path, file: True)


def check_thoroughly(artifact: Path) -> None:
    """Compares the SHA-256 of every file of one artifact with what was published.

    Raises:
        CorruptArtifact: a file is missing, new or different.
    """
    document = read_document(artifact.parent)
    if artifact.name not in document["outputs"]:
        raise CorruptArtifact(artifact.parent / DOCUMENT, f"lacks {artifact.name}", artifact)
    files = document["outputs"][artifact.name]["files"]
    _check(artifact, files, lambda path, file: False)


def _same_times(path: Path, file: dict) -> bool:
    return path.stat().st_mtime_ns == file["mtime_ns"]


def _check(artifact: Path, files: dict, trusted) -> None:
    found = {str(path.relative_to(artifact)) for path in durable.files_below(artifact)}
    for name in sorted(found ^ set(files)):
        problem = "was added after it was published" if name in found else "is missing"
        raise CorruptArtifact(artifact / name, problem, artifact)
    for name, file in files.items():
        path = artifact / name
        size = path.stat().st_size
        if size != file["size"]:
            raise CorruptArtifact(path, f"has {size} bytes instead of {file['size']}", artifact)
        if not trusted(path, file) and durable.sha256_of_file(path) != file["sha256"]:
            raise CorruptArtifact(path, "has changed since it was published", artifact)


def remove(directory: Path) -> None:
    """Removes what nobody can see (staging, scratch)."""
    if os.path.lexists(directory):
        shutil.rmtree(directory)
