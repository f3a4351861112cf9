"""The digits through all nine steps, with the command line, as a user runs, kills and resumes them."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

STEPS = [
    "ExampleGen",
    "StatisticsGen",
    "Transform",
    "SchemaGen",
    "ExampleValidator",
    "Trainer",
    "Evaluator",
    "InfraValidator",
    "Pusher",
]


def test_the_run_ends_with_accuracy_served_directory_and_next_command(digits):
    lines = digits.first.stdout.splitlines()
    accuracy = next(line for line in lines if line.startswith("accuracy "))
    assert float(accuracy.split()[1]) >= 0.97
    assert "on the test split" in accuracy
    assert f"served model: {digits.folder}/serving/digits/1" in lines
    assert lines[-1].startswith("next: penstock report digits-")


def test_the_run_is_quiet_and_its_logs_are_full(digits):
    assert digits.first.stderr == ""
    assert len(digits.first.stdout.splitlines()) < 20
    logs = sorted((digits.folder / ".penstock" / "runs").glob("*/logs/*.log"))
    assert {"Trainer.log", "ExampleGen.log"} <= {log.name for log in logs}


def test_the_accuracy_is_that_of_the_pushed_model_on_the_untouched_split(digits):
    """Recomputed from the stored examples with nothing but TensorFlow and TFDS."""
    show = digits.json("show")
    outputs = {name: o for step in show["steps"] for name, o in step["outputs"].items()}
    code = """
import sys, numpy as np, tensorflow as tf, tensorflow_datasets as tfds
builder = tfds.builder_from_directory(sys.argv[1])
served = tf.saved_model.load(sys.argv[2]).signatures["serving_default"]
test = builder.as_dataset(split="test", decoders={"image": tfds.decode.SkipDecoding()})
images, labels = zip(*[(e["image"].numpy(), int(e["label"])) for e in test])
answers = served(image=tf.constant(images))["label_id"].numpy()
print(float(np.mean(answers == np.array(labels))), len(labels))
"""
    arguments = [outputs["examples"]["path"], str(digits.folder / "serving" / "digits" / "1")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=digits.folder,
    )
    accuracy, count = done.stdout.split()
    reported = outputs["evaluation"]["properties"]
    assert float(accuracy) == pytest.approx(reported["metrics"]["accuracy"], abs=1e-9)
    assert int(count) == reported["examples"]


def _bytes(image, kind):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 100} if kind == "JPEG" else {}))
    return buffer.getvalue()


def test_the_pushed_model_answers_png_and_jpeg_bytes_in_a_program_with_only_tensorflow(digits):
    bunch = load_digits()
    pictures = np.round(bunch.images[:40] * 255 / 16).astype(np.uint8)
    for kind in ("PNG", "JPEG"):
        for i, picture in enumerate(pictures):
            (digits.folder / f"{i}.{kind}").write_bytes(_bytes(picture, kind))
    code = """
import sys, pathlib, tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for kind in ("PNG", "JPEG"):
    requests = [pathlib.Path(f"{i}.{kind}").read_bytes() for i in range(40)]
    print(*served(image=tf.constant(requests))["label_id"].numpy())
print(sorted({m.split(".")[0] for m in sys.modules} & {"penstock", "keras_hub", "apache_beam"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(digits.folder / "serving" / "digits" / "1")],
        capture_output=True,
        text=True,
        check=True,
        cwd=digits.folder,
    )
    png, jpeg, modules = done.stdout.splitlines()
    truth = bunch.target[:40]
    assert np.mean(np.array(png.split(), int) == truth) >= 0.95
    assert np.mean(np.array(jpeg.split(), int) == truth) >= 0.95
    assert modules == "[]"


def test_a_second_run_is_all_cached_without_tensorflow_or_beam(digits, digits_config):
    code = (
        "import sys\nfrom penstock.tfx.main import main\n"
        f"sys.argv = ['penstock', 'run', {digits_config!r}, '--json']\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        "    heavy = {m.split('.')[0] for m in sys.modules}\n"
        "    print(sorted(heavy & {'tensorflow', 'keras', 'apache_beam', 'sklearn'}), end.code,"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=digits.folder,
    )
    report = json.loads(done.stdout)
    assert list(report["steps"]) == STEPS
    assert {step["status"] for step in report["steps"].values()} == {"cached"}
    assert done.stderr.splitlines()[-1] == "[] 0"
    assert report["seconds"] < 5  # 0.1 s on an idle machine
    assert [p.name for p in (digits.folder / "serving" / "digits").glob("[0-9]*")] == ["1"]


def test_a_new_learning_rate_runs_the_trainer_and_what_follows_and_why_says_so(
    digits, digits_config, tmp_path
):
    change = "train.optimizer.learning_rate=0.004"
    elsewhere = f"push.destination={tmp_path}/served"
    ran = digits.ran(digits_config, change, elsewhere)
    assert ran == ["Trainer", "Evaluator", "InfraValidator", "Pusher"]
    said = digits("why", "latest", "Trainer").stdout.splitlines()
    assert said[1:] == ["  - parameter `train.optimizer.learning_rate` changed: 0.005 -> 0.004"]
    said = digits("why", "latest", "Evaluator").stdout
    assert "input `model` changed" in said
    said = digits("why", "latest", "Transform").stdout
    assert "nothing that it depends on has changed" in said


def test_a_worse_model_is_not_pushed(digits, digits_config):
    served = digits.folder / "serving" / "digits"
    before = sorted(str(path) for path in served.rglob("*"))
    worse = ("train.epochs=1", "model={type: mlp, hidden_units: [2]}")
    done = digits("run", digits_config, *worse, code=3)
    said = [line for line in done.stderr.splitlines() if line.startswith("Stopped: ")]
    assert len(said) == 1
    assert "accuracy" in said[0]
    assert sorted(str(path) for path in served.rglob("*")) == before
    assert done.stdout.splitlines()[-1].startswith("next: penstock report digits-")
    first, *_, last = (row["run"] for row in digits.json("runs"))
    differences = digits("diff", first, last).stdout.splitlines()
    assert "end      state: COMPLETE -> STOPPED" in differences
    assert "config   train.epochs: 12 -> 1" in differences
    assert any(line.startswith("metric   accuracy: ") for line in differences)
    assert differences.count("step     Transform: ran again") == 0  # both runs have the same
    trainer = next(line for line in differences if line.startswith("step     Trainer: "))
    assert "parameter `model.type` changed: 'cnn' -> 'mlp'" in trainer
    assert digits("diff", last, last).stdout == "The two runs do not differ.\n"


def test_the_data_sets_own_tools_open_the_examples(digits):
    import tensorflow_datasets as tfds

    outputs = {
        name: o for step in digits.json("show")["steps"] for name, o in step["outputs"].items()
    }
    builder = tfds.builder_from_directory(outputs["examples"]["path"])
    assert sum(info.num_examples for info in builder.info.splits.values()) == 1797
    assert builder.info.features["label"].num_classes == 10


def test_a_flipped_byte_in_a_model_is_found_and_made_again(digits, digits_config, tmp_path):
    """The Evaluator reads the model, finds it damaged, and the Trainer runs again."""
    copy = type(digits)(tmp_path / "copy")
    shutil.copytree(digits.folder, copy.folder)
    run = copy.json("runs")[0]["run"]
    model = next(s for s in copy.json("show", run)["steps"] if s["step"] == "Trainer")
    victim = next(
        (copy.folder / ".penstock" / "artifacts" / "Trainer").glob(
            f"{model['execution']}/model/saved_model/variables/variables.data*"
        )
    )
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    done = copy("run", digits_config, "--verify")
    damage = [line for line in done.stdout.splitlines() if "damaged" in line]
    assert len(damage) == 1
    assert victim.name in damage[0]
    # The model comes out equal, so that the steps behind it come from the cache.
    assert copy.digests("latest")["Trainer.model"] == model["outputs"]["model"]["content_digest"]


def _newest_run(penstock):
    return penstock.json("runs")[-1]


def test_three_kills_and_a_ctrl_c_change_nothing(command_line, digits, digits_config):
    penstock = command_line("killed")
    arguments = (digits_config, "train.checkpoint_every_steps=5")
    # 1. Ctrl-C as soon as the first step is under way.
    process = penstock.start("run", *arguments)
    deadline = time.monotonic() + 60
    while not list(penstock.folder.glob(".penstock/runs/*/logs/ExampleGen.log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    run = _newest_run(penstock)
    assert run["state"] == "INTERRUPTED"
    assert f"Go on with: penstock resume {run['run']}" in errors
    # 2. The orchestrator is killed between the rename of Transform's outputs and their commit.
    penstock("resume", run["run"], code=-9, PENSTOCK_CRASH_AT="commit:renamed@Transform")
    assert _newest_run(penstock)["state"] == "INTERRUPTED"
    # 3. The orchestrator is killed while the Trainer trains (its worker dies with it).
    process = penstock.start("resume", run["run"], "--json")
    for line in process.stderr:
        if line.startswith("Transform "):
            break
    pattern = ".penstock/runs/*/scratch/Trainer-*/checkpoints/step-*"
    while not list(penstock.folder.glob(pattern)) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    # 4. The worker is killed after the model got its version number, and so is the one that retries.
    penstock("resume", run["run"], code=1, PENSTOCK_CRASH_AT="push:trimmed")
    penstock("resume", run["run"])
    assert [p.name for p in (penstock.folder / "serving/digits").glob("[0-9]*")] == ["1"]
    digests = penstock.digests(run["run"])
    training = next(penstock.folder.glob(".penstock/artifacts/Trainer/*/model/training.json"))
    assert json.loads(training.read_text())["resumed_at"] is not None
    # As the uninterrupted run, which saved at other steps: nothing that comes out depends on that.
    first = digits.json("runs")[0]["run"]
    whole = digits.digests(first)
    assert len(digits.json("show", first)["steps"]) == 9
    assert digests == whole


def test_a_resume_of_a_complete_run_says_that_there_is_nothing_to_do(digits):
    first = digits.json("runs")[0]["run"]
    before = digits.json("show", first)
    done = digits("resume", first)
    assert done.stderr == f"The run {first} is complete: there is nothing to resume.\n"
    assert digits.json("show", first) == before


@pytest.mark.parametrize("arguments", [("show", "no-such-run"), ("why", "no-such-run", "Trainer")])
def test_an_unknown_run_names_those_that_exist(digits, arguments):
    done = digits(*arguments, code=2)
    assert "'no-such-run' is no run of this store" in done.stderr
    assert "digits-" in done.stderr
