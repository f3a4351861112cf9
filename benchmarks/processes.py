"""Runs a command and follows its process tree: wall time, peak memory and CPU time of each process.

Linux only (`/proc`): the kernel itself keeps the peak of a process's memory (`VmHWM`), so that no
peak falls between two looks; a process is seen if it lives longer than `INTERVAL_S`. What a worker
is busy with is read from its standard output, which goes to the log file of its step. When a process
goes on to another step, the kernel's peak is set back, so that each step has its own.
"""

import contextlib
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_S = 0.01
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Use:
    """What a process took for one step; megabytes are 2**20 bytes."""

    peak_mb: float = 0.0
    cpu_seconds: float = 0.0


@dataclass
class Process:
    """What is known of one process; megabytes are 2**20 bytes.

    `of_step` has what it took for each step, and under `""` what it took for none.
    """

    pid: int
    peak_mb: float = 0.0
    cpu_seconds: float = 0.0
    steps: list[str] = field(default_factory=list)
    of_step: dict[str, Use] = field(default_factory=dict)


@dataclass(frozen=True)
class Watched:
    """A command that has ended; the first process is the command itself."""

    code: int
    seconds: float
    output: str
    errors: str
    processes: list[Process]

    @property
    def cpu_seconds(self) -> float:
        """Of all processes."""
        return sum(process.cpu_seconds for process in self.processes)


def watch(command: list[str], folder, errors=subprocess.PIPE) -> Watched:
    """Runs a command to its end.

    Args:
        folder: its working directory.
        errors: where its standard error goes (None: to ours).
    """
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True)
    seen: dict[int, Process] = {}
    ended = threading.Event()
    watcher = threading.Thread(target=_follow, args=(child.pid, seen, ended), daemon=True)
    watcher.start()
    output, said = child.communicate()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    return Watched(child.returncode, seconds, output, said or "", list(seen.values()))


def _follow(root: int, seen: dict[int, Process], ended: threading.Event) -> None:
    while not ended.wait(INTERVAL_S):
        for pid in tree(root):
            _look(seen.setdefault(pid, Process(pid)))


def tree(root: int) -> list[int]:
    """A process and all below it, parents first."""
    found = [root]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                text = Path(f"/proc/{pid}/task/{task}/children").read_text()
                found += [int(child) for child in text.split()]
        except OSError:  # it has just ended
            continue
    return found


def _look(process: Process) -> None:
    folder = f"/proc/{process.pid}"
    try:
        # The second field, the name in brackets, may hold spaces.
        fields = Path(folder, "stat").read_text().rpartition(")")[2].split()
        cpu_seconds = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        log = Path(os.readlink(f"{folder}/fd/1"))
        step = log.stem
        if log.suffix != ".log" or step.startswith("worker-"):
            step = ""
        elif step not in process.steps[-1:]:
            process.steps.append(step)
            with contextlib.suppress(OSError):
                Path(folder, "clear_refs").write_text("5")  # proc(5): sets VmHWM back
        use = process.of_step.setdefault(step, Use())
        use.cpu_seconds += cpu_seconds - process.cpu_seconds
        process.cpu_seconds = cpu_seconds
        for line in Path(folder, "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                use.peak_mb = max(use.peak_mb, int(line.split()[1]) / 1024)
                process.peak_mb = max(process.peak_mb, use.peak_mb)
    except OSError:
        return
