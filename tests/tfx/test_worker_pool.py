"""What a worker process leaves behind: nothing, however it or its orchestrator ended."""

import os
import subprocess
import tempfile

import pytest

from penstock.tfx.component import Environment
from penstock.tfx.worker_pool import Worker


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where workers get their temporary folders."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def test_a_worker_whose_orchestrator_was_killed_takes_its_folder_away(temporary, tmp_path):
    worker = Worker(Environment(), tmp_path / "worker.log")
    (folder,) = temporary.iterdir()
    (folder / "left.txt").write_text("by a library")
    os.close(worker._task_write)  # as the kernel does it
    assert worker.process.wait(60) == 1
    assert not folder.exists()
    os.close(worker.inbox.descriptor)


def test_a_worker_that_cannot_start_leaves_nothing(temporary, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    (tmp_path / "folder.log").mkdir()  # cannot be opened
    before = os.listdir("/proc/self/fd")
    with pytest.raises(IsADirectoryError):
        Worker(Environment(), tmp_path / "folder.log")
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        Worker(Environment(), tmp_path / "worker.log")
    assert os.listdir("/proc/self/fd") == before
    assert list(temporary.iterdir()) == []
