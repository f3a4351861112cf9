"""Images of vision.classification: against PIL and NumPy."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as PILImage

from penstock.models.vision.classification.config import Prepare
from penstock.models.vision.classification.data import Data
from penstock.pipelines.features import Image, Label, Text
from penstock.pipelines.transform.state import State

NAMES = ("cat", "dog", "emu", "fox")


def encoded(pixels, encoding="PNG", mode=None, **options):
    stream = io.BytesIO()
    image = PILImage.fromarray(pixels)
    image.convert(mode or image.mode).save(stream, encoding, **options)
    return stream.getvalue()


def opened(data, mode):
    """The pixels as PIL reads them, [height, width, channels]."""
    pixels = np.asarray(PILImage.open(io.BytesIO(data)).convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def preparation(results=None, channels=3, **prepare):
    data = Data(Prepare.model_validate_json(json.dumps(prepare)))
    return data, State({"image": Image(channels=channels), "label": Label(names=NAMES)}, results)


def prepared(encoded_images, **prepare):
    data, state = preparation(**prepare)
    return data.prepare_inputs({"image": np.array(encoded_images, object)}, state).numpy()


@pytest.fixture
def noise():
    return np.random.default_rng(7).integers(0, 256, (13, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_exact(noise, mode, channels):
    """PIL is the reference; it computes grey in 16-bit integers, which may round the other way."""
    data = encoded(noise, "PNG", mode)
    [image] = prepared([data], height=13, width=9, channels=channels)
    reference = opened(data, "RGB" if channels == 3 else "L")
    difference = np.abs(image.astype(int) - reference)
    exact = channels == 3 or mode in ("L", "LA", "1")
    assert difference.max() <= (0 if exact else 1)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subsampling", [0, 2], ids=["4:4:4", "4:2:0"])
def test_jpeg_is_as_pil_decodes_it(mode, channels, subsampling):
    """INTEGER_ACCURATE is libjpeg's default: equal pixels, or 1 off with another libjpeg."""
    ramp = np.add.outer(np.arange(48), np.arange(40))[..., None] * np.array([1, 2, 3]) % 256
    data = encoded(ramp.astype(np.uint8), "JPEG", mode, quality=90, subsampling=subsampling)
    [image] = prepared([data], height=48, width=40, channels=channels)
    rgb = opened(data, "RGB").astype(float)
    grey = np.round(rgb @ [[0.299], [0.587], [0.114]])
    assert np.abs(image - (rgb if channels == 3 else grey)).max() <= 1


def test_resize_is_as_pil_resizes(noise):
    """Shrinking with antialiasing and growing, bilinear: PIL's filter is the same triangle."""
    for height, width in [(5, 4), (26, 18), (7, 30)]:
        [image] = prepared([encoded(noise)], height=height, width=width)
        reference = PILImage.fromarray(noise).resize((width, height), PILImage.Resampling.BILINEAR)
        assert np.abs(image.astype(int) - np.asarray(reference)).max() <= 1


def test_resize_averages_by_hand():
    """2 x 4 -> 1 x 2. The triangle spans two source pixels either way of each output's centre.

    Columns: centre 1.0, weights 1 - |x + 0.5 - 1| / 2 = .75, .75, .25 for pixels 0, 1, 2 (sum
    1.75); rows weigh equally. Output 0 = (.75 * 0 + .75 * 40 + .25 * 80) / 1.75 = 28.57 -> 29, and
    output 1, by symmetry, (.25 * 40 + .75 * 80 + .75 * 120) / 1.75 = 91.43 -> 91.
    """
    row = np.array([0, 40, 80, 120], np.uint8)
    [image] = prepared([encoded(np.stack([row, row]))], height=1, width=2, channels=1)
    assert image[..., 0].tolist() == [[29, 91]]


def test_one_pixel_fills_the_image():
    [image] = prepared([encoded(np.full((1, 1, 3), 77, np.uint8))], height=6, width=5)
    assert image.shape == (6, 5, 3)
    assert (image == 77).all()


def test_grey_image_for_three_channels_repeats_itself():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    [image] = prepared([encoded(grey)], height=3, width=4, channels=3)
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], 3, axis=-1))


def test_colour_image_for_one_channel_is_its_luma():
    """0.299 * 100 + 0.587 * 150 + 0.114 * 200 = 140.75."""
    colour = np.full((2, 2, 3), (100, 150, 200), np.uint8)
    assert (prepared([encoded(colour)], height=2, width=2, channels=1) == 141).all()


def test_channels_default_to_the_source(noise):
    for channels, expected in [(1, 1), (3, 3), (4, 3)]:
        data, state = preparation(channels=channels)
        assert data.image_shape(state) == (32, 32, expected)


def test_a_batch_holds_images_of_all_sizes(noise):
    images = prepared([encoded(noise), encoded(noise[:1, :1]), encoded(noise[:, :3], "JPEG")])
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == np.uint8


def test_preparation_is_the_same_eagerly_in_tf_data_and_in_a_saved_model(noise, tmp_path):
    data, state = preparation(height=6, width=7, channels=1)
    raw = np.array([encoded(noise), encoded(noise, "JPEG"), encoded(noise[:2, :1])], object)
    eager = data.prepare_inputs({"image": raw}, state).numpy()
    batched = tf.data.Dataset.from_tensors({"image": raw})
    single = tf.data.Dataset.from_tensor_slices({"image": raw}).batch(1)
    for dataset in (batched, single):
        mapped = [m.numpy() for m in dataset.map(lambda f: data.prepare_inputs(f, state))]
        np.testing.assert_array_equal(np.concatenate(mapped), eager)

    module = tf.Module()
    module.prepare = tf.function(
        lambda image: data.prepare_inputs({"image": image}, state),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_array_equal(loaded.prepare(raw).numpy(), eager)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("image", "no feature `image`. Features of that kind: photo."),
        ("text", "`prepare.image_feature` must .* kind image .* Received: `text` of kind text."),
    ],
    ids=["missing", "wrong_kind"],
)
def test_faults_name_what_there_is(name, message):
    data, _ = preparation(image_feature=name)
    with pytest.raises(ValueError, match=message):
        data.input_features({"photo": Image(), "text": Text(), "label": Label(names=NAMES)})
