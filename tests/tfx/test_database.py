"""Opening the metadata database."""

import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from penstock.tfx import tables
from penstock.tfx.database import DatabaseUnreachable, open_database


def test_head_is_alembics_head(repository):
    config = Config()
    config.set_main_option("script_location", str(repository / "tfx" / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == tables.HEAD


def test_migrations_and_tables_agree(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/m.sqlite", tmp_path / "lock")
    inspector = sa.inspect(engine)
    made = {
        table: {column["name"] for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }
    declared = {name: set(table.columns.keys()) for name, table in tables.TABLES.tables.items()}
    assert made == declared


def test_sqlite_keeps_a_write_ahead_log(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/m.sqlite", tmp_path / "lock")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


UNREACHABLE = {
    "no server": ("postgresql+pg8000://penstock:secret@localhost:1/x", "postgresql"),
    "no such folder": ("sqlite:////no/such/folder/m.sqlite", "unable to open database file"),
    "no such dialect": ("oracl://x", "oracl"),
    "no url": ("just words", "just words"),
}


@pytest.mark.parametrize("name", UNREACHABLE)
def test_an_unreachable_database_is_named_with_its_cause_and_no_password(name, tmp_path):
    url, cause = UNREACHABLE[name]
    with pytest.raises(DatabaseUnreachable, match="`store.database`") as caught:
        open_database(url, tmp_path / "lock")
    assert cause in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_newer_schema_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/m.sqlite"
    engine = open_database(url, tmp_path / "lock")
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnreachable, match="written by a newer Penstock"):
        open_database(url, tmp_path / "lock")


CREATE = """
import sys
from pathlib import Path
from penstock.tfx.database import open_database
open_database(f"sqlite:///{sys.argv[1]}/m.sqlite", Path(sys.argv[1]) / "lock")
"""


def test_two_processes_may_create_the_schema_at_once(tmp_path):
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    both = [subprocess.Popen(command, cwd=tmp_path) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]


def test_environment_variables_keep_the_password_out_of_the_config(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    open_database("sqlite:///${PLACE}/m.sqlite", tmp_path / "lock")
    assert (tmp_path / "m.sqlite").exists()
    with pytest.raises(DatabaseUnreachable, match="environment variable NO_SUCH, which is not set"):
        open_database("sqlite:///${NO_SUCH}/m.sqlite", tmp_path / "lock")
