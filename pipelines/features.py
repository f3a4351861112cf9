"""What an example is on disk: a description, data and not code.

Comes in: nothing. Goes out: one small class for each kind of feature, as JSON where it is stored.
The raw form of a feature is what `ExampleGen` writes, what a request to the served model carries
and what `prepare_inputs` receives, always with a batch axis in front:

| kind       | raw form                        | dtype                            |
|------------|---------------------------------|----------------------------------|
| `Image`    | encoded PNG or JPEG             | string [batch]                   |
| `Mask`     | encoded PNG, a class id a pixel | string [batch]                   |
| `Audio`    | encoded 16-bit PCM WAV          | string [batch]                   |
| `Text`     | UTF-8                           | string [batch]                   |
| `Label`    | class id                        | int64 [batch]                    |
| `Number`   | value(s)                        | float32 or int64 [batch, *shape] |
| `Boxes`    | boxes of one image              | float32 [batch, None, 4], ragged |
| `Sequence` | texts, class ids or numbers     | [batch, None, *shape], ragged    |

An `optional` feature may be missing in an example: it is then absent on disk, and its raw form is
the empty string, -1 for a class id, NaN for a float, `MISSING_INT64` for an integer, and an empty
row for a sequence.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from penstock.pipelines.config import Config

MISSING_INT64 = -(2**63)
"""The raw form of a missing integer; as NumPy's `NaT`, the one integer without a negative."""
MISSING_LABEL = -1
"""The raw form of a missing class id."""


class Image(Config):
    """An encoded image. `channels`: 1 grey, 3 RGB, 4 RGBA; `encoding`: what the bytes are."""

    kind: Literal["image"] = "image"
    channels: Literal[1, 3, 4] = 3
    encoding: Literal["png", "jpeg", "any"] = "any"


class Mask(Config):
    """The class of each pixel of an image, as an 8-bit grey PNG of the image's size.

    A pixel is the position of its class in `names`, or `ignore`: a pixel without a class.
    """

    kind: Literal["mask"] = "mask"
    names: tuple[str, ...]
    ignore: Annotated[int, Field(ge=0, le=255)] | None = None

    @model_validator(mode="after")
    def _fits_a_byte(self):
        if len(self.names) > 256 or (self.ignore is not None and self.ignore < len(self.names)):
            raise ValueError(
                "a mask's classes are the pixel values 0, 1, ... up to 255, and `ignore` is a value "
                f"behind them. Received: {len(self.names)} classes, ignore={self.ignore}."
            )
        return self


class Audio(Config):
    """An encoded recording: WAV, 16-bit PCM, which is what TensorFlow decodes.

    `sample_rate_hz` and `channels` are None where recordings differ.
    """

    kind: Literal["audio"] = "audio"
    encoding: Literal["wav"] = "wav"
    sample_rate_hz: int | None = None
    channels: int | None = None


class Text(Config):
    """A UTF-8 string."""

    kind: Literal["text"] = "text"
    optional: bool = False


class Label(Config):
    """A class, stored as its position in `names`."""

    kind: Literal["label"] = "label"
    names: tuple[str, ...]
    optional: bool = False


class Number(Config):
    """One number, or a fixed-shape array of them."""

    kind: Literal["number"] = "number"
    dtype: Literal["float32", "int64"] = "float32"
    shape: tuple[int, ...] = ()
    optional: bool = False


class Boxes(Config):
    """Any number of boxes in an image: (ymin, xmin, ymax, xmax) as fractions of its size.

    As TFDS's `BBoxFeature` and Keras's "rel_yxyx". Their classes are a `Sequence` of labels.
    """

    kind: Literal["boxes"] = "boxes"


class Sequence(Config):
    """Any number of texts, class ids or numbers (each of the same shape)."""

    kind: Literal["sequence"] = "sequence"
    of: Annotated[Text | Label | Number, Field(discriminator="kind")]
    optional: bool = False

    @model_validator(mode="after")
    def _no_gaps(self):
        if self.of.optional:
            raise ValueError(
                "the parts of a sequence cannot be missing: leave them out of it, or make the "
                "sequence `optional`."
            )
        return self


Feature = Annotated[
    Image | Mask | Audio | Text | Label | Number | Boxes | Sequence, Field(discriminator="kind")
]
Features = dict[str, Feature]

FEATURES = TypeAdapter(Features)
"""Reads and writes a `Features` dict as JSON (`validate_json`, `dump_json`)."""


def is_optional(feature: Feature) -> bool:
    """Whether an example may lack the feature."""
    return getattr(feature, "optional", False)


def class_names(feature: Feature) -> tuple[str, ...]:
    """The classes of a label, a mask or a sequence of labels; of others none."""
    return getattr(getattr(feature, "of", feature), "names", ())


def unfit_class_names(names: tuple[str, ...]) -> list[str]:
    """Those that TFDS would read back as others: it keeps a label's names one a line, stripped."""
    return [name for name in names if name != name.strip() or len(name.splitlines()) != 1]
