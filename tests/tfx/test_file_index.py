"""The content of source files, read again only where their stat has changed."""

import hashlib
import json
import os

import pytest

from penstock.tfx.file_index import FileIndex, digest_of_paths


@pytest.fixture
def counted(tmp_path):
    """An index that notes each file that it reads."""
    reads = []

    def digest(path):
        reads.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def open_index():
        return FileIndex(tmp_path / "index.json", digest)

    return open_index, reads


def _settle(index_path):
    """Lets the index believe that its entries were read long after the files' last change."""
    document = json.loads(index_path.read_text())
    for entry in document["files"].values():
        entry["settled"] = True
    index_path.write_text(json.dumps(document))


def _indexed(tmp_path, counted, content="one"):
    open_index, reads = counted
    file = tmp_path / "data.csv"
    file.write_text(content)
    index = open_index()
    index.digest(file)
    index.save()
    _settle(tmp_path / "index.json")
    reads.clear()
    return file, open_index, reads


def test_an_unchanged_file_is_not_read_again(tmp_path, counted):
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


def test_touch_costs_one_read_and_changes_nothing(tmp_path, counted):
    file, open_index, reads = _indexed(tmp_path, counted)
    os.utime(file)
    assert open_index().digest(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == ["data.csv"]


def test_an_edit_with_size_and_mtime_restored_is_seen(tmp_path, counted):
    file, open_index, _ = _indexed(tmp_path, counted)
    before = os.stat(file)
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(file).st_mtime_ns == before.st_mtime_ns
    assert open_index().digest(file) == hashlib.sha256(b"two").hexdigest()


def test_a_damaged_index_is_built_anew(tmp_path, counted):
    file, open_index, _ = _indexed(tmp_path, counted)
    (tmp_path / "index.json").write_text('{"format_version": 1, "fi')
    assert open_index().digest(file) == hashlib.sha256(b"one").hexdigest()


def test_a_file_that_goes_away_has_another_digest_and_stops_nothing(tmp_path, counted):
    open_index, _ = counted
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("x")
    before = digest_of_paths(open_index(), paths)
    paths[1].unlink()
    after = digest_of_paths(open_index(), paths)
    assert after == before | {"b": "cannot be read: No such file or directory"}


def test_moving_a_folder_changes_no_digest(tmp_path, counted):
    open_index, _ = counted
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    (folder / "x").write_text("x")
    (folder / "sub" / "y").write_text("y")
    before = digest_of_paths(open_index(), [folder / "x", folder / "sub" / "y"])
    folder.rename(tmp_path / "b")
    after = digest_of_paths(open_index(), [tmp_path / "b" / "x", tmp_path / "b" / "sub" / "y"])
    assert before == after
    assert sorted(before) == ["sub/y", "x"]
