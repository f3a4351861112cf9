"""Fixtures of the end-to-end tests: the command line on the real digits, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = "from penstock.tfx.main import main; main()"


class CommandLine:
    """`penstock ...` in a folder, as a user would call it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        """Starts a command without waiting for it."""
        return subprocess.Popen(
            [sys.executable, "-P", "-c", CODE, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0, **environment: str):
        """Runs a command to its end and checks its exit code."""
        process = self.start(*arguments, **environment)
        output, errors = process.communicate()
        assert process.returncode == code, f"exit code {process.returncode}\n{output}\n{errors}"
        return subprocess.CompletedProcess(arguments, code, output, errors)

    def json(self, *arguments: str, code: int = 0):
        """Runs a command with `--json` and reads what it prints."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def digests(self, run: str) -> dict[str, str]:
        """`step.output` -> content digest of everything in a run."""
        return {
            f"{step['step']}.{name}": output["content_digest"]
            for step in self.json("show", run)["steps"]
            for name, output in step["outputs"].items()
        }

    def ran(self, *arguments: str, code: int = 0) -> list[str]:
        """The steps that a `run` command executed (the others came from the cache)."""
        steps = self.json("run", *arguments, code=code)["steps"]
        return [name for name, step in steps.items() if step["status"] == "executed"]


@pytest.fixture(scope="session")
def digits_config(repository) -> str:
    """The shipped config."""
    return str(repository / "configs" / "vision" / "digits.yaml")


@pytest.fixture(scope="session")
def command_line(tmp_path_factory):
    """`command_line(name)`: the command line in a new folder."""
    return lambda name: CommandLine(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def digits(command_line, digits_config):
    """The digits run, uninterrupted: the command line in its folder, its output, name, and artifacts."""
    penstock = command_line("digits")
    penstock.first = penstock("run", digits_config)
    shown = penstock.json("show")
    penstock.run = shown["run"]
    penstock.outputs = {name: o for step in shown["steps"] for name, o in step["outputs"].items()}
    return penstock
