"""Transfer learning through the Trainer: what one run leaves in its Model, another begins from."""

import fnmatch
import json

import keras
import numpy as np
import pytest

NETWORK = {"type": "small_resnet", "filters": [4, 6], "blocks": 1}


def sections(model):
    return {"prepare": {"height": 8, "width": 8}, "model": model}


def backbone_of(context):
    path = context.outputs["model"].path / "model.keras"
    return keras.saving.load_model(path, compile=False).get_layer("backbone")


def values(layer):
    return {variable.path: variable.numpy() for variable in layer.variables}


@pytest.fixture(scope="module")
def first(workshop):
    return workshop.train(sections=sections(NETWORK), epochs=1)


def test_a_model_without_a_backbone_keeps_no_parts(trained):
    assert not (trained.outputs["model"].path / "parts").exists()


def test_the_trained_backbone_is_kept_as_a_preset(first):
    from penstock.models.presets import read_backbone

    preset = first.outputs["model"].path / "parts" / "preset"
    assert json.loads((preset / "config.json").read_text())["class_name"] == "SmallResNetBackbone"
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    kept, trained = read_backbone(str(preset)), backbone_of(first)
    np.testing.assert_array_equal(np.asarray(kept(images)), np.asarray(trained(images)))


def test_frozen_layers_stay_and_the_others_move_at_their_rates(first, workshop):
    """The first stage is frozen, the rate of a shortcut is 0, all else moves."""
    preset = {
        "type": "preset",
        "preset": str(first.outputs["model"].path / "parts" / "preset"),
        "freeze": {"until": "stage_2_block_1_convolution_1"},
    }
    rates = {"backbone/*_shortcut/kernel": 0.0, "backbone/*": 0.5}
    optimizer = {"type": "adam", "learning_rate": 0.02, "layer_rates": rates}
    second = workshop.train(sections=sections(preset), epochs=1, optimizer=optimizer)
    before, after = values(backbone_of(first)), values(backbone_of(second))
    assert (
        len(before) == len(after) == 6 * 5
    )  # six convolutions, each with four of its normalisation
    for path, old in before.items():
        still = "stage_2" not in path or fnmatch.fnmatch(path, "*_shortcut/kernel")
        assert np.array_equal(old, after[path]) == still, path


def test_a_rate_for_nothing_ends_the_training(workshop):
    optimizer = {"type": "adam", "layer_rates": {"backbone/*": 0.1}}
    with pytest.raises(
        ValueError, match=r"must fit a variable that trains. Received: 'backbone/\*'"
    ):
        workshop.train(epochs=1, optimizer=optimizer)
