"""Residual networks, families of backbones and presets of vision.classification."""

import json

import keras
import keras_hub
import numpy as np
import pytest
from pydantic import ValidationError

from penstock.models.vision.classification import families, networks
from penstock.models.vision.classification.config import SIZES, Config
from penstock.models.vision.classification.small_resnet import SmallResNetBackbone
from penstock.models.vision.classification.task import Task
from penstock.pipelines.features import Image, Label
from penstock.pipelines.transform.state import State

STATE = State({"image": Image(channels=1), "label": Label(names=("a", "b", "c"))})


def task(model, side=16, **sections):
    sections = {"prepare": {"height": side, "width": side}, "model": model, **sections}
    return Task(Config.model_validate_json(json.dumps(sections)))


def images(side=16, examples=6):
    generator = np.random.default_rng(2)
    return generator.integers(0, 256, (examples, side, side, 1), dtype=np.uint8)


# Small residual networks ----------------------------------------------------------------------


def test_a_small_resnet_has_the_weights_of_its_config():
    """He et al., section 4.2, with projections; biases only where nothing is normalised."""
    model = task({"type": "small_resnet", "filters": [4, 8], "blocks": 1}).build(STATE)
    # Stem 9*1*4; stage 1 twice 9*4*4, no shortcut; stage 2 9*4*8 + 9*8*8, shortcut 1*4*8.
    kernels = 36 + 2 * 144 + 288 + 576 + 32
    # Four numbers for each filter of each of the six convolutions; logits 8*3 + 3.
    normalisation = 4 * (3 * 4 + 3 * 8)
    assert model.count_params() == kernels + normalisation + 27
    plain = {"type": "small_resnet", "filters": [4, 8], "blocks": 1, "batch_normalization": False}
    assert task(plain).build(STATE).count_params() == kernels + 3 * 4 + 3 * 8 + 27


def test_each_stage_but_the_first_halves_the_image():
    backbone = SmallResNetBackbone((2, 3, 5), (1, 2, 1), image_shape=(28, 28, 1))
    ends = [f"stage_{stage}_block_{block}_relu" for stage, block in [(1, 1), (2, 2), (3, 1)]]
    shapes = [backbone.get_layer(name).output.shape for name in ends]
    assert shapes == [(None, 28, 28, 2), (None, 14, 14, 3), (None, 7, 7, 5)]
    # 2 * (1 + 2 + 1) convolutions in the blocks, the stem, and two projections.
    convolutions = [x for x in backbone.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(convolutions) == 8 + 1 + 2


def test_a_block_adds_its_input_by_hand():
    """All kernels 0, moments untouched: what is left is relu(0 + x), and x the pixel / 255."""
    backbone = SmallResNetBackbone((1,), (1,), batch_normalization=False, image_shape=(1, 1, 1))
    for variable in backbone.variables:
        variable.assign(keras.ops.zeros_like(variable))
    kernel = np.zeros((3, 3, 1, 1))
    kernel[1, 1] = 1.0  # the identity
    backbone.get_layer("stem").set_weights([kernel, np.zeros(1)])
    pixels = np.array([0, 51, 255]).reshape(3, 1, 1, 1)
    assert np.asarray(backbone(pixels)).ravel() == pytest.approx([0.0, 0.2, 1.0])
    # One convolution of 1, then the other: 0.2 + 1 * (1 * 0.2) = 0.4.
    for number in (1, 2):
        layer = backbone.get_layer(f"stage_1_block_1_convolution_{number}")
        layer.set_weights([kernel, np.zeros(1)])
    assert np.asarray(backbone(pixels)).ravel() == pytest.approx([0.0, 0.4, 2.0])


def test_a_small_resnet_is_built_from_its_config():
    backbone = SmallResNetBackbone((2, 4), (1, 2), "gelu", False, image_shape=(None, None, 1))
    again = SmallResNetBackbone.from_config(json.loads(json.dumps(backbone.get_config())))
    assert [layer.name for layer in again.layers] == [layer.name for layer in backbone.layers]
    assert again.get_config() == {**backbone.get_config(), "name": again.name}


def test_l2_and_dropout_are_those_of_the_config():
    model = task(
        {"type": "small_resnet", "filters": [2], "blocks": 1, "l2": 0.01, "dropout": 0.3}
    ).build(STATE)
    kernels = [w for w in model.weights if w.name == "kernel"]
    assert len(kernels) == 4
    expected = 0.01 * sum(float((k.numpy() ** 2).sum()) for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert model.get_layer("head_dropout").rate == 0.3


# Families -------------------------------------------------------------------------------------

# Of `keras.applications`, `include_top=False`, without the 7 numbers of EfficientNet's own
# normalisation of pixels; ResNet-18 of torchvision: 11,689,512 less the 513,000 of its last layer,
# and the moving moments, of which torchvision has two for each of 4,800 filters, uncounted; ViT-Ti/16
# of DeiT (timm: 5,717,416 at 224 pixels with a last layer of 193,000 and 161 positions more than
# the 37 at 96 pixels, each of 192 numbers).
PARAMETERS = {
    ("resnet", "18"): 11_689_512 - 513_000 + 2 * 4_800,
    ("densenet", "121"): 7_037_504,
    ("efficientnet", "b0"): 4_049_564,
    ("mobilenet_v3", "small"): 939_120,
    ("vit", "tiny"): 5_717_416 - 193_000 - 192 * (197 - 37),
}


def test_the_config_knows_every_size():
    assert {name: tuple(family.sizes) for name, family in families.FAMILIES.items()} == SIZES


@pytest.mark.parametrize(("family", "size"), PARAMETERS, ids=["-".join(key) for key in PARAMETERS])
def test_a_family_has_the_parameters_of_its_reference(family, size):
    colour = State({"image": Image(channels=3), "label": Label(names=("a", "b", "c"))})
    model = task({"type": "backbone", "family": family, "size": size}, side=96).build(colour)
    backbone = model.get_layer("backbone")
    assert backbone.count_params() == PARAMETERS[family, size]
    assert model.output_shape == (None, 3)
    # White: 1 less the mean, in deviations; of ImageNet's red, or of 0.5.
    white = float(model.get_layer("scale")(np.full((1, 1, 1, 3), 255, np.uint8))[0, 0, 0, 0])
    assert white == pytest.approx(1.0 if family == "vit" else (1 - 0.485) / 0.229, rel=1e-5)
    keras.backend.clear_session()


# Presets --------------------------------------------------------------------------------------

SMALL = {"type": "small_resnet", "filters": [4, 6], "blocks": 1}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """(what `save_parts` wrote of a trained network, the features of `images()`)."""
    first = task({**SMALL, "l2": 1e-3})
    model = first.build(STATE)
    first.compile(model, keras.optimizers.SGD(0.05), run_eagerly=True)
    model.train_on_batch(images(), np.arange(6) % 3)
    directory = tmp_path_factory.mktemp("model") / "parts"
    first.save_parts(model, STATE, directory)
    return directory, np.asarray(model.get_layer("backbone")(images()))


def transferred(parts, **settings):
    preset = {"type": "preset", "preset": str(parts[0] / "preset"), **settings}
    second = task(preset, loss={"label_smoothing": 0.1})
    model = second.build(STATE)
    second.compile(model, keras.optimizers.SGD(0.05), run_eagerly=True)
    return model


def test_a_trained_backbone_goes_under_a_new_head(parts):
    model = transferred(parts)
    assert [layer.name for layer in model.layers] == [
        "images",
        "backbone",
        "head_pooling",
        "logits",
    ]
    np.testing.assert_array_equal(np.asarray(model.get_layer("backbone")(images())), parts[1])
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"backbone", "logits"}


def test_a_frozen_backbone_stays_as_it_is_in_training(parts):
    model = transferred(parts, freeze=True)
    kept = model.get_layer("backbone").get_weights()
    head = model.get_layer("logits").get_weights()
    model.train_on_batch(images(), np.arange(6) % 3)
    for before, after in zip(kept, model.get_layer("backbone").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert (head[0] != model.get_layer("logits").get_weights()[0]).any()


def test_the_peer_from_scratch_has_the_same_network(parts):
    model, scratch = transferred(parts), transferred(parts, weights=False)
    assert [w.path for w in scratch.weights] == [w.path for w in model.weights]
    assert (np.asarray(scratch.get_layer("backbone")(images())) != parts[1]).any()


@pytest.mark.parametrize("weights", [True, False])
def test_it_is_said_where_the_weights_begin(parts, weights):
    preset = str(parts[0] / "preset")
    began = task({"type": "preset", "preset": preset, "weights": weights}).initial_weights()
    assert began == (preset if weights else "random")
    assert task({"type": "cnn"}).initial_weights() == "random"


def test_a_network_without_a_backbone_has_no_parts(tmp_path):
    plain = task({"type": "cnn", "filters": [2]})
    plain.save_parts(plain.build(STATE), STATE, tmp_path / "parts")
    assert not (tmp_path / "parts").exists()


def test_a_family_is_saved_with_its_scaling(tmp_path, monkeypatch):
    """With one layer of the twelve, which takes a tenth of the time."""
    sizes = families.FAMILIES["vit"].sizes
    monkeypatch.setitem(sizes, "tiny", {**sizes["tiny"], "num_layers": 1})
    first = task({"type": "backbone", "family": "vit", "size": "tiny"}, side=32)
    model = first.build(STATE)
    first.save_parts(model, STATE, tmp_path)
    second = task({"type": "preset", "preset": str(tmp_path / "preset")}, side=32).build(STATE)
    pixels = images(side=32, examples=2)
    for layer in ("scale", "backbone"):
        pixels, again = model.get_layer(layer)(pixels), second.get_layer(layer)(pixels)
        np.testing.assert_array_equal(np.asarray(pixels), np.asarray(again))
    keras.backend.clear_session()


def test_a_preset_of_elsewhere_is_saved_with_its_scaling(tmp_path):
    """VGG is no family here; its pixels become 0.5 x - 1, in what is saved of it too."""
    given = str(tmp_path / "given")
    keras_hub.models.VGGBackbone([1], [2], image_shape=(None, None, 1)).save_to_preset(given)
    keras_hub.layers.VGGImageConverter(scale=[0.5], offset=[-1.0]).save_to_preset(given)
    first = task({"type": "preset", "preset": given})
    model = first.build(STATE)
    first.save_parts(model, STATE, tmp_path)
    second = task({"type": "preset", "preset": str(tmp_path / "preset")}).build(STATE)
    for network in (model, second):
        scaled = np.asarray(network.get_layer("scale")(images()))
        np.testing.assert_allclose(scaled, 0.5 * images() - 1.0)


def test_a_preset_must_say_how_pixels_are_scaled(tmp_path):
    (tmp_path / "config.json").write_text('{"class_name": "VGGBackbone"}')
    model = {"type": "preset", "preset": str(tmp_path)}
    config = Config.model_validate_json(json.dumps({"model": model}))
    [fault] = config.check()
    assert "must say how pixels are scaled, in an `image_converter.json`. Received: " in fault
    assert "which has none. `save_to_preset` of the backbone's image converter" in fault
    (tmp_path / "image_converter.json").touch()
    assert config.check() == []


def test_a_preset_for_other_images_is_a_fault(parts):
    colour = State({"image": Image(channels=3), "label": Label(names=("a", "b"))})
    message = r"takes images of shape \(None, None, 1\).* Received: \(16, 16, 3\). Set `prepare.h"
    with pytest.raises(ValueError, match=message):
        task({"type": "preset", "preset": str(parts[0] / "preset")}).build(colour)


def test_a_preset_is_part_of_what_a_run_depends_on(parts, tmp_path):
    def config(directory):
        model = {"type": "preset", "preset": str(directory)}
        return Config.model_validate_json(json.dumps({"model": model}))

    there = config(parts[0] / "preset")
    assert {path.name for path in there.files()} >= {"config.json", "model.weights.h5"}
    assert there.check() == []
    [fault] = config(tmp_path / "presets" / "none").check()
    assert "`model.preset` must be the directory of a KerasHub preset" in fault
    assert (Config().files(), Config().check()) == ([], [])


# Configs --------------------------------------------------------------------------------------


def family(name, size, height=96, width=96):
    sections = {"prepare": {"height": height, "width": width}}
    return {**sections, "model": {"type": "backbone", "family": name, "size": size}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (family("resnet", 19), "`size` must be one of 18, 34, 50, 101, 152 .* Received: 19."),
        (family("resnet", 18, 28, 96), "at least 32 pixels a side.*prepare.height=28"),
        (family("vit", "tiny", 96, 100), "must be multiples of 16. Received: .*width=100"),
        ({"model": {"type": "small_resnet", "blocks": [1, 2]}}, r"`filters` \(3\). Received: 2"),
        (
            {
                "prepare": {"height": 3, "width": 9},
                "model": {"type": "small_resnet", "filters": [1] * 3},
            },
            "3 need a shorter side of at least 4 pixels",
        ),
        ({"augment": {"random_erasing": {"area": [0.1]}}}, "at least 2 items"),
        (
            {"model": {"type": "preset", "preset": "a", "weights": False, "freeze": True}},
            "`freeze` needs `weights`",
        ),
    ],
    ids=["size", "too_small", "patches", "blocks", "stages", "area", "frozen_random"],
)
def test_config_faults(sections, message):
    with pytest.raises(ValidationError, match=message):
        Config.model_validate_json(json.dumps(sections))


def test_sizes_may_be_numbers():
    config = Config.model_validate_json(json.dumps(family("resnet", 18)))
    assert networks.build(config.model, (32, 32, 1), 2).get_layer("backbone").input_shape[-1] == 1
