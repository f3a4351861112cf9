"""The tables of the metadata store, in ML Metadata's vocabulary.

An *execution* is one try of a step; *artifacts* are what executions made; *events* join them
(INPUT, OUTPUT); a *context* is a pipeline or a run of one; an *association* says that a run took
part in an execution: executed it, or reused it from the cache. `migrations/` creates them.
"""

import sqlalchemy as sa

HEAD = "0001"
"""The newest revision in `migrations/versions` (a test compares)."""

TABLES = sa.MetaData()

contexts = sa.Table(
    "contexts",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("type", sa.String(32)),
    sa.Column("name", sa.String(128)),
    sa.Column("parent", sa.String(128)),
    sa.Column("state", sa.String(16)),
    sa.Column("properties", sa.JSON),
    sa.Column("created_at", sa.Float),
    sa.Column("updated_at", sa.Float),
)

executions = sa.Table(
    "executions",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64)),
    sa.Column("run", sa.String(128)),
    sa.Column("step", sa.String(128)),
    sa.Column("component", sa.String(256)),
    sa.Column("state", sa.String(16)),
    sa.Column("cache_key", sa.String(64)),
    sa.Column("ingredients", sa.JSON),
    sa.Column("summary", sa.JSON),
    sa.Column("gate", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("started_at", sa.Float),
    sa.Column("seconds", sa.Float),
)

artifacts = sa.Table(
    "artifacts",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("execution", sa.String(64)),
    sa.Column("name", sa.String(128)),
    sa.Column("type", sa.String(128)),
    sa.Column("uri", sa.Text),
    sa.Column("state", sa.String(16)),
    sa.Column("content_digest", sa.String(64)),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("properties", sa.JSON),
)

events = sa.Table(
    "events",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("execution", sa.String(64)),
    sa.Column("artifact", sa.Integer, sa.ForeignKey("artifacts.number")),
    sa.Column("kind", sa.String(8)),
    sa.Column("name", sa.String(128)),
)

associations = sa.Table(
    "associations",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run", sa.String(128)),
    sa.Column("step", sa.String(128)),
    sa.Column("execution", sa.String(64)),
    sa.Column("how", sa.String(16)),
)
