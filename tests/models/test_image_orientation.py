"""A file as it comes and what ExampleGen stores of it are the same picture to the model."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as PILImage

from penstock.models.vision.classification.config import Config
from penstock.models.vision.classification.orientation import all_plain, orientation
from penstock.models.vision.classification.task import Task
from penstock.pipelines.features import Image, Label
from penstock.pipelines.media.image_files import ImageFault, normalise
from penstock.pipelines.media.png_files import SIGNATURE
from penstock.pipelines.transform.state import State

# No way of turning it gives it again, and JPEG keeps it nearly.
PIXELS = np.add.outer(12 * np.arange(12), 2 * np.arange(20))[..., None] + [0, 30, 60]
PICTURE = PILImage.fromarray(PIXELS.astype(np.uint8))
SHORT, LONG, TEXT = 3, 4, 2


def encode(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


JPEG, PNG = encode(PICTURE, "JPEG", quality=95), encode(PICTURE, "PNG", dpi=(72, 72))


def exif(value, order="<", kind=SHORT, count=1, start=8, entries=2):
    """A TIFF file of two entries, the width and the orientation; `order` is that of `struct`."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", start, entries)
    width = struct.pack(f"{order}HHII", 0x0100, LONG, 1, 0x01120112)
    said = struct.pack(f"{order}HH", value, 0) if kind == SHORT else struct.pack(f"{order}I", value)
    return head + width + struct.pack(f"{order}HHI", 0x0112, kind, count) + said + bytes(4)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(tiff, before=b"", place=2):
    """`JPEG` with an EXIF block; its first block, JFIF's, ends at byte 20."""
    return JPEG[:place] + before + segment(0xE1, b"Exif\0\0" + tiff) + JPEG[place:]


def png(tiff, place=33):
    """`PNG` with an EXIF part; its header ends at byte 33, and its resolution at byte 54."""
    return PNG[:place] + chunk(b"eXIf", tiff) + PNG[place:]


# A comment that looks like one, a long block, and filling before the marker.
OTHERS = segment(0xFE, b"Exif\0\0" + exif(3)) + segment(0xE2, bytes(60_000)) + b"\xff\xff"
TURNED = [
    (number, make)
    for order in "<>"
    for number in range(1, 9)
    for make in (
        jpeg(exif(number, order)),
        jpeg(exif(number, order), OTHERS, 20),
        png(exif(number, order)),
        png(exif(number, order), 54),
    )
]


@pytest.fixture(scope="module")
def task():
    sections = {"prepare": {"height": 9, "width": 14}, "model": {"type": "mlp"}}
    return Task(Config.model_validate(sections))


@pytest.fixture(scope="module")
def state():
    return State({"image": Image(channels=3), "label": Label(names=("a", "b"))})


@pytest.fixture(scope="module")
def prepared(task, state):
    """In a graph, as everywhere but in these tests."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def prepare(images):
        return task.prepare_inputs({"image": images}, state)

    return lambda files: prepare(tf.constant(files)).numpy().astype(int)


@pytest.fixture(scope="module")
def found():
    """`orientation` as a graph: a hundred times as fast as its operations one by one."""
    return tf.function(orientation, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.fixture(scope="module")
def served(task, state, tmp_path_factory):
    """The signature of a SavedModel."""
    directory = str(tmp_path_factory.mktemp("served"))
    module = tf.Module()
    module.model = task.build(state)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def answer(image):
        inputs = task.prepare_inputs({"image": image}, state)
        return {"inputs": inputs, **task.decode(module.model, inputs, state)}

    tf.saved_model.save(module, directory, {"serving_default": answer.get_concrete_function()})
    return tf.saved_model.load(directory).signatures["serving_default"]


def test_the_orientation_is_found(found):
    assert [int(found(data)) for _, data in TURNED] == [number for number, _ in TURNED]


def test_only_files_without_an_exif_block_are_plain():
    """As Pillow writes them; each file with a block makes a batch that is looked at one by one."""
    bare = encode(PICTURE, "PNG")
    assert all_plain(tf.constant([bare, JPEG, bare]))
    assert all_plain(tf.constant([], tf.string))
    for _, data in TURNED:
        assert not all_plain(tf.constant([bare, data]))
    for data in (b"", b"GIF89a", JPEG[:12], bare[:20], PNG):
        assert not all_plain(tf.constant([data]))


def test_a_turned_photo_among_others_is_turned_and_they_are_not(prepared):
    bare, turned = encode(PICTURE, "PNG"), png(exif(6))
    both = prepared([bare, turned, bare])
    for found, alone in zip(both, (bare, turned, bare), strict=True):
        np.testing.assert_array_equal(found, prepared([alone])[0])
    assert (both[0] != both[1]).any()


def test_a_turned_photo_is_prepared_as_example_gen_stores_it(prepared, served):
    files = [data for _, data in TURNED]
    stored = [normalise(data) for data in files]
    upright = [a is b for a, b in zip(files, stored, strict=True)]
    assert upright == [number == 1 for number, _ in TURNED]
    expected = prepared(stored)
    # JPEGs may be 1 off, with another libjpeg; the picture as it lies is off by far more.
    assert np.abs(prepared(files) - expected).max() <= 1
    assert np.abs(prepared([JPEG]) - expected[~np.array(upright)]).max(axis=(1, 2, 3)).min() > 20
    np.testing.assert_array_equal(served(image=tf.constant(files))["inputs"], prepared(files))


ODD = {
    "none": JPEG,
    "nothing_in_it": jpeg(b""),
    "cut_off": jpeg(exif(6)[:9]),
    "no_tiff": jpeg(b"XX*\0" + exif(6)[4:]),
    "begins_behind_its_end": jpeg(exif(6, start=2**32 - 1)),
    "zero": jpeg(exif(0)),
    "nine": jpeg(exif(9)),
    "two_values": jpeg(exif(6, count=2)),
    "a_text": jpeg(exif(6, kind=TEXT)),
    "fewer_entries": jpeg(exif(6, entries=1)),
    "behind_the_pixels": JPEG + segment(0xE1, b"Exif\0\0" + exif(6)),
    "xmp": JPEG[:2]
    + segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<a tiff:Orientation="6"/>')
    + JPEG[2:],
    "text_of_png": PNG[:33] + chunk(b"tEXt", b"Comment\0eXIf" + exif(6)) + PNG[33:],
    "a_long": jpeg(exif(6, kind=LONG)),
    "more_entries": jpeg(exif(6, entries=2000)),
}


@pytest.mark.filterwarnings("ignore:Truncated File", "ignore:Corrupt EXIF", "ignore:Metadata Warn")
@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_taken_as_example_gen_takes_it(kind, prepared, found):
    """Pillow, too, reads what is there of a table that is cut off, and the first of two values."""
    turned = kind in ("a_long", "two_values", "more_entries")
    assert int(found(ODD[kind])) == (6 if turned else 1)
    try:
        stored = normalise(ODD[kind])
    except ImageFault:
        assert kind in ("nothing_in_it", "cut_off", "no_tiff", "begins_behind_its_end")
        return
    assert np.abs(prepared([ODD[kind]]) - prepared([stored])).max() <= 1


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xff\xd8", SIGNATURE, SIGNATURE + b"\xff" * 7],
    ids=["empty", "marker", "jpeg", "png", "png_part"],
)
def test_a_file_that_is_cut_off_has_no_orientation(data, found):
    assert int(found(data)) == 1


def _wide(colours):
    """16 bits a channel, the lower ones noise."""
    values = PIXELS[..., :colours].astype(">u2") * 256 + 77
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 20, 12, 16, 0 if colours == 1 else 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return SIGNATURE + b"".join(chunk(*part) for part in parts)


OTHER_KINDS = {
    "grey_16": _wide(1),
    "rgb_16": _wide(3),
    "palette": encode(PICTURE.quantize(16), "PNG"),
    "transparent": encode(PICTURE.quantize(16), "PNG", transparency=3),
    "one_bit": encode(PICTURE.convert("1"), "PNG"),
    "animated": encode(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
    "cmyk": encode(PICTURE.convert("CMYK"), "JPEG"),
}


def test_other_pngs_and_jpegs_are_prepared_as_example_gen_stores_them(prepared):
    files = list(OTHER_KINDS.values())
    stored = [normalise(data) for data in files]
    assert not any(a is b for a, b in zip(files, stored, strict=True))
    assert np.abs(prepared(files) - prepared(stored)).max() <= 1


REFUSED = {
    "gif": encode(PICTURE, "GIF"),
    "webp": encode(PICTURE, "WEBP"),
    "bmp": encode(PICTURE, "BMP"),
    "tiff": encode(PICTURE, "TIFF"),
    "text": b"this is text",
    "empty": b"",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_the_served_model_says_what_it_does_not_take(kind, served):
    message = "must be the bytes of a PNG or JPEG file; convert others before. Received, in bytes:"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as caught:
        served(image=tf.constant([PNG, REFUSED[kind]]))
    assert f"[{len(REFUSED[kind])}]" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "kind"), [(PNG[:60], "PNG"), (JPEG[:400], "JPEG")], ids=["png", "jpeg"]
)
def test_the_served_model_says_that_a_picture_is_damaged(data, kind, served):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"Invalid {kind}"):
        served(image=tf.constant([data]))


def test_the_served_model_answers_to_a_single_pixel(served):
    pixel = PILImage.new("RGB", (1, 1), (200, 100, 50))
    turned = PILImage.Exif()
    turned[0x0112] = 6
    files = [encode(pixel, "PNG"), encode(pixel, "PNG", exif=turned)]
    answer = served(image=tf.constant(files))
    assert set(answer["label"].numpy()) <= {b"a", b"b"}
    assert (answer["inputs"] == tf.constant([200, 100, 50], tf.uint8)).numpy().all()
