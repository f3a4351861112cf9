"""Which examples the page shows: a few of each class, and those that are asked for by key.

Comes in: an Examples directory. Goes out: plain values for the template. Reading stops at limits of
records and bytes, so that the time does not grow with the data. A key's hash tells its shard.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Resampling

from penstock.pipelines import examples
from penstock.pipelines.example_codec import deserialise
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
)
from penstock.pipelines.ingest.splits import key_hashes
from penstock.pipelines.tfrecord import read_records
from penstock.tfx.report import formats, images, overlays, sounds

CLASSES, PER_CLASS, WITHOUT_CLASS = 20, 8, 16
LARGE, LONGEST_DRAWN = 12, 320
"""How many pictures with something drawn over them, or recordings; pixels of such a picture."""
READ_RECORDS, READ_BYTES = 20_000, 2**28
"""What is read of a split at most in search of samples."""
SEARCH_RECORDS, SEARCH_BYTES = 500_000, 2**30
"""The same for each shard with an example that is asked for by key."""
TEXT_LENGTH = 160
MOST_COLUMNS = 12
PARTS = 6
"""Of a sequence."""
SMALL = 48


@dataclass(frozen=True)
class Samples:
    """Rows of examples, one for each class where there is a label.

    Attributes:
        groups: [{name, examples}].
        split: where they are from.
        left_out: classes that are not shown.
        shows: what there is to see or hear: "images", "sounds", or "" for a table of `columns`.
        drawn: what is drawn over the images: "boxes", "masks" or "".
        legend: (class, colour) of the boxes or masks.
        texts: those of the columns that are texts.
    """

    groups: list[dict]
    split: str
    left_out: int
    shows: str
    columns: list[str]
    columns_left_out: int
    drawn: str
    legend: list[tuple[str, str]]
    texts: list[str]

    @property
    def is_small(self) -> bool:
        """Whether every image has so few pixels that each must be seen."""
        found = [example["image"] for group in self.groups for example in group["examples"]]
        return all(image["width"] <= SMALL and image["height"] <= SMALL for image in found if image)

    @property
    def longest_name(self) -> int:
        """Characters of the longest name of a group."""
        return max((len(group["name"]) for group in self.groups), default=0)


def sample(directory: Path, split: str) -> Samples:
    """The first examples of each class in a split."""
    described = examples.features(directory)
    kinds = {type(feature) for feature in described.values()}
    label = next((n for n, f in described.items() if isinstance(f, Label)), None)
    names = described[label].names if label else ("",)
    drawn = _drawn(kinds)
    is_large = bool(drawn) or (Audio in kinds and Image not in kinds)
    shown = names[: LARGE if is_large else CLASSES]
    wanted = PER_CLASS if label else WITHOUT_CLASS
    wanted = max(1, LARGE // len(shown)) if is_large else wanted
    found: dict[int, list] = {place: [] for place in range(len(shown))}
    missing = len(shown) * wanted
    paths = examples.shard_paths(directory, split)
    for data in _read(paths, READ_RECORDS, READ_BYTES):
        key, values = deserialise(data, described)
        place = values.get(label) if label else 0
        if place in found and len(found[place]) < wanted:
            found[place].append(describe(key, values, described))
            missing -= 1
        if not missing:
            break
    chosen = [example for several in found.values() for example in several]
    sounds.limit_played([example["sound"] for example in chosen])
    groups = [
        {"name": formats.label(name) if label else "", "examples": found[place]}
        for place, name in enumerate(shown)
    ]
    columns = [formats.label(n) for n, f in described.items() if not isinstance(f, Image)]
    return Samples(
        groups=[group for group in groups if group["examples"]],
        split=split,
        left_out=len(names) - len(shown),
        shows="images" if Image in kinds else "sounds" if Audio in kinds else "",
        columns=columns[:MOST_COLUMNS],
        columns_left_out=max(0, len(columns) - MOST_COLUMNS),
        drawn=drawn,
        legend=_legend(drawn, described),
        texts=[formats.label(n) for n, f in described.items() if isinstance(f, Text)],
    )


def _drawn(kinds) -> str:
    if Image not in kinds:
        return ""
    return "boxes" if Boxes in kinds else "masks" if Mask in kinds else ""


def _legend(drawn, described) -> list[tuple[str, str]]:
    if drawn == "masks":
        of = next(f for f in described.values() if isinstance(f, Mask))
    else:
        of = next((f.of for f in described.values() if _is_classes(f)), None) if drawn else None
    names = of.names[:CLASSES] if of else ()
    return [(formats.label(name), overlays.css(place)) for place, name in enumerate(names)]


def _is_classes(feature) -> bool:
    return isinstance(feature, Sequence) and isinstance(feature.of, Label)


def find(directory: Path, split: str, keys: set[str]) -> dict[str, dict]:
    """Key -> example, as `describe` gives it, with `texts`: name -> text, however long.

    `recordings` are the names of the features that can be heard. What is not found in time is missing.
    """
    described, found = examples.features(directory), {}
    recordings = [formats.label(n) for n, f in described.items() if isinstance(f, Audio)]
    for path, wanted in _by_shard(examples.shard_paths(directory, split), keys).items():
        encoded = [key.encode() for key in wanted]
        for data in _read([path], SEARCH_RECORDS, SEARCH_BYTES):
            if not any(key in data for key in encoded):  # an eighth of the time of parsing it
                continue
            key, values = deserialise(data, described)
            if key in wanted:
                texts = {n: values[n] for n in values if isinstance(described[n], Text)}
                example = describe(key, values, described)
                found[key] = example | {"texts": texts, "recordings": recordings}
                wanted.remove(key)
                if not wanted:
                    break
    return found


def _by_shard(paths: list[Path], keys: set[str]) -> dict[Path, set[str]]:
    """The shard of each key: each covers an equal range of hashes (`example_gen.write_shard`)."""
    wanted: dict[Path, set[str]] = {}
    for key in keys if paths else ():
        _, order_hash = key_hashes(key)
        wanted.setdefault(paths[order_hash * len(paths) >> 64], set()).add(key)
    return wanted


def describe(key: str, values: dict, described: Features) -> dict:
    """{key, image, sound, facts} of an example.

    The first image with its boxes or its mask drawn over it, the first recording, and every feature
    but images as text; what is missing has a dash.
    """
    image, sound, facts = None, None, []
    for name, feature in described.items():
        if isinstance(feature, Image):
            image = image or (_picture(values[name], values, described) if name in values else None)
            continue
        if isinstance(feature, Audio) and name in values:
            sound = sound or sounds.picture(values[name])
        text = _text(values[name], feature) if name in values else formats.MISSING
        facts.append((formats.label(name), text))
    return {"key": formats.key(key), "image": image, "sound": sound, "facts": facts}


def _picture(data: bytes, values: dict, described: Features) -> dict | None:
    """A thumbnail; with boxes or a mask a larger one, and these over it."""
    drawn = _drawn({type(feature) for feature in described.values()})
    opened = images.small(data, LONGEST_DRAWN if drawn else images.LONGEST)
    if opened is None:
        return None
    image, size = opened
    factor = LONGEST_DRAWN // 2 // max(image.size)
    if drawn and factor > 1:  # a frame is two pixels wide
        image = image.resize((factor * image.width, factor * image.height), Resampling.NEAREST)
    chosen = {"boxes": Boxes, "masks": Mask}.get(drawn)
    name = next((n for n, f in described.items() if chosen and isinstance(f, chosen)), None)
    if name in values and drawn == "boxes":
        boxes = values[name]
        classes = [values[n] for n, f in described.items() if _is_classes(f) and n in values]
        fitting = (ids for ids in classes if len(ids) == len(boxes))
        image = overlays.draw_boxes(image, boxes, list(next(fitting, [])))
    elif name in values:
        with contextlib.suppress(OSError, SyntaxError, ValueError):  # it is then shown bare
            image = overlays.blend_mask(image, values[name], len(described[name].names))
    return images.encode(image, size)


def _text(value, feature) -> str:
    if isinstance(feature, Label):
        return formats.label(feature.names[value])
    if isinstance(feature, Text):
        return formats.label(value, TEXT_LENGTH)
    if isinstance(feature, Boxes):
        return formats.count(len(value), "box", "boxes")
    if isinstance(feature, Sequence):
        parts = [_text(part, feature.of) for part in value[:PARTS]]
        shown = ", ".join(parts + ["…"] * (len(value) > PARTS))
        return formats.label(shown, TEXT_LENGTH) if parts else formats.MISSING
    if isinstance(feature, Audio | Mask):
        return f"{feature.kind}, {len(value):,} bytes"
    if isinstance(feature, Number) and value.shape:
        flat = ", ".join(formats.number(part) for part in value.ravel()[:6].tolist())
        return f"{flat}, …" if value.size > 6 else flat
    return formats.number(value.item())


def _read(paths: list[Path], records: int, size: int) -> Iterator[bytes]:
    count = read = 0
    for path in paths:
        for data in read_records(path):
            yield data
            count, read = count + 1, read + len(data)
            if count >= records or read >= size:
                return
