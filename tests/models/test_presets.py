"""Presets: reading a backbone, freezing its layers, and what is said where there is none."""

import keras
import numpy as np
import pytest

from penstock.models import presets
from penstock.models.classification.config import FreezeUntil
from penstock.models.preset_files import backbone_class, preset_faults, preset_files
from penstock.models.vision.classification.small_resnet import SmallResNetBackbone

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(directory of a preset, the features of its backbone), with moments that say something."""
    backbone = SmallResNetBackbone(filters=(4, 6), blocks=(1, 1), image_shape=(None, None, 1))
    generator = np.random.default_rng(1)
    for variable in backbone.variables:
        variable.assign(variable + generator.uniform(0.0, 0.5, variable.shape))
    backbone.trainable = False
    directory = tmp_path_factory.mktemp("presets") / "small"
    backbone.save_to_preset(str(directory))
    return str(directory), np.asarray(backbone(IMAGES))


@pytest.fixture
def backbone(saved):
    return presets.read_backbone(saved[0], name="backbone")


def test_a_backbone_is_as_it_was_saved(backbone, saved):
    np.testing.assert_array_equal(np.asarray(backbone(IMAGES)), saved[1])
    assert backbone.name == "backbone"
    assert backbone.trainable  # though it was frozen when it was saved
    assert len(backbone.trainable_variables) > 10


def test_without_weights_the_architecture_is_left(saved):
    untrained = presets.read_backbone(saved[0], weights=False)
    assert untrained.output_shape == (None, None, None, 6)
    assert (np.asarray(untrained(IMAGES)) != saved[1]).any()


def test_a_frozen_backbone_normalises_by_its_stored_moments(backbone, saved):
    presets.freeze(backbone, True)
    assert backbone.trainable_variables == []
    np.testing.assert_array_equal(np.asarray(backbone(IMAGES, training=True)), saved[1])
    presets.freeze(backbone, False)
    assert (np.asarray(backbone(IMAGES, training=True)) != saved[1]).any()


def test_layers_before_a_name_are_frozen(backbone):
    presets.freeze(backbone, FreezeUntil(until="stage_2_block_1_convolution_1"))
    owners = {variable.path.split("/")[-2] for variable in backbone.trainable_variables}
    # The second stage: two convolutions, the shortcut, and their normalisations.
    parts = ("convolution_1", "convolution_2", "shortcut")
    names = [f"stage_2_block_1_{part}" for part in parts]
    assert owners == {*names, *(f"{name}_normalization" for name in names)}
    before = np.asarray(backbone.get_layer("stem_normalization").moving_mean)
    backbone(IMAGES, training=True)
    np.testing.assert_array_equal(backbone.get_layer("stem_normalization").moving_mean, before)


def test_a_layer_that_is_not_there_is_a_fault(backbone):
    message = (
        "Received: 'stage_2_blok_1'. Nearest: .*stage_2_block_1_.* the last is stage_2_block_1_relu"
    )
    with pytest.raises(ValueError, match=message):
        presets.freeze(backbone, FreezeUntil(until="stage_2_blok_1"))


def test_the_files_of_a_local_preset_are_listed(saved):
    names = {path.name for path in preset_files(saved[0])}
    assert names == {"config.json", "metadata.json", "model.weights.h5"}
    assert preset_files("resnet_18_imagenet") == []
    assert preset_faults(saved[0], "model.preset") == []
    assert preset_faults("kaggle://keras/resnetv1/keras/resnet_18_imagenet", "model.preset") == []


@pytest.mark.parametrize("config", ["{", "[1]", "{}", None], ids=["cut", "list", "bare", "none"])
def test_the_class_of_a_backbone_is_read_without_keras(saved, tmp_path, config):
    assert backbone_class(saved[0]) == "SmallResNetBackbone"
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert backbone_class(str(tmp_path)) == ""


@pytest.mark.parametrize("made", [False, True], ids=["missing", "empty"])
def test_a_directory_without_a_preset_is_a_fault(tmp_path, made):
    directory = tmp_path / "preset"
    if made:
        directory.mkdir()
    found = "a directory without one" if made else "no directory"
    message = f"`prepare.preset` must be the directory of a KerasHub preset.* which is {found}"
    with pytest.raises(ValueError, match=message):
        presets.read_backbone(str(directory), setting="prepare.preset")


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(ValueError, match="Received: 'resnet_18_imagnet'. .* resnet_18_imagenet"):
        presets.read_backbone("resnet_18_imagnet")


@pytest.mark.parametrize("part", ["Backbone", "Tokenizer"])
def test_a_missing_network_is_said_in_one_line(monkeypatch, part):
    """`requests` and `httpx` have classes of their own; the names are what they have in common."""

    class ConnectError(Exception):
        pass

    def download(preset, **arguments):
        try:
            raise ConnectError("[Errno -3] Temporary failure in name resolution")
        except ConnectError as error:
            raise RuntimeError("Cannot download.") from error

    monkeypatch.setattr(getattr(presets.keras_hub.models, part), "from_preset", download)
    read = {"Backbone": presets.read_backbone, "Tokenizer": presets.read_tokenizer}[part]
    message = (
        "^`model.preset`: the preset 'resnet_18_imagenet' is not on this machine .* no network"
    )
    with pytest.raises(ConnectionError, match=message) as caught:
        read("resnet_18_imagenet")
    assert "\n" not in str(caught.value)


def test_a_look_up_that_fails_is_said_likewise(monkeypatch):
    def look_up(preset, **arguments):
        raise ValueError(f"Preset {preset} has no config.json. Make sure the URI ...")

    monkeypatch.setattr(presets.keras_hub.models.Backbone, "from_preset", look_up)
    with pytest.raises(ValueError, match="no preset at 'hf://a/b', or it cannot be reached"):
        presets.read_backbone("hf://a/b")


def test_other_errors_come_through(monkeypatch):
    def load(preset, **arguments):
        raise KeyError("registered_name")

    monkeypatch.setattr(presets.keras_hub.models.Backbone, "from_preset", load)
    with pytest.raises(KeyError, match="registered_name"):
        presets.read_backbone("resnet_18_imagenet")


def test_a_saved_backbone_keeps_the_global_precision(saved):
    """A preset is saved in float32 and trained in whatever the run says."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert presets.read_backbone(saved[0]).compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
