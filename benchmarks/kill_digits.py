"""Kills the real digits run at random times, again and again, and compares with an uninterrupted one.

`python benchmarks/kill_digits.py [--kills 30] [--seed 0]`: starts the digits run, kills the
orchestrator or one of its workers at a random moment, resumes, kills again, until the run
completes; then begins a new run with an empty store, until so many kills have been done. After each
completed run the content digests of all artifacts and the pushed versions must be those of the
uninterrupted run.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "configs" / "vision" / "digits.yaml"
PENSTOCK = [sys.executable, "-P", "-c", "from penstock.tfx.main import main; main()"]


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Starts a command without waiting for it."""
    return subprocess.Popen(
        [*PENSTOCK, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(folder: Path, *arguments: str) -> str:
    """What a command prints; it must succeed."""
    process = start(folder, *arguments)
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}:\n{output}")
    return output


def digests(folder: Path) -> dict[str, str]:
    """`step.output` -> content digest of the newest run, and the pushed versions."""
    steps = json.loads(finish(folder, "show", "latest", "--json"))["steps"]
    found = {
        f"{step['step']}.{name}": output["content_digest"]
        for step in steps
        for name, output in step["outputs"].items()
    }
    served = (folder / "serving" / "digits").glob("[0-9]*")
    return found | {"versions": sorted(path.name for path in served)}


def kill(process: subprocess.Popen, generator: random.Random) -> str:
    """Kills the orchestrator or one of its workers; says which."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    victim = generator.choice([str(process.pid), *children])
    try:
        os.kill(int(victim), signal.SIGKILL)
    except ProcessLookupError:
        return "nobody (it had just ended)"
    return "the orchestrator" if victim == str(process.pid) else "a worker"


def one_run(folder: Path, generator: random.Random, seconds: float, left: int) -> int:
    """A run from an empty store to its end, killed on the way; returns the number of kills."""
    kills = 0
    arguments = ("run", str(CONFIG))
    while True:
        process = start(folder, *arguments)
        if kills < left:
            time.sleep(generator.uniform(0.3, seconds))
            if process.poll() is None:
                victim = kill(process, generator)
                kills += 1
                print(f"  kill {kills}: {victim}", flush=True)
        output, _ = process.communicate()
        if process.returncode == 0:
            return kills
        if process.returncode not in (1, -9):
            sys.exit(f"unexpected exit code {process.returncode}:\n{output}")
        began = (folder / ".penstock" / "runs").exists() and "no runs yet" not in output
        arguments = ("resume",) if began and runs(folder) else ("run", str(CONFIG))


def runs(folder: Path) -> list:
    """The runs that the store knows."""
    done = start(folder, "runs", "--json")
    output, _ = done.communicate()
    return json.loads(output) if done.returncode == 0 else []


def main() -> None:
    """Kills until the number is reached; exits with 1 at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        finish(folder, "run", str(CONFIG))
        seconds = time.perf_counter() - started
        expected = digests(folder)
    print(f"uninterrupted: {seconds:.1f} s, {len(expected) - 1} artifacts", flush=True)
    kills = completed = 0
    while kills < arguments.kills:
        with tempfile.TemporaryDirectory() as name:
            kills += one_run(Path(name), generator, seconds, arguments.kills - kills)
            completed += 1
            found = digests(Path(name))
        if found != expected:
            changed = [key for key in expected if found.get(key) != expected[key]]
            sys.exit(f"after {kills} kills these differ: {changed}")
    print(f"{kills} kills, {completed} runs completed, every digest and version as uninterrupted")


if __name__ == "__main__":
    main()
