"""What a step is: a declared contract, and the work.

A component is a class (below) or one decorated function (`@component`). The contract is read by the
orchestrator, which never imports TensorFlow or Beam: heavy imports belong inside `execute`, which
runs in a worker process.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from penstock.pipelines.config import Config
from penstock.tfx.artifacts import Artifact

ArtifactType = TypeVar("ArtifactType", bound=Artifact)


@dataclass(frozen=True)
class Environment:
    """The kind of process that a step needs; consecutive steps with an equal one share a worker.

    Attributes:
        tensorflow: the worker imports TensorFlow when it starts (several seconds, done early). It
            leaves out `keras.visualization` and `keras.wrappers`, which a step does not need.
        beam: likewise Apache Beam.
        fresh: the process serves this one execution and nothing before it, and starts without Keras.
        devices: "cpu" hides accelerators from TensorFlow, "auto" shows all.
    """

    tensorflow: bool = False
    beam: bool = False
    fresh: bool = False
    devices: str = "cpu"


@dataclass(frozen=True)
class Input(Generic[ArtifactType]):
    """An artifact that a step reads: complete, verified and immutable."""

    path: Path
    type: str
    content_digest: str
    properties: dict = field(default_factory=dict)


@dataclass
class Output(Generic[ArtifactType]):
    """An artifact in the making: fill the directory `path`, put small facts into `properties`."""

    path: Path
    type: str
    properties: dict = field(default_factory=dict)


@dataclass
class ExecutionContext:
    """What `execute` works with.

    Attributes:
        parameters: the component's `Parameters`.
        inputs: name -> `Input`; an optional input that is absent is missing from the dict.
        outputs: name -> `Output`; the directories exist and are empty.
        scratch: a directory that survives a kill and comes back when the same execution (same run,
            same cache key) is tried again; it is removed once the execution is complete.
        run, execution: ids for lineage (a manifest may name them); they are no part of the result.
        report: sends progress; see `progress`.
    """

    parameters: Config
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    scratch: Path
    run: str = ""
    execution: str = ""
    report: Callable[[dict], None] = lambda message: None
    gate: str | None = None

    def progress(self, done: int | None = None, total: int | None = None, **values) -> None:
        """Tells the orchestrator how far the work is; `values` (str or number) stand behind the bar.

        The last `values` of a step stay on its line when it has finished, so end with a summary,
        for example `context.progress(examples=1797)`. At most some ten calls a second are useful.
        """
        self.report({"done": done, "total": total, "values": values})

    def stop(self, reason: str) -> None:
        """Closes the gate: the outputs are published, the run stops after this step with `reason`."""
        self.gate = reason


class Component:
    """Base of all components. The class name is the step's default name.

    A subclass states `inputs`, `outputs`, `Parameters` and `execute`, and where the defaults do not
    fit, the class methods. All but `execute` run in the orchestrator.
    """

    inputs: ClassVar[dict[str, type[Artifact]]] = {}
    optional_inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[dict[str, type[Artifact]]] = {}

    class Parameters(Config):
        """Everything from the config that changes what this step does."""

    @classmethod
    def environment(cls, parameters: Config) -> Environment:
        """The process that the step needs."""
        del parameters
        return Environment()

    @classmethod
    def keyed(cls, parameters: Config) -> dict:
        """The parameters as they enter the cache key: without those that can change no output."""
        return parameters.model_dump(mode="json")

    @classmethod
    def modules(cls, parameters: Config) -> tuple[str, ...]:
        """Modules that it runs but does not import statically (a task's, a source's)."""
        del parameters
        return ()

    @classmethod
    def libraries(cls, parameters: Config) -> tuple[str, ...]:
        """Distributions whose version changes the result (part of the cache key)."""
        del parameters
        return ()

    @classmethod
    def files(cls, parameters: Config) -> list[Path]:
        """Files outside the store that it reads; their content is part of the cache key."""
        del parameters
        return []

    @classmethod
    def facts(cls, parameters: Config) -> dict:
        """Further facts about what it reads that no file's content shows (part of the cache key)."""
        del parameters
        return {}

    @classmethod
    def check(cls, parameters: Config) -> list[str]:
        """Faults visible before anything runs (a read-only destination), one sentence each."""
        del parameters
        return []

    @classmethod
    def still_true(cls, parameters: Config, inputs: dict[str, Input], outputs: dict[str, Input]):
        """Why a cached execution no longer holds (its effect outside the store is gone), or None."""
        del parameters, inputs, outputs
        return None

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """The work, in a worker process."""
        raise NotImplementedError("A component must define `execute`.")

    @classmethod
    def reference(cls) -> str:
        """`module:name`, under which a worker finds the component."""
        return f"{cls.__module__}:{cls.__qualname__}"
