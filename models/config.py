"""The base of every task's configuration (pydantic only, no TensorFlow)."""

from penstock.pipelines.config import Config


class TaskConfig(Config):
    """The sections of a config that belong to the task, each a field with its defaults.

    A task's `config.py` subclasses this as `Config` and adds its sections (`model`, `augment`).
    `prepare` is all that `data.py` sees: it is what decides whether Transform runs again.
    A section name must not be one of the pipeline's own (see `penstock/tfx/config.py`).
    """

    prepare: Config = Config()
