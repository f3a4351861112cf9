"""The Pusher: versions, manifest, gates, tidiness, and faults of the destination."""

import fcntl
import hashlib
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.tfx import versions
from penstock.tfx.artifacts import Artifact
from penstock.tfx.component import ExecutionContext, Input, Output
from penstock.tfx.components.pusher import Pusher

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"", "assets/words.txt": b"a\n"}


def context(
    tmp_path, model="m1", keep=3, blessed=True, passed=True, judged=None
) -> ExecutionContext:
    """A Model with the content digest `model` and its verdicts, which are about `judged`."""
    work = tmp_path / f"work-{len(list(tmp_path.glob('work-*')))}"
    for name, content in FILES.items():
        path = work / "model" / "saved_model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name, key, verdict in (("blessing", "blessed", blessed), ("parity", "passed", passed)):
        (work / name).mkdir()
        document = {key: verdict, "model": judged or model, "reasons": ["It is bad."]}
        (work / name / f"{name}.json").write_text(json.dumps(document))
    (work / "pushed").mkdir()
    return ExecutionContext(
        parameters=Pusher.Parameters(destination=str(tmp_path / "served"), keep=keep),
        inputs={n: Input(work / n, n, model if n == "model" else "x") for n in Pusher.inputs},
        outputs={"pushed": Output(work / "pushed", "PushedModel")},
        scratch=work,
        run="run-1",
        execution="execution-1",
        report=print,
    )


def push(tmp_path, *args, **kwargs) -> int:
    """Pushes; returns the version that `pushed.json` names."""
    made = context(tmp_path, *args, **kwargs)
    Pusher.execute(made)
    return json.loads((made.outputs["pushed"].path / "pushed.json").read_text())["version"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_first_version(tmp_path):
    made = context(tmp_path)
    Pusher.execute(made)
    served = tmp_path / "served"
    assert names(served) == [".lock", "1"]
    for name, content in FILES.items():
        assert (served / "1" / name).read_bytes() == content
    manifest = json.loads((served / "1" / "manifest.json").read_text())
    assert manifest["format_version"] == 1
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in FILES.items()
    }
    facts = (manifest["model"], manifest["run"], manifest["execution"])
    assert facts == ("m1", "run-1", "execution-1")
    assert manifest["pushed_at"].endswith("+00:00")
    assert made.outputs["pushed"].properties == {"path": str(served / "1"), "version": 1}
    pushed = json.loads((made.outputs["pushed"].path / "pushed.json").read_text())
    assert pushed == {
        "format_version": 1,
        "destination": str(served),
        "version": 1,
        "model": "m1",
        "path": str(served / "1"),
    }


def test_versions_count_up_and_the_last_are_kept(tmp_path):
    assert [push(tmp_path, f"m{n}", keep=2) for n in range(4)] == [1, 2, 3, 4]
    assert names(tmp_path / "served") == [".lock", "3", "4"]


def test_same_model_is_pushed_once(tmp_path):
    assert [push(tmp_path, "m1"), push(tmp_path, "m1")] == [1, 1]
    # Something else in between: the latest version is no longer this model.
    assert [push(tmp_path, "m2"), push(tmp_path, "m1")] == [2, 3]


def test_damaged_version_is_pushed_again(tmp_path):
    push(tmp_path)
    (tmp_path / "served" / "1" / "saved_model.pb").write_bytes(b"")
    assert push(tmp_path) == 2


def test_foreign_names_are_left_alone(tmp_path):
    served = tmp_path / "served"
    for name in ("7", "007", "-1", "12a", "latest", "١٢"):
        (served / name).mkdir(parents=True)
    (served / "8").write_text("a file")
    (served / "9.5").write_text("")
    assert versions.versions(served) == [7]
    assert push(tmp_path, keep=1) == 9
    assert names(served) == ["-1", ".lock", "007", "12a", "7", "8", "9", "9.5", "latest", "١٢"]


def test_litter_of_a_kill_is_removed(tmp_path):
    served = tmp_path / "served"
    for name in (".staging-old", ".trash-3"):
        (served / name / "variables").mkdir(parents=True)
    push(tmp_path)
    assert names(served) == [".lock", "1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blessed": False}, "Only a model that Evaluator has passed is pushed.*It is bad."),
        ({"passed": False}, "Only a model that InfraValidator has passed is pushed"),
        ({"judged": "m0"}, "must be about the model to push. Expected: m1. Received: m0"),
    ],
    ids=["not-blessed", "not-passed", "other-model"],
)
def test_gates(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        push(tmp_path, **changes)
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(
    "point", ["push:before-copy", "push:copied", "push:manifest", "push:renamed", "push:trimmed"]
)
def test_killed_pusher_pushes_once(tmp_path, monkeypatch, point):
    """A process that dies at `point`; then another try. A reader sees whole versions only."""
    push(tmp_path, "m0", keep=1)
    made = context(tmp_path, "m1", keep=1)
    monkeypatch.setenv("PENSTOCK_CRASH_AT", point)
    child = multiprocessing.get_context("spawn").Process(target=Pusher.execute, args=(made,))
    child.start()
    child.join()
    monkeypatch.delenv("PENSTOCK_CRASH_AT")
    assert child.exitcode == -9
    served = tmp_path / "served"
    for version in versions.versions(served):
        manifest = versions.read_manifest(served, version)
        assert versions.fault_of(served, version, manifest["model"]) is None
    assert push(tmp_path, "m1", keep=1) == 2
    assert names(served) == [".lock", "2"]


def test_two_pushers_wait_for_each_other(tmp_path):
    served = tmp_path / "served"
    program = (
        "import sys; from pathlib import Path; from penstock.tfx import versions\n"
        "with versions.locked(Path(sys.argv[1])):\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(served)],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "locked\n"
    with open(served / ".lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other.communicate("")
    assert push(tmp_path) == 1


def check(destination) -> list[str]:
    return Pusher.check(Pusher.Parameters(destination=str(destination), keep=1))


def test_check_accepts_what_can_be_made(tmp_path):
    assert check(tmp_path) == []
    assert check(tmp_path / "new" / "and" / "deep") == []
    assert names(tmp_path) == []


def test_check_finds_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    for destination in (tmp_path / "file", tmp_path / "file" / "served"):
        (fault,) = check(destination)
        assert fault.startswith("`push.destination` must be a directory that can be written to.")
        assert f"`{tmp_path / 'file'}` is no directory" in fault


def test_check_finds_a_destination_that_refuses_writing():
    # Nobody, not even root, can make files in /proc.
    (fault,) = check("/proc/served")
    assert "`/proc` cannot be written to" in fault


def test_still_true(tmp_path):
    made = context(tmp_path)

    def still_true():
        return Pusher.still_true(made.parameters, made.inputs, made.outputs)

    assert "holds no version" in still_true()
    Pusher.execute(made)
    assert still_true() is None
    (tmp_path / "served" / "1" / "assets" / "words.txt").unlink()
    assert "words.txt` must have 2 bytes. Received: None" in still_true()
    push(tmp_path, "m2")
    assert "holds another model" in still_true()
    (tmp_path / "served" / "2" / "manifest.json").write_text("[]")
    assert "no manifest" in still_true()


def test_needs_no_tensorflow():
    environment = Pusher.environment(None)
    assert not environment.tensorflow
    assert not environment.beam
    assert issubclass(Pusher.outputs["pushed"], Artifact)
