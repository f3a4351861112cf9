"""Artifact types: what each kind of directory is, and what makes two of them the same.

An artifact is a typed, immutable directory. The *file digests* (SHA-256 of each file, recorded when
it is published) guard its integrity. The *content digest* says what it is: by default the digest of
its files; types whose files differ between identical builds define their own.
Importing this module costs nothing; a `content_digest` may import what it needs.
"""

import hashlib
import importlib
import json
from pathlib import Path
from typing import ClassVar


def digest_of_files(files: dict[str, str]) -> str:
    """The digest of a directory: `files` maps each relative path to its SHA-256."""
    lines = "".join(f"{path}\0{files[path]}\n" for path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_of_keys(path: Path, keys: tuple[str, ...]) -> str:
    """The digest of some values of a JSON document."""
    document = json.loads(path.read_text())
    values = json.dumps({key: document[key] for key in keys}, sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()


class Artifact:
    """Base of all artifact types; the class name is the type's name in the metadata store."""

    format_version: ClassVar[int] = 1
    digest_module: ClassVar[str | None] = None
    """A module whose `content_digest(directory) -> str` says what the artifact is. It is named, not
    imported, so that it belongs to the code of the steps that make this type, and of no other."""

    @classmethod
    def content_digest(cls, directory: Path, files: dict[str, str]) -> str:
        """What the artifact is, as a hex digest.

        Args:
            directory: the complete artifact.
            files: relative path -> SHA-256 of every file in it.
        """
        if cls.digest_module is None:
            return digest_of_files(files)
        return importlib.import_module(cls.digest_module).content_digest(directory)


class Examples(Artifact):
    """A TFDS-format dataset: TFRecord shards, `features.json`, `dataset_info.json`.

    It is its sorted records (each holds its key), split by split; sharding does not count.
    """

    digest_module = "penstock.pipelines.examples"


class Quarantine(Artifact):
    """`bad_records.jsonl`: file, index and reason of each record that could not be used.

    `summary.json`: how many, by kind of reason, with the first of each. `duplicates.json`: examples
    with the same content.
    """


class Statistics(Artifact):
    """`statistics.binpb`: a `DatasetFeatureStatisticsList` (tensorflow_metadata).

    It is all but what sketches estimate (quantiles of many numbers), which varies with equal data.
    """

    digest_module = "penstock.pipelines.statistics.statistics_files"


class Schema(Artifact):
    """`schema.pbtxt`: a `Schema` (tensorflow_metadata)."""


class Anomalies(Artifact):
    """`anomalies.pbtxt`: an `Anomalies` (tensorflow_metadata)."""


class TransformState(Artifact):
    """`state.json` and vocabulary files, of analyzers (`penstock.pipelines.transform.state`)."""


class TransformedExamples(Artifact):
    """Model-ready examples: TFRecord shards with `spec.json` (`penstock.pipelines.inputs.inputs`)."""


class Model(Artifact):
    """`model.keras`, `saved_model/`, `parts/`, the state and config of its training, golden records.

    It is its weights and architecture, without names and dates: serialised files always differ.
    """

    digest_module = "penstock.tfx.training.model_digest"


class Evaluation(Artifact):
    """`rows.jsonl` (one line for each example), `metrics.json` (overall, slices, intervals).

    `explanations.json`, of tasks that explain answers: key -> what `Task.explain` said of it.
    """


class Blessing(Artifact):
    """`blessing.json`: whether the model passed, and a sentence for each check that failed."""


class ParityReport(Artifact):
    """`parity.json`: served answers against the Keras model's, latency and memory.

    It is its verdict: measured milliseconds and bytes differ from run to run.
    """

    @classmethod
    def content_digest(cls, directory, files):
        keys = ("passed", "reasons", "model", "examples")
        return digest_of_keys(Path(directory) / "parity.json", keys)


class PushedModel(Artifact):
    """`pushed.json`: destination, version and digest of the model that was published.

    It is which version holds which model, wherever the destination stands.
    """

    @classmethod
    def content_digest(cls, directory, files):
        return digest_of_keys(Path(directory) / "pushed.json", ("version", "model"))
