"""What the metadata store is asked: runs, executions, artifacts and how they hang together.

Comes in: plain values. Goes out: dictionaries and `ExecutionRecord`s. Every write is one
transaction; several processes may write at once.
"""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from penstock.tfx.database import DatabaseUnreachable
from penstock.tfx.tables import artifacts, associations, contexts, events, executions

RUNNING, COMPLETE, FAILED, ABANDONED = "RUNNING", "COMPLETE", "FAILED", "ABANDONED"
STOPPED, INTERRUPTED = "STOPPED", "INTERRUPTED"
LIVE, CORRUPT = "LIVE", "CORRUPT"


@dataclass(frozen=True)
class ArtifactRecord:
    """One artifact as the store knows it; `uri` is relative to the store's directory."""

    number: int
    execution: str
    name: str
    type: str
    uri: str
    state: str
    content_digest: str
    size_bytes: int
    properties: dict


@dataclass(frozen=True)
class ExecutionRecord:
    """One execution with its outputs, by name."""

    number: int
    id: str
    run: str
    step: str
    component: str
    state: str
    cache_key: str
    ingredients: dict
    summary: dict
    gate: str | None
    error: str | None
    started_at: float
    seconds: float | None
    outputs: dict[str, ArtifactRecord] = field(default_factory=dict)


class Metadata:
    """Reads and writes the metadata store through one SQLAlchemy engine."""

    def __init__(self, engine: sa.Engine):
        self._engine = engine

    @contextmanager
    def _connect(self, **options):
        try:
            with self._engine.connect().execution_options(**options) as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise DatabaseUnreachable(
                f"The metadata database of the store failed: {cause}. What it has recorded stays "
                "valid. See to it (it is locked, full, damaged or gone), then go on with "
                "`penstock resume`."
            ) from error

    @contextmanager
    def _write(self):
        with self._connect(write=True) as connection, connection.begin():
            yield connection

    # Runs -----------------------------------------------------------------------------------

    def begin_run(self, run: str, pipeline: str, properties: dict) -> None:
        """Records a run as running, and its pipeline if it is new; again for a resumed run."""
        self._put_context("pipeline", pipeline, None, LIVE, {})
        self._put_context("run", run, pipeline, RUNNING, properties)

    def _put_context(self, kind: str, name: str, parent: str | None, state: str, facts: dict):
        now = time.time()
        key = (contexts.c.type == kind) & (contexts.c.name == name)
        change = sa.update(contexts).where(key).values(state=state, updated_at=now)
        row = {"type": kind, "name": name, "parent": parent, "state": state}
        row |= {"properties": facts, "created_at": now, "updated_at": now}
        try:
            with self._write() as connection:
                if connection.execute(change).rowcount == 0:
                    connection.execute(sa.insert(contexts), row)
        except sa.exc.IntegrityError:  # another process has put it there in the meantime
            with self._write() as connection:
                connection.execute(change)

    def owner(self, store: str) -> str:
        """The id of the store directory that this database serves: the first that opened it."""
        known = self.known_owner()
        if known is None:
            self._put_context("store", store, None, LIVE, {})
            return self.owner(store)
        return known

    def known_owner(self) -> str | None:
        """The same, without taking the database for any store."""
        query = sa.select(contexts.c.name).where(contexts.c.type == "store")
        with self._connect() as connection:
            return connection.execute(query.order_by(contexts.c.number)).scalar()

    def end_run(self, run: str, state: str, facts: dict, seconds: float | None = None) -> None:
        """Records how a run ended.

        Args:
            facts: added to its properties.
            seconds: how long it was worked on this time; what stands between a stop and its
                resumption does not count. None where nobody knows.
        """
        key = (contexts.c.type == "run") & (contexts.c.name == run)
        with self._write() as connection:
            before = connection.execute(sa.select(contexts.c.properties).where(key)).scalar_one()
            if seconds is not None:
                facts = {**facts, "seconds": before.get("seconds", 0.0) + seconds}
            connection.execute(
                sa.update(contexts)
                .where(key)
                .values(
                    state=state,
                    updated_at=time.time(),
                    properties={**before, **facts},
                )
            )

    def under_way_since(self, run: str) -> float | None:
        """When a run that has not ended began, or was last resumed; None for any other."""
        is_run = (contexts.c.type == "run") & (contexts.c.name == run)
        query = sa.select(contexts.c.updated_at).where(is_run & (contexts.c.state == RUNNING))
        with self._connect() as connection:
            return connection.execute(query).scalar()

    def runs(self) -> list[dict]:
        """Every run, oldest first: name, pipeline, state, times and properties."""
        query = sa.select(contexts).where(contexts.c.type == "run").order_by(contexts.c.number)
        with self._connect() as connection:
            return [_run(row) for row in connection.execute(query)]

    # Executions -----------------------------------------------------------------------------

    def begin_execution(self, id: str, run: str, step: str, component: str, key: str, ingredients):
        """Records that an execution is under way."""
        row = {"id": id, "run": run, "step": step, "component": component, "state": RUNNING}
        row |= {"cache_key": key, "ingredients": ingredients, "summary": {}}
        with self._write() as connection:
            connection.execute(sa.insert(executions), row | {"started_at": time.time()})

    def complete_execution(self, id: str, document: dict, uri: str) -> ExecutionRecord:
        """Makes an execution and all its outputs visible, in one transaction.

        Args:
            document: what `published.py` wrote beside the outputs.
            uri: the execution's directory, relative to the store.
        """
        with self._write() as connection:
            where = executions.c.id == id
            step = connection.execute(
                sa.update(executions)
                .where(where)
                .values(
                    state=COMPLETE,
                    gate=document["gate"],
                    summary=document["summary"],
                    seconds=document["seconds"],
                )
                .returning(executions.c.run, executions.c.step)
            ).one()
            for name, output in document["outputs"].items():
                row = {"execution": id, "name": name, "type": output["type"], "state": LIVE}
                row |= {"uri": f"{uri}/{name}", "content_digest": output["content_digest"]}
                row |= {"size_bytes": output["size_bytes"], "properties": output["properties"]}
                number = connection.execute(
                    sa.insert(artifacts).returning(artifacts.c.number), row
                ).scalar_one()
                self._event(connection, id, number, "OUTPUT", name)
            for name, number in document["inputs"].items():
                self._event(connection, id, number, "INPUT", name)
            row = {"run": step.run, "step": step.step, "execution": id, "how": "executed"}
            connection.execute(sa.insert(associations), row)
        return self.execution(id)

    @staticmethod
    def _event(connection, execution: str, artifact: int, kind: str, name: str) -> None:
        row = {"execution": execution, "artifact": artifact, "kind": kind, "name": name}
        connection.execute(sa.insert(events), row)

    def forget_key(self, id: str) -> None:
        """Keeps an execution out of the cache: its code or files changed while it ran."""
        with self._write() as connection:
            connection.execute(
                sa.update(executions).where(executions.c.id == id).values(cache_key=f"changed-{id}")
            )

    def end_execution(
        self, id: str, state: str, error: str | None = None, ended_at: float | None = None
    ) -> None:
        """Records that an execution made nothing; it ended now unless `ended_at` says when."""
        ended, started = ended_at or time.time(), executions.c.started_at
        seconds = sa.case((started > ended, 0.0), else_=ended - started)  # a clock may jump back
        with self._write() as connection:
            connection.execute(
                sa.update(executions)
                .where(executions.c.id == id)
                .values(state=state, error=error, seconds=seconds)
            )

    def reuse_execution(self, run: str, step: str, id: str) -> None:
        """Records that a run took a step's outputs from the cache."""
        with self._write() as connection:
            row = {"run": run, "step": step, "execution": id, "how": "cached"}
            connection.execute(sa.insert(associations), row)

    def mark_corrupt(self, id: str) -> None:
        """Takes an execution's outputs out of use; the step that made them will run again."""
        with self._write() as connection:
            connection.execute(
                sa.update(artifacts).where(artifacts.c.execution == id).values(state=CORRUPT)
            )

    def execution(self, id: str) -> ExecutionRecord:
        """One execution with its outputs."""
        return self._records(executions.c.id == id)[0]

    def executions_of(self, run: str, state: str | None = None) -> list[ExecutionRecord]:
        """A run's own executions, in the order in which they began."""
        where = executions.c.run == run
        return self._records(where if state is None else where & (executions.c.state == state))

    def inventory(self) -> list[dict]:
        """Every execution, oldest first: id, run, step, state, and `live`: no output is corrupt."""
        columns = (executions.c.id, executions.c.run, executions.c.step, executions.c.state)
        corrupt = sa.select(artifacts.c.execution).where(artifacts.c.state != LIVE)
        with self._connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(executions.c.number)).all()
            unusable = set(connection.execute(corrupt).scalars())
        return [{**row._mapping, "live": row.id not in unusable} for row in rows]

    def runs_under_way(self) -> list[str]:
        """Runs with an execution that has not ended; some of them may be dead."""
        query = sa.select(executions.c.run).where(executions.c.state == RUNNING).distinct()
        with self._connect() as connection:
            return list(connection.execute(query).scalars())

    def find_cached(self, key: str) -> list[ExecutionRecord]:
        """Complete executions with this cache key whose outputs are all live, newest first."""
        found = self._records((executions.c.cache_key == key) & (executions.c.state == COMPLETE))
        return [
            record
            for record in reversed(found)
            if all(output.state == LIVE for output in record.outputs.values())
        ]

    def steps_of(self, run: str) -> list[tuple[str, str, ExecutionRecord]]:
        """What a run consists of: (step, "executed" | "cached", execution), the last of each step."""
        query = sa.select(associations).where(associations.c.run == run)
        with self._connect() as connection:
            rows = connection.execute(query.order_by(associations.c.number)).all()
        last = {row.step: row for row in rows}
        return [(row.step, row.how, self.execution(row.execution)) for row in last.values()]

    def earlier_execution(self, pipeline: str, record: ExecutionRecord) -> ExecutionRecord | None:
        """The newest complete execution of the same step in the same pipeline before this one."""
        runs = sa.select(contexts.c.name).where(
            (contexts.c.type == "run") & (contexts.c.parent == pipeline)
        )
        found = self._records(
            executions.c.run.in_(runs)
            & (executions.c.step == record.step)
            & (executions.c.state == COMPLETE)
            & (executions.c.number < record.number)
        )
        return found[-1] if found else None

    def inputs_of(self, id: str) -> dict[str, ArtifactRecord]:
        """The artifacts that an execution read, by input name."""
        query = (
            sa.select(events.c.name.label("input"), artifacts)
            .join(artifacts, artifacts.c.number == events.c.artifact)
            .where((events.c.execution == id) & (events.c.kind == "INPUT"))
        )
        with self._connect() as connection:
            return {row.input: _artifact(row) for row in connection.execute(query)}

    def latest_blessed_model(self, pipeline: str, other_than: str) -> ArtifactRecord | None:
        """The model that was blessed last in a pipeline, reused blessings counted.

        Args:
            other_than: a content digest; a model is not its own baseline.
        """
        query = (
            sa.select(associations.c.execution, artifacts.c.properties)
            .join(artifacts, artifacts.c.execution == associations.c.execution)
            .join(contexts, (contexts.c.name == associations.c.run) & (contexts.c.type == "run"))
            .where((contexts.c.parent == pipeline) & (artifacts.c.type == "Blessing"))
            .order_by(associations.c.number.desc())
        )
        with self._connect() as connection:
            rows = connection.execute(query).all()
        # A thousand nightly runs may have reused one blessing: each execution is looked at once.
        blessed = {row.execution: row.properties.get("blessed") for row in rows}
        for execution, is_blessed in blessed.items():
            if is_blessed:
                model = self.inputs_of(execution).get("model")
                if model and model.state == LIVE and model.content_digest != other_than:
                    return model
        return None

    def latest_good_statistics(self, pipeline: str, candidate: str) -> ArtifactRecord | None:
        """The statistics of the data that last passed their check in a pipeline.

        Args:
            candidate: the content digest of the statistics to be compared with them.

        Returns:
            Those of other data, or None. Damaged ones are passed over. The very same data are
            compared as they were when they passed, so that an unchanged run is a cached one; unless
            they passed although they had drifted (`on_anomaly: warn`): then they have been accepted,
            and are compared with themselves.
        """
        query = (
            sa.select(associations.c.execution, artifacts.c.properties)
            .join(artifacts, artifacts.c.execution == associations.c.execution)
            .join(contexts, (contexts.c.name == associations.c.run) & (contexts.c.type == "run"))
            .join(executions, executions.c.id == associations.c.execution)
            .where((contexts.c.parent == pipeline) & (artifacts.c.type == "Anomalies"))
            .where(executions.c.gate.is_(None))
            .order_by(associations.c.number.desc())
        )
        with self._connect() as connection:
            rows = connection.execute(query).all()
        # A thousand nightly runs may have reused one check: each execution is looked at once.
        for execution, properties in {row.execution: row.properties for row in rows}.items():
            inputs = self.inputs_of(execution)
            statistics, baseline = inputs.get("statistics"), inputs.get("baseline")
            if statistics is None or statistics.state != LIVE:
                continue
            if statistics.content_digest != candidate or properties.get("drifted"):
                return statistics
            if baseline is None or baseline.state == LIVE:
                return baseline
        return None

    def output_of(self, run: str, step: str, output: str) -> ArtifactRecord | None:
        """What a run's step made, or took from the cache; None if it is not there or not whole."""
        for name, _, record in self.steps_of(run):
            artifact = record.outputs.get(output) if name == step else None
            if artifact is not None and artifact.state == LIVE:
                return artifact
        return None

    def _records(self, where) -> list[ExecutionRecord]:
        with self._connect() as connection:
            rows = connection.execute(
                sa.select(executions).where(where).order_by(executions.c.number)
            ).all()
            ids = [row.id for row in rows]
            outputs: dict[str, dict[str, ArtifactRecord]] = {id: {} for id in ids}
            for row in connection.execute(
                sa.select(artifacts).where(artifacts.c.execution.in_(ids))
            ):
                outputs[row.execution][row.name] = _artifact(row)
        return [ExecutionRecord(**row._mapping, outputs=outputs[row.id]) for row in rows]


def _artifact(row) -> ArtifactRecord:
    columns = ArtifactRecord.__dataclass_fields__
    return ArtifactRecord(**{name: row._mapping[name] for name in columns})


def _run(row) -> dict:
    return {
        "run": row.name,
        "pipeline": row.parent,
        "state": row.state,
        "started_at": row.created_at,
        "ended_at": row.updated_at,
        **row.properties,
    }
