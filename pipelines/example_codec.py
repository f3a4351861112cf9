"""One example <-> one serialised `tf.train.Example`, without TensorFlow.

The wire format is that of TFDS's `FeaturesDict` for the features made by `tfds_features`, so that
TFDS reads what is written here. The protos are TFDS's copies of TensorFlow's (same wire format).
A missing value is an absent feature, which TFDS reads as a sequence without entries.
"""

import struct

import numpy as np
from tensorflow_datasets.proto import tf_example_pb2

from penstock.pipelines import example_wire as wire
from penstock.pipelines.features import (
    Audio,
    Boxes,
    Features,
    Image,
    Label,
    Mask,
    Number,
    Sequence,
    Text,
    class_names,
    is_optional,
    unfit_class_names,
)

KEY = "key"
"""The record's key travels beside the features under this name."""

SIGNATURES = {"png": (b"\x89PNG\r\n\x1a\n",), "jpeg": (b"\xff\xd8\xff",)}
SIGNATURES["any"] = SIGNATURES["png"] + SIGNATURES["jpeg"]

_FLOAT32 = struct.Struct("<f")
_INT64 = range(-(2**63), 2**63)


def check_features(features: Features) -> None:
    """Raises ValueError for a description that cannot be stored."""
    if not features:
        raise ValueError("The source describes no features. Expected: at least one.")
    for name in features:
        if name == KEY or "/" in name or not name:
            raise ValueError(
                f"A feature's name must not be empty, contain `/` or be {KEY!r}, which is taken by "
                f"the record's key. Received: {name!r}. Rename it in the source; in a table by "
                "`data.source.columns: {feature: column}`."
            )
        classes = class_names(features[name])
        if len(set(classes)) < len(classes):
            twice = sorted({one for one in classes if classes.count(one) > 1})
            raise ValueError(
                f"The classes of `{name}` must have different names. Received twice: "
                f"{', '.join(map(repr, twice))}. Rename the class."
            )
        unfit = unfit_class_names(classes)
        if unfit:
            raise ValueError(
                f"A class name of the label `{name}` must be one line that neither begins nor ends "
                f"with white space. Received: {', '.join(map(repr, unfit))}. Rename the class."
            )


def fault_of(key, values: dict, features: Features) -> str | None:
    """Why a record does not fit its description, in one sentence; None if it does."""
    if not isinstance(key, str) or not key:
        return f"The key must be a string that is not empty, not {key!r}."
    try:
        key.encode()
    except UnicodeEncodeError:
        return "The key (a file name?) is not UTF-8."
    if not values.keys() <= features.keys():
        name = next(name for name in values if name not in features)
        return f"It has the feature `{name}`, which the source does not describe."
    for name, feature in features.items():
        value = values.get(name)
        if value is None:
            if is_optional(feature):
                continue
            return f"It lacks the feature `{name}`."
        fault = _FAULTS[type(feature)](value, feature)
        if fault:
            return f"The feature `{name}` {fault}."
    return None


def _image_fault(value, feature):
    return _encoded_fault(value) or _signature_fault(value, feature.encoding)


def _mask_fault(value, feature):
    del feature
    return _encoded_fault(value) or _signature_fault(value, "png")


def _encoded_fault(value):
    if not isinstance(value, bytes):
        return f"must be encoded bytes, not {type(value).__name__}"
    return None if value else "is empty"


def _signature_fault(value, encoding):
    if value.startswith(SIGNATURES[encoding]):
        return None
    return f"is no {'PNG or JPEG' if encoding == 'any' else encoding.upper()} image"


def _audio_fault(value, feature):
    del feature
    fault = _encoded_fault(value)
    return fault or (None if value.startswith(b"RIFF") else "is no WAV recording")


def _text_fault(value, feature):
    del feature
    if not isinstance(value, str | bytes):
        return f"must be text, not {type(value).__name__}"
    try:
        value.encode() if isinstance(value, str) else value.decode()
    except UnicodeError:
        return "is not UTF-8"
    return None


def _label_fault(value, feature):
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return f"must be a class id, not {value!r} ({type(value).__name__})"
    if not 0 <= value < len(feature.names):
        return f"is {value}; class ids go from 0 to {len(feature.names) - 1}"
    return None


def _number_fault(value, feature):
    # Of tables most values are Python's own numbers: a fifth of the time.
    if not feature.shape and (
        type(value) is float
        if feature.dtype == "float32"
        else type(value) is int and value in _INT64
    ):
        return None
    return _array_fault(value, feature, feature.shape, "an array")


def _array_fault(value, number, shape, called):
    """Of an array of this shape; None in it stands for any size."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(
        value
    ):  # An array would have what is below the mask.
        return "has masked values, which are none; for a missing value give None"
    try:
        array = np.asarray(value)
    except ValueError:
        return f"must be {called} of shape {shape}, not a ragged list"
    if not array.size and shape[:1] == (None,):
        return None  # An empty list has neither a dtype nor further axes.
    kinds = "iu" if number.dtype == "int64" else "iuf"
    if array.dtype.kind not in kinds:
        return f"must be of dtype {number.dtype}, not {array.dtype}"
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        return f"has {array.max()}, which does not fit into an int64"
    if len(array.shape) != len(shape) or any(
        expected not in (None, size) for size, expected in zip(array.shape, shape, strict=True)
    ):
        return f"must have the shape {shape}, not {array.shape}"
    return None


def _boxes_fault(value, feature):
    del feature
    fault = _array_fault(value, Number(), (None, 4), "boxes")
    if fault:
        return fault
    boxes = np.asarray(value, np.float32).reshape(-1, 4)
    bad = ~((boxes >= 0) & (boxes <= 1)).all(axis=1)
    bad |= (boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])
    if bad.any():
        index = int(np.argmax(bad))
        return (
            f"has the box {boxes[index].tolist()} (number {index}); expected 0 <= ymin <= ymax <= 1 "
            "and 0 <= xmin <= xmax <= 1"
        )
    return None


def _sequence_fault(value, feature):
    if isinstance(feature.of, Number):
        return _array_fault(value, feature.of, (None, *feature.of.shape), "a list")
    if not isinstance(value, list | tuple | np.ndarray):
        return f"must be a list, not {type(value).__name__}"
    for index, part in enumerate(value):
        fault = _FAULTS[type(feature.of)](part, feature.of)
        if fault:
            return f"{fault} (entry {index})"
    return None


_FAULTS = {
    Image: _image_fault,
    Mask: _mask_fault,
    Audio: _audio_fault,
    Text: _text_fault,
    Label: _label_fault,
    Number: _number_fault,
    Boxes: _boxes_fault,
    Sequence: _sequence_fault,
}


def serialise(key: str, values: dict, features: Features) -> bytes:
    """A record without faults -> bytes; equal records give equal bytes. For many: `Encoder`."""
    return Encoder(features).encode(key, values)[0]


class Encoder:
    """Serialises records of one description: what does not depend on a record is made once."""

    def __init__(self, features: Features):
        fields = {KEY: (wire.bytes_entry(KEY), str.encode, False)}
        for name, feature in features.items():
            is_label = isinstance(getattr(feature, "of", feature), Label)
            fields[name] = (*_stored_as(name, feature), not is_label)
        self._fields = [(name, *fields[name]) for name in sorted(fields, key=wire.order)]

    def encode(self, key: str, values: dict) -> tuple[bytes, bytes]:
        """A record without faults -> (its bytes, those of all that is neither key nor label)."""
        entries, content = [], []
        for name, entry_of, raw_form, is_content in self._fields:
            value = key if name == KEY else values.get(name)
            if value is None:
                continue
            entry = entry_of(raw_form(value))
            entries.append(entry)
            if is_content:
                content.append(entry)
        return wire.example(entries), b"".join(content)


def _stored_as(name, feature):
    """(raw form -> entry of the Example, value -> raw form)."""
    inner = getattr(feature, "of", feature)
    if isinstance(inner, Label):
        several = isinstance(feature, Sequence)
        return wire.int64_entry(name), _ids if several else _one_id
    if isinstance(inner, Number) and inner.dtype == "int64":
        return wire.int64_entry(name), _integers
    if isinstance(inner, Number | Boxes):
        return wire.float_entry(name), _floats
    if isinstance(feature, Sequence):
        return wire.several_bytes_entry(name), lambda values: list(map(_encoded, values))
    return wire.bytes_entry(name), _encoded


def _encoded(value):
    return value.encode() if isinstance(value, str) else value


def _one_id(value):
    return (int(value),)


def _ids(values):
    return list(map(int, values))


def _integers(value):
    return (value,) if type(value) is int else np.asarray(value).ravel().tolist()


def _floats(value):
    if type(value) is float:
        try:
            return _FLOAT32.pack(value)
        except OverflowError:
            pass
    return wire.float32_bytes(value)


def deserialise(data: bytes, features: Features) -> tuple[str, dict]:
    """Bytes -> (key, values). For many: `Decoder`."""
    return Decoder(features).decode(data)


class Decoder:
    """Parses examples of one description: how to read a feature is found out once."""

    def __init__(self, features: Features):
        self._readers = [(name, _reader(feature)) for name, feature in features.items()]

    def decode(self, data: bytes) -> tuple[str, dict]:
        """Bytes -> (key, values).

        Values: bytes (images, masks, audio), str (text), int (labels), float32 or int64 scalar or
        array of the feature's shape (numbers), float32 [n, 4] (boxes); of a sequence a list of str
        or int, or an array [n, *shape]. A feature that is absent is missing from the dict.
        """
        stored = tf_example_pb2.Example.FromString(data).features.feature
        values = {}
        for name, read in self._readers:
            value = stored.get(name)
            if value is not None:
                values[name] = read(value)
        return stored[KEY].bytes_list.value[0].decode(), values


def _reader(feature):
    """A function: what is stored -> the value."""
    if isinstance(feature, Label):
        return lambda stored: stored.int64_list.value[0]
    if isinstance(feature, Number):
        if feature.shape:
            return lambda stored: _array(stored, feature, feature.shape)
        # A numpy scalar takes a twentieth of the time of an array.
        if feature.dtype == "int64":
            return lambda stored: np.int64(stored.int64_list.value[0])
        return lambda stored: np.float32(stored.float_list.value[0])
    if isinstance(feature, Boxes):
        return lambda stored: np.array(stored.float_list.value, np.float32).reshape(-1, 4)
    if isinstance(feature, Text):
        return lambda stored: stored.bytes_list.value[0].decode()
    if not isinstance(feature, Sequence):
        return lambda stored: stored.bytes_list.value[0]
    if isinstance(feature.of, Text):
        return lambda stored: [part.decode() for part in stored.bytes_list.value]
    if isinstance(feature.of, Label):
        return lambda stored: list(stored.int64_list.value)
    return lambda stored: _numbers(stored, feature.of)


def _numbers(stored, number):
    # Not -1 in an empty list: with a size of 0 numpy cannot tell what it stands for.
    size = int(np.prod(number.shape, dtype=np.int64))
    found = stored.int64_list if number.dtype == "int64" else stored.float_list
    return _array(stored, number, (len(found.value) // max(size, 1), *number.shape))


def _array(stored, number, shape):
    numbers = stored.int64_list if number.dtype == "int64" else stored.float_list
    return np.array(numbers.value, number.dtype).reshape(shape)


def tfds_features(features: Features):
    """The same description as `tfds.features.FeaturesDict`, the key included."""
    import tensorflow_datasets as tfds

    described = {KEY: tfds.features.Text(doc="stable, unique name of the record")}
    for name, feature in features.items():
        inner = _tfds_feature(feature)
        several = is_optional(feature) and not isinstance(feature, Sequence)
        described[name] = tfds.features.Sequence(inner) if several else inner
    return tfds.features.FeaturesDict(described)


def _tfds_feature(feature):
    import tensorflow_datasets as tfds

    if isinstance(feature, Image):
        encoding = None if feature.encoding == "any" else feature.encoding
        return tfds.features.Image(shape=(None, None, feature.channels), encoding_format=encoding)
    if isinstance(feature, Mask):
        # Not LabeledImage, which refuses pixels behind the classes: those to be ignored.
        return tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    if isinstance(feature, Label):
        return tfds.features.ClassLabel(names=list(feature.names))
    if isinstance(feature, Number):
        return tfds.features.Tensor(shape=feature.shape, dtype=np.dtype(feature.dtype))
    if isinstance(feature, Boxes):
        return tfds.features.Sequence(tfds.features.BBoxFeature())
    if isinstance(feature, Sequence):
        return tfds.features.Sequence(_tfds_feature(feature.of))
    if isinstance(feature, Audio):
        # TFDS's Audio stores decoded samples; here recordings stay encoded.
        return tfds.features.Text(doc=f"an encoded recording ({feature.encoding})")
    return tfds.features.Text()
