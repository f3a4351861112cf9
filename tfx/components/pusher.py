"""Pusher: publishes a model that both gates have passed, as the next version of a destination.

Comes in: a Model with its Blessing and ParityReport. Goes out: `<destination>/<version>/`, and
PushedModel: `pushed.json` {destination, version, model, path}. Nothing half-copied is ever visible
under a version number; killed at any point and tried again, it publishes the model once.
"""

import contextlib
import errno
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from penstock.tfx import durable, versions
from penstock.tfx.artifacts import Blessing, Model, ParityReport, PushedModel
from penstock.tfx.component import Component, Environment, ExecutionContext
from penstock.tfx.crash_points import reach
from penstock.tfx.store import wildcards_in

FORMAT_VERSION = 1


class Pusher(Component):
    """Copies `saved_model/`; needs neither TensorFlow nor Beam."""

    inputs = {"model": Model, "blessing": Blessing, "parity": ParityReport}
    outputs = {"pushed": PushedModel}

    class Parameters(Component.Parameters):
        """`destination` is a directory (relative: to the working directory); `keep` versions."""

        destination: str
        keep: int

    @classmethod
    def environment(cls, parameters):
        return Environment()

    @classmethod
    def check(cls, parameters):
        if not parameters.destination.strip() or "\0" in parameters.destination:
            return [
                "`push.destination` must be the path of a directory, not empty and without a NUL "
                f"character. Received: {parameters.destination!r}. Name the directory to push to."
            ]
        unfit = wildcards_in(Path(parameters.destination))
        if unfit:
            return [
                f"`push.destination` cannot be here: {unfit} Choose another `push.destination`."
            ]
        reason = versions.unwritable(Path(parameters.destination))
        if reason is None:
            return []
        return [
            f"`push.destination` must be a directory that can be written to. "
            f"Received: {parameters.destination!r}; {reason}. Choose another `push.destination`."
        ]

    @classmethod
    def still_true(cls, parameters, inputs, outputs):
        destination = Path(parameters.destination)
        there = versions.versions(destination)
        if not there:
            return f"`{destination}` holds no version."
        return versions.fault_of(destination, there[-1], inputs["model"].content_digest)

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        model = context.inputs["model"]
        _check_verdict(context, "blessing", "blessed", "Evaluator")
        _check_verdict(context, "parity", "passed", "InfraValidator")
        destination = Path(context.parameters.destination).absolute()
        with _full_disk_explained(destination), versions.locked(destination):
            version = _already_there(destination, model.content_digest)
            if version is None:
                version = _publish(context, destination)
            versions.trim(destination, context.parameters.keep)
            reach("push:trimmed")
        path = str(destination / str(version))
        output = context.outputs["pushed"]
        document = {
            "format_version": FORMAT_VERSION,
            "destination": str(destination),
            "version": version,
            "model": model.content_digest,
            "path": path,
        }
        (output.path / "pushed.json").write_text(json.dumps(document, indent=1) + "\n")
        output.properties = {"path": path, "version": version}
        context.progress(version=version, path=path)


def _check_verdict(context, name, key, step):
    """A gate must have passed, and must have judged this very model."""
    verdict = json.loads((context.inputs[name].path / f"{name}.json").read_text())
    model = context.inputs["model"].content_digest
    if verdict["model"] != model:
        raise ValueError(
            f"The {name} must be about the model to push. Expected: {model}. "
            f"Received: {verdict['model']}. Run {step} on this model."
        )
    if not verdict[key]:
        raise ValueError(
            f"Only a model that {step} has passed is pushed. Received: {key} is false: "
            f"{' '.join(verdict['reasons'])}"
        )


def _already_there(destination, model):
    """The latest version if it holds this model whole, else None."""
    there = versions.versions(destination)
    if there and versions.fault_of(destination, there[-1], model) is None:
        return there[-1]
    return None


def _publish(context, destination):
    """Copies the model beside the versions and makes it the next one; returns its number."""
    model = context.inputs["model"]
    staged = destination / f"{versions.STAGING}{context.execution}"
    reach("push:before-copy")
    try:
        shutil.copytree(model.path / "saved_model", staged)
        reach("push:copied")
        versions.write_manifest(
            staged,
            model=model.content_digest,
            run=context.run,
            execution=context.execution,
            pushed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        reach("push:manifest")
        version = versions.publish(staged, destination)
    except BaseException:
        # On a full disk, what is left would keep the space until the next push.
        shutil.rmtree(staged, ignore_errors=True)
        raise
    reach("push:renamed")
    return version


@contextlib.contextmanager
def _full_disk_explained(destination):
    """One sentence instead of the list of all files that `shutil` could not copy."""
    try:
        yield
    except OSError as error:
        several = isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list)
        # `shutil` keeps the text of each error, but not its number: (from, to, "[Errno 28] ...").
        source, target, text = error.args[0][0] if several else (None, None, str(error))
        found = re.match(r"\[Errno (\d+)\]", text)
        number = int(found[1]) if found else error.errno
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise durable.DiskFull(
                f"`push.destination` `{destination}` cannot be written: {os.strerror(number)}. "
                "Free space there, then resume."
            ) from error
        if several:
            raise OSError(f"`{source}` cannot be copied to `{target}`: {text}.") from error
        raise
