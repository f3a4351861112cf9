"""One example <-> one serialised `tf.train.Example`, without TensorFlow.

The wire format is that of TFDS's `FeaturesDict` for the features made by `tfds_features`, so that
TFDS reads what is written here. The protos are TFDS's copies of TensorFlow's (same wire format).
"""

import numpy as np
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from penstock.pipelines.features import (
    Audio,
    Features,
    Image,
    Label,
    Number,
    Text,
    unfit_class_names,
)

KEY = "key"
"""The record's key travels beside the features under this name."""

SIGNATURES = {"png": (b"\x89PNG\r\n\x1a\n",), "jpeg": (b"\xff\xd8\xff",)}
SIGNATURES["any"] = SIGNATURES["png"] + SIGNATURES["jpeg"]


def check_features(features: Features) -> None:
    """Raises ValueError for a description that cannot be stored."""
    if not features:
        raise ValueError("The source describes no features. Expected: at least one.")
    for name in features:
        if name == KEY or "/" in name or not name:
            raise ValueError(
                f"A feature's name must not be empty, contain `/` or be {KEY!r}, which is taken by "
                f"the record's key. Received: {name!r}. Rename it in the source."
            )
        unfit = unfit_class_names(getattr(features[name], "names", ()))
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
    for name in values:
        if name not in features:
            return f"It has the feature `{name}`, which the source does not describe."
    for name, feature in features.items():
        if name not in values or values[name] is None:
            return f"It lacks the feature `{name}`."
        fault = _FAULTS[type(feature)](values[name], feature)
        if fault:
            return f"The feature `{name}` {fault}."
    return None


def _image_fault(value, feature):
    if not isinstance(value, bytes):
        return f"must be encoded bytes, not {type(value).__name__}"
    if not value:
        return "is empty"
    if not value.startswith(SIGNATURES[feature.encoding]):
        expected = "PNG or JPEG" if feature.encoding == "any" else feature.encoding.upper()
        return f"is no {expected} image"
    return None


def _audio_fault(value, feature):
    if not isinstance(value, bytes):
        return f"must be encoded bytes, not {type(value).__name__}"
    if not value:
        return "is empty"
    signature = {"wav": b"RIFF", "flac": b"fLaC"}[feature.encoding]
    return None if value.startswith(signature) else f"is no {feature.encoding.upper()} recording"


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
    try:
        array = np.asarray(value)
    except ValueError:
        return f"must be an array of shape {feature.shape}, not a ragged list"
    kinds = "iu" if feature.dtype == "int64" else "iuf"
    if array.dtype.kind not in kinds:
        return f"must be of dtype {feature.dtype}, not {array.dtype}"
    if array.shape != feature.shape:
        return f"must have the shape {feature.shape}, not {array.shape}"
    return None


_FAULTS = {
    Image: _image_fault,
    Audio: _audio_fault,
    Text: _text_fault,
    Label: _label_fault,
    Number: _number_fault,
}


def serialise(key: str, values: dict, features: Features) -> bytes:
    """A record without faults -> bytes; equal records give equal bytes."""
    stored = {KEY: _bytes_feature(key)}
    for name, feature in features.items():
        if isinstance(feature, Label):
            stored[name] = _int64_feature([int(values[name])])
        elif isinstance(feature, Number):
            numbers = np.asarray(values[name]).ravel().tolist()
            stored[name] = (_int64_feature if feature.dtype == "int64" else _float_feature)(numbers)
        else:
            stored[name] = _bytes_feature(values[name])
    example = tf_example_pb2.Example(features=tf_feature_pb2.Features(feature=stored))
    return example.SerializeToString(deterministic=True)


def _bytes_feature(value):
    value = value.encode() if isinstance(value, str) else value
    return tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=[value]))


def _int64_feature(numbers):
    return tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=numbers))


def _float_feature(numbers):
    return tf_feature_pb2.Feature(float_list=tf_feature_pb2.FloatList(value=numbers))


def deserialise(data: bytes, features: Features) -> tuple[str, dict]:
    """Bytes -> (key, values).

    Values: bytes (images, audio), str (text), int (labels), float32 or int64 array of the
    feature's shape (numbers). A feature that is absent is missing from the dict.
    """
    stored = tf_example_pb2.Example.FromString(data).features.feature
    values = {}
    for name, feature in features.items():
        if name in stored:
            values[name] = _value(stored[name], feature)
    return stored[KEY].bytes_list.value[0].decode(), values


def _value(stored, feature):
    if isinstance(feature, Label):
        return stored.int64_list.value[0]
    if isinstance(feature, Number):
        numbers = stored.int64_list if feature.dtype == "int64" else stored.float_list
        return np.array(numbers.value, feature.dtype).reshape(feature.shape)
    data = stored.bytes_list.value[0]
    return data.decode() if isinstance(feature, Text) else data


def tfds_features(features: Features):
    """The same description as `tfds.features.FeaturesDict`, the key included."""
    import tensorflow_datasets as tfds

    described = {KEY: tfds.features.Text(doc="stable, unique name of the record")}
    for name, feature in features.items():
        described[name] = _tfds_feature(feature)
    return tfds.features.FeaturesDict(described)


def _tfds_feature(feature):
    import tensorflow_datasets as tfds

    if isinstance(feature, Image):
        encoding = None if feature.encoding == "any" else feature.encoding
        return tfds.features.Image(shape=(None, None, feature.channels), encoding_format=encoding)
    if isinstance(feature, Label):
        return tfds.features.ClassLabel(names=list(feature.names))
    if isinstance(feature, Number):
        return tfds.features.Tensor(shape=feature.shape, dtype=np.dtype(feature.dtype))
    if isinstance(feature, Audio):
        # TFDS's Audio stores decoded samples; here recordings stay encoded.
        return tfds.features.Text(doc=f"an encoded recording ({feature.encoding})")
    return tfds.features.Text()
