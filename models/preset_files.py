"""The directory of a KerasHub preset, looked at without KerasHub (no TensorFlow here).

A preset is a directory of `config.json` (the architecture) and weights, as `save_to_preset` of a
KerasHub backbone writes it, and of what prepares its inputs: `tokenizer.json`, `image_converter.json`,
as that of a tokenizer or an image converter adds it. Or it is the name of one that KerasHub downloads.
"""

import json
from pathlib import Path


def is_directory_name(preset: str) -> bool:
    """Whether a preset's name is that of a directory: KerasHub's own names have no slash in them."""
    return "://" not in preset and ("/" in preset or Path(preset).is_dir())


def preset_files(preset: str) -> list[Path]:
    """The files of a local preset; none for one that is downloaded."""
    if not is_directory_name(preset):
        return []
    return sorted(path for path in Path(preset).rglob("*") if path.is_file())


def backbone_class(preset: str) -> str:
    """The name of the class of a local preset's backbone; empty where its `config.json` says none."""
    try:
        config = json.loads(Path(preset, "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    return str(config.get("class_name", "")) if isinstance(config, dict) else ""


def preset_faults(preset: str, setting: str) -> list[str]:
    """Why a local preset cannot be read, one sentence each; names are looked up when it is read.

    Args:
        preset: the value of the setting.
        setting: its key in the config.
    """
    if not is_directory_name(preset) or Path(preset, "config.json").is_file():
        return []
    found = "a directory without one" if Path(preset).is_dir() else "no directory"
    return [
        f"`{setting}` must be the directory of a KerasHub preset, with a `config.json` in it. "
        f"Received: {preset!r}, which is {found}. `save_to_preset` of a KerasHub backbone writes one, "
        "and that of its tokenizer or image converter adds what belongs to it; a run that trains a "
        "backbone leaves one in its Model artifact, as `parts/preset` (`penstock show --json` says "
        "where)."
    ]
