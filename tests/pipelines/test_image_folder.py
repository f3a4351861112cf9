"""A folder of images: what is a record, what is none, and what is a bad one."""

import errno
import io
import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penstock.pipelines import examples
from penstock.pipelines.quarantine import quarantine
from penstock.pipelines.sources import locate


def write_image(path, value=100, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 3), value).save(path)


def rename(path):
    (path / "cat" / "0.xyz.png").rename(path / "cat" / "0.xyz")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for index in range(4):
        write_image(root / "cat" / f"{index}.png", index)
        write_image(root / "dog" / "young" / f"{index}.JPG", index)
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / ".hidden.png").write_bytes(b"")
    (root / "stray.png").write_bytes(b"")
    return root


def test_folders_are_classes(tmp_path, folder, generate):
    section = {"type": "image_folder", "path": str(folder), "channels": 1}
    directory, generated = generate(tmp_path, section)
    assert generated.bad == []
    assert sum(generated.splits.values()) == 8
    features = examples.features(directory)
    assert features["label"].names == ("cat", "dog")
    assert features["image"].channels == 1
    found = {k: v for s in generated.splits for k, v in examples.records(directory, s)}
    assert found["cat/2.png"]["label"] == 0
    assert found["dog/young/3.JPG"]["label"] == 1
    assert found["cat/2.png"]["image"] == (folder / "cat" / "2.png").read_bytes()
    files = [str(p.relative_to(folder)) for p in locate.load(section).files()]
    assert files == sorted(found)


def test_broken_files_are_quarantined(tmp_path, folder, generate):
    whole = (folder / "cat" / "0.png").read_bytes()
    (folder / "cat" / "a_cut.png").write_bytes(whole[:50])
    (folder / "cat" / "b_text.png").write_text("this is text")
    (folder / "cat" / "c_empty.png").write_bytes(b"")
    directory, generated = generate(tmp_path, {"type": "image_folder", "path": str(folder)})
    assert sum(generated.splits.values()) == 8
    bad = {record.key: record for record in generated.bad}
    assert bad["cat/a_cut.png"].reason.startswith("The image is damaged: ")
    assert bad["cat/b_text.png"].reason == "It is no image of a known format."
    assert bad["cat/c_empty.png"].reason == "The file is empty."
    assert bad["cat/c_empty.png"].file == str(folder / "cat" / "c_empty.png")
    assert len(bad) == 3


def test_what_is_no_file_is_quarantined_and_in_the_fingerprint(
    tmp_path, folder, generate, key_parts
):
    section = {"type": "image_folder", "path": str(folder)}
    files, facts = key_parts(section)
    assert "left_out" not in facts
    (folder / "cat" / "gone.png").symlink_to(folder / "nothing.png")
    (folder / "cat" / "itself.png").symlink_to("itself.png")
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "null.png").symlink_to("/dev/null")
    os.mkfifo(folder / "cat" / "pipe.txt")
    os.mkfifo(folder / "beside.png")
    (folder / "cat" / "to_pipe.png").symlink_to("pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        # By a descriptor, since the path of a socket may have 107 bytes only.
        directory = os.open(folder / "cat", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{directory}/socket.png")
        os.close(directory)
    expected = {
        "cat/gone.png": "It is a link that leads nowhere.",
        "cat/itself.png": f"The file cannot be read: {os.strerror(errno.ELOOP)}.",
        "cat/null.png": "It is no file, but a device.",
        "cat/pipe.png": "It is no file, but a named pipe.",
        "cat/socket.png": "It is no file, but a socket.",
        "cat/to_pipe.png": "It is no file, but a named pipe.",
    }
    assert key_parts(section) == (files, {**facts, "left_out": expected})
    _, generated = generate(tmp_path, section)
    assert sum(generated.splits.values()) == 8
    assert {record.key: record.reason for record in generated.bad} == expected
    assert {record.file for record in generated.bad} == {str(folder / key) for key in expected}
    assert len({record.index for record in generated.bad}) == 6


def test_names_that_are_not_utf8_are_quarantined(tmp_path, folder, generate, key_parts):
    section = {"type": "image_folder", "path": str(folder)}
    files, facts = key_parts(section)
    for name in (
        b"cat/\xff.png",
        b"\xe9mu/0.png",
        b"\xe9mu/1.png",
        b"dog/\xe9/0.png",
        b"dog/\xe9.md",
    ):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(files[0].read_bytes())
    in_folder = "The folder's name is not valid UTF-8, so nothing in it is read. Rename it."
    expected = {
        r"cat/\xff.png": "The file's name is not valid UTF-8. Rename it.",
        r"dog/\xe9": in_folder,
        r"\xe9mu": in_folder,
    }
    assert key_parts(section) == (files, {**facts, "left_out": expected})
    directory, generated = generate(tmp_path, section)
    assert examples.features(directory)["label"].names == ("cat", "dog")
    assert sum(generated.splits.values()) == 8
    assert {record.key: record.reason for record in generated.bad} == expected
    assert quarantine.too_many(generated.summary, 0.01).encode()


def test_links_are_followed_but_not_in_circles(tmp_path, folder, generate, key_parts):
    elsewhere = tmp_path / "elsewhere"
    write_image(elsewhere / "0.png")
    (elsewhere / "up").symlink_to(tmp_path)
    (folder / "emu").symlink_to(elsewhere)
    (folder / "cat" / "0_again.png").symlink_to("0.png")
    (folder / "cat" / "up").symlink_to(folder)
    (folder / "cat" / "here").symlink_to(".")
    (folder / "same").symlink_to(".")
    (folder / "dog" / "all").symlink_to("/")
    section = {"type": "image_folder", "path": str(folder)}
    files, facts = key_parts(section)
    assert facts == {"classes": ["cat", "dog", "emu"]}
    found = [path.relative_to(folder).as_posix() for path in files]
    assert found == [
        "cat/0.png", "cat/0_again.png", "cat/1.png", "cat/2.png", "cat/3.png",
        *(f"dog/young/{index}.JPG" for index in range(4)), "emu/0.png",
    ]  # fmt: skip
    _, generated = generate(tmp_path, section)
    assert (sum(generated.splits.values()), generated.bad) == (10, [])


def test_two_folders_that_link_to_each_other_end(folder):
    (folder / "cat" / "dogs").symlink_to(folder / "dog")
    (folder / "dog" / "cats").symlink_to(folder / "cat")
    source = locate.load({"type": "image_folder", "path": str(folder)})
    # Of each folder its own four images, and once those of the other.
    assert len(source.files()) == 16


def test_what_may_not_be_read_is_left_out(folder, monkeypatch, key_parts):
    def access(path, mode):
        return not str(path).endswith("2.png")

    # The tests may run as root, who may read everything.
    monkeypatch.setattr(os, "access", access)
    files, facts = key_parts({"type": "image_folder", "path": str(folder)})
    assert len(files) == 7
    assert facts["left_out"] == {"cat/2.png": "The file cannot be read: Permission denied."}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (fault,) = locate.load({"type": "image_folder", "path": str(folder)}).check()
    assert f"`{folder}` cannot be read: permission denied" in fault


def test_a_folder_that_cannot_be_listed_is_left_out(folder, monkeypatch, key_parts):
    def scandir(path):
        if str(path).endswith("young"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    files, facts = key_parts({"type": "image_folder", "path": str(folder)})
    assert {path.parent.name for path in files} == {"cat"}
    assert facts["left_out"] == {"dog/young": "The folder cannot be read: Permission denied."}


def test_split_folders_are_kept(tmp_path, generate):
    root = tmp_path / "images"
    for split, name in (("train", "b"), ("train", "a"), ("test", "b"), ("test", "c")):
        write_image(root / split / name / "0.png")
    section = {"type": "image_folder", "path": str(root), "splits_from_folders": True}
    directory, generated = generate(tmp_path, section)
    assert generated.splits == {"train": 2, "test": 2}
    labels = [(key, values["label"]) for key, values in examples.records(directory, "test")]
    assert sorted(labels) == [("test/b/0.png", 1), ("test/c/0.png", 2)]


def test_folders_without_files_are_in_the_fingerprint(folder):
    section = {"type": "image_folder", "path": str(folder)}
    before = locate.load(section)
    files, facts = before.files(), before.fingerprint()
    assert facts == {"classes": ["cat", "dog"]}
    (folder / "emu").mkdir()
    assert locate.load(section).files() == files
    assert locate.load(section).fingerprint() == {"classes": ["cat", "dog", "emu"]}


def test_split_folders_are_in_the_fingerprint(tmp_path, key_parts):
    for split, name in (("train", "a"), ("test", "b")):
        (tmp_path / split / name).mkdir(parents=True)
    section = {"type": "image_folder", "path": str(tmp_path), "splits_from_folders": True}
    found = locate.load(section).fingerprint()
    assert found == {"classes": ["a", "b"], "splits": ["test", "train"]}
    missing = {"type": "image_folder", "path": str(tmp_path / "missing" / "deep")}
    assert key_parts(missing) == ([], {})


def test_a_bad_split_folder_is_named(tmp_path, generate):
    write_image(tmp_path / "images" / "hold-out" / "a" / "0.png")
    section = {
        "type": "image_folder",
        "path": str(tmp_path / "images"),
        "splits_from_folders": True,
    }
    with pytest.raises(ValueError, match="letters, digits or `_`.*Received: 'hold-out'"):
        generate(tmp_path, section)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: None,
            r"cannot be read: it must be a folder, or an archive or a folder in one. Expected: "
            r"`<class>/<image>`. There is no folder .*missing` \(nothing there\)",
        ),
        (lambda path: path.write_text(""), r"missing` \(a file that is none\).*Correct the path"),
        (lambda path: path.mkdir(), "has no class folders.*Put the files of each class"),
        (
            lambda path: write_image(path / "cat" / "0.xyz.png", 0) or rename(path),
            r"has no image files in its class folders. Expected: `<class>/<image>`. Names must end "
            r"in .png, .*name their endings in `data.source.extensions`",
        ),
        (
            lambda path: [write_image(path / name / "0.png") for name in ("a\nb", "cat ", "dog")],
            r"names cannot be class names. .* Received: 'a\\nb', 'cat '. Rename them. It is",
        ),
    ],
    ids=["missing", "file", "empty", "no-images", "class-names"],
)
def test_a_wrong_path_is_explained(tmp_path, make, message):
    make(tmp_path / "missing")
    source = locate.load({"type": "image_folder", "path": str(tmp_path / "missing")})
    (fault,) = source.check()
    with pytest.raises(FileNotFoundError, match=message):
        source.read(None)
    assert str(tmp_path / "missing") in fault


def test_a_relative_path_is_shown_with_the_folder_it_was_looked_for_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (fault,) = locate.load({"type": "image_folder", "path": "photos"}).check()
    assert f"`photos` (nothing there in the current folder, {str(tmp_path)!r})." in fault


def test_classes_of_digits_and_of_another_case_are_classes_of_their_own(tmp_path, generate):
    names = ("1", "01", "10", "2", "Cat", "cat", "nan", "true")
    for index, name in enumerate(names):
        write_image(tmp_path / "images" / name / "0.png", index)
    section = {"type": "image_folder", "path": str(tmp_path / "images"), "channels": 1}
    directory, generated = generate(tmp_path, section)
    known = examples.features(directory)["label"].names
    assert known == ("01", "1", "10", "2", "Cat", "cat", "nan", "true")
    found = {k: v for s in generated.splits for k, v in examples.records(directory, s)}
    assert {key: known[values["label"]] for key, values in found.items()} == {
        f"{name}/0.png": name for name in names
    }


def test_omniglot_from_both_archives(tmp_path, shared_data, generate, examples_of):
    """1-bit PNG in {set}/{alphabet}/{character}/; Greek and Latin are in both sets."""
    section = {
        "type": "image_folder",
        "path": str(shared_data("omniglot") / "images_background_small*.zip"),
        "pattern": r"^images[^/]+/(?P<label>(?P<alphabet>[^/]+)/character\d+)/\d+_(?P<drawer>\d+)",
        "channels": 1,
    }
    assert locate.load(section).check() == []
    directory, generated = generate(tmp_path, section, {"train": 1.0})
    assert (generated.splits, generated.bad) == ({"train": 2_720 + 3_120}, [])
    found = examples_of(directory, generated)
    names = examples.features(directory)["label"].names
    # 136 + 156 characters less those that are in both sets.
    shared = {"Greek", "Latin"}
    assert len({name.split("/")[0] for name in names}) == 5 + 5 - len(shared)
    key = "images_background_small1.zip/images_background_small1/Greek/character01/0394_07.png"
    assert names[found[key]["label"]] == "Greek/character01"
    assert (found[key]["alphabet"], found[key]["drawer"]) == ("Greek", "07")
    pixels = np.asarray(Image.open(io.BytesIO(found[key]["image"])))
    with zipfile.ZipFile(shared_data("omniglot") / "images_background_small1.zip") as archive:
        original = Image.open(io.BytesIO(archive.read(key.partition("/")[2])))
    assert (original.mode, pixels.dtype, pixels.shape) == ("1", np.uint8, (105, 105))
    np.testing.assert_array_equal(pixels, np.asarray(original) * np.uint8(255))
