"""Augmentation of vision.classification: each switch by itself, alone on its effect."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from penstock.models.vision.classification.augmentation import Augmentation
from penstock.models.vision.classification.config import Augment

SWITCHES = {
    "flip": {"flip": "horizontal"},
    "shift": {"shift": 0.3},
    "rotation": {"rotation_degrees": 60.0},
    "zoom": {"zoom": 0.4},
    "rand_augment": {"rand_augment": {"num_ops": 2, "magnitude": 0.8}},
    "random_erasing": {"random_erasing": {"probability": 1.0}},
    "cut_mix": {"cut_mix": {}},
    "mix_up": {"mix_up": {"alpha": 1.0}},
    "both_mixes": {"cut_mix": {}, "mix_up": {}},
}
MIXING = ("cut_mix", "mix_up", "both_mixes")


def augmentation(config):
    return Augmentation(Augment.model_validate_json(json.dumps(config)))


def batch(channels=3, examples=16):
    images = np.random.default_rng(5).integers(0, 256, (examples, 8, 10, channels), dtype=np.uint8)
    return images, np.arange(examples, dtype=np.int64) % 4


def augmented(config, images, targets, *seeds):
    """In tf.data, as in training: one (images, targets) of numpy for each seed."""
    augment = augmentation(config)
    dataset = tf.data.Dataset.from_tensor_slices(np.array(seeds, np.int32))
    dataset = dataset.map(lambda seed: augment(tf.constant(images), targets, seed, 4))
    return list(dataset.as_numpy_iterator())


SEEDS = [1, 2], [1, 3], [2, 2], [1, 2]


@pytest.fixture(scope="module", params=SWITCHES)
def switch(request):
    """Its name, and what it makes of `batch()` by each of `SEEDS`."""
    return request.param, augmented(SWITCHES[request.param], *batch(), *SEEDS)


def eagerly(name, images, targets):
    """As in a second process: new layers, another global seed, no graph."""
    keras.utils.set_random_seed(99)
    seed = tf.constant(SEEDS[0])
    return augmentation(SWITCHES[name])(tf.constant(images), tf.constant(targets), seed, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_switch_changes_images_and_keeps_their_form(switch, channels):
    name, runs = switch
    images, targets = batch(channels)
    found = runs[0] if channels == 3 else eagerly(name, images, targets)
    changed, new_targets = map(np.asarray, found)
    assert (changed.dtype, changed.shape) == (np.uint8, images.shape)
    assert (changed != images).any()
    if name in MIXING:
        assert (new_targets.dtype, new_targets.shape) == (np.float32, (16, 4))
    else:
        np.testing.assert_array_equal(new_targets, targets)


def test_equal_seeds_give_equal_batches(switch):
    _, runs = switch
    for first, again in zip(runs[0], runs[3], strict=True):
        np.testing.assert_array_equal(first, again)
    assert (runs[0][0] != runs[1][0]).any()
    assert (runs[0][0] != runs[2][0]).any()


def test_a_second_process_would_give_the_same(switch):
    """Only the given seed counts."""
    name, [mapped, *_] = switch
    eager = eagerly(name, *batch())
    # Graph rewriting may move a float's last bit, and so a value that lies between two integers.
    assert np.abs(mapped[0].astype(int) - eager[0].numpy()).max() <= 1
    np.testing.assert_allclose(mapped[1], eager[1], rtol=1e-6)


@pytest.mark.parametrize("name", MIXING)
def test_mixed_targets_stay_distributions(name):
    images, targets = batch()
    for _, mixed in augmented(SWITCHES[name], images, targets, *[[0, n] for n in range(8)]):
        np.testing.assert_allclose(mixed.sum(axis=1), 1.0, rtol=1e-6)
        assert mixed.min() >= 0.0
        # The image's own class keeps a share, or all of it; at most one other class has the rest.
        assert ((mixed > 0).sum(axis=1) <= 2).all()


def test_mix_up_blends_pixels_as_it_blends_targets():
    """Class c is an image of brightness 60 c, so a target's mean class is its image's / 60."""
    targets = np.arange(16, dtype=np.int64) % 4
    images = np.broadcast_to((60 * targets)[:, None, None, None], (16, 8, 8, 1)).astype(np.uint8)
    [(mixed, shares)] = augmented({"mix_up": {"alpha": 1.0}}, images, targets, [3, 3])
    assert (mixed[:, 0, 0, 0] % 60 != 0).any()
    np.testing.assert_allclose(mixed[:, 0, 0, 0], 60 * (shares @ np.arange(4)), atol=0.51)


def test_both_mixes_take_turns():
    """MixUp makes values that no image has; CutMix of two-valued images does not."""
    images = np.repeat(np.array([0, 200], np.uint8), 8)[:, None, None, None] + np.zeros(
        (16, 8, 8, 1), np.uint8
    )
    seeds = [[0, n] for n in range(24)]
    runs = augmented(SWITCHES["both_mixes"], images, batch()[1], *seeds)
    blended = [bool(np.setdiff1d(changed, [0, 200]).size) for changed, _ in runs]
    assert 4 <= sum(blended) <= 20


def test_flips_are_independent():
    """Both flips: each image is one of four, and all four occur."""
    corners = np.zeros((64, 8, 8, 1), np.uint8)
    corners[:, 0, 0] = 255
    [(flipped, _)] = augmented({"flip": "both"}, corners, np.zeros(64, np.int64), [1, 1])
    where = {tuple(np.argwhere(image)[0][:2].tolist()) for image in flipped}
    assert where == {(0, 0), (0, 7), (7, 0), (7, 7)}


def test_nearest_shift_moves_whole_pixels():
    dot = np.zeros((32, 8, 8, 1), np.uint8)
    dot[:, 4, 4] = 255
    config = {"shift": 0.2, "fill_mode": "constant", "interpolation": "nearest"}
    [(shifted, _)] = augmented(config, dot, np.zeros(32, np.int64), [1, 1])
    assert (shifted.sum(axis=(1, 2, 3)) == 255).all()
    places = np.argwhere(shifted)[:, 1:3] - 4
    # 0.2 of 8 pixels is 1.6: at most two pixels, and both directions of both axes occur.
    assert np.abs(places).max() <= 2
    assert (places.min(axis=0) < 0).all()
    assert (places.max(axis=0) > 0).all()


def test_nothing_switched_on_costs_nothing():
    images, targets = batch()
    same_images, same_targets = augmentation({})(images, targets, None, 4)
    assert same_images is images
    assert same_targets is targets


def test_global_precision_does_not_reach_the_images():
    """bfloat16 holds 8 bits: an image of 0..255 with fractions would lose its last ones."""
    images, targets = batch()
    [before] = augmented({"shift": 0.3}, images, targets, [1, 2])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        [after] = augmented({"shift": 0.3}, images, targets, [1, 2])
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(before[0], after[0])


def test_erasing_takes_the_share_of_images_and_of_pixels_that_it_is_told():
    white = np.full((200, 20, 20, 1), 255, np.uint8)
    config = {"random_erasing": {"probability": 0.25, "area": [0.2, 0.4], "fill": 0}}
    [(erased, _)] = augmented(config, white, np.zeros(200, np.int64), [1, 1])
    black = (erased == 0).mean(axis=(1, 2, 3))
    # 50 of 200 are expected, with a deviation of sqrt(200 * 0.25 * 0.75) = 6.
    assert 30 <= (black > 0).sum() <= 70
    # Each side is the root of an area of its own: 0.45..0.63 of 20 pixels, whole ones.
    assert black[black > 0].min() >= 0.15
    assert black.max() <= 0.45
    assert set(np.unique(erased)) == {0, 255}
