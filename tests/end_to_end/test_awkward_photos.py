"""Awkward pictures through the whole command line, in an awkward place, with a home nobody can write.

What becomes of each kind of file is in `pipelines/test_awkward_folder.py`; here the run completes,
the class with a name in other scripts is what the served model answers, nothing is said on stderr,
and the whole folder can be moved afterwards.
"""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

AWKWARD, PLAIN = "grüne Äpfel & 日本 語 {x} $HOME", "0"
NOWHERE = "/dev/null/nobody"


def encode(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write_pictures(photos):
    """40 dark pictures of one class, 40 bright ones of the other; six bad files, of 91."""
    generator = np.random.default_rng(0)
    for name, low in ((AWKWARD, 0), (PLAIN, 200)):
        (photos / name).mkdir(parents=True)
        for index in range(40):
            pixels = generator.integers(low, low + 56, (8, 8), np.uint8)
            (photos / name / f'it\'s "{index}".PNG').write_bytes(encode(Image.fromarray(pixels)))
    dark = Image.fromarray(generator.integers(0, 56, (8, 8), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "copy.png": (photos / AWKWARD / 'it\'s "7".PNG').read_bytes(),
        "rotated.jpg": encode(dark, "JPEG", exif=turned),
        "cmyk.jpg": encode(Image.new("CMYK", (9, 9), (0, 0, 0, 230)), "JPEG"),
        "moving.gif": encode(dark, "GIF", save_all=True, append_images=[Image.new("L", (8, 8))]),
        "pixel.png": encode(Image.new("L", (1, 1), 20)),
        "truncated.png": encode(dark)[:60],
        "text.png": b"this is text",
        "empty.png": b"",
        "bomb.png": encode(Image.new("1", (20_000, 20_000))),
        "broken.jpg": encode(dark, "JPEG")[:200],
    }
    for name, data in files.items():
        (photos / AWKWARD / name).write_bytes(data)
    (photos / AWKWARD / "nowhere.png").symlink_to("nothing")
    (photos / AWKWARD / "loop").symlink_to("..")


@pytest.fixture(scope="module")
def photos(tmp_path_factory, repository):
    """The command line in the folder of the run, which has been done; the config lies elsewhere."""
    from tests.end_to_end.conftest import CommandLine

    folder = tmp_path_factory.mktemp("photos") / "a place {with} 'quotes' \"$HOME\" #1 %41 é"
    (folder / "config").mkdir(parents=True)
    (folder / "work").mkdir()
    write_pictures(folder / "work" / "photos")
    config = yaml.safe_load((repository / "configs" / "vision" / "photos.yaml").read_text())
    config["data"]["source"]["channels"], config["data"]["max_bad_fraction"] = 1, 0.1
    # Smaller, as the pictures are.
    config["prepare"] |= {"height": 8, "width": 8, "channels": 1}
    config["model"] = {"type": "mlp", "hidden_units": [8]}
    config["train"] = {
        "epochs": 10,
        "batch_size": 8,
        "optimizer": {"type": "adam", "learning_rate": 0.03},
    }
    del config["augment"]
    config["push"] = {"destination": "serving"}
    (folder / "config" / "photos.yaml").write_text(yaml.safe_dump(config))
    penstock = CommandLine(folder / "work")
    (folder / "tmp").mkdir()
    penstock.environment |= {"HOME": NOWHERE, "TMPDIR": str(folder / "tmp")}
    for name in ("TFDS_DATA_DIR", "KERAS_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
        penstock.environment.pop(name, None)
    penstock.first = penstock("run", "../config/photos.yaml")
    return penstock


def test_the_run_completes_and_counts_what_it_left_out(photos):
    assert photos.first.stderr == ""
    steps = {step["step"]: step for step in photos.json("show")["steps"]}
    assert len(steps) == 9
    summary = steps["ExampleGen"]["summary"]
    assert (summary["examples"], summary["bad"], summary["duplicates"]) == (85, 6, 1)
    folder = steps["ExampleGen"]["outputs"]["quarantine"]["path"]
    with open(f"{folder}/bad_records.jsonl") as file:
        bad = {json.loads(line)["key"].rpartition("/")[2] for line in file}
    expected = {"truncated.png", "text.png", "empty.png", "bomb.png", "broken.jpg", "nowhere.png"}
    assert bad == expected


def test_a_home_that_cannot_be_written_is_no_ones_business(photos):
    logs = list(photos.folder.glob(".penstock/runs/*/logs/*.log"))
    assert len(logs) >= 9
    for log in logs:
        complaints = [line for line in log.read_text().splitlines() if NOWHERE in line]
        assert all("matplotlib" in line for line in complaints)  # which Keras imports
    # Workers are killed when they are done, but leave nothing in /tmp.
    assert list((photos.folder.parent / "tmp").iterdir()) == []


def test_the_served_model_answers_with_the_folders_name(photos):
    served = tf.saved_model.load(f"{photos.folder}/serving/1").signatures["serving_default"]
    paths = [photos.folder / "photos" / name / 'it\'s "3".PNG' for name in (AWKWARD, PLAIN)]
    labels = served(image=tf.constant([path.read_bytes() for path in paths]))["label"].numpy()
    assert [label.decode() for label in labels] == [AWKWARD, PLAIN]


def test_the_whole_folder_can_be_moved(photos):
    """Pictures, store and served models, which the config names by relative paths."""
    run = photos.json("runs")[0]["run"]
    moved = photos.folder.parent / "moved"
    photos.folder.rename(moved)
    photos.folder = moved
    assert photos.ran("../config/photos.yaml") == []
    shown = photos.json("show", run)["steps"]
    assert len(shown) == 9
    assert all(
        output["path"].startswith(f"{moved}/.penstock/")
        for step in shown
        for output in step["outputs"].values()
    )
    done = photos("resume", run)
    assert "is complete: there is nothing to resume" in done.stderr
    # What was killed at the old place goes on at the new one, from what is complete.
    killed_at = {"code": -9, "PENSTOCK_CRASH_AT": "commit:before-rename@Pusher"}
    photos("run", "../config/photos.yaml", "push.keep=3", **killed_at)
    photos.folder = moved.rename(moved.parent / "moved again")
    resumed = photos.json("resume")
    assert resumed["state"] == "COMPLETE"
    statuses = {name: step["status"] for name, step in resumed["steps"].items()}
    assert statuses.pop("Pusher") == "executed"
    assert set(statuses.values()) == {"cached"}
    assert [path.name for path in (photos.folder / "serving").glob("[0-9]*")] == ["1"]
