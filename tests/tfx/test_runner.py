"""Plan, cache look-up, execute, publish, on toy steps without TensorFlow."""

import os
import sys
import time

import pytest

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


def test_a_worker_that_dies_once_is_tried_again(toy):
    seen = []
    result = toy(how="die once", observe=lambda step, what, facts: seen.append((step, what)))
    assert result.state == "COMPLETE"
    assert ("Misbehave", "retried") in seen


def test_a_worker_that_dies_again_fails_the_run(toy):
    result = toy(how="die")
    assert result.state == "FAILED"
    assert "its worker was killed by signal 9 (often: out of memory) 2 times" in result.reason


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
    """Both branches have begun before either has ended, or a second worker was there for it."""
    result = toy()
    logs = toy.store.run_directory(result.run) / "logs"
    assert len(list(logs.glob("worker-*"))) >= 2
    assert time.time() - result.states["Scale"].record.started_at < 60
