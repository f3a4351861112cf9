"""What the world throws at a folder of images: one folder with all of it among good pictures.

`KEPT` lists what must come through, with the pixels that a person sees (made by hand, with NumPy);
`QUARANTINED` what must not, with the reason. Neither stops the job. Elsewhere are tested:

- links, pipes, devices, sockets, names that are not UTF-8 or no class names, folders without an
  image, classes of digits or of another case: `test_image_folder.py`;
- every EXIF orientation, random damage: `test_image_files.py`;
- copies across splits: `test_duplicates.py`; one class, classes without images: `test_anomalies.py`;
- such a folder through the whole command line, in an odd place, without a home, moved afterwards:
  `end_to_end/test_awkward_photos.py`;
- a full disk, a clock that jumps back: `tfx/test_hostile_machine.py`; files that change or go while
  a step runs: `tfx/test_runner.py`.
"""

import errno
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.ingest import duplicates
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.reading.class_files import read_files
from penstock.pipelines.reading.class_folders import FolderReader
from penstock.pipelines.reading.media_files import ImageReader, MediaFile, Part
from penstock.pipelines.reading.name_pattern import NamePattern
from penstock.pipelines.reading.tree import Entry, Tree
from penstock.pipelines.sources import locate
from penstock.pipelines.sources.source import BadRecord

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 7), np.uint8)
RGB = RNG.integers(0, 256, (9, 7, 3), np.uint8)
LEFT = np.zeros((16, 32), np.uint8)
LEFT[:, 16:] = 255
"""Dark on the left, white on the right: blocks of 8x8 of one value each, which JPEG keeps exactly."""


def encode(pixels, form, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def read_one(root, name, index=0):
    """What becomes of one file in the class folder `a`."""
    names = FolderReader(["a"], False, NamePattern())
    part = Part.of([MediaFile(name, Tree(root), Entry(name, 0))], index)
    (record,) = read_files(part, names, "image", ImageReader())
    return record


def png(width, height, depth, colour, rows):
    """A PNG as the standard says, for what Pillow does not write; `rows` are its raw bytes."""

    def chunk(kind, body):
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb():
    """20,000 x 20,000 white pixels of one bit: 50 MB unpacked, 1.2 GB as RGB, 50 kB as a file."""
    return png(20_000, 20_000, 1, 0, (b"\0" + b"\xff" * 2500) * 20_000)


def palette_with_alpha():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return encode(image, "PNG", transparency=bytes([0, 128, 255]))


def rotated_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise when shown
    return encode(LEFT, "JPEG", quality=100, exif=exif)


def red_cmyk():
    # No cyan, all magenta, all yellow, no black is red.
    return encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)


def animation():
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    return encode(first, "GIF", save_all=True, append_images=[second], duration=50)


def grey(pixels):
    return np.repeat(pixels[:, :, None], 3, axis=2)


KEPT = {
    "good.png": (encode(RGB, "PNG"), RGB),
    "grey.png": (encode(GREY, "PNG"), grey(GREY)),
    "CAPITALS.PNG": (encode(RGB[::-1], "PNG"), RGB[::-1]),
    "photo.Jpeg": (encode(LEFT, "JPEG", quality=100), grey(LEFT)),
    "cmyk.jpg": (red_cmyk(), np.full((8, 8, 3), (255, 0, 0), np.uint8)),
    # The upper byte: 0x12 of 0x1234.
    "grey16.png": (
        encode(np.array([[0x1234, 0xFF00]], np.uint16), "PNG"),
        grey(np.array([[0x12, 0xFF]], np.uint8)),
    ),
    "rgb16.png": (
        png(1, 1, 16, 2, b"\0" + bytes([0x12, 0x34, 0x80, 0x01, 0xFF, 0xFE])),
        np.array([[[0x12, 0x80, 0xFF]]], np.uint8),
    ),
    # Red, green; blue, green: alpha is dropped, as it is for RGBA.
    "palette_alpha.png": (
        palette_with_alpha(),
        np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]], np.uint8),
    ),
    "rgba.png": (encode(np.dstack([RGB, GREY]), "PNG"), RGB),
    "animated.gif": (animation(), grey(GREY)),
    # Clockwise: what was left is above, what was right below.
    "rotated.jpg": (rotated_jpeg(), grey(np.repeat([[0], [255]], 16, axis=0).repeat(16, axis=1))),
    "one_pixel.png": (encode(GREY[:1, :1], "PNG"), grey(GREY[:1, :1])),
    "wide.png": (encode(np.tile(GREY[:1], (1, 2000)), "PNG"), grey(np.tile(GREY[:1], (1, 2000)))),
    "really_a_jpeg.png": (encode(LEFT[:8], "JPEG", quality=100), grey(LEFT[:8])),
    "line\nbreak 'and' \"quotes\" $HOME {x}.png": (encode(RGB[:, ::-1], "PNG"), RGB[:, ::-1]),
    "folder.png/inside.png": (encode(RGB[1:], "PNG"), RGB[1:]),
    "copy_of_good.png": (encode(RGB, "PNG"), RGB),
}

QUARANTINED = {
    "truncated.png": (encode(RGB, "PNG")[:100], "The image is damaged: "),
    "truncated.jpg": (encode(RGB, "JPEG")[:300], "The image is damaged: "),
    "text.png": (b"this is text\n", "It is no image of a known format."),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "It is no image of"),
    "empty.png": (b"", "The file is empty."),
    "bomb.png": (bomb(), "The image has more than 89478485 pixels."),
    "broken_exif.webp": (
        encode(RGB, "WEBP", exif=b"Exif\0\0MX\0*\0\0\0\x08\0\0", lossless=True),
        "The image is damaged: not a TIFF file",
    ),
}

CLASS = "grüne Äpfel & 日本 語"


def fill(folder):
    """The awkward class, and another one of 20 plain pictures."""
    for name, (data, _) in {**KEPT, **QUARANTINED}.items():
        path = folder / CLASS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "plain").mkdir()
    for index in range(20):
        (folder / "plain" / f"{index}.png").write_bytes(encode(GREY ^ np.uint8(index + 1), "PNG"))
    (folder / CLASS / "goes nowhere.png").symlink_to("nothing")
    (folder / CLASS / "loop").symlink_to(folder)
    (folder / CLASS / "no images here").mkdir()
    (folder / CLASS / "notes.txt").write_text("no picture")


def test_every_awkward_file_is_kept_as_people_see_it_or_quarantined(tmp_path, generate):
    folder = tmp_path / 'it\'s a "folder" {x} $HOME %41 é'
    fill(folder)
    directory, generated = generate(tmp_path, {"type": "image_folder", "path": str(folder)})
    reasons = {record.key: record.reason for record in generated.bad}
    expected = {f"{CLASS}/{name}": reason for name, (_, reason) in QUARANTINED.items()}
    expected[f"{CLASS}/goes nowhere.png"] = "It is a link that leads nowhere."
    assert reasons.keys() == expected.keys()
    for key, reason in expected.items():
        assert reasons[key].startswith(reason), key
    assert {record.file for record in generated.bad} == {str(folder / key) for key in expected}
    # Under the limit the job goes on: 8 of 45 records.
    good = sum(generated.splits.values())
    assert good == len(KEPT) + 20
    assert quarantine.too_many(generated.summary, 0.2) is None
    assert quarantine.too_many(generated.summary, 0.1).startswith("8 of 45 records (17.8%)")
    found = {k: v for s in generated.splits for k, v in examples.records(directory, s)}
    assert examples.features(directory)["label"].names == (CLASS, "plain")
    for name, (_, pixels) in KEPT.items():
        values = found[f"{CLASS}/{name}"]
        assert values["label"] == 0
        seen = tf.io.decode_image(values["image"], channels=3, expand_animations=False).numpy()
        np.testing.assert_array_equal(seen, pixels, err_msg=name)
        # As the serving graph decodes; the op is called after JPEG and reads PNG too.
        served = tf.io.decode_jpeg(values["image"], channels=3, dct_method="INTEGER_ACCURATE")
        np.testing.assert_array_equal(served.numpy(), pixels, err_msg=name)
    assert generated.duplicates["repeats"] == 1
    (content,) = generated.duplicates["shown"]
    keys = [example["key"] for example in content["examples"]]
    assert keys == [f"{CLASS}/copy_of_good.png", f"{CLASS}/good.png"]
    assert (duplicates.warning(generated.duplicates) is None) == (len(content["splits"]) == 1)


def test_a_decompression_bomb_costs_no_memory(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb())
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from penstock.pipelines.media.image_files import ImageFault, normalise\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    normalise(Path(sys.argv[1]).read_bytes())\n"
        "except ImageFault as fault:\n"
        "    print(fault)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "bomb.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    reason, kilobytes = done.stdout.splitlines()
    assert reason == "The image has more than 89478485 pixels."
    assert int(kilobytes) < 20_000  # the pixels alone would be 400 MB


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    (tmp_path / "a").mkdir()
    with open(tmp_path / "a" / "huge.png", "wb") as file:
        file.truncate(20 * 2**30)  # sparse: it takes no space
    record = read_one(tmp_path, "a/huge.png")
    assert record.reason == "The file has 21474836480 bytes; at most 536870912 are read."


def test_a_large_file_of_a_large_picture_is_kept(tmp_path):
    """A bitmap of 33 million pixels, 100 MB."""
    (tmp_path / "a").mkdir()
    Image.new("RGB", (6000, 5600), (1, 2, 3)).save(tmp_path / "a" / "large.bmp")
    assert (tmp_path / "a" / "large.bmp").stat().st_size > 100_000_000
    record = read_one(tmp_path, "a/large.bmp")
    assert tf.io.decode_png(record.values["image"]).shape == (5600, 6000, 3)


@pytest.mark.parametrize("what", ["gone", "cut", "locked"])
def test_what_changes_between_listing_and_reading_is_a_bad_record(tmp_path, what, monkeypatch):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "0.png"
    path.write_bytes(encode(RGB, "PNG"))
    source = locate.load({"type": "image_folder", "path": str(tmp_path)})
    assert source.files() == [path]
    if what == "gone":
        path.unlink()
        reason = f"There is no file 'a/0.png' in `{tmp_path}`."
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:60])
        reason = "The image is damaged: "
    else:
        reason = "The file cannot be read: Permission denied."

        def refuse(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    record = read_one(tmp_path, "a/0.png", index=5)
    assert isinstance(record, BadRecord)
    assert record.reason.startswith(reason)
    assert (record.index, record.key) == (5, "a/0.png")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody who may not read")
def test_unreadable_files_and_folders_for_somebody_who_is_not_root():
    """The real thing in a process of its own, which gives up its rights after its imports."""
    program = """
import os, sys, tempfile, pathlib
from penstock.pipelines.reading.class_files import read_files
from penstock.pipelines.reading.media_files import MediaFile, Part
from penstock.pipelines.reading.tree import Entry, Tree
from penstock.pipelines.sources import locate
from penstock.pipelines.media import image_files
from penstock.pipelines.media.image_files import encode_png
import numpy as np
with tempfile.TemporaryDirectory() as root:
    root = pathlib.Path(root)
    for name in ("a/good.png", "a/secret.png", "b/x/inside.png", "b/good.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_png(np.zeros((2, 2), np.uint8)))
    root.chmod(0o755)
    (root / "a" / "secret.png").chmod(0)
    (root / "b" / "x").chmod(0)
    child = os.fork()
    if child == 0:
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        source = locate.load({"type": "image_folder", "path": str(root)})
        how = source._names, "image", source.reader()
        for record in read_files(Part.of(source._found), *how):
            print(record.key, getattr(record, "reason", "good"), flush=True)
        # The rights may go after the listing, too.
        secret = MediaFile("a/secret.png", Tree(root), Entry("a/secret.png", 0))
        (record,) = read_files(Part.of([secret]), *how)
        print(record.key, record.reason, flush=True)
        os._exit(0)
    sys.exit(os.waitpid(child, 0)[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.splitlines() == [
        "a/good.png good",
        "a/secret.png The file cannot be read: Permission denied.",
        "b/good.png good",
        "b/x The folder cannot be read: Permission denied.",
        "a/secret.png The file cannot be read: Permission denied.",
    ]
