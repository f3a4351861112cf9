"""What an example is on disk: a description, data and not code.

Comes in: nothing. Goes out: one small class for each kind of feature, as JSON where it is stored.
The raw form of a feature is what `ExampleGen` writes, what a request to the served model carries
and what `prepare_inputs` receives, always with a batch axis in front:

| kind     | raw form            | dtype          |
|----------|---------------------|----------------|
| `Image`  | encoded PNG or JPEG | string [batch] |
| `Audio`  | encoded WAV or FLAC | string [batch] |
| `Text`   | UTF-8               | string [batch] |
| `Label`  | class id            | int64 [batch]  |
| `Number` | value(s)            | float32 or int64 [batch, *shape] |
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from penstock.pipelines.config import Config


class Image(Config):
    """An encoded image. `channels`: 1 grey, 3 RGB, 4 RGBA; `encoding`: what the bytes are."""

    kind: Literal["image"] = "image"
    channels: Literal[1, 3, 4] = 3
    encoding: Literal["png", "jpeg", "any"] = "any"


class Audio(Config):
    """An encoded recording; `sample_rate_hz` is None where recordings differ."""

    kind: Literal["audio"] = "audio"
    encoding: Literal["wav", "flac"] = "wav"
    sample_rate_hz: int | None = None


class Text(Config):
    """A UTF-8 string."""

    kind: Literal["text"] = "text"


class Label(Config):
    """A class, stored as its position in `names`."""

    kind: Literal["label"] = "label"
    names: tuple[str, ...]


def unfit_class_names(names: tuple[str, ...]) -> list[str]:
    """Those that TFDS would read back as others: it keeps a label's names one a line, stripped."""
    return [name for name in names if name != name.strip() or len(name.splitlines()) != 1]


class Number(Config):
    """One number, or a fixed-shape array of them."""

    kind: Literal["number"] = "number"
    dtype: Literal["float32", "int64"] = "float32"
    shape: tuple[int, ...] = ()


Feature = Annotated[Image | Audio | Text | Label | Number, Field(discriminator="kind")]
Features = dict[str, Feature]

FEATURES = TypeAdapter(Features)
"""Reads and writes a `Features` dict as JSON (`validate_json`, `dump_json`)."""
