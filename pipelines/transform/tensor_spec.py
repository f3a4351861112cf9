"""What a prepared example consists of: names, dtypes, shapes and ragged ranks, as JSON on disk.

A prepared batch is nested, `{"inputs": ..., "targets": ..., "sample_weight": ...}`; on disk it is
flat: `inputs` where it is one tensor, `inputs/ids` where it is a dict with a key `ids`, and so on.
`key` (string [batch]) is always there. `sample_weight` (float32, one tensor or a dict) is absent
where all weights are one.
Nothing here imports TensorFlow until a type spec is made.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT_VERSION = 2

AS_BYTES = ("int8", "uint8", "int16", "uint16", "bool", "float16", "bfloat16", "float64")
"""Stored as raw little-endian bytes: an int64 list takes up to 8 times the memory to parse.

On disk such a list has 10 bytes for each negative number: a waveform would take three times as much.
"""
AS_INT64 = ("int32", "int64", "uint32")
AS_FLOAT = ("float32",)
AS_STRING = ("string",)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a prepared example, without the batch axis.

    `shape` has None for each ragged axis; ragged axes come first, `ragged_rank` counts them.
    """

    dtype: str
    shape: tuple[int | None, ...]
    ragged_rank: int = 0

    @property
    def inner_shape(self) -> tuple[int, ...]:
        """The uniform axes behind the ragged ones (all axes of a dense tensor)."""
        return self.shape[self.ragged_rank :]

    def to_json(self) -> dict:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: dict) -> "Tensor":
        """The inverse of `to_json`."""
        return cls(entry["dtype"], tuple(entry["shape"]), entry["ragged_rank"])

    def type_spec(self, batch_size: int | None = None):
        """`tf.TensorSpec` or `tf.RaggedTensorSpec` with a batch axis."""
        import tensorflow as tf

        shape, dtype = [batch_size, *self.shape], tf.as_dtype(self.dtype)
        if self.ragged_rank:
            return tf.RaggedTensorSpec(shape, dtype, self.ragged_rank, tf.int64)
        return tf.TensorSpec(shape, dtype)


def flatten(structure, prefix: str) -> dict:
    """A nested dict -> `{"prefix/a/b": leaf}`; a leaf alone -> `{"prefix": leaf}`."""
    if not isinstance(structure, dict):
        return {prefix: structure}
    flat = {}
    for name, value in structure.items():
        if not isinstance(name, str) or "/" in name or "#" in name or not name:
            raise ValueError(
                f"Names in `{prefix}` must be strings without `/` and `#`. Received: {name!r}. "
                "Rename it in the task's `data.py`."
            )
        flat.update(flatten(value, f"{prefix}/{name}"))
    return flat


def unflatten(flat: dict, prefix: str):
    """The inverse of `flatten`; a prefix that does not occur is an empty dict."""
    if prefix in flat:
        return flat[prefix]
    nested: dict = {}
    for name, value in flat.items():
        if name.startswith(f"{prefix}/"):
            *parents, last = name[len(prefix) + 1 :].split("/")
            place = nested
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    return nested


def from_type_specs(flat: dict) -> dict[str, Tensor]:
    """Flat `tf.TensorSpec | tf.RaggedTensorSpec` (batch axis first) -> flat `Tensor`s.

    Raises:
        ValueError: a dense tensor has an axis of unknown size, or the batch axis is missing.
        TypeError: a dtype or a kind of tensor that cannot be stored.
    """
    return {name: _from_type_spec(name, spec) for name, spec in flat.items()}


def _from_type_spec(name, spec):
    import tensorflow as tf

    if not isinstance(spec, (tf.TensorSpec, tf.RaggedTensorSpec)):
        raise TypeError(
            f"`{name}` must be a dense or a ragged tensor. Received: {spec}. "
            "Convert it in the task's `prepare_inputs` or `prepare_targets`."
        )
    dtype = spec.dtype.name
    if dtype not in AS_BYTES + AS_INT64 + AS_FLOAT + AS_STRING:
        known = ", ".join(sorted(AS_BYTES + AS_INT64 + AS_FLOAT + AS_STRING))
        raise TypeError(
            f"`{name}` has a dtype that cannot be stored: {dtype}. Cast it to: {known}."
        )
    rank = getattr(spec, "ragged_rank", 0)
    if spec.shape.rank is None or spec.shape.rank == 0:
        raise ValueError(
            f"`{name}` must have a batch axis and a known rank. Received shape: {spec.shape}. "
            "Prepare whole batches, and use `tf.ensure_shape` where TensorFlow loses the rank."
        )
    shape = tuple(None if i < rank else n for i, n in enumerate(spec.shape.as_list()[1:]))
    if None in shape[rank:]:
        raise ValueError(
            f"`{name}` has an axis of unknown size that is not ragged. Received shape: "
            f"{spec.shape}. Return a `tf.RaggedTensor` for what differs between examples, or fix "
            "the size (`tf.ensure_shape`, resize, pad)."
        )
    return Tensor(dtype, shape, rank)


def write_spec(
    directory, tensors: dict[str, Tensor], splits: dict[str, int], shards, stored: bool = True
) -> None:
    """Writes `spec.json`.

    Args:
        splits: examples of each split.
        shards: files of each split; none where the examples are prepared on the fly.
        stored: False where training prepares the raw examples on the fly.
    """
    document = {
        "format_version": FORMAT_VERSION,
        "splits": splits,
        "shards": shards,
        "element": {name: tensor.to_json() for name, tensor in sorted(tensors.items())},
    }
    if not stored:
        document["stored"] = False
    (Path(directory) / "spec.json").write_text(json.dumps(document, indent=1) + "\n")


def is_stored(directory) -> bool:
    """Whether the prepared examples are in the directory, or only their description."""
    return json.loads((Path(directory) / "spec.json").read_text()).get("stored", True)


def read_spec(directory) -> tuple[dict[str, Tensor], dict[str, int], dict[str, int]]:
    """Reads `spec.json`: (flat tensors, examples of each split, files of each split)."""
    path = Path(directory) / "spec.json"
    document = json.loads(path.read_text())
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"`{path}` has a format this version cannot read. Expected: format_version "
            f"{FORMAT_VERSION}. Received: {version!r}. Run Transform again."
        )
    tensors = {name: Tensor.from_json(entry) for name, entry in document["element"].items()}
    return tensors, document["splits"], document["shards"]


def shard_path(directory, split: str, index: int, count: int) -> Path:
    """`<split>-00000-of-00001.tfrecord` in the directory."""
    return Path(directory) / f"{split}-{index:05d}-of-{count:05d}.tfrecord"
