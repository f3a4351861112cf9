"""The command line: exit codes, messages, speed that does not depend on TensorFlow."""

import json
import subprocess
import sys
import time
from datetime import datetime

import pytest
import yaml

from penstock.tfx import inspect_commands
from penstock.tfx.store import Store

CODE = "from penstock.tfx.main import main; main()"


@pytest.fixture
def penstock(tmp_path):
    """Calls the command line in an empty folder."""

    def call(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-P", "-c", CODE, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done

    return call


@pytest.fixture
def config(tmp_path):
    """Writes a digits config with changes."""

    def write(**changes):
        document = {
            "name": "digits",
            "task": "vision.classification",
            "data": {"source": {"type": "sklearn", "dataset": "digits"}},
            "prepare": {"height": 8, "width": 8, "channels": 1},
        }
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(document | changes))
        return "c.yaml"

    return write


def test_help_lists_the_commands_at_once(penstock):
    started = time.monotonic()
    out = penstock("--help").stdout
    assert (
        time.monotonic() - started < 10
    )  # 0.1 s on an idle machine; importing TensorFlow takes 5 to 50
    assert all(
        f"\n  {name} " in out for name in ("run", "resume", "validate", "runs", "show", "why")
    )


def test_shipped_configs_are_valid(penstock, repository, tmp_path):
    """A few, in processes of their own; all of them in `tests/configs`."""
    configs = [
        repository / "configs" / "vision" / f"{name}.yaml"
        for name in ("digits", "fashion_mnist", "photos")
    ]
    for name in ("first", "second"):
        (tmp_path / "photos" / name).mkdir(parents=True)  # what `photos.yaml` expects to find
        (tmp_path / "photos" / name / "1.jpg").touch()
    (tmp_path / "data" / "penguins").mkdir(parents=True)
    (tmp_path / "data" / "penguins" / "penguins.csv").write_text("species,sex\nAdelie,NA\n")
    for path in (*configs, repository / "configs" / "data" / "penguins.yaml"):
        started = time.monotonic()
        assert "is valid" in penstock("validate", str(path)).stdout
        assert time.monotonic() - started < 10  # 0.3 s on an idle machine


def test_all_faults_at_once_and_exit_code_2(penstock, config):
    path = config(train={"epochs": "ten", "batch_size": 0}, evalute={})
    done = penstock("run", path, code=2)
    assert "c.yaml has 3 faults:" in done.stderr
    assert "Did you mean: `evaluate`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_path_is_said_before_a_run_begins(penstock, config, tmp_path):
    path = config(data={"source": {"type": "image_folder", "path": "photos"}})
    done = penstock("run", path, code=2)
    assert "photos" in done.stderr
    assert not (tmp_path / ".penstock").exists()


def test_an_unreachable_database_is_said_before_a_run_begins(penstock, config, tmp_path):
    path = config(store={"database": "sqlite:////no/such/folder/m.sqlite"})
    done = penstock("run", path, code=2)
    assert "The metadata database cannot be opened." in done.stderr
    assert not (tmp_path / ".penstock" / "runs").exists()


def test_a_destination_that_cannot_be_written_is_said_before_any_data_is_read(
    penstock, config, tmp_path
):
    (tmp_path / "file").write_text("")
    done = penstock("run", config(push={"destination": "file/served"}), code=2)
    assert "`push.destination` must be a directory that can be written to." in done.stderr
    assert list((tmp_path / ".penstock").glob("artifacts/*")) == []


def test_a_store_that_cannot_be_created(penstock, config, tmp_path):
    (tmp_path / "file").write_text("")
    done = penstock("run", config(store={"directory": "file/store"}), code=2)
    assert "The store cannot be created in" in done.stderr


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"store": {"directory": "a[1]"}}, "The store cannot be here: its path must have none"),
        (
            {"push": {"destination": "a[1]"}},
            "`push.destination` cannot be here: its path must have",
        ),
    ],
)
def test_wildcards_in_a_models_path_are_refused(penstock, config, tmp_path, section, said):
    """TensorFlow finds no `a[1]/variables`: it looks for `a1/variables`."""
    done = penstock("run", config(**section), code=2)
    assert said in done.stderr
    assert f"Received: '{tmp_path}/a[1]', with [ ]. " in done.stderr
    assert not (tmp_path / "a[1]").exists()


def test_no_store_yet(penstock):
    penstock("resume", code=2)
    done = penstock("runs", code=2)
    assert "There is no store in '.penstock'. Start one with `penstock run CONFIG`" in done.stderr


def test_usage_faults(penstock):
    assert "No such command 'rnu'" in penstock("rnu", code=2).stderr
    assert "Missing argument 'CONFIG'" in penstock("run", code=2).stderr


def test_validate_prints_the_resolved_config(penstock, config):
    printed = yaml.safe_load(penstock("validate", config(), "train.epochs=3", "--print").stdout)
    assert printed["train"]["epochs"] == 3
    assert printed["data"]["max_bad_fraction"] == 0.01


def test_runs_of_a_store_as_json(toy, penstock):
    result = toy()
    rows = json.loads(penstock("runs", "--store", str(toy.store.directory), "--json").stdout)
    assert [(row["run"], row["state"]) for row in rows] == [(result.run, "COMPLETE")]


RUN, OTHER = "digits-20261130-094232-74853a07", "digits-20261130-094402-c20369ef"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            80,
            [
                f"{RUN}  COMPLETE     2026-11-30 09:42:32       0.1 s",
                f"{OTHER}  INTERRUPTED  2026-11-30 09:44:02",
                f"    killed; penstock resume {OTHER}",
            ],
        ),
        (
            60,
            [
                RUN,
                "  COMPLETE     2026-11-30 09:42:32       0.1 s",
                OTHER,
                "  INTERRUPTED  2026-11-30 09:44:02",
                f"    killed; penstock resume {OTHER}",
            ],
        ),
        (
            40,
            [
                RUN,
                "  COMPLETE     2026-11-30 09:42:32       0.1 s",
                OTHER,
                "  INTERRUPTED  2026-11-30 09:44:02",
                "    killed; penstock resume",
                f"    {OTHER}",
            ],
        ),
    ],
)
def test_runs_in_a_narrow_terminal(tmp_path, monkeypatch, capsys, columns, expected):
    """A line that the terminal would cut anywhere is several; what one copies stays whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    store = Store(tmp_path / "store")
    monkeypatch.setattr(inspect_commands, "_with_activity", lambda store, row: row)
    of_rows = [
        (RUN, "COMPLETE", (2026, 11, 30, 9, 42, 32), {"seconds": 0.1}),
        (
            OTHER,
            "INTERRUPTED",
            (2026, 11, 30, 9, 44, 2),
            {"reason": f"killed; penstock resume {OTHER}"},
        ),
    ]
    rows = [
        {"run": run, "state": state, "started_at": datetime(*at).timestamp(), **more}
        for run, state, at, more in of_rows
    ]
    monkeypatch.setattr(type(store.metadata), "runs", lambda self: rows)
    assert inspect_commands.list_runs(str(store.directory), None, False) == 0
    assert capsys.readouterr().out.splitlines() == expected


def test_why_names_the_parameter(toy, penstock):
    store = ("--store", str(toy.store.directory))
    toy()
    said = penstock("why", "latest", "Scale", *store).stdout
    assert said == "Scale ran because this pipeline had not run it before in this store.\n"
    toy(factor=5)
    said = penstock("why", "latest", "Scale", *store).stdout.splitlines()
    assert said[1:] == ["  - parameter `factor` changed: 2 -> 5"]
    said = penstock("why", "latest", "Triple", *store).stdout
    assert "nothing that it depends on has changed" in said


def test_why_names_the_file(toy, penstock):
    toy()
    toy.source.write_text("4\n5\n")
    toy()
    said = penstock("why", "latest", "Read", "--store", str(toy.store.directory)).stdout
    assert "file `numbers.txt` changed" in said


def test_why_of_an_unknown_step_lists_the_steps(toy, penstock):
    toy()
    done = penstock("why", "latest", "Trainr", "--store", str(toy.store.directory), code=2)
    assert "has no complete step 'Trainr'. Complete steps: Read, " in done.stderr


def test_why_of_a_step_that_was_not_reached_says_how_the_run_ended(toy, penstock):
    toy(limit=1)
    done = penstock("why", "latest", "Pusher", "--store", str(toy.store.directory), code=2)
    assert "has no complete step 'Pusher'. It ended so: The largest number, 15, " in done.stderr


def test_why_of_a_resumed_run_still_knows_the_reason(toy, penstock):
    store = ("--store", str(toy.store.directory))
    toy()
    assert toy(name="second", factor=5, how="raise").state == "FAILED"
    assert toy(name="second", factor=5).state == "COMPLETE"
    said = penstock("why", "second", "Scale", *store).stdout.splitlines()
    assert said[1:] == ["  - parameter `factor` changed: 2 -> 5"]


def test_a_reader_that_goes_away_does_not_stop_a_command(toy, tmp_path):
    """As `penstock runs | head -0`."""
    toy()
    command = [sys.executable, "-P", "-c", CODE, "runs", "--store", str(toy.store.directory)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")


def test_closed_standard_streams_are_no_fault(toy, tmp_path):
    line = f"{sys.executable} -P -c '{CODE}' runs --store {toy.store.directory} >&- 2>&- <&-"
    toy()
    assert subprocess.run(["sh", "-c", line], cwd=tmp_path).returncode == 0


def test_a_config_in_utf8_is_read_in_any_locale(penstock, config, tmp_path, monkeypatch):
    path = config()
    text = (tmp_path / path).read_text()
    (tmp_path / path).write_text(f"# Größe\n{text}", encoding="utf-8")
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(name, value)
    assert "is valid" in penstock("validate", path).stdout
