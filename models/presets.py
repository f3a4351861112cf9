"""KerasHub presets: reading a backbone or a tokenizer, and choosing which layers train.

Comes in: a directory that `save_to_preset` wrote, or the name of a preset that KerasHub knows. Goes
out: a backbone, a Keras model from inputs to features, or a tokenizer.
"""

from contextlib import contextmanager
from difflib import get_close_matches

import keras_hub

from penstock.models.classification.config import Freeze, FreezeUntil
from penstock.models.preset_files import preset_faults


def read_backbone(preset: str, *, weights: bool = True, setting: str = "model.preset", **changes):
    """The backbone of a preset, all of its layers trainable.

    Args:
        preset: a directory, or a name; a name's files are downloaded once and then kept by KerasHub.
        weights: whether the preset's weights are read too; else they are random.
        setting: the key of the config that holds `preset`, for messages.
        changes: arguments of the backbone that differ from the preset's (`name`, `image_shape`).

    Returns:
        `keras_hub.models.Backbone`.

    Raises:
        ValueError: there is no such directory or name, or it holds no backbone that is known here.
        ConnectionError: the files are not here and cannot be downloaded.
    """
    with _clear_faults(preset, setting):
        return keras_hub.models.Backbone.from_preset(
            preset, load_weights=weights, **{"trainable": True, **changes}
        )


def read_tokenizer(preset: str, *, setting: str = "model.preset"):
    """The tokenizer of a preset.

    Args:
        preset, setting: as of `read_backbone`.

    Returns:
        `keras_hub.models.Tokenizer`.

    Raises:
        ValueError, ConnectionError: as by `read_backbone`; ValueError also without a tokenizer.
    """
    with _clear_faults(preset, setting):
        try:
            return keras_hub.models.Tokenizer.from_preset(preset)
        except FileNotFoundError as error:
            raise ValueError(
                f"`{setting}` must hold a tokenizer. Received: {preset!r}, where a file of it is "
                f"missing ({error})."
            ) from error


@contextmanager
def _clear_faults(preset, setting):
    """What KerasHub raises, said in terms of the config."""
    faults = preset_faults(preset, setting)
    if faults:
        raise ValueError(faults[0])
    try:
        yield
    except Exception as error:  # each way of downloading raises its own
        if _is_unreachable(error):
            raise ConnectionError(
                f"`{setting}`: the preset {preset!r} is not on this machine and cannot be "
                "downloaded, for there is no network. Give the directory of a preset."
            ) from error
        if "has no config.json" in str(error):  # what KerasHub makes of a failed look-up by `hf://`
            raise ValueError(
                f"`{setting}`: there is no preset at {preset!r}, or it cannot be reached: the name is "
                "wrong, there is no network or no permission. Give the directory of a preset."
            ) from error
        if "Unknown preset identifier" in str(error):
            raise ValueError(_unknown(preset, setting)) from error
        raise


def freeze(backbone, layers: Freeze) -> None:
    """Lets layers of a backbone keep their weights, whatever is trained.

    A frozen batch normalisation normalises by its stored moments in training too, as Keras has it.

    Args:
        backbone: changed in place.
        layers: True for all of them, `until` for those before the layer of that name.

    Raises:
        ValueError: the backbone has no layer of that name; the message lists the nearest.
    """
    if not isinstance(layers, FreezeUntil):
        backbone.trainable = not layers
        return
    names = [layer.name for layer in backbone.layers]
    if layers.until not in names:
        near = get_close_matches(layers.until, names, n=3, cutoff=0.3) or names[:3]
        raise ValueError(
            f"`freeze.until` must name a layer of the backbone. Received: {layers.until!r}. "
            f"Nearest: {', '.join(near)}; there are {len(names)}, the last is {names[-1]}."
        )
    for layer in backbone.layers[: names.index(layers.until)]:
        layer.trainable = False


def _is_unreachable(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is a connection that could not be made.

    By name: `requests`, `httpx`, `urllib3` and `huggingface_hub` have classes of their own.
    """
    signs = ("ConnectionError", "ConnectError", "NewConnectionError", "NameResolutionError")
    signs += ("OfflineModeIsEnabled", "LocalEntryNotFoundError", "ConnectTimeout", "ProxyError")
    while error is not None:
        if type(error).__name__ in signs or isinstance(error, ConnectionError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unknown(preset: str, setting: str) -> str:
    known = sorted(keras_hub.models.Backbone.presets)
    near = get_close_matches(preset, known, n=3, cutoff=0.4)
    return (
        f"`{setting}` must be a directory or the name of a KerasHub preset. Received: {preset!r}. "
        f"Nearest names: {', '.join(near or known[:3])}."
    )
