"""Runs a pipeline: plan, cache look-up, execute, publish; in a process that never imports TensorFlow.

Comes in: a `Pipeline`, a `Store` and the name of the run. Goes out: a `RunResult`, and everything
in the store. At every instant a kill leaves a store from which `run_pipeline` with the same run
name goes on: complete steps are cache hits, the rest runs.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.tfx import cache, durable, published
from penstock.tfx.accelerators import accelerator_visible
from penstock.tfx.component import Environment, Input
from penstock.tfx.crash_points import reach
from penstock.tfx.explain import differences
from penstock.tfx.memory import memory_allows_worker
from penstock.tfx.pipeline import Earlier, LatestGoodStatistics, Pipeline, Step
from penstock.tfx.store import Store, StoreUnusable, new_id
from penstock.tfx.worker_pool import Worker, WorkerPool, covers, merge_environments

MAX_REPAIRS = 3
"""How often one run makes damaged artifacts again before it gives up (the disk is failing)."""


@dataclass
class StepState:
    """How far one step is. `status`: waiting, queued, running, cached, executed, failed."""

    step: Step
    status: str = "waiting"
    record: object = None
    key: str = ""
    found: dict = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    execution: str = ""
    deaths: int = 0

    @property
    def done(self) -> bool:
        """Whether its outputs are there."""
        return self.status in ("cached", "executed")


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `state`: COMPLETE, STOPPED (a gate closed) or FAILED; `reason`: one sentence."""

    run: str
    state: str
    reason: str | None
    step: str | None
    states: dict[str, StepState]
    seconds: float


class RunEnded(Exception):
    """Inside this module: the run cannot go on."""

    def __init__(self, state: str, step: str, reason: str):
        super().__init__(reason)
        self.state, self.step, self.reason = state, step, reason


def run_pipeline(
    pipeline: Pipeline,
    store: Store,
    run: str,
    *,
    observe: Callable[[str, str, dict], None] = lambda step, what, facts: None,
    workers: int = 2,
    retries: int = 1,
    verify: bool = False,
    properties: dict | None = None,
    config: str | None = None,
) -> RunResult:
    """Runs a pipeline to its end, or goes on with a run of this name.

    Args:
        observe: called with (step, what, facts) whenever something happens.
        workers: how many steps may run at once.
        retries: how often a step whose worker died is tried again.
        verify: hash every file of a cached artifact before it is reused.
        properties: facts about the run to keep (the config's path).
        config: the resolved config, kept as the run's `config.yaml` when it begins.

    Raises:
        LeaseHeld: another process is working on this run.
        ValueError: a step reports faults before anything has run (all of them in the message).
    """
    started = time.monotonic()
    faults = [f for step in pipeline.steps for f in step.component.check(step.parameters)]
    faults += _unknown_runs(pipeline, store)
    if faults:
        raise ValueError("\n".join(faults))
    with store.full_disk_explained(), store.lease(run):
        store.keep_config(run, config)
        store.recover(run)
        store.recover_dead_runs()
        store.metadata.begin_run(run, pipeline.name, properties or {})
        running = _Run(pipeline, store, run, observe, workers, retries, verify)
        state, step, reason = "INTERRUPTED", None, "It was interrupted."
        try:
            running.go()
            state, reason = "COMPLETE", None
        except RunEnded as end:
            state, step, reason = end.state, end.step, end.reason
        except (OSError, StoreUnusable) as error:  # the disk is full, a folder is gone
            state, reason = "FAILED", _unusable(store, error)
        except Exception as error:
            state, reason = "FAILED", f"The orchestrator failed: {type(error).__name__}: {error}"
            raise RuntimeError(reason) from error  # a fault of ours: the traceback is shown
        finally:
            # What cannot be recorded now is found out by `recover`: the lease tells a dead run.
            with signals_held(), suppress(StoreUnusable, OSError):
                running.close()
                facts = {"reason": reason, "stopped_at": step}
                store.metadata.end_run(run, state, facts, time.monotonic() - started)
    return RunResult(run, state, reason, step, running.states, time.monotonic() - started)


def _unknown_runs(pipeline: Pipeline, store: Store) -> list[str]:
    """Faults of runs whose statistics a step asks for by name."""
    faults = []
    for source in (source for step in pipeline.steps for source in step.inputs.values()):
        if not isinstance(source, LatestGoodStatistics) or source.run is None:
            continue
        try:
            run = store.resolve_run(source.run)["run"]
        except ValueError as error:
            faults.append(f"`data.drift.baseline` must be the name of a run: {error}")
            continue
        wanted = source.candidate
        artifact = store.metadata.output_of(run, wanted.step, wanted.output)
        if run != source.run or artifact is None:
            faults.append(
                f"`data.drift.baseline` must be the full name of a run with the step "
                f"{wanted.step} complete. Received: {source.run!r}. `penstock runs` lists them."
            )
            continue
        try:
            published.check_quickly((store.directory / artifact.uri).parent)
        except published.CorruptArtifact as damage:
            faults.append(
                f"`data.drift.baseline` names the run {source.run!r}, whose statistics cannot be "
                f"compared with: {damage} Name another run, or `latest`."
            )
    return faults


def _unusable(store: Store, error: OSError | StoreUnusable) -> str:
    """Why the orchestrator could not go on, in one sentence."""
    named = getattr(error, "filename", None)
    if isinstance(named, str) and not Path(named).is_relative_to(store.directory):
        said = durable.full_disk(error, [store.directory]) or f"{named}: {error.strerror}."
        return f"A file outside the store cannot be read or written: {said}"
    full = durable.full_disk(error, [store.directory])
    return full or f"The store {store.directory} cannot be written: {error}"


@contextmanager
def signals_held():
    """A second Ctrl-C must not cut short what records the first one (signals are the main thread's)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in held}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Run:
    """One pass over a pipeline."""

    def __init__(self, pipeline, store, run, observe, workers, retries, verify):
        self.pipeline, self.store, self.name = pipeline, store, run
        self.observe, self.at_once = observe, workers
        self.retries, self.verify = retries, verify
        self.states = {step.name: StepState(step) for step in pipeline.steps}
        self.fingerprints = cache.Fingerprints(store.directory / "fingerprints")
        # Taken now, before any worker imports a module: what is edited later did not run.
        self.code = {s.name: cache.code_of(s, self.fingerprints) for s in pipeline.steps}
        self.pool = WorkerPool(store.run_directory(run) / "logs")
        self.repairs = self.idle_deaths = 0

    def go(self) -> None:
        """Until every step is done; raises `RunEnded` where it cannot go on."""
        while not all(state.done for state in self.states.values()):
            while self._look_up():
                pass
            self.fingerprints.save()
            if all(state.done for state in self.states.values()):
                return
            self._start_workers()
            self._hand_out()
            for worker, message in self.pool.wait():
                self._hear(worker, message)

    def close(self) -> None:
        """Stops the workers; what they had under way is abandoned."""
        self.pool.close()
        self.fingerprints.close()
        for state in self.states.values():
            # What is published but not recorded is complete: the next `recover` records it.
            published_already = self.store.is_published(state.step.name, state.execution)
            if state.status == "running" and not published_already:
                self.store.metadata.end_execution(state.execution, "ABANDONED", "The run ended.")
                published.remove(self.store.staging(state.execution))

    # Plan and cache -------------------------------------------------------------------------

    def _look_up(self) -> bool:
        """Takes steps whose inputs are known from the cache, or queues them. False: none is left."""
        moved = False
        for state in self.states.values():
            if state.status != "waiting":
                continue
            if not all(self.states[name].done for name in state.step.upstream()):
                continue
            self._resolve_inputs(state)
            code = self.code[state.step.name]
            state.found = cache.ingredients(state.step, state.inputs, code, self.fingerprints)
            state.key = cache.key_of(state.found)
            record = self._usable(state)
            if record is None:
                state.status = "queued"
                self.observe(state.step.name, "queued", {})
            else:
                self._finish(state, "cached", record)
            moved = True
        return moved

    def _resolve_inputs(self, state: StepState) -> None:
        state.inputs, state.numbers = {}, {}
        for name, source in state.step.inputs.items():
            if isinstance(source, Earlier):
                # One that is damaged is marked so, and the next is asked for.
                while artifact := self._earlier(source):
                    if self._is_whole(artifact):
                        break
            else:
                artifact = self.states[source.step].record.outputs[source.output]
            if artifact is not None:
                state.inputs[name] = self.store.as_input(artifact)
                state.numbers[name] = artifact.number

    def _earlier(self, source: Earlier):
        """An artifact of an earlier run, or None."""
        metadata = self.store.metadata
        if isinstance(source, LatestGoodStatistics) and source.run is not None:
            return metadata.output_of(source.run, source.candidate.step, source.candidate.output)
        candidate = self.states[source.candidate.step].record
        digest = candidate.outputs[source.candidate.output].content_digest
        if isinstance(source, LatestGoodStatistics):
            return metadata.latest_good_statistics(self.pipeline.name, digest)
        return metadata.latest_blessed_model(self.pipeline.name, digest)

    def _is_whole(self, artifact) -> bool:
        try:
            published.check_quickly((self.store.directory / artifact.uri).parent)
        except published.CorruptArtifact:
            self.store.metadata.mark_corrupt(artifact.execution)
            return False
        return True

    def _usable(self, state: StepState):
        """The newest cached execution that is undamaged and still true, or None."""
        step = state.step
        for record in self.store.metadata.find_cached(state.key):
            try:
                directory = self.store.published_directory(record.step, record.id)
                published.check_quickly(directory)
                if self.verify:
                    for name in record.outputs:
                        published.check_thoroughly(directory / name)
            except published.CorruptArtifact as error:
                self.store.metadata.mark_corrupt(record.id)
                self.observe(step.name, "damaged", {"error": str(error)})
                continue
            outputs = {n: self.store.as_input(a) for n, a in record.outputs.items()}
            if step.component.still_true(step.parameters, state.inputs, outputs) is None:
                return record
        return None

    def _finish(self, state: StepState, status: str, record) -> None:
        state.status, state.record = status, record
        published.remove(self.store.scratch(self.name, state.step.name, state.key))
        if status == "cached":
            self.store.metadata.reuse_execution(self.name, state.step.name, record.id)
        facts = {"seconds": record.seconds, "summary": record.summary, "gate": record.gate}
        self.observe(state.step.name, status, facts)
        if record.gate:
            raise RunEnded("STOPPED", state.step.name, record.gate)

    # Workers --------------------------------------------------------------------------------

    def _queued(self) -> list[StepState]:
        return [state for state in self.states.values() if state.status == "queued"]

    def _environment(self, step: Step) -> Environment:
        wanted = step.component.environment(step.parameters)
        if wanted.devices != "cpu" and not accelerator_visible():
            wanted = replace(wanted, devices="cpu")
        return wanted

    def _start_workers(self) -> None:
        """Starts what steps to come will need, so that imports overlap with work."""
        # Not for those that run: a fresh one would get a second process, which nobody uses.
        coming = [s for s in self.states.values() if s.status in ("waiting", "queued")]
        wanted = [self._environment(state.step) for state in coming]
        plan = merge_environments(wanted)
        for environment in plan:
            there = any(covers(worker.environment, environment) for worker in self.pool.workers)
            if environment.fresh or there:
                continue
            if not self.pool.workers or memory_allows_worker():
                self.pool.start(environment)
        importing = any(not worker.ready for worker in self.pool.workers)
        fresh = [e for e in plan if e.fresh]
        unused = [w for w in self.pool.workers if w.environment.fresh and not w.used]
        if fresh and not unused and not importing and memory_allows_worker():
            self.pool.start(fresh[0])

    def _hand_out(self) -> None:
        for state in self._queued():
            if sum(other.status == "running" for other in self.states.values()) >= self.at_once:
                return
            wanted = self._environment(state.step)
            worker = self.pool.find(wanted)
            if worker is None and not self._must_wait(wanted):
                worker = self.pool.start(wanted)
            if worker is not None:
                self._execute(state, worker)

    def _must_wait(self, wanted: Environment) -> bool:
        """Whether the step waits for a busy worker: memory is short, or the device takes only one."""
        busy = [w for w in self.pool.workers if w.step and covers(w.environment, wanted)]
        exclusive = wanted.tensorflow and wanted.devices != "cpu"
        return bool(busy) and (exclusive or not memory_allows_worker())

    def _execute(self, state: StepState, worker: Worker) -> None:
        step, store = state.step, self.store
        state.execution, state.status = new_id(), "running"
        reference = step.component.reference()
        store.metadata.begin_execution(
            state.execution, self.name, step.name, reference, state.key, state.found
        )
        reach("execution:recorded", step.name)
        inputs = {
            name: {
                "path": str(artifact.path),
                "type": artifact.type,
                "content_digest": artifact.content_digest,
                "properties": artifact.properties,
                "number": state.numbers[name],
            }
            for name, artifact in state.inputs.items()
        }
        task = {"execution": state.execution, "run": self.name, "step": step.name}
        task |= {"component": reference, "inputs": inputs}
        task |= {"parameters": step.parameters.model_dump(mode="json")}
        task |= {"staging": str(store.staging(state.execution))}
        task |= {"scratch": str(store.scratch(self.name, step.name, state.key))}
        task |= {"log": str(store.log_file(self.name, step.name))}
        self.observe(step.name, "started", {"log": task["log"]})
        worker.execute(step.name, task)

    def _hear(self, worker: Worker, message: dict) -> None:
        kind = message["type"]
        if kind == "ready":
            worker.ready = True
            return
        state = self.states.get(worker.step)
        if state is None:
            if kind == "died":
                self._died_idle(message)
            return
        if kind == "progress":
            self.observe(state.step.name, "progress", message)
            return
        worker.step = None
        if worker.environment.fresh and kind != "died":
            self.pool.remove(worker)
        handler = {"done": self._done, "failed": self._failed}
        handler |= {"corrupt": self._corrupt}
        handler |= {"died": self._died, "lost": self._died}
        if kind == "died" and not worker.ready:
            message = {**message, "log": str(worker.log)}
        handler[kind](state, message)

    # How an execution ended -----------------------------------------------------------------

    def _done(self, state: StepState, message: dict) -> None:
        del message
        code = cache.code_of(state.step, self.fingerprints)
        now = cache.ingredients(state.step, state.inputs, code, self.fingerprints)
        if cache.key_of(now) != state.key:
            self.store.metadata.forget_key(state.execution)
            changes = "; ".join(differences(state.found, now))
            note = f"{changes} while the step ran, so that its outputs will not be reused"
            self.observe(state.step.name, "changed", {"error": note})
        record = self.store.commit(state.step.name, state.execution)
        self._finish(state, "executed", record)

    def _failed(self, state: StepState, message: dict) -> None:
        # On a full disk the database cannot be written either, nor where its server has gone: the
        # reason of the step comes first, and the next `recover` records what could not be.
        with suppress(StoreUnusable, OSError):
            self._end(state, "failed", message["error"])
        log = self.store.log_file(self.name, state.step.name)
        reason = f"{state.step.name} failed: {message['error']} (full log: {log})"
        raise RunEnded("FAILED", state.step.name, reason)

    def _corrupt(self, state: StepState, message: dict) -> None:
        """An input is damaged: the step that made it runs again, then this one."""
        self._end(state, "waiting", message["error"])
        self.observe(state.step.name, "damaged", {"error": message["error"]})
        self.repairs += 1
        execution = Path(message["directory"]).parent.name
        self.store.metadata.mark_corrupt(execution)
        if self.repairs > MAX_REPAIRS:
            raise RunEnded("FAILED", state.step.name, message["error"])
        makers = {
            name
            for name, other in self.states.items()
            if other.record is not None and other.record.id == execution
        }
        for name in makers:
            self.states[name].status, self.states[name].record = "waiting", None
        for other in self._queued():
            if other.step.upstream() & makers:
                other.status = "waiting"

    def _died(self, state: StepState, message: dict) -> None:
        state.deaths += 1
        who, how = "its worker", death_sentence(message["code"])
        if message["type"] == "lost":
            who, how = "a process of Beam", f"{how}; PENSTOCK_PROCESSES=1 takes less memory"
        self._end(state, "queued", f"{who} {how}")
        if state.deaths > self.retries:
            # A worker that died while it still imported has written nothing to the step's log.
            log = message.get("log") or self.store.log_file(self.name, state.step.name)
            times = f", the last of {state.deaths}," if state.deaths > 1 else ""
            reason = f"{state.step.name}: {who}{times} {how} (full log: {log})."
            raise RunEnded("FAILED", state.step.name, reason)
        self.observe(state.step.name, "retried", {"error": f"{who} {how}; it is tried again"})

    def _died_idle(self, message: dict) -> None:
        """A worker without a step has died; another is started when one is needed."""
        self.idle_deaths += 1
        if self.idle_deaths > self.retries:
            log = self.store.run_directory(self.name) / "logs"
            how = death_sentence(message["code"])
            reason = f"Workers die before they have work: the last one {how} (full log: {log})."
            raise RunEnded("FAILED", "", reason)

    def _end(self, state: StepState, status: str, error: str) -> None:
        outcome = "FAILED" if status == "failed" else "ABANDONED"
        state.status = status
        self.store.metadata.end_execution(state.execution, outcome, error)
        published.remove(self.store.staging(state.execution))


def death_sentence(code: int) -> str:
    """What became of a worker, from its exit code."""
    if code == -signal.SIGKILL:
        return "was killed by signal 9 (often: out of memory)"
    if code < 0:
        name = signal.strsignal(-code) or "unknown"
        return f"was killed by signal {-code} ({name})"
    return f"ended with exit code {code}"
