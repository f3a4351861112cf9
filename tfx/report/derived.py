"""What the parts of a feature are called and measured in: `image/brightness`, `speech/seconds`.

They are listed in `pipelines/statistics/feature_statistics.py`. A column of a table may be called
`a/b` too; `base_of` knows it from a part by the statistics of what stands before the stroke.
"""

from penstock.pipelines.statistics.statistics_files import NUM_ZERO_AREA, custom_stat
from penstock.tfx.report import formats

PARTS = {
    "characters": ("Length of {}", "characters"),
    "words": ("Length of {}", "words"),
    "length": ("Length of the list {}", "entries"),
    "height": ("Height of {}", "pixels"),
    "width": ("Width of {}", "pixels"),
    "channels": ("Channels of {}", ""),
    "brightness": ("Mean brightness of {}", "0 black…1 white"),
    "contrast": ("Contrast of {}", "standard deviation, 0…1"),
    "format": ("Format of {}", ""),
    "area_fraction": ("Area of {}", "share of the image"),
    "width_fraction": ("Width of {}", "share of the image"),
    "height_fraction": ("Height of {}", "share of the image"),
    "aspect_ratio": ("Shape of {}", "width / height"),
    "classes": ("Different classes in {}", "classes"),
    "ignored_fraction": ("Pixels of {} without a class", "share of the image"),
    "class": ("Pixels of {} by class", ""),
    "seconds": ("Duration of {}", "s"),
    "sample_rate_hz": ("Sample rate of {}", "Hz"),
    "level_dbfs": ("Level of {}", "dB, 0 is full scale"),
    "peak": ("Largest sample of {}", "0…1 full scale"),
    "clipped_fraction": ("Samples of {} at full scale", "share of all"),
    "silent_fraction": ("Silence in {}", "share of the time"),
}
"""Part -> (what it is, its unit)."""
_OF_ENCODED = frozenset(PARTS) - {"characters", "words", "length"}


def base_of(name: str, features: dict) -> str:
    """The feature that a feature is derived from; itself if it is none."""
    base, _, part = name.rpartition("/")
    if base not in features or part not in PARTS:
        return name
    statistics = features[base]
    if statistics.WhichOneof("stats") == "bytes_stats":
        return base if part in _OF_ENCODED else name
    is_boxes = custom_stat(statistics, NUM_ZERO_AREA) is not None
    allowed = ("area_fraction", "width_fraction", "height_fraction", "aspect_ratio", "length")
    return base if part in (allowed if is_boxes else ("characters", "words", "length")) else name


def unit_of(name: str, base: str) -> str:
    """Of a part; empty for what has none, and for features that are no part."""
    return PARTS[name.rpartition("/")[2]][1] if name != base else ""


def in_words(name: str, base: str) -> str:
    """ "Mean brightness of image" for `image/brightness`."""
    if name == base:
        return formats.label(name, 60)
    return PARTS[name.rpartition("/")[2]][0].format(formats.label(base, 60))


def with_unit(name: str, base: str) -> str:
    """ "image/brightness (0 black…1 white)", for an axis."""
    unit = unit_of(name, base)
    return f"{name} ({unit})" if unit else name
