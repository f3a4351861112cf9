"""Opening the metadata database: any SQLAlchemy URL, SQLite in WAL mode by default.

The schema is brought up to date here, by Alembic, which is imported only when there is work for it.
"""

import fcntl
import os
import re
from pathlib import Path

import sqlalchemy as sa

from penstock.tfx import tables
from penstock.tfx.store import StoreUnusable

BUSY_SECONDS = 60
"""How long a writer waits for another one (SQLite has one writer at a time)."""


class DatabaseUnreachable(StoreUnusable):
    """The database cannot be opened; the message says which and why."""


def open_database(url: str | Path, lock: Path) -> sa.Engine:
    """An engine on an up-to-date schema.

    Args:
        url: `sqlite:///path`, `postgresql+psycopg://user@host/name`, ...; a path is an SQLite file.
        lock: a file that keeps two processes from migrating at once.

    Raises:
        DatabaseUnreachable: bad URL, missing driver, no server, or a schema newer than this version.
    """
    try:
        engine = _engine(_with_environment(url))
        with engine.connect() as connection:
            current = _revision(connection)
        if current != tables.HEAD:
            _migrate(engine, lock)
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        raise _unreachable(url, error) from error
    return engine


def _unreachable(url: str | Path, error: Exception) -> DatabaseUnreachable:
    cause = getattr(error, "orig", None) or error
    return DatabaseUnreachable(
        "The metadata database cannot be opened. Expected: a reachable SQLAlchemy URL in "
        f"`store.database`. Received: {_without_password(url)}, which says: "
        f"{str(cause).strip().splitlines()[0].rstrip('.')}. Check that the server "
        "runs, that the name and password are right and that its driver is installed."
    )


def revision_of(url: str | Path) -> str | None:
    """The schema that a database has, None for an empty one; nothing is created or migrated.

    Raises:
        DatabaseUnreachable: as `open_database`.
    """
    try:
        with _engine(_with_environment(url)).connect() as connection:
            return _revision(connection)
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        raise _unreachable(url, error) from error


def _with_environment(url: str | Path) -> str | sa.engine.URL:
    """The URL with `${NAME}` replaced by environment variables."""
    if isinstance(url, Path):
        return sa.engine.URL.create("sqlite", database=str(url))
    missing = [name for name in re.findall(r"\$\{(\w+)\}", url) if name not in os.environ]
    if missing:
        raise DatabaseUnreachable(
            f"`store.database` names the environment variable {missing[0]}, which is not set. "
            "Set it."
        )
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], url)


def _without_password(url: str | Path) -> str:
    if isinstance(url, Path):
        return str(url)
    try:
        return sa.engine.make_url(url).render_as_string(hide_password=True)
    except sa.exc.SQLAlchemyError:
        return repr(url)


def _engine(url: str | sa.engine.URL) -> sa.Engine:
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def configure(connection, _):
        # The driver's own BEGIN is deferred: two readers that turn writers would deadlock.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection):
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: sa.Engine, lock: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    # Alembic reads `%` as the beginning of a variable.
    migrations = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", migrations)
    config.set_main_option("path_separator", "os")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with engine.connect().execution_options(write=True) as connection:
            with connection.begin():
                config.attributes["connection"] = connection
                try:
                    command.upgrade(config, "head")
                except CommandError as error:
                    raise DatabaseUnreachable(
                        "The metadata database was written by a newer Penstock: it has schema "
                        f"{_revision(connection)}, this version knows up to {tables.HEAD}. Install "
                        "the newer version, or name another `store.directory`."
                    ) from error
