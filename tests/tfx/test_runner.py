"""Plan, cache look-up, execute, publish, on toy steps without TensorFlow."""

import os
import sys

import pytest

from penstock.tfx import cache
from penstock.tfx.lease import Lease, LeaseHeld


def statuses(result):
    return {name: state.status for name, state in result.states.items()}


def ran(result):
    return [name for name, status in statuses(result).items() if status == "executed"]


def test_a_run_publishes_every_output(toy):
    result = toy()
    assert (result.state, result.reason) == ("COMPLETE", None)
    # (1, 2, 3) * 2 + (1, 2, 3) * 3 = (5, 10, 15)
    total = result.states["Add"].record.outputs["total"]
    assert toy.steps.load(toy.store.directory / total.uri) == [5, 10, 15]
    assert (toy.destination / "1" / "saved_model.pb").read_text() == "[5, 10, 15]"


def test_a_second_run_is_all_cached_and_starts_no_worker(toy):
    toy()
    result = toy()
    assert set(statuses(result).values()) == {"cached"}
    assert not (toy.store.run_directory(result.run) / "logs").exists()
    assert [p.name for p in toy.destination.iterdir() if p.name.isdigit()] == ["1"]


def test_a_changed_parameter_runs_its_step_and_what_follows(toy):
    toy()
    assert ran(toy(factor=5)) == ["Scale", "Add", "Gate", "Misbehave", "Fit", "Pusher"]


def test_a_step_whose_inputs_come_out_equal_is_cached(toy):
    toy()
    toy.source.write_text("1 2 3")  # other bytes, the same numbers
    assert ran(toy()) == ["Read"]


def test_touching_the_source_runs_nothing(toy):
    toy()
    os.utime(toy.source)
    assert ran(toy()) == []


def test_data_altered_with_size_and_mtime_restored_runs_again(toy):
    toy()
    before = os.stat(toy.source)
    toy.source.write_text("1\n2\n4\n")
    os.utime(toy.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ran(toy())[0] == "Read"


def test_a_closed_gate_stops_the_run_with_its_reason_also_from_the_cache(toy):
    for expected in ("executed", "cached"):
        result = toy(limit=10)
        assert result.state == "STOPPED"
        assert result.reason == "The largest number, 15, passes the limit of 10."
        assert statuses(result)["Gate"] == expected
        assert statuses(result)["Pusher"] == "waiting"
    assert not toy.destination.exists()


def test_a_failing_step_says_its_sentence_and_where_the_log_is(toy):
    result = toy(how="raise")
    assert result.state == "FAILED"
    log = toy.store.log_file(result.run, "Misbehave")
    assert result.reason == (
        "Misbehave failed: `how` must be 'no'. Received: 'raise'. Set it to 'no'. "
        f"(full log: {log})"
    )
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("how", ["die", "lose"])
def test_a_worker_or_a_process_of_beam_that_dies_once_is_tried_again(toy, how):
    seen = []
    result = toy(how=f"{how} once", observe=lambda step, what, facts: seen.append((step, what)))
    assert result.state == "COMPLETE"
    assert ("Misbehave", "retried") in seen


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("die", "its worker, the last of 2, was killed by signal 9 (often: out of memory) (full"),
        (
            "lose",
            "a process of Beam, the last of 2, was killed by signal 9 (often: out of memory); "
            "PENSTOCK_PROCESSES=1 takes less memory (full",
        ),
    ],
)
def test_one_that_dies_again_fails_the_run(toy, how, reason):
    result = toy(how=how)
    assert result.state == "FAILED"
    assert reason in result.reason


def test_a_failed_run_is_resumed_from_what_is_complete(toy):
    first = toy(how="raise")
    result = toy(name=first.run)
    assert result.state == "COMPLETE"
    assert statuses(result)["Add"] == "cached"
    assert statuses(result)["Misbehave"] == "executed"


def test_a_run_that_is_being_written_refuses_a_second_writer(toy):
    first = toy()
    with Lease(toy.store.run_directory(first.run) / "lease", "x"):
        with pytest.raises(LeaseHeld, match="is being written by process"):
            toy(name=first.run)


def _flip(path):
    """Changes one byte and nothing that `stat` shows but the ctime."""
    before = os.stat(path)
    data = bytearray(path.read_bytes())
    data[1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_byte_is_found_by_the_consumer_and_its_maker_runs_again(toy):
    first = toy()
    stored = first.states["Add"].record.outputs["total"]
    _flip(toy.store.directory / stored.uri / "numbers.json")
    seen = []
    result = toy(limit=99, observe=lambda step, what, facts: seen.append((step, what, facts)))
    assert result.state == "COMPLETE"
    assert "Add" in ran(result)
    damage = [facts["error"] for step, what, facts in seen if what == "damaged"]
    assert len(damage) == 1
    assert f"{stored.uri}/numbers.json has changed since it was published" in damage[0]


def test_verify_finds_a_flipped_byte_that_the_quick_check_cannot_see(toy):
    first = toy()
    stored = first.states["Add"].record.outputs["total"]
    _flip(toy.store.directory / stored.uri / "numbers.json")
    assert ran(toy()) == []
    seen = []
    result = toy(verify=True, observe=lambda step, what, facts: seen.append((step, what, facts)))
    assert ran(result) == ["Add"]
    assert any(f"{stored.uri}/numbers.json" in f.get("error", "") for _, _, f in seen)


@pytest.mark.parametrize("damage", ["missing", "added", "shorter"])
def test_the_quick_check_finds_files_that_came_went_or_changed_size(toy, damage):
    first = toy()
    folder = toy.store.directory / first.states["Add"].record.outputs["total"].uri
    if damage == "missing":
        (folder / "numbers.json").unlink()
    elif damage == "added":
        (folder / "more.json").write_text("[]")
    else:
        (folder / "numbers.json").write_text("[]")
    assert ran(toy()) == ["Add"]


def test_what_was_pushed_and_then_removed_is_pushed_again(toy):
    import shutil

    toy()
    shutil.rmtree(toy.destination)
    assert ran(toy()) == ["Pusher"]
    assert (toy.destination / "1" / "saved_model.pb").exists()


def test_a_store_that_was_moved_goes_on(toy, tmp_path):
    toy()
    toy.store.directory.rename(tmp_path / "moved")
    from penstock.tfx.store import Store

    moved = Store(tmp_path / "moved")
    pipeline = toy.steps.toy_pipeline(toy.source, toy.destination)
    from penstock.tfx.runner import run_pipeline

    assert ran(run_pipeline(pipeline, moved, "again")) == []


def test_the_orchestrator_imports_neither_tensorflow_nor_beam(toy):
    before = set(sys.modules)
    toy()
    new = set(sys.modules) - before
    assert not {name.split(".")[0] for name in new} & {"tensorflow", "keras", "apache_beam"}


def test_progress_reaches_the_observer(toy):
    seen = []
    toy(observe=lambda step, what, facts: seen.append((step, what, facts.get("values"))))
    assert ("Read", "progress", {"numbers": 3}) in seen


def test_independent_branches_run_at_once(toy):
    """Each branch waits until the other one has begun: one after the other they would time out."""
    (toy.source.parent / "meet").mkdir()
    result = toy(meet=str(toy.source.parent / "meet"))
    assert result.state == "COMPLETE", result.reason


def test_code_edited_while_a_step_runs_is_not_kept_under_its_new_digest(toy, tmp_path, monkeypatch):
    """The step that ran the old code must run again, although it was recorded after the edit."""
    package = tmp_path / "user"
    package.mkdir()
    module = package / "user_step.py"
    module.write_text(
        "from penstock.tfx.artifacts import Artifact\n"
        "from penstock.tfx.component import ExecutionContext, Output\n"
        "from penstock.tfx.function_component import component\n\n\n"
        "@component\n"
        "def Say(said: Output[Artifact], context: ExecutionContext) -> None:\n"
        "    (said.path / 'said.txt').write_text('old')\n"
    )
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHONPATH", str(package))
    from penstock.pipelines.config import Config
    from penstock.tfx.pipeline import Pipeline, Step
    from penstock.tfx.runner import run_pipeline

    say = __import__("user_step").Say
    pipeline = Pipeline("user", (Step("Say", say, Config()),))
    notes = []

    def edit(step, what, facts):
        if what == "started":
            module.write_text(module.read_text().replace("'old'", "'new'"))
        if what == "changed":
            notes.append(facts["error"])

    first = run_pipeline(pipeline, toy.store, "one", observe=edit)
    assert first.state == "COMPLETE"
    assert notes == [
        "code `user_step` changed while the step ran, so that its outputs will not be reused"
    ]
    second = run_pipeline(pipeline, toy.store, "two")
    assert ran(second) == ["Say"]
    said = second.states["Say"].record.outputs["said"]
    assert (toy.store.directory / said.uri / "said.txt").read_text() == "new"
    assert ran(run_pipeline(pipeline, toy.store, "three")) == []


def test_an_idle_worker_that_is_killed_does_not_fail_the_run(toy):
    """The first worker is killed while it still imports; its step goes to another."""
    killed = []

    def kill_first(step, what, facts):
        if what == "queued" and not killed:
            killed.append(step)

    from penstock.tfx import worker_pool

    start = worker_pool.WorkerPool.start

    def start_and_kill(pool, environment):
        worker = start(pool, environment)
        if len(killed) == 1:
            killed.append(worker.process.pid)
            worker.process.kill()
        return worker

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_pool.WorkerPool, "start", start_and_kill)
        result = toy(observe=kill_first)
    assert len(killed) == 2
    assert result.state == "COMPLETE"


def test_a_step_in_a_process_of_its_own_gets_one_process(toy):
    """While it runs, the others go on: none of them may start a second one for it."""
    from penstock.tfx import worker_pool
    from penstock.tfx.component import Environment

    start, started = worker_pool.WorkerPool.start, []

    def counted(pool, environment):
        started.append(environment)
        return start(pool, environment)

    fresh = Environment(fresh=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_pool.WorkerPool, "start", counted)
        patch.setattr(toy.steps.Misbehave, "environment", lambda parameters: fresh)
        result = toy(how="nap")
    assert result.state == "COMPLETE"
    assert started.count(fresh) == 1


def test_one_database_serves_one_store(toy, tmp_path):
    from penstock.tfx.store import Store, StoreUnusable

    url = f"sqlite:///{tmp_path}/shared.sqlite"
    assert Store(tmp_path / "a", url).metadata.runs() == []
    assert Store(tmp_path / "a", url).metadata.runs() == []
    with pytest.raises(StoreUnusable, match="belongs to another store"):
        Store(tmp_path / "b", url).metadata.runs()


@pytest.mark.parametrize("name", ["what? *now*", "a#b%41;c", "${HOME} {x}", 'it\'s "é" [1]\\'])
def test_a_store_may_have_any_name(toy, tmp_path, name):
    from penstock.tfx.store import Store

    folder = tmp_path / name
    metadata = Store(folder).metadata
    metadata.begin_run("run", "toy", {})
    assert [run["run"] for run in Store(folder).metadata.runs()] == ["run"]
    assert {path.name for path in tmp_path.iterdir()} == {name, "numbers.txt"}
    assert (folder / "metadata.sqlite").is_file()


def test_a_source_file_that_changes_while_it_is_read_is_read_again(toy):
    """What was made from the file as it was is not kept for the file as it is now."""
    notes = []

    def edit(step, what, facts):
        if (step, what) == ("Read", "started"):
            toy.source.write_text("7\n8\n9\n")
        if what == "changed":
            notes.append((step, facts["error"]))

    first = toy(observe=edit)
    assert first.state == "COMPLETE"
    assert notes == [
        (
            "Read",
            "file `numbers.txt` changed while the step ran, so that its outputs will not be reused",
        )
    ]
    second = toy()
    assert ran(second)[:1] == ["Read"]
    total = second.states["Add"].record.outputs["total"]
    assert toy.steps.load(toy.store.directory / total.uri) == [35, 40, 45]  # (7, 8, 9) * (2 + 3)


def test_a_source_file_that_goes_away_is_the_steps_own_failure(toy):
    def remove(step, what, facts):
        if (step, what) == ("Read", "started"):
            toy.source.unlink(missing_ok=True)

    result = toy(observe=remove)  # before the worker is told: `started` is said first
    assert result.state == "FAILED"
    assert "Read failed: [Errno 2] No such file or directory" in result.reason
    assert str(toy.source) in result.reason
    again = toy()
    assert (again.state, again.step) == ("FAILED", "Read")
    assert "No such file or directory" in again.reason
    assert "store" not in again.reason.partition("(full log")[0]


def test_the_config_of_a_run_is_written_once(toy):
    toy.store.keep_config("r", "a: 1\n")
    toy.store.keep_config("r", "a: 2\n")
    assert (toy.store.run_directory("r") / "config.yaml").read_text() == "a: 1\n"


def test_a_disk_that_is_full_fails_the_run_which_then_goes_on(toy):
    """`commit` finds no space once, as on a disk that somebody clears afterwards."""
    from penstock.tfx.store import Store

    commit = Store.commit
    with pytest.MonkeyPatch.context() as patch:

        def full(store, step, execution):
            if step == "Add":
                raise OSError(28, "No space left on device")
            return commit(store, step, execution)

        patch.setattr(Store, "commit", full)
        first = toy()
    assert first.state == "FAILED"
    assert first.reason == (
        f"The disk is full: {toy.store.directory} cannot be written. Free space there, then go on with "
        "`penstock resume`."
    )
    second = toy(name=first.run)
    assert second.state == "COMPLETE"
    assert statuses(second)["Scale"] == "cached"


DAMAGED = ("{}", "[]", "null", '{"format_version": 1, "outputs": 3}', '{"x')


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_document_of_a_cached_step_makes_it_run_again(toy, text):
    first = toy()
    record = first.states["Add"].record
    (toy.store.published_directory("Add", record.id) / "execution.json").write_text(text)
    result = toy()
    assert result.state == "COMPLETE"
    assert ran(result) == ["Add"]


def test_a_damaged_document_of_a_dead_run_stops_no_other_run(toy):
    """As after a kill between rename and commit, on a disk that lost the document's content."""
    toy()
    store = toy.store
    store.metadata.begin_run("dead", "toy", {})
    store.metadata.begin_execution("e1", "dead", "Add", "m:Add", "key", {})
    directory = store.published_directory("Add", "e1")
    directory.mkdir(parents=True)
    (directory / "execution.json").write_text("{}")
    assert toy().state == "COMPLETE"
    assert not directory.exists()
    states = {run["run"]: run["state"] for run in store.metadata.runs()}
    assert states["dead"] == "INTERRUPTED"


def test_a_run_leaves_no_index_open(toy, monkeypatch):
    kept = []

    class Kept(cache.Fingerprints):
        def __init__(self, directory):
            super().__init__(directory)
            kept.append(self)  # or Python would close what nobody holds

    monkeypatch.setattr(cache, "Fingerprints", Kept)
    for factor in (2, 2, 5):  # all new, all cached, some new
        toy(factor=factor)
        opened = [os.path.realpath(entry.path) for entry in os.scandir("/proc/self/fd")]
        assert [path for path in opened if "fingerprints" in path] == []
    assert len(kept) == 3


@pytest.mark.parametrize("text", ["[]", '{"format_version": 1, "files": 3}', '{"x'])
def test_a_damaged_index_is_built_anew(toy, text):
    toy()
    for index in (toy.store.directory / "fingerprints").iterdir():
        index.write_text(text)
    assert ran(toy()) == []


def test_a_database_that_fails_in_the_middle_is_one_sentence(toy):
    import sqlalchemy as sa

    from penstock.tfx.store import StoreUnusable

    toy()
    engine = toy.store.metadata._engine
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        connection.execute(sa.text("DROP TABLE associations"))
    with pytest.raises(StoreUnusable, match="metadata database of the store failed: no such table"):
        toy.store.metadata.steps_of("x")
