"""A TensorFlow Datasets data set by name, for example `fashion_mnist` or `glue/sst2:2.0.0`.

Where `manual_dir` is given, the data set is prepared from the files in it, into a folder named by
their digest, so that other files are prepared again. Otherwise prepared data in a given `data_dir`
are used (the newest version there, unless the name has one), otherwise TFDS prepares the data set
from the network. Without a config in the name, TFDS's default config is meant; another config's
data are not taken. The data set's own splits are kept. `reading/tfds_features.py` says which of its
features are carried over; what is left out is said once, when the data are read. A record's key is
its split and its position in it.
"""

import hashlib
import itertools
import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from penstock.pipelines.features import Features
from penstock.pipelines.sources import source
from penstock.pipelines.sources.source import BadRecord, Record

RECORDS_AT_ONCE = 4096
BATCH = 256
AUDIO_BATCH = 16
"""TFDS decodes samples to int64: a minute at 48 kHz is 23 MB."""
DOWNLOAD_RETRIES = 1
"""TFDS tries ten times, which takes some 205 seconds where there is no network."""
MARK = "prepared_by_penstock"
"""A file in the folder of data that this source has prepared itself; see `Source.files`."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[A-Za-z0-9_.+-]+)?(:\d+\.\d+\.\d+)?$")]


class Source(source.Source):
    """A data set by its TFDS name (`name`, `name/config`, `name:version`).

    `data_dir`: where TFDS keeps prepared data, by default where TFDS itself does
    (`$TFDS_DATA_DIR` or `~/tensorflow_datasets`). `manual_dir`: files downloaded by hand; what is
    prepared from them stays in `<data_dir>/manual-<digest>`, which may be deleted at any time.
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
        """The files in `manual_dir` where it is given, else prepared data in a given `data_dir`.

        Data that this source has prepared itself from the network do not count: they follow from
        the data set's name and TFDS's version, and the first run, which prepares them, has none.
        """
        root = self.manual_dir or self._given()
        return [] if root is None else sorted(p for p in root.rglob("*") if p.is_file())

    def fingerprint(self) -> dict:
        """Name, config and version, and what others have prepared where TFDS looks by default."""
        name, config, version = self._parts()
        facts = {"dataset": name, "config": config, "version": version}
        if self.manual_dir is None and self.data_dir is None:
            facts["prepared"] = {
                folder.name: _content_digest(folder / "dataset_info.json")
                for folder in self._prepared()
                if not (folder / MARK).exists()
            }
        return facts

    def _parts(self):
        """(name, config or "", version or "")."""
        rest, _, version = self.dataset.partition(":")
        name, _, config = rest.partition("/")
        return name, config, version

    def _given(self):
        """The newest prepared version in `data_dir`, where it is given and others prepared it."""
        if self.data_dir is None or self.manual_dir is not None:
            return None
        newest = max(self._prepared(), key=_version, default=None)
        return None if newest is None or (newest / MARK).exists() else newest

    def _prepared(self):
        """Folders of prepared versions of this config, found without importing TFDS."""
        name, config, version = self._parts()
        root = self._data_dir() / name
        # TFDS notes beside the configs which one is the default.
        noted = root / ".config" / "metadata.json"
        if not config and noted.is_file():
            config = json.loads(noted.read_text()).get("default_config_name") or ""
        found = [path.parent for path in (root / config).glob("*/dataset_info.json")]
        found = [path for path in found if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
        return sorted(path for path in found if path.name == (version or path.name))

    def _versions_there(self):
        """What there is of the data set in other configs or versions, as a sentence or nothing."""
        root = self._data_dir() / self._parts()[0]
        found = sorted(path.parent for path in root.rglob("dataset_info.json"))
        names = ", ".join(str(path.relative_to(root)) for path in found)
        return f"In `{root}` there are prepared: {names}. " if names else ""

    def _data_dir(self):
        default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        return Path(self.data_dir or default).expanduser()

    def own_splits(self) -> frozenset[str | None] | None:
        """Those of prepared data in a given `data_dir`; of others TFDS knows when it runs."""
        given = self._given()
        try:
            described = given and json.loads((given / "dataset_info.json").read_text())
            return described and frozenset(split["name"] for split in described["splits"])
        except (OSError, ValueError, KeyError, TypeError):  # `features` says it
            return None

    def features(self) -> Features:
        return self._carried().features

    def remarks(self) -> list[str]:
        left_out = self._carried().left_out
        if not left_out:
            return []
        shown = "; ".join(f"`{name}` ({reason})" for name, reason in left_out.items())
        return [f"Features of {self.dataset!r} that are not carried over: {shown}."]

    def _carried(self):
        from penstock.pipelines.reading.tfds_features import carry

        return carry(self._builder().info.features)

    def read(self, pipeline):
        import apache_beam as beam

        builder = self._builder()
        self._prepare(builder)
        _check_shards(builder)
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
        from google.protobuf.json_format import ParseError

        given = self._given()
        if given is not None:
            try:
                return tfds.builder_from_directory(given)
            except (ValueError, TypeError, OSError, ParseError) as error:
                raise ValueError(
                    f"The prepared data in `{given}` cannot be read: {_first_line(error)} Delete the "
                    "folder to have them prepared again, or restore its files."
                ) from error
        data_dir = self.data_dir
        if self.manual_dir is not None:
            data_dir = self._data_dir() / f"manual-{_digest(self.manual_dir, self.files())[:16]}"
        try:
            return tfds.builder(self.dataset, data_dir=data_dir)
        except (ValueError, AssertionError) as error:  # the latter of a version that there is not
            raise ValueError(
                "`data.source.dataset` must be a data set that TFDS knows. "
                f"Received: {self.dataset!r}. TFDS says: {_first_line(error)} {self._versions_there()}"
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
            builder.download_and_prepare(
                download_dir=str(self._data_dir() / "downloads"), download_config=config
            )
            (Path(builder.data_dir) / MARK).touch()
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


def _first_line(error):
    text = " ".join(str(error).strip().partition("\n")[0].split()).rstrip(".")
    return f"{text or type(error).__name__}."


def _check_shards(builder):
    paths = [path for info in builder.info.splits.values() for path in info.filepaths]
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise ValueError(
            f"{len(missing)} of the {len(paths)} files of the prepared data set {builder.name!r} are "
            f"not there, the first of them `{missing[0]}`. Restore them, or delete the folder to have "
            "the data set prepared again."
        )


def _version(folder):
    return [int(number) for number in folder.name.split(".")]


def _digest(root, files):
    """Of names and contents of files under `root`."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root)}\0{_content_digest(path)}\n".encode())
    return digest.hexdigest()


def _content_digest(path):
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path, *unchanged):
    """Of a file's content; `unchanged` (size, time) tells the cache when to read it again."""
    del unchanged
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def read_examples(part: tuple[str, int, int], directory: str):
    """Yields the records [start, stop) of a split of a prepared data set."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from penstock.pipelines.reading.tfds_features import ValueFault, carry, value_of

    split, start, stop = part
    builder = tfds.builder_from_directory(directory)
    carried = carry(builder.info.features)
    dataset = builder.as_dataset(
        split=f"{split}[{start}:{stop}]",
        decoders=carried.partial_decoding(),
        shuffle_files=False,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    sounds = any(feature.kind == "audio" for feature in carried.features.values())
    file, index = f"{builder.name}/{split}", start
    try:
        # In batches: one by one, crossing from TensorFlow to numpy costs more than all the rest.
        for batch in dataset.ragged_batch(AUDIO_BATCH if sounds else BATCH):
            columns = [_rows(_inside(batch, path)) for path in carried.paths.values()]
            for row in zip(*columns, strict=True):
                key = f"{split}-{index:08d}"
                try:
                    values = {
                        name: value_of(name, value, feature)
                        for (name, feature), value in zip(
                            carried.features.items(), row, strict=True
                        )
                    }
                except ValueFault as fault:
                    yield BadRecord(file, index, str(fault), key)
                else:
                    yield Record(key, values, split, file, index)
                index += 1
    except tf.errors.FailedPreconditionError as error:
        # The files have other records than the data set's description: no position can be trusted.
        raise ValueError(
            f"The files of the split {split!r} in `{directory}` do not have the number of examples that "
            "its description says. Restore them, or delete the folder to have the data set prepared again."
        ) from error
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        said = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:.*", "", str(error).partition("\n")[0]).rstrip(".")
        reason = f"The prepared data cannot be read from here to the end of their part: {said}."
        for lost in range(index, stop):
            yield BadRecord(file, lost, reason, f"{split}-{lost:08d}")


def _inside(nested, path):
    for key in path:
        nested = nested[key]
    return nested


def _rows(tensor):
    """A batch of one feature, example by example: Python's own scalars and bytes, numpy's arrays."""
    import tensorflow as tf

    if isinstance(tensor, tf.RaggedTensor):
        values, ends = tensor.values.numpy(), tensor.row_splits.numpy()
        return [values[start:stop] for start, stop in itertools.pairwise(ends)]
    array = tensor.numpy()
    return array.tolist() if array.ndim == 1 else array
