"""From the features of a TFDS data set to ours: what is carried over, and what is not.

Nested features get one name, joined by `_`: a `Sequence` of a dict `objects` with `bbox` and `label`
becomes `objects_bbox` and `objects_label`.

| TFDS                                             | here                               |
|--------------------------------------------------|------------------------------------|
| `Image` of uint8 with 1, 3 or 4 channels         | `Image`, encoded as it is          |
| `LabeledImage` of uint8                          | `Mask`                             |
| `Audio` with a sample rate                       | `Audio`, 16-bit PCM WAV            |
| `ClassLabel`                                     | `Label`                            |
| `Text`, a scalar of strings                      | `Text`                             |
| `bool`                                           | `Label` with `false` and `true`    |
| numbers of fixed shape (not uint64)              | `Number`                           |
| `BBoxFeature`, a sequence of them                | `Boxes`                            |
| a sequence of labels, texts or numbers, numbers whose first axis is open | `Sequence` |

Others (videos, sequences of sequences or images, nested data sets, images of 16 bits) are left out;
`Carried.left_out` says which and why.
"""

from dataclasses import dataclass, field

import numpy as np
import tensorflow_datasets as tfds

from penstock.pipelines.features import (
    Audio,
    Boxes,
    Feature,
    Image,
    Label,
    Mask,
    Number,
    Sequence,
    Text,
)
from penstock.pipelines.media.audio_files import AudioFault, from_samples
from penstock.pipelines.media.mask_files import ImageFault
from penstock.pipelines.media.mask_files import normalise as normalise_mask

_tfds = tfds.features


@dataclass
class Carried:
    """What of a data set is carried over.

    `features` are ours by name, `paths` the keys of each in TFDS's nested dict; `left_out` has the
    reason for each name that is not carried over.
    """

    features: dict[str, Feature] = field(default_factory=dict)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    decoding: dict = field(default_factory=dict)
    decoders: dict = field(default_factory=dict)

    def partial_decoding(self) -> tfds.decode.PartialDecoding:
        """Makes TFDS decode these features and no others, and leave images encoded."""
        return tfds.decode.PartialDecoding(self.decoding, decoders=self.decoders or None)


class _LeftOut(ValueError):
    """Why a feature is not carried over."""


def carry(features: _tfds.FeaturesDict) -> Carried:
    """The features of a data set that are carried over."""
    carried = Carried()
    carried.decoding, carried.decoders = _carry_dict(features, (), carried, in_sequence=False)
    return carried


def _carry_dict(features, above, carried, in_sequence):
    """Adds what is in a dict; returns the (decoding, decoders) of it for `PartialDecoding`."""
    decoding, decoders = {}, {}
    for key, feature in features.items():
        path = (*above, key)
        inner = getattr(feature, "feature", None) if isinstance(feature, _tfds.Sequence) else None
        if isinstance(feature, _tfds.FeaturesDict):
            inside = _carry_dict(feature, path, carried, in_sequence)
        elif isinstance(inner, _tfds.FeaturesDict) and not in_sequence:
            inside = _carry_dict(inner, path, carried, True)
        else:
            ours = _carry_one(path, feature, carried, in_sequence)
            if ours is not None:
                decoding[key] = True
                if isinstance(ours, Image | Mask):
                    decoders[key] = tfds.decode.SkipDecoding()
            continue
        if inside[0]:
            # TFDS takes a translation as a whole only.
            decoding[key] = True if isinstance(feature, _tfds.Translation) else inside[0]
        if inside[1]:
            decoders[key] = inside[1]
    return decoding, decoders


def _carry_one(path, feature, carried, in_sequence):
    name = "_".join(path).replace("/", "_")
    try:
        if name == "key":
            raise _LeftOut("the name is taken by the record's key")
        if name in carried.features:
            raise _LeftOut("another feature has this name")
        ours = _sequence_of(feature) if in_sequence else _describe(feature)
    except _LeftOut as reason:
        carried.left_out[name] = f"{type(feature).__name__}: {reason}"
        return None
    carried.features[name], carried.paths[name] = ours, path
    return ours


def _describe(feature) -> Feature:
    """A TFDS feature as ours."""
    if isinstance(feature, _tfds.Image):
        return _image(feature)
    if isinstance(feature, _tfds.Audio):
        return _audio(feature)
    if isinstance(feature, _tfds.BBoxFeature):
        return _boxes(feature)
    # A video is a sequence to TFDS; so is a translation into any number of languages.
    if isinstance(feature, _tfds.Video):
        raise _LeftOut("videos are not carried over")
    if isinstance(feature, _tfds.Sequence):
        return _sequence_of(feature.feature)
    return _single(feature)


def _single(feature) -> Label | Text | Number | Sequence:
    if isinstance(feature, _tfds.ClassLabel):
        names = feature.names or [str(index) for index in range(feature.num_classes)]
        return Label(names=tuple(names))
    if isinstance(feature, _tfds.Text):
        return Text()
    if type(feature) not in (_tfds.Tensor, _tfds.Scalar):
        raise _LeftOut("this kind is not carried over")
    shape, dtype = tuple(feature.shape), np.dtype(feature.np_dtype)
    if dtype.kind in "OSU":
        if len(shape) > 1:
            raise _LeftOut(f"strings of shape {shape}")
        return Sequence(of=Text()) if shape else Text()
    if dtype.kind == "b" and not shape:
        return Label(names=("false", "true"))
    if dtype.kind == "f":
        number = "float32"
    elif dtype.kind in "iub" and dtype != np.uint64:
        number = "int64"
    else:
        raise _LeftOut(f"numbers of dtype {dtype.name}")
    if shape[:1] == (None,) and None not in shape[1:]:
        return Sequence(of=Number(dtype=number, shape=shape[1:]))
    if None in shape:
        raise _LeftOut(f"numbers of shape {shape}")
    return Number(dtype=number, shape=shape)


def _sequence_of(feature) -> Sequence | Boxes:
    if isinstance(feature, _tfds.BBoxFeature):
        return _boxes(feature)
    if isinstance(feature, _tfds.Image | _tfds.Audio | _tfds.Sequence):
        raise _LeftOut("several of them in an example")
    part = _single(feature)
    if isinstance(part, Sequence):
        raise _LeftOut("sequences in a sequence")
    return Sequence(of=part)


def _image(feature):
    channels = feature.shape[-1]
    if feature.np_dtype != np.uint8 or channels not in (1, 3, 4):
        raise _LeftOut(f"{channels} channels of {np.dtype(feature.np_dtype).name}")
    if not isinstance(feature, _tfds.LabeledImage):
        return Image(channels=channels, encoding="any")
    names = feature.names or [str(index) for index in range(feature.num_classes)]
    if channels != 1 or len(names) > 256:
        raise _LeftOut(f"masks of {channels} channels and {len(names)} classes")
    return Mask(names=tuple(names))


def _audio(feature):
    if not feature.sample_rate:  # Read back from disk, an unknown one is 0.
        raise _LeftOut("its sample rate is not said")
    if len(feature.shape) > 2 or np.dtype(feature.np_dtype).kind not in "if":
        raise _LeftOut(f"shape {tuple(feature.shape)} of {np.dtype(feature.np_dtype).name}")
    channels = feature.shape[1] if len(feature.shape) == 2 else 1
    return Audio(sample_rate_hz=int(feature.sample_rate), channels=channels)


def _boxes(feature):
    form = getattr(feature, "bbox_format", None)
    if form is not None and form.name != "REL_YXYX":
        raise _LeftOut(f"boxes in the format {form.name}")
    return Boxes()


class ValueFault(ValueError):
    """A value that does not fit; the message is the reason, a sentence."""


def value_of(name: str, stored, feature: Feature):
    """What TFDS decodes -> the raw form of a feature.

    Raises:
        ValueFault: a mask or a recording that is none.
    """
    try:
        if isinstance(feature, Mask):
            return normalise_mask(stored, len(feature.names))
        if isinstance(feature, Audio):
            return from_samples(np.asarray(stored), feature.sample_rate_hz)
    except (ImageFault, AudioFault) as fault:
        raise ValueFault(f"The feature `{name}`: {fault}") from None
    if isinstance(feature, Boxes):
        return np.asarray(stored).reshape(-1, 4)
    if isinstance(stored, bool):
        return int(stored)
    if isinstance(stored, np.ndarray) and stored.dtype == bool:
        return stored.astype(np.int64)
    return stored
