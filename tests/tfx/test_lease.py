"""One writer at a time, freed by the kernel."""

import os
import signal
import subprocess
import sys

import pytest

from penstock.tfx.lease import Lease, LeaseHeld, is_held

HOLD = """
import sys, time
from pathlib import Path
from penstock.tfx.lease import Lease
lease = Lease(Path(sys.argv[1]), "The run r").acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_lease_until_that_one_is_killed(tmp_path):
    path = tmp_path / "lease"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert holder.stdout.readline() == "held\n"
    assert is_held(path)
    with pytest.raises(LeaseHeld, match=f"The run r is being written by process {holder.pid} on"):
        Lease(path, "The run r").acquire()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert not is_held(path)
    with Lease(path, "The run r"):
        assert is_held(path)
    assert not is_held(path)
