"""Golden records: requests and the answers that any build of the model must give. NumPy only.

`golden.npz` holds the arrays (strings as one array of bytes and one of lengths: no pickle),
`golden.json` says what they are. The exporter writes them from the Keras model; InfraValidator asks
the SavedModel the same in a process that knows no Keras.
"""

import json
from pathlib import Path

import numpy as np

FORMAT_VERSION = 1
NOISE = 1e-6
"""Float32 noise of a sum, as a part of the largest value of the stored tensor: a small result of
large terms (a coordinate of an embedding near zero) is no more exact than the terms are."""


def save(directory, requests: dict, answers: dict) -> None:
    """Writes both; each is a dict name -> array [examples, ...]; strings as arrays of bytes."""
    directory = Path(directory)
    arrays, document = {}, {"format_version": FORMAT_VERSION}
    for role, tensors in (("requests", requests), ("answers", answers)):
        document[role] = {}
        for name, value in tensors.items():
            value = np.asarray(value)
            strings = value.dtype.kind in "OSU"
            document[role][name] = {
                "dtype": "string" if strings else value.dtype.name,
                "shape": list(value.shape),
            }
            key = f"{role}/{name}"
            if strings:
                parts = [_bytes(part) for part in value.ravel()]
                arrays[f"{key}/bytes"] = np.frombuffer(b"".join(parts), np.uint8)
                arrays[f"{key}/lengths"] = np.array([len(part) for part in parts], np.int64)
            else:
                arrays[key] = value
    np.savez(directory / "golden.npz", **arrays)
    (directory / "golden.json").write_text(json.dumps(document, indent=1) + "\n")


def load(directory) -> tuple[dict, dict]:
    """`(requests, answers)` as they were saved; strings as object arrays of bytes."""
    directory = Path(directory)
    document = json.loads((directory / "golden.json").read_text())
    if document.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"`{directory / 'golden.json'}` has a format this version cannot read. Expected: "
            f"format_version {FORMAT_VERSION}. Received: {document.get('format_version')!r}. "
            "Run the Trainer again."
        )
    with np.load(directory / "golden.npz", allow_pickle=False) as arrays:
        return tuple(
            {name: _read(arrays, f"{role}/{name}", entry) for name, entry in document[role].items()}
            for role in ("requests", "answers")
        )


def differences(
    expected: dict, received: dict, relative_tolerance: float, stored: dict | None = None
) -> list[str]:
    """Sentences about where two answers differ; empty when they are the same.

    Integers, booleans and strings must be equal; floats x may differ by `relative_tolerance` * |x|
    + `NOISE` * (the largest finite |value| of the stored tensor).

    Args:
        expected, received: name -> array.
        stored: the whole tensors where `expected` holds some of their rows.
    """
    stored = stored or expected
    if sorted(expected) != sorted(received):
        return [
            f"The answer must hold {', '.join(sorted(expected))}. "
            f"Received: {', '.join(sorted(received))}."
        ]
    sentences = []
    for name in sorted(expected):
        sentence = _difference(
            name, expected[name], received[name], relative_tolerance, stored[name]
        )
        if sentence:
            sentences.append(sentence)
    return sentences


def _difference(name, expected, received, relative_tolerance, stored):
    expected, received = np.asarray(expected), np.asarray(received)
    if expected.shape != received.shape:
        return f"`{name}` must have the shape {expected.shape}. Received: {received.shape}."
    if expected.dtype.kind in "fcV":
        expected, received = expected.astype(np.float64), received.astype(np.float64)
        sizes = np.abs(np.asarray(stored).astype(np.float64))
        noise = NOISE * np.max(sizes, initial=0.0, where=np.isfinite(sizes))
        with np.errstate(invalid="ignore"):
            allowed = relative_tolerance * np.abs(expected) + noise
            near = np.isfinite(expected) & (np.abs(expected - received) <= allowed)
        apart = ~(near | (expected == received) | (np.isnan(expected) & np.isnan(received)))
        rule = f"within {relative_tolerance:g} of its size"
    else:
        apart = expected != received
        rule = "exactly"
    if not np.any(apart):
        return None
    first = tuple(int(i) for i in np.argwhere(apart)[0])
    return (
        f"`{name}` must equal the Keras model's answer {rule}; {int(apart.sum())} of {apart.size} "
        f"values differ. First at {list(first)}: expected {_show(expected[first])}, "
        f"received {_show(received[first])}."
    )


def _show(value):
    return f"{value:.9g}" if isinstance(value, np.floating) else repr(value)


def _bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def _read(arrays, key, entry):
    if entry["dtype"] != "string":
        return arrays[key]
    content = arrays[f"{key}/bytes"].tobytes()
    ends = np.cumsum(arrays[f"{key}/lengths"])
    starts = ends - arrays[f"{key}/lengths"]
    strings = np.empty(len(ends), object)
    strings[:] = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    return strings.reshape(entry["shape"])
