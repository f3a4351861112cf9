"""The Pusher: versions, manifest, gates, tidiness, and faults of the destination."""

import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
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
    assert (manifest["format_version"], manifest["made_by"]) == (1, "penstock")
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
    (served / str(2**63)).mkdir()  # TensorFlow Serving reads 64 bits with a sign.
    assert versions.versions(served) == [7]
    assert push(tmp_path, keep=1) == 9
    (served / str(2**63)).rmdir()
    assert names(served) == ["-1", ".lock", "007", "12a", "7", "8", "9", "9.5", "latest", "١٢"]


def test_litter_of_a_kill_is_removed(tmp_path):
    served = tmp_path / "served"
    for name in (".penstock-staging-old", ".penstock-trash-3"):
        (served / name / "variables").mkdir(parents=True)
    push(tmp_path)
    assert names(served) == [".lock", "1"]


def test_litter_of_others_is_left_alone(tmp_path):
    served, elsewhere = tmp_path / "served", tmp_path / "elsewhere"
    for name in (".staging-theirs", ".trash-3"):
        (served / name).mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "theirs").write_text("")
    # The link is in our way, what it leads to is not.
    (served / ".penstock-staging-link").symlink_to(elsewhere)
    push(tmp_path)
    assert names(served) == [".lock", ".staging-theirs", ".trash-3", "1"]
    assert names(elsewhere) == ["theirs"]


def test_files_in_the_way_are_removed(tmp_path):
    served = tmp_path / "served"
    push(tmp_path, "m1", keep=1)
    (served / ".penstock-staging-execution-1").write_text("")
    (served / ".penstock-trash-1").write_text("")
    (served / ".penstock-trash-2").symlink_to("nothing")
    assert push(tmp_path, "m2", keep=1) == 2
    assert names(served) == [".lock", "2"]


def test_a_directory_called_like_the_lock_is_explained(tmp_path):
    lock = tmp_path / "served" / ".lock"
    lock.mkdir(parents=True)
    (fault,) = check(tmp_path / "served")
    assert f"`{lock}` is a directory where a Pusher needs a file" in fault
    with pytest.raises(ValueError, match=f"`{lock}` must be a file.*Remove or rename it"):
        push(tmp_path)


def test_the_last_version_number_is_explained(tmp_path):
    (tmp_path / "served" / str(2**63 - 1)).mkdir(parents=True)
    with pytest.raises(ValueError, match="no version number left.*Received: 9223372036854775807"):
        push(tmp_path)
    assert names(tmp_path / "served") == [".lock", "9223372036854775807"]


def fails(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number), str(args[-1]))

    return fail


@pytest.mark.parametrize(
    ("where", "name"),
    [(shutil, "copyfile"), (Path, "write_text"), (versions, "sync_tree"), (Path, "mkdir")],
    ids=["copy", "manifest", "sync", "destination"],
)
def test_a_full_destination_is_said_in_one_sentence(tmp_path, monkeypatch, where, name):
    made = context(tmp_path)
    monkeypatch.setattr(where, name, fails(errno.ENOSPC))
    with pytest.raises(OSError, match="cannot be written") as caught:
        Pusher.execute(made)
    monkeypatch.undo()
    assert str(caught.value) == (
        f"`push.destination` `{tmp_path / 'served'}` cannot be written: No space left on device. "
        "Free space there, then resume."
    )
    assert name == "mkdir" or names(tmp_path / "served") == [".lock"]
    assert push(tmp_path) == 1


def test_another_fault_of_copying_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "copyfile", fails(errno.EIO))
    with pytest.raises(OSError, match="Input/output error") as caught:
        push(tmp_path)
    assert str(caught.value).count("cannot be copied to") == 1
    assert names(tmp_path / "served") == [".lock"]


@pytest.mark.parametrize(
    "manifest",
    [
        {"format_version": 1},
        {"format_version": 1, "model": "m1", "files": {}},
        {"format_version": 1, "made_by": "another", "model": "m1", "files": {}},
    ],
    ids=["format-only", "no-mark", "another-mark"],
)
def test_versions_of_other_tools_are_left_alone(tmp_path, manifest):
    served = tmp_path / "served"
    (served / "1").mkdir(parents=True)
    (served / "1" / "manifest.json").write_text(json.dumps(manifest))
    assert "no manifest" in versions.fault_of(served, 1, "m1")
    assert [push(tmp_path, f"m{n}", keep=1) for n in (1, 2)] == [2, 3]
    assert names(served) == [".lock", "1", "3"]


@pytest.mark.parametrize("files", [None, [], {"a": 3}, {"a": {}}])
def test_manifest_that_lists_no_files_is_a_fault(tmp_path, files):
    (tmp_path / "1").mkdir()
    document = {"format_version": 1, "made_by": "penstock", "model": "m1", "files": files}
    (tmp_path / "1" / "manifest.json").write_text(json.dumps(document))
    assert "does not list the files" in versions.fault_of(tmp_path, 1, "m1")


def test_link_to_a_version_elsewhere_is_kept(tmp_path):
    served = tmp_path / "served"
    push(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (served / "1").rename(tmp_path / "elsewhere" / "1")
    (served / "1").symlink_to(tmp_path / "elsewhere" / "1")
    assert [push(tmp_path, f"m{n}", keep=1) for n in (2, 3)] == [2, 3]
    assert names(served) == [".lock", "1", "3"]
    assert names(tmp_path / "elsewhere" / "1") != []


def test_names_of_new_directories_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(versions, "sync_directory", synced.append)
    for _ in range(2):
        with versions.locked(tmp_path / "a" / "b"):
            pass
    assert sorted(synced) == [tmp_path, tmp_path / "a"]


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


@pytest.mark.parametrize("destination", ["", "  ", "a\0b"], ids=["empty", "blank", "nul"])
def test_check_finds_what_is_no_path(destination):
    (fault,) = check(destination)
    assert fault.startswith("`push.destination` must be the path of a directory, not empty")
    assert f"Received: {destination!r}" in fault


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
