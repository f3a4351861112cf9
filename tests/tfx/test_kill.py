"""SIGKILL at every commit point, and at random times, of orchestrator and workers: nothing is lost.

Each trial copies a store in which version 1 is pushed, kills a second run, resumes it while a
reader looks on, and compares with a run that nobody killed.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)

STEPS = ("Scale", "Fit", "Pusher")
"""The first, a middle and the last of the steps that the second run executes."""

ORCHESTRATOR = (
    "execution:recorded",
    "commit:before-rename",
    "commit:renamed",
    "commit:recorded",
)
WORKER = ("worker:started", "worker:executed", "worker:digested", "worker:synced")
PUSH = ("push:before-copy", "push:copied", "push:manifest", "push:renamed", "push:trimmed")

RANDOM_KILLS = int(os.environ.get("PENSTOCK_TEST_KILLS", "16"))
"""Each takes about one second of CPU; `PENSTOCK_TEST_KILLS=200` tries more of them."""
AT_ONCE = 4


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """The tools of `kill_trial.py`, a prepared store, and what an uninterrupted second run makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        import kill_trial

        template = tmp_path_factory.mktemp("kill") / "template"
        template.mkdir()
        (template / "numbers.txt").write_text("1\n2\n3\n")
        first = kill_trial.start_run(template, 2, "first", interpreters=False)
        assert kill_trial.exit_code(first) == 0, (template / "output.txt").read_text()
        whole = kill_trial.Trial(template, template.parent / "whole")
        assert kill_trial.exit_code(whole.start(interpreters=True)) == 0, (
            whole.folder / "output.txt"
        ).read_text()
        expected = kill_trial.content_digests(whole.store, "second")
        assert len(expected) == 10  # one output of each of eight steps, and two more of Fit
        yield kill_trial, template, expected


CHAINS = [[f"{point}@{step}" for step in STEPS] for point in ORCHESTRATOR + WORKER]
CHAINS += [[point] for point in PUSH]
"""Crash points of one trial each: a run is killed at the first, goes on and is killed at the next."""


def _trial_at_points(trials, points, interpreters=False):
    kill_trial, template, expected = trials
    name = f"{points[0].replace(':', '-')}-{interpreters}"
    trial = kill_trial.Trial(template, template.parent / name)
    reader = kill_trial.Reader(trial.store, trial.destination)
    reader.start()
    for point in points:
        deaths = kill_trial.worker_deaths(trial.store)
        code = kill_trial.exit_code(trial.start(crash_at=point, interpreters=interpreters))
        if point.startswith(ORCHESTRATOR):
            assert code == -9, f"{point} was never reached"
        else:
            # The worker that tries again is killed at the same point too, if it still comes by there.
            assert kill_trial.worker_deaths(trial.store) > deaths, f"{point} was never reached"
    trial.check(expected, reader, interpreters)


def test_a_kill_at_every_commit_point_loses_nothing(trials):
    assert sum(map(len, CHAINS)) == 4 * 3 + 4 * 3 + 5
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda points: _trial_at_points(trials, points), CHAINS))


def test_a_kill_of_a_worker_that_starts_as_a_users_loses_nothing(trials):
    """At one step: a new interpreter takes a second of each trial."""
    _trial_at_points(trials, [f"{point}@Fit" for point in WORKER], interpreters=True)


def test_the_points_are_all_there_are():
    from penstock.tfx import crash_points

    assert set(ORCHESTRATOR + WORKER + PUSH) == set(crash_points.POINTS)


def test_kills_at_random_times_lose_nothing(trials):
    kill_trial, template, expected = trials

    def seconds_of_a_run(number, interpreters):
        trial = kill_trial.Trial(template, template.parent / f"whole-{interpreters}-{number}")
        started = time.monotonic()
        assert kill_trial.exit_code(trial.start(interpreters=interpreters)) == 0
        return time.monotonic() - started

    def trial_at_time(entry):
        number, delay, worker, interpreters = entry
        trial = kill_trial.Trial(template, template.parent / f"random-{number}")
        reader = kill_trial.Reader(trial.store, trial.destination)
        reader.start()
        process = trial.start(interpreters=interpreters)
        time.sleep(delay)
        kill_trial.kill_process(process.pid, worker)
        killed.append(kill_trial.exit_code(process))
        trial.check(expected, reader, interpreters)

    generator = random.Random(20260101)
    killed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # As many at once as below, so that the kills spread over nearly the whole of a run.
        seconds = {
            kind: min(pool.map(seconds_of_a_run, range(number), [kind] * number))
            for kind, number in ((False, AT_ONCE), (True, 1))
        }
        plan = []
        for number in range(RANDOM_KILLS):
            interpreters = number % 16 < 2  # a kill of each kind, as a user's workers start
            delay = generator.uniform(0, seconds[interpreters])
            plan.append((number, delay, number % 2 == 1, interpreters))
        list(pool.map(trial_at_time, plan))
    assert len(killed) == RANDOM_KILLS
    # Half of the kills were of orchestrators; many of them must have been hit while they worked.
    assert killed.count(-9) > RANDOM_KILLS // 8


def test_two_runs_at_once_in_one_store_are_safe(trials, tmp_path):
    """They run the same steps or others, write one database, and push to one destination."""
    kill_trial, template, *_ = trials
    trial = kill_trial.Trial(template, tmp_path / "both")
    reader = kill_trial.Reader(trial.store, trial.destination)
    reader.start()
    factors = {"five": 5, "six": 6, "five again": 5}
    forked = {"interpreters": False}
    runs = [kill_trial.start_run(trial.folder, f, run, **forked) for run, f in factors.items()]
    codes = [kill_trial.exit_code(run) for run in runs]
    reader.stop()
    assert codes == [0, 0, 0], (trial.folder / "output.txt").read_text()
    assert reader.faults == []
    # Both runs with the factor 5 push the same model: it gets one version, or two with 6 in between.
    assert kill_trial.versions(trial.destination) in (["1", "2", "3"], ["1", "2", "3", "4"])


def test_the_next_run_clears_up_behind_a_dead_one(trials, tmp_path):
    kill_trial, template, *_ = trials
    trial = kill_trial.Trial(template, tmp_path / "dead")
    code = kill_trial.exit_code(trial.start(crash_at="commit:before-rename@Fit"))
    assert code == -9
    assert len(list((trial.store / "staging").iterdir())) >= 1
    other = kill_trial.start_run(trial.folder, 7, "other", interpreters=False)
    assert kill_trial.exit_code(other) == 0, (trial.folder / "output.txt").read_text()
    assert list((trial.store / "staging").iterdir()) == []
