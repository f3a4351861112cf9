"""A TensorFlow Datasets data set by name, for example `fashion_mnist` or `glue/sst2:2.0.0`.

Prepared data under `data_dir` is used where there is any; otherwise the data set is prepared from
the files in `manual_dir`, otherwise from the network. The data set's own splits are kept. Images
stay encoded as they are; class labels, numbers of fixed shape and texts are carried over, features
of other kinds are left out (`features` says what is there). A record's key is its split and its
position in it.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from penstock.pipelines.features import Features, Image, Label, Number, Text
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import Record

RECORDS_AT_ONCE = 4096
BATCH = 256
DOWNLOAD_RETRIES = 1
"""TFDS tries ten times, which takes some 205 seconds where there is no network."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[A-Za-z0-9_.+-]+)?(:\d+\.\d+\.\d+)?$")]


class Source(source.Source):
    """A data set by its TFDS name (`name`, `name/config`, `name:version`).

    `data_dir`: where TFDS keeps prepared data, by default where TFDS itself does
    (`$TFDS_DATA_DIR` or `~/tensorflow_datasets`). `manual_dir`: files downloaded by hand.
    """

    type: Literal["tfds"] = "tfds"
    dataset: Name
    data_dir: Path | None = None
    manual_dir: Path | None = None

    needs_tensorflow = True
    libraries = ("tensorflow-datasets",)

    def check(self) -> list[str]:
        faults = []
        if self.manual_dir is not None and not self.manual_dir.is_dir():
            faults.append(
                "`data.source.manual_dir` must be a folder with the downloaded files. "
                f"Received: {str(self.manual_dir)!r} (nothing there). Correct the path, or leave "
                "it out to use prepared data or the network."
            )
        return faults

    def files(self) -> list[Path]:
        """The files in `manual_dir` where it is given, else the prepared data if there is any."""
        root = self.manual_dir or self._prepared()
        return [] if root is None else sorted(p for p in root.rglob("*") if p.is_file())

    def _prepared(self):
        """The newest prepared version on disk, found without importing TFDS."""
        name, _, version = self.dataset.partition(":")
        found = [p.parent for p in (self._data_dir() / name).rglob("dataset_info.json")]
        found = [p for p in found if re.fullmatch(r"\d+\.\d+\.\d+", p.name)]
        if version:
            found = [p for p in found if p.name == version]
        return max(found, key=lambda p: [int(n) for n in p.name.split(".")], default=None)

    def _data_dir(self):
        default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        return Path(self.data_dir or default).expanduser()

    def features(self) -> Features:
        described = {}
        for name, feature in self._builder().info.features.items():
            ours = _describe(feature)
            if ours is not None and name != "key":
                described[name] = ours
        return described

    def read(self, pipeline):
        import apache_beam as beam

        builder = self._builder()
        self._prepare(builder)
        parts = []
        for split, info in builder.info.splits.items():
            for start in range(0, info.num_examples, RECORDS_AT_ONCE):
                stop = min(start + RECORDS_AT_ONCE, info.num_examples)
                parts.append((split, start, stop))
        return (
            pipeline
            | "Parts" >> beam.Create(parts)
            | "ReadExamples" >> beam.FlatMap(read_examples, str(builder.data_dir))
        )

    def _builder(self):
        import tensorflow_datasets as tfds

        try:
            return tfds.builder(self.dataset, data_dir=self.data_dir)
        except (tfds.core.DatasetNotFoundError, ValueError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise ValueError(
                "`data.source.dataset` must be a data set that TFDS knows. "
                f"Received: {self.dataset!r}. TFDS says: {first_line} "
                "See https://www.tensorflow.org/datasets/catalog."
            ) from error

    def _prepare(self, builder):
        """Prepares the data set unless it is prepared."""
        if builder.is_prepared():
            return
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.download import downloader

        tfds.disable_progress_bar()
        config = tfds.download.DownloadConfig(manual_dir=self.manual_dir)
        before, downloader.MAX_RETRIES = downloader.MAX_RETRIES, DOWNLOAD_RETRIES
        try:
            builder.download_and_prepare(download_config=config)
        except Exception as error:
            if not _is_network_error(error):
                raise
            raise ConnectionError(
                f"The data set {self.dataset!r} is not prepared in `{self._data_dir()}`"
                f"{_and_manual(self.manual_dir)}, and it cannot be downloaded: there is no "
                "connection to its server. Set `data.source.manual_dir` to a folder with the "
                "downloaded files or `data.source.data_dir` to prepared data, or connect to the "
                "network."
            ) from error
        finally:
            downloader.MAX_RETRIES = before


def _and_manual(manual_dir):
    return f" nor in `{manual_dir}`" if manual_dir else ""


def _is_network_error(error):
    """Whether a failed download is behind an exception (TFDS and requests wrap it)."""
    import requests

    while error is not None:
        if isinstance(error, ConnectionError | requests.exceptions.RequestException | TimeoutError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _describe(feature):
    """A TFDS feature -> ours, or None for a kind that is not carried over."""
    import numpy as np
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Image):
        channels = feature.shape[-1]
        if feature.np_dtype != np.uint8 or channels not in (1, 3, 4):
            return None
        return Image(channels=channels, encoding="any")
    if isinstance(feature, tfds.features.ClassLabel):
        names = feature.names or [str(index) for index in range(feature.num_classes)]
        return Label(names=tuple(names))
    if isinstance(feature, tfds.features.Text):
        return Text()
    if isinstance(feature, tfds.features.Tensor) and type(feature) in (
        tfds.features.Tensor,
        tfds.features.Scalar,
    ):
        return _number(feature)
    return None


def _number(feature):
    import numpy as np

    if None in feature.shape:
        return None
    if feature.np_dtype in (np.float16, np.float32, np.float64):
        return Number(dtype="float32", shape=feature.shape)
    if np.issubdtype(feature.np_dtype, np.integer) and feature.np_dtype != np.uint64:
        return Number(dtype="int64", shape=feature.shape)
    return None


def read_examples(part: tuple[str, int, int], directory: str):
    """Yields the records [start, stop) of a split of a prepared data set."""
    import tensorflow_datasets as tfds

    split, start, stop = part
    builder = tfds.builder_from_directory(directory)
    described = {}
    for name, feature in builder.info.features.items():
        ours = _describe(feature)
        if ours is not None and name != "key":
            described[name] = ours
    images = [name for name, feature in described.items() if isinstance(feature, Image)]
    dataset = builder.as_dataset(
        split=f"{split}[{start}:{stop}]",
        decoders=tfds.decode.PartialDecoding(
            dict.fromkeys(described, True),
            decoders={name: tfds.decode.SkipDecoding() for name in images},
        ),
        shuffle_files=False,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    # In batches: one by one, crossing from TensorFlow to numpy costs more than all the rest.
    index = start
    for batch in tfds.as_numpy(dataset.batch(BATCH)):
        # Scalars become Python's own, strings bytes; arrays of numbers stay numpy's.
        columns = [batch[n].tolist() if batch[n].ndim == 1 else batch[n] for n in described]
        for row in zip(*columns, strict=True):
            values = dict(zip(described, row, strict=True))
            yield Record(f"{split}-{index:08d}", values, split, f"{builder.name}/{split}", index)
            index += 1
