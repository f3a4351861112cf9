"""The base of every task's configuration (pydantic only, no TensorFlow)."""

from pathlib import Path

from penstock.pipelines.config import Config

LEAST_SECONDS = 10.0
"""Of a search for an answer: a model is exported, and validated, if it gives the answers to its golden
records again, all at once, on a machine that may be busy."""


class TaskConfig(Config):
    """The sections of a config that belong to the task, each a field with its defaults.

    A task's `config.py` subclasses this as `Config` and adds its sections (`model`, `augment`).
    `prepare` is all that `data.py` sees: it is what decides whether Transform runs again.
    A section name must not be one of the pipeline's own (see `penstock/tfx/config.py`).
    """

    prepare: Config = Config()

    def libraries(self) -> tuple[str, ...]:
        """Further distributions whose version changes the task's result (a tokenizer library).

        The steps that run the task have these, and the pipeline's own, in their cache key.
        """
        return ()

    def metric_names(self) -> tuple[str, ...] | None:
        """The metrics that `Task.summarise` gives, as patterns (`recall/*`: one for each class).

        A misspelt threshold is a fault of the config then; with None, of the Evaluator.
        """
        return None

    def check(self) -> list[str]:
        """Faults visible before any data is read (a missing file), one sentence each.

        Asked for once, when a run is begun: what was trained can still be read when a file of its
        training has gone.
        """
        return []

    def input_padding(self) -> dict[str, int | float | str]:
        """What padding of inputs must be, by ragged tensor as in `train.padding` (`inputs/ids`).

        For networks that know padding by its value, and are served with no other. A tensor that is
        not named may be padded with anything.
        """
        return {}

    def files(self) -> list[Path]:
        """Files that the task reads beside the data (those of a local preset).

        Their content is part of the cache key of the steps that run the task.
        """
        return []

    def preparation_libraries(self) -> tuple[str, ...]:
        """Of `libraries`, those that preparation uses: Transform has them in its key.

        All of them by default: a task that says less keeps its prepared data when another network
        is chosen.
        """
        return self.libraries()

    def preparation_files(self) -> list[Path]:
        """Of `files`, those that preparation reads; as `preparation_libraries`."""
        return self.files()
