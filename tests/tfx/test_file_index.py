"""The content of source files, read again only where their stat has changed."""

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from penstock.tfx import file_index
from penstock.tfx.file_index import FileIndex, digests_of_paths


@pytest.fixture
def counted(tmp_path):
    """An index that notes each file that it reads."""
    reads, opened = [], []

    def digest(path):
        reads.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def open_index():
        opened.append(FileIndex(tmp_path / "index.sqlite", digest))
        return opened[-1]

    yield open_index, reads
    for index in opened:
        index.close()


@pytest.fixture
def at_once(monkeypatch):
    """Files are as good as settled when they are written."""
    monkeypatch.setattr(file_index, "SETTLE_NS", -1)


def _indexed(tmp_path, counted, content="one"):
    open_index, reads = counted
    file = tmp_path / "data.csv"
    file.write_text(content)
    index = open_index()
    index.digest(file)
    index.save()
    reads.clear()
    return file, open_index, reads


def test_an_unchanged_file_is_not_read_again(tmp_path, counted, at_once):
    file, open_index, reads = _indexed(tmp_path, counted)
    assert open_index().digest(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == []


def test_a_fresh_file_is_read_again_because_it_may_change_within_one_clock_tick(tmp_path, counted):
    open_index, reads = counted
    file = tmp_path / "data.csv"
    file.write_text("one")
    index = open_index()
    index.digest(file)
    index.save()
    open_index().digest(file)
    assert reads == ["data.csv", "data.csv"]


def test_of_many_files_some_are_in_memory_and_all_in_the_index(
    tmp_path, counted, at_once, monkeypatch
):
    monkeypatch.setattr(file_index, "KEPT_AT_ONCE", 2)
    open_index, reads = counted
    files = [tmp_path / name for name in "abcde"]
    for file in files:
        file.write_text(file.name)
    index = open_index()
    for _ in range(2):
        found = [index.digest(file) for file in files]
        assert found == [hashlib.sha256(name.encode()).hexdigest() for name in "abcde"]
        assert len(index._seen) < 2
    assert reads == ["a", "b", "c", "d", "e"]
    # Nobody has called `save`: one run is killed and the next one reads at most the last file.
    again = open_index()
    assert [again.digest(file) for file in files] == found
    assert set(reads[5:]) <= {"e"}


def test_touch_costs_one_read_and_changes_nothing(tmp_path, counted, at_once):
    file, open_index, reads = _indexed(tmp_path, counted)
    os.utime(file)
    assert open_index().digest(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == ["data.csv"]


def test_an_edit_with_size_and_mtime_restored_is_seen(tmp_path, counted, at_once):
    file, open_index, _ = _indexed(tmp_path, counted)
    before = os.stat(file)
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(file).st_mtime_ns == before.st_mtime_ns
    assert open_index().digest(file) == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize("damage", ["text", "cut", "zeroes", "row"])
def test_a_damaged_index_is_built_anew(tmp_path, counted, at_once, damage):
    file, open_index, reads = _indexed(tmp_path, counted)
    path = tmp_path / "index.sqlite"
    whole = path.read_bytes()
    if damage == "text":
        path.write_text('{"format_version": 1, "fi')
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "zeroes":
        path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE {file_index.TABLE} SET digest = 'no JSON'")
    index = open_index()
    assert index.digest(file) == hashlib.sha256(b"one").hexdigest()
    index.save()
    assert open_index().digest(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == ["data.csv"]


def test_an_index_that_another_run_writes_or_nobody_may_write_costs_a_read(
    tmp_path, counted, at_once, monkeypatch
):
    file, open_index, reads = _indexed(tmp_path, counted)
    monkeypatch.setattr(file_index, "BUSY_S", 0.01)
    with contextlib.closing(sqlite3.connect(tmp_path / "index.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        index = open_index()
        assert index.digest(file) == hashlib.sha256(b"one").hexdigest()
        index.save()
    assert reads == ["data.csv"]
    assert open_index().digest(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == ["data.csv"]
    (tmp_path / "folder").mkdir()
    nowhere = FileIndex(tmp_path / "folder", lambda path: path.name)
    assert nowhere.digest(file) == "data.csv"
    nowhere.save()


def test_what_was_saved_stays_when_a_process_is_killed_while_it_writes(tmp_path, at_once):
    file = tmp_path / "data.csv"
    file.write_text("one")
    program = f"""
import os, signal, sqlite3
from penstock.tfx import file_index
file_index.SETTLE_NS = -1
index = file_index.FileIndex(file_index.Path({str(tmp_path / "index.sqlite")!r}))
index.digest_of({str(file)!r})
index.save()
with open({str(tmp_path / "other")!r}, "w") as other:
    other.write("two")
connection = index._connection
connection.execute("PRAGMA cache_size = 1")  # what is not committed is in the file nevertheless
connection.execute("BEGIN IMMEDIATE")
many = ((str(i).encode(), "x" * 100, "1") for i in range(5000))
connection.executemany(f"INSERT INTO {{file_index.TABLE}} VALUES (?, ?, ?)", many)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "index.sqlite-journal").exists()

    def never(path):
        raise AssertionError(f"{path} is read again")

    index = FileIndex(tmp_path / "index.sqlite", never)
    assert index.digest(file) == hashlib.sha256(b"one").hexdigest()


def test_a_name_that_is_not_utf8_is_kept(tmp_path, counted, at_once):
    open_index, reads = counted
    name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff.png"))
    with open(name, "w") as file:
        file.write("x")
    for _ in range(2):
        index = open_index()
        assert index.digest_of(name) == hashlib.sha256(b"x").hexdigest()
        index.save()
    assert len(reads) == 1


def test_a_file_that_goes_away_has_another_digest_and_stops_nothing(tmp_path, counted):
    open_index, _ = counted
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("x")
    before = dict(digests_of_paths(open_index(), paths))
    paths[1].unlink()
    after = dict(digests_of_paths(open_index(), paths))
    assert after == before | {"b": "cannot be read: No such file or directory"}


def test_moving_a_folder_changes_no_digest(tmp_path, counted):
    open_index, _ = counted
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    (folder / "x").write_text("x")
    (folder / "sub" / "y").write_text("y")
    before = list(digests_of_paths(open_index(), [folder / "x", folder / "sub" / "y"]))
    folder.rename(tmp_path / "b")
    moved = [tmp_path / "b" / "x", tmp_path / "b" / "sub" / "y"]
    assert list(digests_of_paths(open_index(), moved)) == before
    assert [name for name, _ in before] == ["sub/y", "x"]
