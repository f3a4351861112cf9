"""`penstock doctor`: each fault provoked, each message matched; nothing is created or changed."""

import json
import select
import shutil
import sqlite3
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import yaml

from penstock.tfx.components.statistics_gen import StatisticsGen
from penstock.tfx.doctor import child, command, installation, machine, store
from penstock.tfx.doctor.finding import Finding, first_few, fix
from penstock.tfx.main import cli

CODE = "from penstock.tfx.main import main; main()"


# The command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """One real run of the command in an empty folder, heavy child included."""
    folder = tmp_path_factory.mktemp("doctor")
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE, "doctor", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return folder, done


def test_the_command_looks_at_everything_and_leaves_nothing_behind(answer):
    folder, done = answer
    document = json.loads(done.stdout)
    assert document["ok"] == ("fix" not in [f["status"] for f in document["findings"]])
    assert (done.returncode, done.stderr) == (0 if document["ok"] else 1, "")
    assert list(folder.iterdir()) == []
    names = [finding["name"] for finding in document["findings"]]
    assert names[:2] == ["python", "libraries"]
    assert names[-4:] == ["tensorflow", "computation", "accelerator", "beam"]


def test_the_child_has_used_tensorflow_and_beam(answer):
    findings = {f["name"]: f["text"] for f in json.loads(answer[1].stdout)["findings"]}
    assert "oneDNN" in findings["tensorflow"]
    assert findings["computation"].endswith("with kernels and with XLA")
    assert findings["beam"].endswith("a pipeline ran in this process")


@pytest.fixture
def light(monkeypatch):
    """The command with a child that answers at once."""
    lines = [json.dumps({"status": "ok", "name": name, "text": "."}) for name in command.CHECKS]
    ready = (sys.executable, "-c", f"print({chr(10).join(lines)!r})")
    monkeypatch.setattr(command, "Child", lambda: ORIGINAL(ready, 30.0))


ORIGINAL = command.Child


def write_config(folder: Path, **changes) -> str:
    document = {
        "name": "digits",
        "task": "vision.classification",
        "data": {"source": {"type": "sklearn", "dataset": "digits"}},
        "store": {"directory": str(folder / "own")},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(document | changes))
    return str(folder / "c.yaml")


def test_a_line_for_each_finding_and_exit_code_0(light, tmp_path, capsys):
    assert command.doctor(None, str(tmp_path / "s"), None, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 14
    assert {line[:4] for line in lines} <= {"ok  ", "tip "}
    assert f"ok  store: none yet in {tmp_path / 's'}; a run creates it" in lines
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_that_of_the_config(light, tmp_path, capsys):
    config = write_config(tmp_path)
    assert command.doctor(config, None, None, as_json=False) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"ok  config: {config} is valid: 8 steps\n")
    assert f"ok  store: none yet in {tmp_path / 'own'}" in said
    assert command.doctor(config, str(tmp_path / "named"), None, as_json=False) == 0
    assert f"none yet in {tmp_path / 'named'}" in capsys.readouterr().out


def test_every_fault_of_a_config_is_a_line_and_the_exit_code_is_1(light, tmp_path, capsys):
    config = write_config(tmp_path, train={"epochs": 0}, evalute={})
    assert command.doctor(config, str(tmp_path / "s"), None, as_json=False) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fix ")]
    assert len(lines) == 2
    assert lines[0].startswith(f"fix config: {config}: Unknown key `evalute`.")
    assert "`train.epochs`" in lines[1]


def test_overrides_are_those_of_a_run(light, tmp_path, capsys):
    config = write_config(tmp_path)
    own = f"store.directory={tmp_path / 'other'}"
    assert command.doctor(config, None, None, as_json=False, overrides=(own,)) == 0
    assert f"ok  store: none yet in {tmp_path / 'other'}" in capsys.readouterr().out
    assert command.doctor(config, None, None, as_json=False, overrides=("train.epochs=0",)) == 1
    assert f"fix config: {config}: `train.epochs` must be" in capsys.readouterr().out
    called = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "doctor", lambda *given: called.append(given) or 0)
        cli.main(["doctor", config, own, "--no-speed"], standalone_mode=False)
    assert called == [(config, None, None, False, False, (own,))]


def test_a_component_whose_check_fails_is_a_line_and_the_others_follow(
    light, tmp_path, capsys, monkeypatch
):
    def broken(parameters):
        raise KeyError("no such\nthing")

    monkeypatch.setattr(StatisticsGen, "check", broken)
    config = write_config(tmp_path)
    assert command.doctor(config, None, None, as_json=False) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"fix config: {config}: this could not be checked: KeyError: ")
    assert f"ok  store: none yet in {tmp_path / 'own'}" in said


def test_a_destination_that_cannot_be_written(light, tmp_path, capsys):
    (tmp_path / "file").touch()
    config = write_config(tmp_path, push={"destination": str(tmp_path / "file" / "served")})
    assert command.doctor(config, None, None, as_json=False) == 1
    assert "`push.destination` must be a directory that can be written to" in (
        capsys.readouterr().out
    )


def test_a_check_that_fails_is_a_finding():
    def broken():
        raise RuntimeError("no such\nthing")

    [found] = command.guarded("memory", broken)
    assert str(found) == "fix memory: this could not be checked: RuntimeError: no such thing"


def test_few_items_are_named_and_the_rest_is_counted():
    assert first_few(["a", "b"]) == "a, b"
    assert first_few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


# The child -----------------------------------------------------------------------------------

FIRST = json.dumps({"status": "ok", "name": "tensorflow", "text": "2.21"})
DEATHS = {
    "hang": (
        f"import time; print({FIRST!r}, flush=True); time.sleep(60)",
        r"it has not ended after 1 s\. Expected: an answer within seconds",
    ),
    "signal": (
        f"import os; print({FIRST!r}, flush=True); os.kill(os.getpid(), 4)",
        r"the process died by the signal SIGILL\. .*a processor that TensorFlow's build does not",
    ),
    "exit": (
        f"import sys; print({FIRST!r}, flush=True); sys.exit('no libcuda')",
        r"the process died by exit code 1, and said last: no libcuda\.",
    ),
}


@pytest.mark.parametrize("name", DEATHS)
def test_a_child_that_hangs_or_dies_is_one_finding(name):
    import re

    code, message = DEATHS[name]
    process = command.Child(
        (sys.executable, "-c", code), timeout_seconds=1.0 + 9 * (name != "hang")
    )
    if name == "hang":  # the time runs from the start, which takes longer on a busy machine
        assert select.select([process._process.stdout], [], [], 60.0)[0]
    found = process.findings()
    process.stop()
    assert found[0] == Finding("ok", "tensorflow", "2.21")
    assert [(f.status, f.name) for f in found[1:]] == [("fix", "computation")]
    assert re.search(message, found[1].text)


GPU = {"driver": True, "cuda_build": True, "libraries": True, "hidden": False}
SEEN = {
    "one": (["H100"], {}, "ok", "TensorFlow sees 1: H100"),
    "no driver": ([], {"driver": False}, "tip", "none; training uses"),
    "hidden": ([], {"hidden": True}, "tip", "CUDA_VISIBLE_DEVICES hides the GPUs; unset it"),
    "build": ([], {"cuda_build": False}, "fix", "built without CUDA. Expected: at least one GPU"),
    "libraries": ([], {"libraries": False}, "fix", "NVIDIA's libraries are missing."),
    "unusable": ([], {}, "fix", "TensorFlow cannot use the GPU."),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_is_said_of_accelerators(name):
    gpus, changes, status, text = SEEN[name]
    found = child.judge_accelerator(gpus, **(GPU | changes))
    assert found.status == status
    assert text in found.text
    if name in ("build", "libraries"):
        assert "pip install 'penstock[gpu]'" in found.text


def test_processor_features_are_read(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags : fpu avx avx2 sse\n")
    assert child.cpu_features(str(tmp_path / "cpuinfo")) == "AVX AVX2"
    assert child.cpu_features(str(tmp_path / "none")) == ""


# The installation ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)])
def test_a_python_that_is_not_supported(version):
    found = installation.python(version)
    assert found.status == "fix"
    assert "Expected: 3.11 to 3.13. Received: 3." in found.text
    assert "make PYTHON=python3.12" in found.text


def test_libraries_that_are_old_or_missing():
    versions = {"keras": "3.10.0", "numpy": "2.1", "pillow": None}
    needed = ["keras>=3.15", "numpy>=2.0", "pillow>=11.0", 'jax>=0.7; extra == "jax"']
    found = installation.libraries(needed, versions.get)
    assert found.status == "fix"
    assert "keras (expected >=3.15, received 3.10.0), pillow (expected >=11.0, received none)" in (
        found.text
    )
    assert "install --upgrade penstock" in found.text


def test_versions_that_were_not_tested_are_a_tip(tmp_path):
    (tmp_path / "constraints.txt").write_text("# tested\nkeras==3.15.1\nnumpy==2.4.6\nzipp==1\n")
    versions = {"keras": "3.16.0", "numpy": "2.4.6", "zipp": "2"}
    [found] = installation.versions_as_tested(tmp_path / "constraints.txt", versions.get)
    assert found.status == "tip"
    assert found.text.startswith("1 differ: keras 3.16.0 (tested: 3.15.1). If something fails,")
    assert installation.versions_as_tested(tmp_path / "none.txt") == []


def test_a_package_without_byte_code(tmp_path, monkeypatch):
    package = tmp_path / "uncompiled_package"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    found = installation.compiled_packages(("json", "uncompiled_package", "no_such_package"))
    assert found.status == "fix"
    assert "Received: none for uncompiled_package. Compile once:" in found.text
    assert f"-m compileall -q -j 0 {tmp_path}`" in found.text


def test_a_home_that_cannot_be_written_is_a_tip(monkeypatch):
    monkeypatch.setenv("HOME", "/proc/self")
    found = installation.home()
    assert found.status == "tip"
    assert "`/proc/self` cannot be written to" in found.text
    assert "KERAS_HOME (presets), TFDS_DATA_DIR (data sets)" in found.text


# The machine ---------------------------------------------------------------------------------


def machine_with(root: Path, total_kb: int, free_kb: int, limit: str | None, version: int = 2):
    (root / "proc").mkdir()
    (root / "proc" / "meminfo").write_text(f"MemTotal: {total_kb} kB\nMemAvailable: {free_kb} kB\n")
    name = "memory.max" if version == 2 else "memory/memory.limit_in_bytes"
    if limit is not None:
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"{limit}\n")
    return machine.memory(root)


MIB = 1024
MEMORIES = {
    "plenty": ((8000 * MIB, 6000 * MIB, None), "ok", "7.8 GiB RAM, 5.9 GiB free"),
    "no limit": ((8000 * MIB, 6000 * MIB, "max"), "ok", "7.8 GiB RAM"),
    "container": (
        (8000 * MIB, 6000 * MIB, str(1000 * 2**20)),
        "fix",
        "Expected: 2 GB. Received: 7.8 GiB RAM, 5.9 GiB free, 1.0 GiB allowed by the container",
    ),
    "older container": ((8000 * MIB, 6000 * MIB, str(2**29), 1), "fix", "0.5 GiB allowed by"),
    "small": ((1000 * MIB, 900 * MIB, None), "fix", "too little for a worker"),
    "busy": ((8000 * MIB, 900 * MIB, None), "tip", "steps will run one at a time"),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_memory(name, tmp_path):
    arguments, status, text = MEMORIES[name]
    found = machine_with(tmp_path, *arguments)
    assert found.status == status
    assert text in found.text


Usage = namedtuple("Usage", "total used free")


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: Usage(2**40, 2**40, 2**20))
    store_disk, temporary = machine.free_space(tmp_path / "a" / "b")
    assert store_disk == fix(
        "disk",
        f"too little room for the store in {tmp_path}. Expected: 1.0 GiB free. Received: 0.0 GiB. "
        "Remove something, or name another place in `store.directory`.",
    )
    assert "name another place in `TMPDIR`" in temporary.text


def test_a_container_with_little_shared_memory(tmp_path, monkeypatch):
    assert "/none has 0 MB" in machine.shared_memory(Path("/none")).text
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: Usage(2**26, 0, 2**26))
    found = machine.shared_memory(tmp_path)
    assert found.status == "tip"
    assert "has 64 MB. Several GPUs (NCCL) need more: start the container with" in found.text


def test_the_file_system_is_really_tried_and_left_as_it_was(tmp_path):
    [found] = machine.file_system(tmp_path / "store")
    assert found.status == "ok"
    assert list(tmp_path.iterdir()) == []
    [found] = machine.file_system(Path("/proc/self/store"))
    assert found.status == "fix"
    assert "is no safe place for a store: a folder cannot be created in it" in found.text


def refuse(*arguments):
    raise OSError(95, "Operation not supported")


def test_a_file_system_without_locks_links_or_renames(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(machine.fcntl, "flock", refuse)
        [found] = machine.file_system(tmp_path)
        assert "flock fails (Operation not supported). Expected: flock, hard links" in found.text
    with monkeypatch.context() as patch:
        patch.setattr(machine.fcntl, "flock", lambda file, kind: None)
        assert machine.probe_lock(tmp_path) == "flock lets two hold one lock"
    with monkeypatch.context() as patch:
        patch.setattr(machine.os, "link", refuse)
        assert machine.probe_link(tmp_path) == "hard links fail (Operation not supported)"
    with monkeypatch.context() as patch:
        patch.setattr(machine.durable, "publish_directory", refuse)
        assert machine.probe_rename(tmp_path).startswith("rename or fsync fails")


def test_a_network_disk_is_a_tip(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        f"2 1 0:9 / {str(tmp_path / 'shared disk').replace(' ', chr(92) + '040')} rw - nfs4 h:/x rw\n"
    )
    (tmp_path / "shared disk").mkdir()
    assert machine.file_system_type(tmp_path, mounts) == "ext4"
    assert machine.file_system_type(tmp_path / "shared disk", mounts) == "nfs4"
    assert machine.file_system_type(tmp_path, tmp_path / "none") == "unknown"
    monkeypatch.setattr(machine, "file_system_type", lambda folder: "nfs4")
    assert "set `store.database` to a PostgreSQL URL" in machine.file_system(tmp_path)[1].text


# The store -----------------------------------------------------------------------------------


def examine(place: Path, database: str | None = None) -> dict[str, Finding]:
    before = sorted(place.rglob("*")) if place.is_dir() else None
    found = {finding.name: finding for finding in store.check_store(place, database)}
    after = sorted(place.rglob("*")) if place.is_dir() else None
    ignored = {place / f"metadata.sqlite-{end}" for end in ("wal", "shm")}
    assert before is None or set(before) - ignored == set(after) - ignored
    return found


def statuses(found: dict[str, Finding]) -> set[str]:
    return {finding.status for finding in found.values()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the first test's finished store is kept for the others."""
    return tmp_path_factory.mktemp("kept") / "store"


@pytest.fixture
def finished(toy, kept):
    """A store with one complete run of the toy pipeline, each test's own."""
    toy.place = toy.store.directory
    if not kept.exists():
        toy()
        toy.store.metadata._engine.dispose()  # empties the write-ahead log
        shutil.copytree(toy.place, kept)
    else:
        shutil.copytree(kept, toy.place)
    return toy


def execute(place: Path, statement: str, *values) -> None:
    with sqlite3.connect(place / "metadata.sqlite") as connection:
        connection.execute(statement, values)
    connection.close()


def test_a_store_after_a_run_is_all_well(finished):
    found = examine(finished.place)
    assert list(found) == ["write access", "store", "artifacts", "runs", "leftovers"]
    assert statuses(found) == {"ok"}
    assert "8 executions are there" in found["artifacts"].text


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    found = examine(tmp_path / "file" / "store")
    assert list(found) == ["write access"]
    assert f"`{tmp_path / 'file'}` is no directory. Expected: a folder that this user may" in (
        found["write access"].text
    )


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b", "a b"])
def test_a_store_whose_folder_has_signs_of_an_address(name, finished, tmp_path):
    finished.store.metadata._engine.dispose()
    place = tmp_path / name / "store"
    shutil.copytree(finished.place, place)
    assert statuses(examine(place)) == {"ok"}


@pytest.mark.parametrize("options", ["", "?timeout=5"])
def test_a_database_by_its_address(options, finished):
    url = f"sqlite:///{finished.place / 'metadata.sqlite'}{options}"
    assert statuses(examine(finished.place, url)) == {"ok"}
    (finished.place / "metadata.sqlite").rename(finished.place / "elsewhere.sqlite")
    found = examine(finished.place, url)["store"]
    assert f"Expected: {finished.place / 'metadata.sqlite'}. Received: no such file." in found.text


def test_a_folder_of_the_store_that_cannot_be_written(finished):
    shutil.rmtree(finished.place / "staging", ignore_errors=True)
    (finished.place / "staging").symlink_to("/proc/self")
    found = store.check_store(finished.place, None)[0]
    assert (found.status, found.name) == ("fix", "write access")
    assert "staging` cannot be written to" in found.text


def test_an_empty_folder_is_no_store_yet(tmp_path):
    assert "none yet" in examine(tmp_path)["store"].text


def test_a_database_that_is_missing(finished):
    for path in finished.place.glob("metadata.sqlite*"):
        path.unlink()
    found = examine(finished.place)["store"]
    assert found.status == "fix"
    assert "its database is missing. Expected:" in found.text
    assert "name it with `--database`; else restore it" in found.text


def test_a_database_that_is_damaged(finished):
    for path in finished.place.glob("metadata.sqlite-*"):
        path.unlink()  # the write-ahead log could mend it
    (finished.place / "metadata.sqlite").write_bytes(b"this is no database" * 500)
    found = examine(finished.place)["store"]
    assert found.status == "fix"
    assert "Expected: a whole SQLite file. Received: file is not a database." in found.text


def test_a_database_that_is_locked(finished, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    holder = sqlite3.connect(finished.place / "metadata.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    found = examine(finished.place)["store"]
    holder.close()
    assert "has been locked by another program for 0.1 s." in found.text
    assert "`fuser " in found.text


SCHEMAS = {
    "newer": ("9999", "fix", "written by a newer Penstock. Expected: schema"),
    "older": ("0000", "tip", "its schema is 0000; the next command brings it to"),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_another_schema(name, finished):
    revision, status, text = SCHEMAS[name]
    execute(finished.place, "UPDATE alembic_version SET version_num = ?", revision)
    found = examine(finished.place)["store"]
    assert found.status == status
    assert text in found.text


def test_an_empty_database(tmp_path):
    execute(tmp_path, "PRAGMA user_version = 1")
    (tmp_path / "store.json").write_text('{"format_version": 1, "id": "x"}')
    assert "its database is empty; the next run creates the tables" in (
        examine(tmp_path)["store"].text
    )


def test_a_database_of_another_store(finished):
    (finished.place / "store.json").write_text('{"format_version": 1, "id": "other"}')
    found = examine(finished.place)["store"]
    assert "the database belongs to another store. Expected: id other. Received:" in found.text


def test_a_store_that_has_lost_its_identity_says_how_to_write_it(finished):
    original = (finished.place / "store.json").read_text()
    (finished.place / "store.json").write_text("{")
    found = examine(finished.place)["store"]
    assert "is missing or damaged, so that no command can open the store" in found.text
    (finished.place / "store.json").write_text(found.text.split("Write this into it: ")[1])
    assert json.loads((finished.place / "store.json").read_text()) == json.loads(original)
    assert statuses(examine(finished.place)) == {"ok"}


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://user:secret@localhost:1/x", "sqlite+nodriver:///x"]
)
def test_a_server_that_cannot_be_reached_is_said_without_the_password(url, tmp_path):
    found = examine(tmp_path, url)["store"]
    assert found.status == "fix"
    assert "The metadata database cannot be opened." in found.text
    assert "secret" not in found.text


def test_a_file_that_is_shorter_than_published(finished):
    number = next(finished.place.glob("artifacts/Read/*/*/*"))
    number.write_bytes(b"")
    found = examine(finished.place)["artifacts"]
    assert found.status == "fix"
    assert "1 of 8 executions are not as they were published: The stored file" in found.text
    assert "has 0 bytes instead of" in found.text
    assert "Run the pipeline again: these steps will run again." in found.text


def test_an_execution_that_is_gone(finished):
    shutil.rmtree(next(finished.place.glob("artifacts/Read/*")))
    assert "execution.json cannot be read" in examine(finished.place)["artifacts"].text


def test_an_execution_known_to_be_damaged_is_no_news(finished):
    folder = next(finished.place.glob("artifacts/Read/*"))
    finished.store.metadata.mark_corrupt(folder.name)
    shutil.rmtree(folder)
    assert examine(finished.place)["artifacts"].status == "ok"


def test_a_run_that_was_killed(finished):
    run = finished.store.metadata.runs()[-1]["run"]
    execute(finished.place, "UPDATE contexts SET state = 'RUNNING' WHERE name = ?", run)
    found = examine(finished.place)["runs"]
    assert found.status == "fix"
    assert f"killed before they ended: {run}. Go on with one: `penstock resume {run}" in found.text
    with finished.store.lease(run):
        assert "1 running, none killed" in examine(finished.place)["runs"].text


def test_directories_that_nobody_owns(finished):
    (finished.place / "staging" / "stray").mkdir(parents=True)
    (finished.place / "artifacts" / "Read" / "stray").mkdir()
    found = examine(finished.place)["leftovers"]
    assert found.status == "fix"
    assert "no execution owns: staging/stray, artifacts/Read/stray. Remove them" in found.text


def test_what_a_killed_run_left_is_cleared_up_by_the_next(finished):
    run = finished.store.metadata.runs()[-1]["run"]
    finished.store.metadata.begin_execution("half", run, "Read", "x:y", "key", {})
    (finished.place / "staging" / "half").mkdir(parents=True)
    with finished.store.lease(run):
        assert examine(finished.place)["leftovers"].status == "ok"
    found = examine(finished.place)["leftovers"]
    assert "a run that was killed left: staging/half. The next `penstock run` or" in found.text
    finished()
    assert examine(finished.place)["leftovers"].status == "ok"
